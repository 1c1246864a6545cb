package auth

import (
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/secret"
)

// The names of the cookie. With the prefix a browser takes it only by https, from this host and for all its paths
// (RFC 6265bis section 4.1.3.2), so that no neighbour can plant one.
const (
	cookieName       = "fleetcast"
	secureCookieName = "__Host-fleetcast"
)

// maxProofBytes bounds what is looked at of a proof.
const maxProofBytes = 8 << 10

// errWho is what everybody is told whose proof is missing or wrong, whichever it is.
var errWho = devices.Errorf(devices.Unauthorized, "", "show a token, a session or a ticket that is valid")

// Identify says who asks: by the Authorization header, else by the session's cookie. Whoever shows a header that is
// wrong is not asked for their cookie: they meant the header.
func (a *Authority) Identify(r *http.Request) (devices.Caller, error) {
	if !a.Ready() {
		return devices.Caller{}, errNotLoaded
	}
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, proof, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return a.refuse()
		}
		return a.byBearer(strings.TrimSpace(proof))
	}
	if c, err := r.Cookie(a.cookie()); err == nil {
		return a.bySession(c.Value)
	}
	return a.refuse()
}

func (a *Authority) refuse() (devices.Caller, error) {
	a.counts.refused.Add(1)
	return devices.Caller{}, errWho
}

func (a *Authority) cookie() string {
	if a.o.SecureCookies {
		return secureCookieName
	}
	return cookieName
}

// byBearer reads a key of ours, a token that was signed here, or one of the identity provider's.
func (a *Authority) byBearer(proof string) (devices.Caller, error) {
	switch {
	case len(proof) > maxProofBytes:
	case a.o.LocalToken != "" && secret.VerifyToken([]byte(proof), secret.HashToken([]byte(a.o.LocalToken))):
		return *Local(), nil
	case secret.IsToken([]byte(proof)):
		if c, ok := a.byKey(proof); ok {
			return c, nil
		}
	case secret.LooksLikeJWT([]byte(proof)):
		if c, ok := a.byJWT(proof); ok {
			return c, nil
		}
	}
	return a.refuse()
}

// idOf is the id under which a random secret is kept: its hash, by which it is also found. An attacker who could time
// the look-up would learn of hashes, which lead to no secret.
func idOf(proof string) string { return hex.EncodeToString(secret.HashToken([]byte(proof))) }

func (a *Authority) byKey(proof string) (devices.Caller, bool) {
	now := a.o.Now()
	a.dir.mu.RLock()
	defer a.dir.mu.RUnlock()
	id := keyID(idOf(proof))
	k := a.dir.keys[id]
	if k == nil || !secret.VerifyToken([]byte(proof), k.Hash) || !a.dir.holds(byKey+id, now) {
		return devices.Caller{}, false
	}
	c := devices.Caller{Subject: "key:" + id, Role: k.Role, Scope: k.Scope(), Proof: byKey + id}
	if k.Expires != 0 {
		c.Expires = time.UnixMilli(k.Expires)
	}
	return c, true
}

func (a *Authority) bySession(cookie string) (devices.Caller, error) {
	if len(cookie) > maxProofBytes {
		return a.refuse()
	}
	id := idOf(cookie)
	a.dir.mu.RLock()
	s := a.dir.sessions[id]
	var u *User
	if s != nil && a.dir.holds(bySession+id, a.o.Now()) {
		u = a.dir.userOf(s)
	}
	a.dir.mu.RUnlock()
	if u == nil {
		return a.refuse()
	}
	return devices.Caller{
		Subject: u.Name, Role: u.Role, Scope: u.Scope(), Expires: time.UnixMilli(s.Expires), Proof: bySession + id,
	}, nil
}

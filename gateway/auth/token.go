package auth

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// What our own tokens say of themselves. The audience keeps a ticket from being taken for a token.
const (
	issuer         = "fleetcast"
	tokenAudience  = "fleetcast"
	ticketAudience = "fleetcast-ticket"
	signingBytes   = 32
)

// claims are what a token says of its bearer. Whatever is malformed in them refuses the whole token.
type claims struct {
	jwt.RegisteredClaims
	Role      devices.Role      `json:"role"`
	Fleets    []devices.FleetID `json:"fleets,omitempty"`
	AllFleets bool              `json:"all_fleets,omitempty"`
}

func (c *claims) grant() (Grant, bool) {
	g := Grant{Role: c.Role, Fleets: c.Fleets, AllFleets: c.AllFleets}
	return g, g.Check() == nil && c.Subject != ""
}

// SignToken makes a token for a program or a person: what it grants, until its time is over. It must be within what the
// caller may give.
func (a *Authority) SignToken(ctx context.Context, by *devices.Caller, subject string, g Grant, ttl time.Duration) (string, error) {
	if err := g.Check(); err != nil {
		return "", err
	}
	switch {
	case ttl <= 0 || ttl > MaxTokenTTL:
		return "", devices.Errorf(devices.Invalid, "ttl", "is not above 0 and at most %v", MaxTokenTTL)
	case !g.Within(by):
		return "", devices.Errorf(devices.Forbidden, "", "a token must not grant more than its maker has")
	}
	if err := CheckUserName(subject); err != nil {
		return "", err
	}
	now := a.o.Now()
	return a.sign(ctx, &claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Audience: jwt.ClaimStrings{tokenAudience}, Subject: subject, ID: newName(16),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
		},
		Role: g.Role, Fleets: g.Fleets, AllFleets: g.AllFleets,
	})
}

// sign signs with the newest of our secrets.
func (a *Authority) sign(ctx context.Context, c jwt.Claims) (string, error) {
	kid, key, err := a.signingKey(ctx)
	if err != nil {
		return "", err
	}
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, c)
	t.Header["kid"] = kid
	text, err := t.SignedString(key)
	if err != nil {
		return "", &devices.Error{Kind: devices.Internal, Detail: "the token was not signed", Err: err}
	}
	return text, nil
}

// signingKey is the newest secret; the first time one is made. Two processes that start at once may each make one; both
// are kept and both hold.
func (a *Authority) signingKey(ctx context.Context) (kid string, key []byte, err error) {
	if !a.Ready() {
		return "", nil, errNotLoaded
	}
	if kid, key = a.newestSigning(); kid != "" {
		return kid, key, nil
	}
	s := signing{Secret: []byte(newName(signingBytes)), Created: a.o.Now().UnixMilli()}
	kid = newName(6)
	if err := a.commit(ctx, store.Op{Kind: KindSigning, ID: kid, Value: encode(s), If: store.Condition{Absent: true}}); err != nil {
		return "", nil, err
	}
	kid, key = a.newestSigning()
	return kid, key, nil
}

func (a *Authority) newestSigning() (kid string, key []byte) {
	a.dir.mu.RLock()
	defer a.dir.mu.RUnlock()
	var newest int64 = -1
	for id, s := range a.dir.signings {
		if s.Created > newest || s.Created == newest && id < kid {
			kid, key, newest = id, s.Secret, s.Created
		}
	}
	return kid, key
}

// byJWT reads a token that was signed here, else by a key of the identity provider's.
func (a *Authority) byJWT(proof string) (devices.Caller, bool) {
	var c claims
	if !a.verifyOwn(proof, tokenAudience, &c) {
		c = claims{}
		if !a.verifyForeign(proof, &c) {
			return devices.Caller{}, false
		}
	}
	g, ok := c.grant()
	if !ok {
		return devices.Caller{}, false
	}
	caller := devices.Caller{Subject: c.Subject, Role: g.Role, Scope: g.Scope(), Expires: c.ExpiresAt.Time, Proof: bySubject + c.Subject}
	if c.ID != "" {
		caller.Proof = byToken + tokenID(c.Issuer, c.ID)
	}
	return caller, a.Holds(&caller)
}

// tokenID names a token over all issuers.
func tokenID(from, jti string) string { return idOf(from + "\x00" + jti) }

// verifyOwn fills the claims of a token that one of our secrets signed for an audience.
func (a *Authority) verifyOwn(proof, audience string, into jwt.Claims) bool {
	if strings.ContainsAny(proof, "\r\n") {
		return false // base64url without anything else (RFC 7515 section 2)
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired(), jwt.WithIssuer(issuer),
		jwt.WithAudience(audience), jwt.WithStrictDecoding(), jwt.WithTimeFunc(a.o.Now))
	_, err := parser.ParseWithClaims(proof, into, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		a.dir.mu.RLock()
		defer a.dir.mu.RUnlock()
		s := a.dir.signings[kid]
		if s == nil || len(s.Secret) < signingBytes {
			return nil, errWho
		}
		return s.Secret, nil
	})
	return err == nil
}

func (a *Authority) verifyForeign(proof string, into *claims) bool {
	if a.provider != nil && a.provider.VerifyInto([]byte(proof), into) == nil {
		return true
	}
	return slices.ContainsFunc(a.jwks, func(k *jwks) bool {
		*into = claims{}
		return k.verify(proof, into)
	})
}

// Revoke ends a token before its time, at every edge. A token of another issuer is revoked by its own jti.
func (a *Authority) Revoke(ctx context.Context, proof string) error {
	var c claims
	if !a.verifyOwn(proof, tokenAudience, &c) {
		c = claims{}
		if !a.verifyForeign(proof, &c) {
			return devices.Errorf(devices.NotFound, "token", "is none that is valid here")
		}
	}
	if c.ID == "" {
		return devices.Errorf(devices.Invalid, "token", "has no jti by which it could be revoked")
	}
	ends := until{Expires: c.ExpiresAt.Add(2 * maxLeeway).UnixMilli()}
	return a.commit(ctx, store.Op{Kind: KindRevoked, ID: tokenID(c.Issuer, c.ID), Value: encode(ends)})
}

// maxLeeway is what clocks may differ.
const maxLeeway = time.Minute

// Local is who asks on the machine itself, with the store open before them: the command line.
func Local() *devices.Caller {
	return &devices.Caller{Subject: "local", Role: devices.Admin, Scope: devices.AllFleets(), Proof: byLocal}
}

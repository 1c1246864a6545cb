package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/fleetcast/fleetcast/devices"
)

// The bounds of keys that are fetched.
const (
	jwksTimeout  = 5 * time.Second
	maxJWKSBytes = 256 << 10
	maxJWKSKeys  = 100
	jwksEvery    = time.Hour        // how often they are fetched anyway
	jwksAtMost   = 30 * time.Second // and because a token names a key that is not known
	jwksPatience = 2 * time.Second  // how long such a token's request waits for that
	jwksMaxAge   = 24 * time.Hour   // how long keys hold that can no longer be fetched
	minRSABits   = 2048
)

// JWKSOptions say where an identity provider publishes its keys (RFC 7517), and what its tokens say of themselves.
type JWKSOptions struct {
	URL      string // https; http only to this machine itself
	Issuer   string
	Audience string
	Leeway   time.Duration
	// Client fetches; nil: one that follows no redirects and is patient for a few seconds.
	Client *http.Client
}

// jwks are the keys of one identity provider.
type jwks struct {
	o      JWKSOptions
	now    func() time.Time
	log    *slog.Logger
	parser *jwt.Parser
	kick   chan struct{}

	mu      sync.Mutex
	keys    map[string]jwksKey
	fetched time.Time     // when they were fetched last, with success
	tried   time.Time     // or without
	done    chan struct{} // closed with the end of the next fetch
}

type jwksKey struct {
	algorithm string
	key       any
}

func newJWKS(o JWKSOptions, now func() time.Time, log *slog.Logger) (*jwks, error) {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return nil, devices.Errorf(devices.Invalid, "jwks-url", "is no plain URL")
	case u.Scheme != "https" && !(u.Scheme == "http" && isThisMachine(u.Hostname())):
		return nil, devices.Errorf(devices.Invalid, "jwks-url", "is not https: whoever stands between could make keys")
	case o.Issuer == "" || o.Audience == "":
		return nil, devices.Errorf(devices.Invalid, "jwks-url", "needs an issuer and an audience: a token for somebody else must not open this door")
	case o.Leeway < 0 || o.Leeway > maxLeeway:
		return nil, devices.Errorf(devices.Invalid, "jwks-leeway", "is not between 0 and %v", maxLeeway)
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: jwksTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return &jwks{
		o: o, now: now, log: log, kick: make(chan struct{}, 1), keys: map[string]jwksKey{}, done: make(chan struct{}),
		parser: jwt.NewParser(jwt.WithValidMethods([]string{"EdDSA", "ES256", "RS256"}), jwt.WithExpirationRequired(), jwt.WithIssuer(o.Issuer),
			jwt.WithAudience(o.Audience), jwt.WithLeeway(o.Leeway), jwt.WithStrictDecoding(), jwt.WithTimeFunc(now)),
	}, nil
}

func isThisMachine(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// run fetches the keys now and then, and when somebody shows a token of a key that is not known.
func (k *jwks) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-k.kick:
			if k.triedLately() { // who kicked did not know yet
				continue
			}
		}
		keys, err := k.fetch(ctx)
		k.take(keys, err)
		if err != nil && ctx.Err() == nil {
			k.log.Warn("the identity provider's keys were not fetched; those that are known hold on", "error", err)
			timer.Reset(jwksAtMost)
			continue
		}
		timer.Reset(jwksEvery)
	}
}

func (k *jwks) triedLately() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now().Sub(k.tried) < jwksAtMost
}

func (k *jwks) take(keys map[string]jwksKey, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tried = k.now()
	if err == nil {
		k.keys, k.fetched = keys, k.tried
	}
	close(k.done)
	k.done = make(chan struct{})
}

func (k *jwks) fetch(ctx context.Context) (map[string]jwksKey, error) {
	ctx, cancel := context.WithTimeout(ctx, jwksTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.o.URL, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := k.o.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch keys: answered %s", res.Status)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxJWKSBytes+1))
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	if len(body) > maxJWKSBytes {
		return nil, fmt.Errorf("fetch keys: more than %d bytes", maxJWKSBytes)
	}
	return parseJWKS(body)
}

// parseJWKS reads the keys that may verify signatures. One that cannot be used is passed over: it may be for others.
func parseJWKS(body []byte) (map[string]jwksKey, error) {
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	if len(set.Keys) > maxJWKSKeys {
		return nil, fmt.Errorf("read keys: more than %d", maxJWKSKeys)
	}
	keys := map[string]jwksKey{}
	for _, m := range set.Keys {
		if m.USE != "" && m.USE != jwkset.UseSig || m.KTY == jwkset.KtyOct {
			continue // a secret that is published is none
		}
		m.X5U = "" // and nothing that a key names is fetched
		jwk, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{SkipX5UScheme: true})
		if err != nil {
			continue
		}
		algorithm, ok := algorithmOf(jwk.Key())
		if !ok || m.ALG != "" && string(m.ALG) != algorithm {
			continue
		}
		keys[m.KID] = jwksKey{algorithm, jwk.Key()}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("read keys: there is none that verifies EdDSA, ES256 or RS256")
	}
	return keys, nil
}

// algorithmOf is the one algorithm that a key is used with here.
func algorithmOf(key any) (string, bool) {
	switch key := key.(type) {
	case ed25519.PublicKey:
		return "EdDSA", true
	case *ecdsa.PublicKey:
		return "ES256", key.Curve.Params().Name == "P-256"
	case *rsa.PublicKey:
		return "RS256", key.N.BitLen() >= minRSABits
	}
	return "", false
}

// verify fills the claims of a token of this provider.
func (k *jwks) verify(proof string, into jwt.Claims) bool {
	if strings.ContainsAny(proof, "\r\n") {
		return false
	}
	_, err := k.parser.ParseWithClaims(proof, into, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		key, ok := k.find(kid)
		if !ok || t.Method.Alg() != key.algorithm {
			return nil, errWho
		}
		return key.key, nil
	})
	return err == nil
}

// find returns a key. For one that is not known the keys are fetched again, not too often, and waited for a little.
func (k *jwks) find(kid string) (jwksKey, bool) {
	k.mu.Lock()
	key, known := k.keys[kid]
	stale := k.now().Sub(k.fetched) > jwksMaxAge
	done, wanted := k.done, !known && k.now().Sub(k.tried) >= jwksAtMost
	k.mu.Unlock()
	if known {
		return key, !stale
	}
	if !wanted {
		return jwksKey{}, false
	}
	select {
	case k.kick <- struct{}{}:
	default: // somebody else's token has it fetched
	}
	timer := time.NewTimer(jwksPatience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	key, known = k.keys[kid]
	return key, known
}

package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/fleetcast/fleetcast/devices"
)

// provider is an identity provider.
type provider struct {
	*httptest.Server
	body    atomic.Pointer[[]byte]
	fetches atomic.Int64
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.fetches.Add(1)
		if b := p.body.Load(); b != nil {
			_, _ = w.Write(*b)
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) publish(t *testing.T, keys map[string]any) {
	t.Helper()
	var set jwkset.JWKSMarshal
	for kid, key := range keys {
		jwk, err := jwkset.NewJWKFromKey(key, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid}})
		if err != nil {
			t.Fatal(err)
		}
		set.Keys = append(set.Keys, jwk.Marshal())
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	p.body.Store(&text)
}

func foreign(t *testing.T, method jwt.SigningMethod, kid string, key any, change func(jwt.MapClaims)) string {
	t.Helper()
	c := jwt.MapClaims{"sub": "ann", "iss": "https://id.example", "aud": "fleetcast", "exp": time.Now().Add(time.Hour).Unix(), "role": "viewer", "fleets": []string{"north"}}
	if change != nil {
		change(c)
	}
	token := jwt.NewWithClaims(method, c)
	token.Header["kid"] = kid
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTokensOfAnIdentityProviderAreHeldToItsKeys(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := newProvider(t)
	p.publish(t, map[string]any{"ed": ed.Public(), "ec": ec.Public(), "rs": rs.Public()})
	a := start(t, memory(t), Options{JWKS: []JWKSOptions{{URL: p.URL, Issuer: "https://id.example", Audience: "fleetcast"}}})
	for _, token := range []string{
		foreign(t, jwt.SigningMethodEdDSA, "ed", ed, nil), foreign(t, jwt.SigningMethodES256, "ec", ec, nil), foreign(t, jwt.SigningMethodRS256, "rs", rs, nil),
	} {
		eventually(t, func() bool {
			c, err := a.Identify(request(bearer(token)))
			return err == nil && c.Subject == "ann" && c.Role == devices.Viewer
		})
	}
	for what, token := range map[string]string{
		"alg none":                   foreign(t, jwt.SigningMethodNone, "ed", jwt.UnsafeAllowNoneSignatureType, nil),
		"a secret made of a key":     foreign(t, jwt.SigningMethodHS256, "rs", []byte("anything"), nil),
		"another algorithm":          foreign(t, jwt.SigningMethodRS512, "rs", rs, nil),
		"another key":                foreign(t, jwt.SigningMethodEdDSA, "ec", ed, nil),
		"another issuer":             foreign(t, jwt.SigningMethodEdDSA, "ed", ed, func(c jwt.MapClaims) { c["iss"] = "https://evil.example" }),
		"another audience":           foreign(t, jwt.SigningMethodEdDSA, "ed", ed, func(c jwt.MapClaims) { c["aud"] = "other" }),
		"ended":                      foreign(t, jwt.SigningMethodEdDSA, "ed", ed, func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Minute).Unix() }),
		"no end":                     foreign(t, jwt.SigningMethodEdDSA, "ed", ed, func(c jwt.MapClaims) { delete(c, "exp") }),
		"no role":                    foreign(t, jwt.SigningMethodEdDSA, "ed", ed, func(c jwt.MapClaims) { delete(c, "role") }),
		"a role that is none":        foreign(t, jwt.SigningMethodEdDSA, "ed", ed, func(c jwt.MapClaims) { c["role"] = "root" }),
		"a fleet that is none":       foreign(t, jwt.SigningMethodEdDSA, "ed", ed, func(c jwt.MapClaims) { c["fleets"] = []string{"north", "a/b"} }),
		"fleets that are no list":    foreign(t, jwt.SigningMethodEdDSA, "ed", ed, func(c jwt.MapClaims) { c["fleets"] = "north" }),
		"no fleets":                  foreign(t, jwt.SigningMethodEdDSA, "ed", ed, func(c jwt.MapClaims) { delete(c, "fleets") }),
		"no subject":                 foreign(t, jwt.SigningMethodEdDSA, "ed", ed, func(c jwt.MapClaims) { delete(c, "sub") }),
		"one that claims to be ours": foreign(t, jwt.SigningMethodEdDSA, "ed", ed, func(c jwt.MapClaims) { c["iss"] = issuer }),
	} {
		_, err := a.Identify(request(bearer(token)))
		wantKind(t, what, err, devices.Unauthorized)
	}
}

func TestKeysRotateAndAnUnknownOneIsNotAskedForAllTheTime(t *testing.T) {
	_, first, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, second, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := newClock()
	p := newProvider(t)
	p.publish(t, map[string]any{"1": first.Public()})
	k, err := newJWKS(JWKSOptions{URL: p.URL, Issuer: "https://id.example", Audience: "fleetcast"}, c.now, slogDiscard())
	if err != nil {
		t.Fatal(err)
	}
	runJWKS(t, k)
	verify := func(kid string, key any) bool {
		var into claims
		return k.verify(foreign(t, jwt.SigningMethodEdDSA, kid, key, nil), &into)
	}
	eventually(t, func() bool { return verify("1", first) })
	before := p.fetches.Load()
	p.publish(t, map[string]any{"2": second.Public()})
	for range 20 {
		if verify("2", second) {
			t.Fatal("it was fetched again at once")
		}
	}
	if p.fetches.Load() != before {
		t.Error("unknown keys have the provider asked all the time")
	}
	c.forward(jwksAtMost)
	if !verify("2", second) {
		t.Error("a new key is not fetched")
	}
	if verify("1", first) {
		t.Error("a key that was taken back holds")
	}
}

func TestWhatIsNoSetOfKeysIsRefused(t *testing.T) {
	for what, body := range map[string]string{
		"nothing": ``, "no JSON": `<html>`, "no keys": `{"keys":[]}`, "a secret": `{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}`,
		"an address": `{"keys":[{"kty":"RSA","kid":"a","x5u":"http://169.254.169.254/"}]}`,
		"too many":   `{"keys":[` + strings.TrimSuffix(strings.Repeat(`{"kty":"OKP"},`, maxJWKSKeys+1), ",") + `]}`,
	} {
		if keys, err := parseJWKS([]byte(body)); err == nil {
			t.Errorf("%s gives %v", what, keys)
		}
	}
	for _, url := range []string{"http://id.example/keys", "ftp://id.example", "", "https://user:pw@id.example", "keys"} {
		_, err := newJWKS(JWKSOptions{URL: url, Issuer: "i", Audience: "a"}, time.Now, slogDiscard())
		wantKind(t, url, err, devices.Invalid)
	}
}

package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Row 35: while the provider is down, slow or sends too much, the keys that are known hold, and not for ever.
func TestKeysHoldWhileTheProviderIsInTroubleAndNotForEver(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := newClock()
	p := newProvider(t)
	p.publish(t, map[string]any{"1": key.Public()})
	k, err := newJWKS(JWKSOptions{URL: p.URL, Issuer: "https://id.example", Audience: "fleetcast"}, c.now, slogDiscard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.o.Client.CloseIdleConnections)
	token := foreign(t, jwt.SigningMethodEdDSA, "1", key, func(claims jwt.MapClaims) { claims["exp"] = c.now().Add(48 * time.Hour).Unix() })
	holds := func() bool {
		var into claims
		return k.verify(token, &into)
	}
	k.take(k.fetch(t.Context()))
	if !holds() {
		t.Fatal("the key is not known")
	}
	large := []byte(`{"keys":[` + strings.Repeat(" ", 10<<20) + `]}`)
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(silent.Close)
	elsewhere := httptest.NewServer(http.RedirectHandler(p.URL, http.StatusFound))
	t.Cleanup(elsewhere.Close)
	for what, fault := range map[string]func() string{
		"an error":   func() string { p.body.Store(nil); return p.URL },
		"10 MB":      func() string { p.body.Store(&large); return p.URL },
		"silence":    func() string { return silent.URL },
		"a redirect": func() string { return elsewhere.URL },
		"nobody":     func() string { return "http://127.0.0.1:1" },
	} {
		k.o.URL = fault()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond) // fetch has a bound of its own, which is longer
		keys, err := k.fetch(ctx)
		cancel()
		if err == nil {
			t.Errorf("%s gives keys", what)
		}
		k.take(keys, err)
		if !holds() {
			t.Errorf("%s ends the keys that are known", what)
		}
	}
	if k.o.Client.Timeout != jwksTimeout {
		t.Error("a provider that is silent is waited for")
	}
	c.forward(jwksMaxAge + time.Minute)
	if holds() {
		t.Error("keys that nobody could confirm for more than a day hold")
	}
}

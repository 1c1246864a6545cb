package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/secret"
)

// One test an abuse.

// Wrong passwords from one address, of one name, and of many names from many addresses: the first two are throttled, and
// of the last only a few are hashed at once (each takes 19 MiB), while the others hear at once that they must wait.
func TestAFloodOfWrongPasswordsHashesFewAtATime(t *testing.T) {
	a := start(t, memory(t), Options{})
	for i := range 3 * failuresPerAddress {
		a.throttle.failed(fmt.Sprint("name", i), "192.0.2.1")
		a.throttle.failed("ann", fmt.Sprint("192.0.3.", i))
	}
	before, _, _ := a.pass.Counts()
	for _, guess := range [][2]string{{"new", "192.0.2.1"}, {"ann", "203.0.113.1"}} {
		_, _, err := a.SignIn(t.Context(), guess[0], "wrong password", guess[1])
		wantKind(t, fmt.Sprint(guess), err, devices.Exhausted)
	}
	if now, _, _ := a.pass.Counts(); now != before {
		t.Error("a throttled password was hashed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	var busy atomic.Int64
	for i := range 500 {
		wg.Go(func() {
			_, _, err := a.SignIn(ctx, fmt.Sprint("nobody", i), "wrong password", fmt.Sprintf("198.51.%d.%d", i/250, i%250))
			if devices.KindOf(err) == devices.Exhausted {
				busy.Add(1)
			}
			if err == nil {
				t.Error("somebody came in")
			}
		})
	}
	wg.Wait()
	if busy.Load() == 0 {
		t.Error("all found a turn")
	}
}

func TestAPasswordOfAMegabyteIsNotHashed(t *testing.T) {
	a := start(t, memory(t), Options{})
	if _, err := a.CreateUser(t.Context(), "ann", "another long password", viewerOf(t, "north")); err != nil {
		t.Fatal(err)
	}
	before, _, _ := a.pass.Counts()
	huge := strings.Repeat("x", 1<<20)
	_, _, err := a.SignIn(t.Context(), "ann", huge, "192.0.2.1")
	wantKind(t, "signing in", err, devices.Unauthorized)
	_, err = a.CreateUser(t.Context(), "bob", huge, viewerOf(t, "north"))
	wantKind(t, "a new user", err, devices.Invalid)
	_, err = a.UpdateUser(t.Context(), "ann", UserChange{Password: &huge})
	wantKind(t, "a new password", err, devices.Invalid)
	_, _, err = a.SignIn(t.Context(), huge, "another long password", "192.0.2.1")
	wantKind(t, "a name", err, devices.Unauthorized)
	if now, _, _ := a.pass.Counts(); now > before+1 { // the name's, with the hash that nobody has
		t.Errorf("%d were hashed", now-before)
	}
	a.throttle.mu.Lock()
	defer a.throttle.mu.Unlock()
	for name := range a.throttle.names {
		if len(name) > MaxUserNameBytes+1 {
			t.Error("a name of a megabyte is remembered")
		}
	}
}

// What a token's header says is compared and nothing else: no algorithm of its choice, no file, no address that is asked.
func TestTheHeaderOfATokenChoosesNothing(t *testing.T) {
	asked := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("an address out of a token was fetched") }))
	defer asked.Close()
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, own, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(rs.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	p := newProvider(t)
	p.publish(t, map[string]any{"rs": rs.Public()})
	a := start(t, memory(t), Options{JWKS: []JWKSOptions{{URL: p.URL, Issuer: "https://id.example", Audience: "fleetcast"}}})
	good := foreign(t, jwt.SigningMethodRS256, "rs", rs, nil)
	eventually(t, func() bool { _, err := a.Identify(request(bearer(good))); return err == nil })
	ours, err := a.SignToken(t.Context(), Local(), "ann", viewerOf(t, "north"), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	with := func(method jwt.SigningMethod, key any, header map[string]any) string {
		token := jwt.NewWithClaims(method, jwt.MapClaims{
			"sub": "ann", "iss": "https://id.example", "aud": "fleetcast", "exp": time.Now().Add(time.Hour).Unix(), "role": "admin", "all_fleets": true,
		})
		maps.Copy(token.Header, header)
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	jwk, err := jwkset.NewJWKFromKey(own.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: "own"}})
	if err != nil {
		t.Fatal(err)
	}
	none := jwt.UnsafeAllowNoneSignatureType
	for what, token := range map[string]string{
		"none":                            with(jwt.SigningMethodNone, none, map[string]any{"kid": "rs"}),
		"None":                            with(jwt.SigningMethodNone, none, map[string]any{"kid": "rs", "alg": "None"}),
		"the public key as a secret":      with(jwt.SigningMethodHS256, public, map[string]any{"kid": "rs"}),
		"its bytes as a secret":           with(jwt.SigningMethodHS256, der, map[string]any{"kid": "rs"}),
		"a path for a key":                with(jwt.SigningMethodHS256, []byte{}, map[string]any{"kid": "../../../../dev/null"}),
		"a query for a key":               with(jwt.SigningMethodHS256, []byte("x"), map[string]any{"kid": "x' UNION SELECT 'x"}),
		"a kid that is a list":            with(jwt.SigningMethodRS256, rs, map[string]any{"kid": []string{"rs"}}),
		"a key of its own":                with(jwt.SigningMethodEdDSA, own, map[string]any{"kid": "own", "jwk": jwk.Marshal()}),
		"keys elsewhere":                  with(jwt.SigningMethodEdDSA, own, map[string]any{"kid": "own", "jku": asked.URL}),
		"a certificate elsewhere":         with(jwt.SigningMethodEdDSA, own, map[string]any{"kid": "own", "x5u": asked.URL}),
		"a signature that was cut":        good[:strings.LastIndex(good, ".")+1],
		"ours with another's algorithm":   swapHeader(t, ours, `"HS256"`, `"none"`),
		"ours with a kid that is no one":  swapHeader(t, ours, `"kid":"`, `"kid":"x`),
		"ours as a ticket of the streams": strings.Replace(ours, ".", ".eyJhIjoxfQ", 1),
	} {
		_, err := a.Identify(request(bearer(token)))
		wantKind(t, what, err, devices.Unauthorized)
	}
}

// swapHeader changes the header of a token and leaves the rest.
func swapHeader(t *testing.T, token, from, to string) string {
	t.Helper()
	head, rest, _ := strings.Cut(token, ".")
	parser := jwt.NewParser()
	text, err := parser.DecodeSegment(head)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), from, to, 1)
	if changed == string(text) {
		t.Fatalf("%s has no %s", text, from)
	}
	return strings.TrimRight(jwtEncode(changed), "=") + "." + rest
}

func jwtEncode(text string) string { return new(jwt.Token).EncodeSegment([]byte(text)) }

func TestTokensOfAnotherTimeOrForSomebodyElseAreRefused(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := newProvider(t)
	p.publish(t, map[string]any{"ed": ed.Public()})
	a := start(t, memory(t), Options{JWKS: []JWKSOptions{{URL: p.URL, Issuer: "https://id.example", Audience: "fleetcast", Leeway: time.Minute}}})
	at := func(claim string, in time.Duration) string {
		return foreign(t, jwt.SigningMethodEdDSA, "ed", ed, func(c jwt.MapClaims) { c[claim] = time.Now().Add(in).Unix() })
	}
	as := func(claim string, value any) string {
		return foreign(t, jwt.SigningMethodEdDSA, "ed", ed, func(c jwt.MapClaims) { c[claim] = value })
	}
	eventually(t, func() bool { _, err := a.Identify(request(bearer(at("exp", time.Hour)))); return err == nil })
	for what, token := range map[string]string{"a clock 50 s ahead of ours": at("nbf", 50*time.Second), "among others for us": as("aud", []string{"other", "fleetcast"})} {
		if _, err := a.Identify(request(bearer(token))); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, token := range map[string]string{
		"not yet": at("nbf", 90*time.Second), "no longer": at("exp", -90*time.Second), "for another": as("aud", "other"), "for all but us": as("aud", []string{"a", "b"}),
		"for nobody": as("aud", []string{}), "of another": as("iss", "https://id.example.evil.example"), "an end that is text": as("exp", "tomorrow"),
		"an end that is none": as("exp", nil),
	} {
		_, err := a.Identify(request(bearer(token)))
		wantKind(t, what, err, devices.Unauthorized)
	}
	if _, err := New(Options{Store: memory(t), JWKS: []JWKSOptions{{URL: p.URL, Issuer: "i", Audience: "a", Leeway: 2 * time.Minute}}}); err == nil {
		t.Error("a leeway of two minutes is taken")
	}
}

// A proof that ends ends what it opened: by its own time, by revocation, and with the person.
func TestWhatAProofOpenedEndsWithIt(t *testing.T) {
	s := memory(t)
	here, there := start(t, s, Options{}), start(t, s, Options{}) // two edges
	if _, err := here.CreateUser(t.Context(), "ann", "another long password", viewerOf(t, "north")); err != nil {
		t.Fatal(err)
	}
	caller := func(token string, err error) devices.Caller {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		var c devices.Caller
		eventually(t, func() bool { c, err = there.Identify(request(bearer(token))); return err == nil })
		return c
	}
	token, err := here.SignToken(t.Context(), Local(), "x", viewerOf(t, "north"), time.Hour)
	revoked := caller(token, err)
	short := caller(here.SignToken(t.Context(), Local(), "y", viewerOf(t, "north"), 2*time.Second))
	k, secretText, err := here.CreateKey(t.Context(), Local(), viewerOf(t, "north"), "", 0)
	key := caller(secretText, err)
	session, _, err := there.SignIn(t.Context(), "ann", "another long password", "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	ends := map[string]chan struct{}{}
	for name, c := range map[string]devices.Caller{"revoked": revoked, "short": short, "key": key, "session": session} {
		ended := make(chan struct{})
		ends[name] = ended
		defer there.Watch(&c, func() { close(ended) })()
	}
	await(t, ends["short"])
	if err := here.Revoke(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	await(t, ends["revoked"])
	if err := here.DeleteKey(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	await(t, ends["key"])
	yes := true
	if _, err := here.UpdateUser(t.Context(), "ann", UserChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	await(t, ends["session"])
}

// answers is an identity provider as a function.
type answers func(*http.Request) (*http.Response, error)

func (f answers) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The keys of an identity provider that is down, slow, drunk or renews them: those that are known hold on, for a day at
// most, and no request waits for long.
func TestAnIdentityProviderThatFailsTakesNobodyAlong(t *testing.T) {
	_, old, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, renewed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	setOf := func(kid string, key ed25519.PrivateKey) string {
		jwk, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid}})
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{jwk.Marshal()}})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	says := func(status int, body string) answers {
		return func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body))}, nil
		}
	}
	for what, ill := range map[string]answers{
		"down":           func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") },
		"broken":         says(http.StatusBadGateway, ""),
		"ten megabytes":  says(http.StatusOK, `{"keys":[`+strings.Repeat(" ", 10<<20)),
		"without keys":   says(http.StatusOK, `{"keys":[]}`),
		"no JSON":        says(http.StatusOK, `<html>`),
		"slow for hours": func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() },
	} {
		synctest.Test(t, func(t *testing.T) {
			var fetches atomic.Int64
			var now atomic.Pointer[answers]
			well := says(http.StatusOK, setOf("1", old))
			now.Store(&well)
			client := &http.Client{Transport: answers(func(r *http.Request) (*http.Response, error) {
				fetches.Add(1)
				return (*now.Load())(r)
			})}
			k, err := newJWKS(JWKSOptions{URL: "https://id.example/keys", Issuer: "https://id.example", Audience: "fleetcast", Client: client}, time.Now, slogDiscard())
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go k.run(ctx)
			synctest.Wait()
			verify := func(kid string, key ed25519.PrivateKey) bool {
				var into claims
				return k.verify(foreign(t, jwt.SigningMethodEdDSA, kid, key, nil), &into)
			}
			if !verify("1", old) {
				t.Fatalf("%s: the key is not known", what)
			}
			now.Store(&ill)
			wait(2 * jwksEvery)
			if !verify("1", old) {
				t.Errorf("%s: a key that is known does not hold on", what)
			}
			began := time.Now()
			before := fetches.Load()
			for range 100 {
				if verify("2", renewed) {
					t.Errorf("%s: a key that nobody published verifies", what)
				}
			}
			if waited := time.Since(began); waited > 4*jwksPatience || fetches.Load() > before+2 {
				t.Errorf("%s: a hundred tokens of an unknown key waited %v and had it asked %d times", what, waited, fetches.Load()-before)
			}
			wait(jwksMaxAge)
			if verify("1", old) {
				t.Errorf("%s: a key of yesterday holds", what)
			}
			better := says(http.StatusOK, setOf("2", renewed))
			now.Store(&better)
			wait(2 * jwksAtMost)
			if !verify("2", renewed) || verify("1", old) {
				t.Errorf("%s: the renewed keys are not taken", what)
			}
		})
	}
}

// wait lets the time of a bubble pass.
func wait(d time.Duration) { <-time.After(d) }

func TestASecretOfAnotherIsLongAndNoPublicKey(t *testing.T) {
	for what, key := range map[string]secret.JWTKey{
		"short":        {ID: "k", Algorithm: "HS256", Key: []byte("short")},
		"a public key": {ID: "k", Algorithm: "HS256", Key: []byte("-----BEGIN PUBLIC KEY-----\n" + strings.Repeat("x", 64))},
		"no algorithm": {ID: "k", Algorithm: "none", Key: []byte(strings.Repeat("x", 64))},
	} {
		if _, err := New(Options{Store: memory(t), JWT: secret.JWTOptions{Keys: []secret.JWTKey{key}, Issuer: "i", Audience: "a"}}); err == nil {
			t.Errorf("%s is taken for a secret", what)
		}
	}
}

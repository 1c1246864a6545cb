package registry

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/secret"
)

const secretOfTests = "a secret of at least thirty-two bytes"

// signers are one key of each algorithm, with its public half as a setting.
type signers struct {
	ed  ed25519.PrivateKey
	ec  *ecdsa.PrivateKey
	rsa *rsa.PrivateKey
	set []secret.JWTKey
}

func publicPEM(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func newSigners(t testing.TB) *signers {
	t.Helper()
	s := &signers{}
	var err error
	if _, s.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	if s.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if s.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	s.set = []secret.JWTKey{
		{ID: "ed", Algorithm: "EdDSA", Key: publicPEM(t, s.ed.Public())},
		{ID: "ec", Algorithm: "ES256", Key: publicPEM(t, s.ec.Public())},
		{ID: "rsa", Algorithm: "RS256", Key: publicPEM(t, s.rsa.Public())},
		{ID: "hs", Algorithm: "HS256", Key: []byte(secretOfTests)},
	}
	return s
}

func (s *signers) options() secret.JWTOptions {
	return secret.JWTOptions{Keys: s.set, Issuer: "maker", Audience: "fleetcast", Leeway: time.Minute}
}

var testNow = time.Unix(1_800_000_000, 0)

func claimsOf(subject string) jwt.MapClaims {
	return jwt.MapClaims{"sub": subject, "iss": "maker", "aud": "fleetcast", "exp": testNow.Add(time.Hour).Unix(), "nbf": testNow.Unix()}
}

func sign(t testing.TB, method jwt.SigningMethod, kid string, key any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestAJWTOfAKnownKeyIsAPassword(t *testing.T) {
	s := newSigners(t)
	r := start(t, Options{JWT: s.options(), Now: func() time.Time { return testNow }})
	create(t, r, "truck-17", "north")
	for _, token := range []string{
		sign(t, jwt.SigningMethodEdDSA, "ed", s.ed, claimsOf("truck-17")), sign(t, jwt.SigningMethodES256, "ec", s.ec, claimsOf("truck-17")),
		sign(t, jwt.SigningMethodRS256, "rsa", s.rsa, claimsOf("truck-17")), sign(t, jwt.SigningMethodHS256, "hs", []byte(secretOfTests), claimsOf("truck-17")),
	} {
		for _, name := range []string{"truck-17", ""} {
			p, err := login(r, name, token)
			if err != nil || p.Device.String() != "truck-17" || !p.Expires.Equal(testNow.Add(time.Hour)) {
				t.Errorf("%+v %v", p, err)
			}
		}
		_, err := login(r, "truck-18", token)
		wantKind(t, "the token of another", err, devices.Unauthorized)
	}
	_, err := login(r, "", sign(t, jwt.SigningMethodEdDSA, "ed", s.ed, claimsOf("nobody")))
	wantKind(t, "a token for nobody who is registered", err, devices.Unauthorized)
}

func TestAJWTIsHeldToItsKeyAndItsClaims(t *testing.T) {
	s := newSigners(t)
	r := start(t, Options{JWT: s.options(), Now: func() time.Time { return testNow }})
	create(t, r, "truck-17", "north")
	with := func(change func(jwt.MapClaims)) string {
		c := claimsOf("truck-17")
		change(c)
		return sign(t, jwt.SigningMethodEdDSA, "ed", s.ed, c)
	}
	good := with(func(jwt.MapClaims) {})
	parts := strings.Split(good, ".")
	header := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for name, token := range map[string]string{
		"alg none":                         header(`{"alg":"none","typ":"JWT"}`) + "." + parts[1] + ".",
		"alg none in capitals":             header(`{"alg":"NONE","kid":"ed"}`) + "." + parts[1] + "." + parts[2],
		"HS256 with the RSA key as secret": sign(t, jwt.SigningMethodHS256, "rsa", s.set[2].Key, claimsOf("truck-17")),
		"HS256 with that of EdDSA":         sign(t, jwt.SigningMethodHS256, "ed", s.set[0].Key, claimsOf("truck-17")),
		"another algorithm of the key":     sign(t, jwt.SigningMethodRS512, "rsa", s.rsa, claimsOf("truck-17")),
		"a key that is not known":          sign(t, jwt.SigningMethodEdDSA, "../../etc/passwd", s.ed, claimsOf("truck-17")),
		"no key id":                        sign(t, jwt.SigningMethodEdDSA, "", s.ed, claimsOf("truck-17")),
		"a signature that was changed":     good[:len(good)-4] + "AAAA",
		"padding":                          good + "=",
		"a newline in base64":              parts[0] + "." + parts[1] + ".\n" + parts[2],
		"expired":                          with(func(c jwt.MapClaims) { c["exp"] = testNow.Add(-61 * time.Second).Unix() }),
		"without an end":                   with(func(c jwt.MapClaims) { delete(c, "exp") }),
		"not valid yet":                    with(func(c jwt.MapClaims) { c["nbf"] = testNow.Add(61 * time.Second).Unix() }),
		"for another audience":             with(func(c jwt.MapClaims) { c["aud"] = "others" }),
		"for no audience":                  with(func(c jwt.MapClaims) { delete(c, "aud") }),
		"of another issuer":                with(func(c jwt.MapClaims) { c["iss"] = "forger" }),
		"of no issuer":                     with(func(c jwt.MapClaims) { delete(c, "iss") }),
		"without a subject":                with(func(c jwt.MapClaims) { delete(c, "sub") }),
	} {
		for _, user := range []string{"truck-17", ""} {
			_, err := login(r, user, token)
			wantKind(t, name, err, devices.Unauthorized)
		}
	}
	for name, token := range map[string]string{
		"59 s after its end":        with(func(c jwt.MapClaims) { c["exp"] = testNow.Add(-59 * time.Second).Unix() }),
		"59 s before its beginning": with(func(c jwt.MapClaims) { c["nbf"] = testNow.Add(59 * time.Second).Unix() }),
	} {
		if _, err := login(r, "truck-17", token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeysOfJWTsAreChecked(t *testing.T) {
	s := newSigners(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024) // it is to be refused
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*secret.JWTOptions){
		"no issuer": func(o *secret.JWTOptions) { o.Issuer = "" }, "no audience": func(o *secret.JWTOptions) { o.Audience = "" },
		"a leeway of 61 s": func(o *secret.JWTOptions) { o.Leeway = 61 * time.Second },
		"a short secret": func(o *secret.JWTOptions) {
			o.Keys = []secret.JWTKey{{ID: "a", Algorithm: "HS256", Key: []byte("short")}}
		},
		"PEM as a secret":  func(o *secret.JWTOptions) { o.Keys = []secret.JWTKey{{ID: "a", Algorithm: "HS256", Key: s.set[2].Key}} },
		"a key of another": func(o *secret.JWTOptions) { o.Keys = []secret.JWTKey{{ID: "a", Algorithm: "ES256", Key: s.set[0].Key}} },
		"an unknown name":  func(o *secret.JWTOptions) { o.Keys = []secret.JWTKey{{ID: "a", Algorithm: "none", Key: s.set[0].Key}} },
		"a weak RSA key": func(o *secret.JWTOptions) {
			o.Keys = []secret.JWTKey{{ID: "a", Algorithm: "RS256", Key: publicPEM(t, weak.Public())}}
		},
		"no PEM":             func(o *secret.JWTOptions) { o.Keys = []secret.JWTKey{{ID: "a", Algorithm: "EdDSA", Key: []byte("x")}} },
		"two keys of one id": func(o *secret.JWTOptions) { o.Keys = append(o.Keys, o.Keys[0]) },
	} {
		o := s.options()
		spoil(&o)
		_, err := secret.NewJWTVerifier(o, time.Now)
		wantKind(t, name, err, devices.Invalid)
	}
}

func TestACertificateSpeaksForTheNamesInIt(t *testing.T) {
	r := start(t, Options{})
	create(t, r, "truck-17", "north")
	_, other := create(t, r, "truck-18", "north")
	uri, err := url.Parse("urn:fleetcast:device:truck-17")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := url.Parse("spiffe://example.org/truck-17")
	if err != nil {
		t.Fatal(err)
	}
	common := func(name string) *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: name}}
	}
	for name, c := range map[string]struct {
		cert           *x509.Certificate
		user, password string
		device         string // "": refused
	}{
		"by its common name":                 {common("truck-17"), "truck-17", "", "truck-17"},
		"without a user name":                {common("truck-17"), "", "", "truck-17"},
		"by a DNS name":                      {&x509.Certificate{DNSNames: []string{"other", "truck-17"}}, "", "", "truck-17"},
		"by a URI of ours":                   {&x509.Certificate{URIs: []*url.URL{uri}}, "truck-17", "", "truck-17"},
		"by another's URI":                   {&x509.Certificate{URIs: []*url.URL{foreign}}, "truck-17", "", ""},
		"under another's user name":          {common("truck-17"), "truck-18", "", ""},
		"of nobody":                          {common("truck-19"), "", "", ""},
		"of nobody, with a device's token":   {common("bastion"), "truck-18", other, "truck-18"},
		"of one, with the token of another":  {common("truck-17"), "truck-18", other, "truck-18"},
		"of nobody, with a password instead": {common("truck-19"), "truck-19", "x", ""},
		"empty":                              {&x509.Certificate{}, "", "", ""},
	} {
		p, err := r.Authenticate(t.Context(), Login{Username: c.user, Password: []byte(c.password), Certificate: c.cert})
		if c.device == "" {
			wantKind(t, name, err, devices.Unauthorized)
		} else if err != nil || p.Device.String() != c.device {
			t.Errorf("%s: %+v %v", name, p, err)
		}
	}
	if _, err := r.UpdateDevice(t.Context(), deviceID(t, "truck-17"), []byte(`{"status":"disabled"}`), 0); err != nil {
		t.Fatal(err)
	}
	_, err = r.Authenticate(t.Context(), Login{Certificate: common("truck-17")})
	wantKind(t, "a disabled device's certificate", err, devices.Forbidden)
}

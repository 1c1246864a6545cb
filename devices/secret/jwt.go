package secret

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/fleetcast/fleetcast/devices"
)

// Bounds of what a JWT is believed.
const (
	maxLeeway    = 60 * time.Second
	minHMACBytes = 32
	minRSABits   = 2048
)

// JWTKey is a key that signs the JWTs that devices show as their Passwords. The algorithm belongs to the key: what a
// token's header says of it must be the same, and nothing else of the header is looked at but kid, by equality.
type JWTKey struct {
	ID        string // kid; "" is for tokens without one
	Algorithm string // EdDSA, ES256, RS256 or HS256
	// Key is a public key in PEM (PKIX, or a certificate), and for HS256 the secret itself.
	Key []byte
}

// JWTOptions say which JWTs are taken for Passwords. Without keys none is.
type JWTOptions struct {
	Keys     []JWTKey
	Issuer   string // required where there are keys
	Audience string // required where there are keys
	Leeway   time.Duration
}

// JWTVerifier verifies JWTs. Its methods may be called concurrently.
type JWTVerifier struct {
	keys   map[string]jwtKey
	parser *jwt.Parser
}

type jwtKey struct {
	algorithm string
	key       any
}

var errJWT = devices.Errorf(devices.Unauthorized, "", "user name or password is wrong")

// NewJWTVerifier makes the keys ready, and returns nil where there are none.
func NewJWTVerifier(o JWTOptions, now func() time.Time) (*JWTVerifier, error) {
	if len(o.Keys) == 0 {
		return nil, nil
	}
	switch {
	case o.Issuer == "" || o.Audience == "":
		return nil, devices.Errorf(devices.Invalid, "jwt", "keys need an issuer and an audience: a token for somebody else must not open this door")
	case o.Leeway < 0 || o.Leeway > maxLeeway:
		return nil, devices.Errorf(devices.Invalid, "jwt", "leeway is not between 0 and %v", maxLeeway)
	}
	v := &JWTVerifier{keys: map[string]jwtKey{}}
	var algorithms []string
	for _, k := range o.Keys {
		if _, twice := v.keys[k.ID]; twice {
			return nil, devices.Errorf(devices.Invalid, "jwt", "has two keys of one id")
		}
		key, err := parseJWTKey(k)
		if err != nil {
			return nil, err
		}
		v.keys[k.ID] = jwtKey{k.Algorithm, key}
		algorithms = append(algorithms, k.Algorithm)
	}
	// None of these is the parser's default.
	v.parser = jwt.NewParser(
		jwt.WithValidMethods(algorithms), jwt.WithExpirationRequired(), jwt.WithIssuer(o.Issuer), jwt.WithAudience(o.Audience),
		jwt.WithLeeway(o.Leeway), jwt.WithStrictDecoding(), jwt.WithTimeFunc(now),
	)
	return v, nil
}

// parseJWTKey makes the key that the algorithm wants, and no other: an RSA key that is taken for a secret of HS256 is
// the oldest trick there is (RFC 8725 section 2.1).
func parseJWTKey(k JWTKey) (any, error) {
	bad := func(what string) error {
		return devices.Errorf(devices.Invalid, "jwt", "key %q of %s %s", k.ID, k.Algorithm, what)
	}
	if k.Algorithm == "HS256" {
		switch {
		case len(k.Key) < minHMACBytes:
			return nil, bad(fmt.Sprintf("is shorter than %d bytes", minHMACBytes))
		case bytes.Contains(k.Key, []byte("-----BEGIN")):
			return nil, bad("is a public key, which is no secret")
		}
		return bytes.Clone(k.Key), nil
	}
	public, err := parsePublicKey(k.Key)
	if err != nil {
		return nil, bad("is no public key in PEM")
	}
	switch key := public.(type) {
	case ed25519.PublicKey:
		if k.Algorithm == "EdDSA" {
			return key, nil
		}
	case *ecdsa.PublicKey:
		if k.Algorithm == "ES256" && key.Curve == elliptic.P256() {
			return key, nil
		}
	case *rsa.PublicKey:
		if k.Algorithm == "RS256" && key.N.BitLen() >= minRSABits {
			return key, nil
		}
	}
	return nil, bad("is of another kind or too short")
}

func parsePublicKey(text []byte) (any, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM")
	}
	if block.Type == "CERTIFICATE" {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse certificate: %w", err)
		}
		return cert.PublicKey, nil
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse public key: %w", err)
	}
	return key, nil
}

// LooksLikeJWT tells whether a password is to be taken for a JWT: a header that begins as JSON does, and two dots.
func LooksLikeJWT(password []byte) bool {
	return bytes.HasPrefix(password, []byte("eyJ")) && bytes.Count(password, []byte{'.'}) == 2
}

// Verify returns the subject of a token and when it ends. Whatever is wrong with one, the client is told the same.
func (v *JWTVerifier) Verify(token []byte) (subject string, expires time.Time, err error) {
	var claims jwt.RegisteredClaims
	if err := v.VerifyInto(token, &claims); err != nil || claims.Subject == "" {
		return "", time.Time{}, errJWT
	}
	return claims.Subject, claims.ExpiresAt.Time, nil
}

// VerifyInto fills the claims of a token that is what it must be: signed by a known key with that key's algorithm, of
// the issuer, for the audience, and of now.
func (v *JWTVerifier) VerifyInto(token []byte, claims jwt.Claims) error {
	// RFC 7515 section 2: base64url without anything else. The decoder passes over line ends, also where it is strict.
	if bytes.ContainsAny(token, "\r\n") {
		return errJWT
	}
	_, err := v.parser.ParseWithClaims(string(token), claims, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		key, known := v.keys[kid]
		if !known || t.Method.Alg() != key.algorithm {
			return nil, errJWT
		}
		return key.key, nil
	})
	if err != nil {
		return errJWT // why is for nobody who might be guessing
	}
	return nil
}

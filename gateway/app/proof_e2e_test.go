package app

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.sign(name, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// sign makes a certificate and leaves it and its key in files of its name.
func (a *authority) sign(name string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject = pkix.Name{CommonName: name}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".crt", "CERTIFICATE", der)
	a.write(name+".key", "PRIVATE KEY", secret)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(a.file(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func TestACertificateOrAJWTProvesADevice(t *testing.T) {
	t.Parallel()
	ca, foreign := newAuthority(t, "ca"), newAuthority(t, "foreign")
	ca.sign("server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	ca.sign("truck-17", &x509.Certificate{ExtKeyUsage: client})
	ca.sign("nobody", &x509.Certificate{ExtKeyUsage: client})
	foreign.sign("truck-17", &x509.Certificate{ExtKeyUsage: client})
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	ca.write("jwt.pem", "PUBLIC KEY", der)
	tls := freeAddr(t).String()
	g := startGateway(t, required, func(o *Options) {
		o.MQTT.Ports = MQTTPorts{TLSListen: tls, TLSCert: ca.file("server.crt"), TLSKey: ca.file("server.key"), TLSClientCA: ca.file("ca.crt")}
		o.Registry.JWTKeys, o.Registry.JWTIssuer, o.Registry.JWTAudience = []string{"k1:EdDSA:" + ca.file("jwt.pem")}, "maker", "fleetcast"
	})
	if status, v := g.askJSON("POST", "/api/devices", `{"id":"truck-17","fleet":"north","credential":"none"}`); status != 201 || v["token"] != nil {
		t.Fatalf("%d %v", status, v)
	}
	const topic = "fleets/north/devices/truck-17/telemetry"
	shows := func(by *authority, name string, more ...string) bool {
		t.Helper()
		args := append([]string{"--cafile", ca.file("ca.crt"), "--cert", by.file(name + ".crt"), "--key", by.file(name + ".key"), "-q", "1", "-t", topic, "-m", `{"lat":1,"lon":2}`}, more...)
		return g.mosquitto(t.Context(), tls, args...).Run() == nil
	}
	if shows(ca, "nobody") || shows(foreign, "truck-17") || shows(ca, "truck-17", "-u", "truck-18") {
		t.Error("a certificate of nobody, of a foreign authority or of another came in")
	}
	if !shows(ca, "truck-17") || !shows(ca, "truck-17", "-u", "truck-17") {
		t.Error("the device's certificate did not come in")
	}
	g.waitAsset("truck-17", has("lat", 1.0))

	sign := func(kid string, claims jwt.MapClaims) string {
		token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
		token.Header["kid"] = kid
		text, err := token.SignedString(private)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	claims := jwt.MapClaims{"sub": "truck-17", "iss": "maker", "aud": "fleetcast", "exp": time.Now().Add(time.Hour).Unix()}
	if g.says("north", "truck-17", sign("k2", claims), `{"speed":1}`) {
		t.Error("a JWT of an unknown key came in")
	}
	if !g.says("north", "truck-17", sign("k1", claims), `{"speed":2}`) {
		t.Error("the device's JWT did not come in")
	}
	g.waitAsset("truck-17", has("speed", 2.0))
	claims["exp"] = time.Now().Add(2 * time.Second).Unix()
	held := g.hold("-u", "truck-17", "-P", sign("k1", claims), "-t", topic, "-q", "1")
	held.say(t, `{"speed":3}`)
	g.waitAsset("truck-17", has("speed", 3.0))
	waitFor(t, "the connection to end with its JWT", func() bool { return g.stats().MQTT.Events["credential_expired"] > 0 }, func() string { return "it stands" })
}

package mqttin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificate makes a certificate for 127.0.0.1 and returns its files and who trusts it.
func certificate(t *testing.T) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(parsed)
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", pkcs8), roots
}

func TestTheWayToTheBrokerMayBeEncrypted(t *testing.T) {
	cert, key, roots := certificate(t)
	o := startOuter(t, "allow_anonymous true", "certfile "+cert, "keyfile "+key)
	stranger := openDoor(t, UpstreamOptions{URLs: []string{"mqtts://" + o.address}, ClientID: "stranger"})
	d := openDoor(t, UpstreamOptions{URLs: []string{"mqtts://" + o.address}, ClientID: "door", TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}})
	d.ready(t)
	o.publish("--cafile", cert, "-q", "1", "-t", topicOne, "-m", `{"n":0}`)
	eventually(t, "the reading", func() bool { return hasAll(count(d.inlet), 0, 1) })
	eventually(t, "the broker that nobody vouches for is refused", func() bool { return stranger.event(UpstreamUnreachable) > 0 })
	if err := stranger.Ready(); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("ready: %v", err)
	}
}

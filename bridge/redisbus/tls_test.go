package redisbus

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// makeCertificate returns files of a certificate for this machine and the roots that trust it.
func makeCertificate(t *testing.T) (cert, key string, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: bytes})
	for name, b := range map[string][]byte{cert: certPEM, key: keyPEM} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(certPEM)
	return cert, key, roots
}

func TestTLSAndAPasswordAreUsedAndNeverLogged(t *testing.T) {
	cert, key, roots := makeCertificate(t)
	s := startServer(t)
	secure := freePort(t)
	s.do(t, "CONFIG", "SET", "tls-cert-file", cert, "tls-key-file", key, "tls-ca-cert-file", cert, "tls-auth-clients", "no", "tls-port", secure)
	s.do(t, "CONFIG", "SET", "requirepass", "sesame")
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	with := func(user string) string {
		return "rediss://" + user + "@127.0.0.1:" + big.NewInt(int64(secure)).String()
	}
	good := open(t, with(":sesame"), quick, func(o *Options) {
		o.TLS, o.Logger = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, logger
	})
	if err := good.Healthy(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*Bus{
		"a wrong password": open(t, with(":open-sesame"), quick, func(o *Options) {
			o.TLS, o.Logger = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, logger
		}),
		"an unknown authority": open(t, with(":sesame"), quick, func(o *Options) { o.Logger = logger }),
	} {
		err := b.Healthy(t.Context())
		if devices.KindOf(err) != devices.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
	if strings.Contains(log.String(), "sesame") {
		t.Errorf("the log shows the password: %s", log.String())
	}
}

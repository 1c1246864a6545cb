package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// life is longer than any run.
const life = 7 * 24 * time.Hour

// Files are a certificate for 127.0.0.1 with its key, and a configuration that trusts it and nothing else.
type Files struct {
	Cert, Key string
	Trust     *tls.Config
}

// Make makes a certificate and writes its files into a directory.
func Make(dir string) (Files, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Files{}, fmt.Errorf("make certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return Files{}, fmt.Errorf("make certificate: %w", err)
	}
	pkcs8, err1 := x509.MarshalPKCS8PrivateKey(private)
	parsed, err2 := x509.ParseCertificate(der)
	f := Files{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), Trust: &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}}
	err3 := os.WriteFile(f.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	err4 := os.WriteFile(f.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return Files{}, fmt.Errorf("make certificate: %w", err)
	}
	f.Trust.RootCAs.AddCert(parsed)
	return f, nil
}

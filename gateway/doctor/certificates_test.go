package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestACertificateIsGoodForAWhile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	pair := func(name string) Certificate {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"fleet.example"}, NotBefore: from, NotAfter: from.Add(90 * aDay)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		c := Certificate{"http-cert", filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")}
		for file, block := range map[string]*pem.Block{c.File: {Type: "CERTIFICATE", Bytes: der}, c.Key: {Type: "PRIVATE KEY", Bytes: private}} {
			if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
	c, other := pair("one"), pair("two")
	one(t, certificate(c, from.Add(aDay)), OK, "until 2026-04-01, for fleet.example")
	one(t, certificate(c, from.Add(-aDay)), Fail, "valid from 2026-01-01")
	one(t, certificate(c, from.Add(80*aDay)), Warn, "in 10 days")
	one(t, certificate(c, from.Add(91*aDay)), Fail, "ended on")
	c.Key = other.Key
	one(t, certificate(c, from.Add(aDay)), Fail, "cannot be used")
}

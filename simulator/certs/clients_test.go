package certs

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
)

func TestADeviceHasACertificateOfItsOwnOfAnAuthorityThatStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	a, err := OpenAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, AuthorityCert))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	again, err := OpenAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, from := range []*Authority{a, again} {
		for _, id := range []string{"van-1", "van-2", "van-1"} {
			pair, err := from.Client(id)
			if err != nil {
				t.Fatal(err)
			}
			leaf, err := x509.ParseCertificate(pair.Certificate[0])
			if err != nil || leaf.Subject.CommonName != id {
				t.Fatalf("%v, %v", leaf, err)
			}
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
				t.Error(err)
			}
			seen[string(pair.Certificate[0])] = true
		}
	}
	if len(seen) != 4 {
		t.Errorf("%d certificates of two devices by an authority that was opened twice", len(seen))
	}
}

func TestCertificatesOfAFolderAreThoseOfTheirNames(t *testing.T) {
	dir := t.TempDir()
	f, err := Make(dir)
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{f.Cert: "van-1.crt", f.Key: "van-1.key"} {
		if err := os.Rename(from, filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	client, err := Clients("", dir)
	if err != nil {
		t.Fatal(err)
	}
	if pair, err := client("van-1"); err != nil || len(pair.Certificate) != 1 {
		t.Error(err)
	}
	for _, id := range []string{"van-2", "../van-1", ""} {
		if _, err := client(id); err == nil {
			t.Errorf("%q has a certificate", id)
		}
	}
	if _, err := Clients(dir, dir); err == nil {
		t.Error("both are taken")
	}
	if client, err := Clients("", ""); client != nil || err != nil {
		t.Errorf("nothing named: %v", err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
	if err := os.WriteFile(filepath.Join(dir, AuthorityCert), block, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenAuthority(dir); err == nil {
		t.Error("a broken authority is opened")
	}
}

package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// The files of an authority, in its folder. Who is to believe its devices is given the first.
const (
	AuthorityCert = "ca.crt"
	AuthorityKey  = "ca.key"
)

// Authority gives devices certificates of their own, whose common name is the device's id. Its methods may be called from
// any goroutine.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey

	mu    sync.Mutex // guards what follows
	given map[string]tls.Certificate
}

// OpenAuthority reads an authority from a folder, and makes one there where there is none.
func OpenAuthority(dir string) (*Authority, error) {
	cert, key := filepath.Join(dir, AuthorityCert), filepath.Join(dir, AuthorityKey)
	if _, err := os.Stat(cert); errors.Is(err, os.ErrNotExist) {
		if err := makeAuthority(dir, cert, key); err != nil {
			return nil, fmt.Errorf("make authority: %w", err)
		}
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("open authority: %w", err)
	}
	private, isECDSA := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !isECDSA || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("open authority: %s is none with an elliptic key", cert)
	}
	return &Authority{cert: pair.Leaf, key: private, given: map[string]tls.Certificate{}}, nil
}

func makeAuthority(dir, cert, key string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "Fleetcast simulator"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(life), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	return errors.Join(
		os.MkdirAll(dir, 0o700),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600),
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
	)
}

// Client returns the certificate of a device: made when it is first asked for, the same ever after.
func (a *Authority) Client(id string) (tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if pair, ok := a.given[id]; ok {
		return pair, nil
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(a.given)) + 2), Subject: pkix.Name{CommonName: id}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: a.cert.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make certificate: %w", err)
	}
	pair := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
	a.given[id] = pair
	return pair, nil
}

// Folder reads certificates of devices from a folder, as ID.crt and ID.key.
type Folder string

// Client returns the certificate of a device as the files are now.
func (f Folder) Client(id string) (tls.Certificate, error) {
	if filepath.Base(id) != id {
		return tls.Certificate{}, fmt.Errorf("read certificate: %q is no name of a file", id)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(string(f), id+".crt"), filepath.Join(string(f), id+".key"))
	if err != nil {
		return pair, fmt.Errorf("read certificate of %s: %w", id, err)
	}
	return pair, nil
}

// Clients is where devices have their certificates from: an authority in one folder, or their own in another one. It is
// nil where neither is named.
func Clients(authority, folder string) (func(id string) (tls.Certificate, error), error) {
	switch {
	case authority != "" && folder != "":
		return nil, errors.New("read certificates: of an authority or of a folder, not both")
	case folder != "":
		return Folder(folder).Client, nil
	case authority != "":
		a, err := OpenAuthority(authority)
		if err != nil {
			return nil, err
		}
		return a.Client, nil
	}
	return nil, nil //nolint:nilnil // there are none
}

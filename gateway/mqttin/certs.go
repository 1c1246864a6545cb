package mqttin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// certs are the certificate files. They are looked at again, so that a renewed certificate is used without a restart, by
// a handshake, and not more often than certsEvery. Files that cannot be used leave those in use that could.
type certs struct {
	certificate, key, clientCA string
	counters                   *counters

	mu      sync.Mutex
	config  *tls.Config
	seen    [3]stamp
	checked time.Time
}

type stamp struct {
	size     int64
	modified time.Time
}

const certsEvery = 2 * time.Second

// newCerts reads the files; what is wrong with them at the start is an error.
func newCerts(p *Ports, c *counters) (*certs, error) {
	f := &certs{certificate: p.Certificate, key: p.Key, clientCA: p.ClientCA, counters: c}
	f.seen = f.stamps()
	var err error
	if f.config, err = f.load(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *certs) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err != nil {
		return nil, &devices.Error{Kind: devices.Invalid, Field: "certificate", Detail: "cannot be used with its key", Err: err}
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if f.clientCA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(f.clientCA)
	if err != nil {
		return nil, fmt.Errorf("read authorities of client certificates: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, devices.Errorf(devices.Invalid, "client-ca", "holds no certificate")
	}
	config.ClientAuth = tls.VerifyClientCertIfGiven // a password does as well: the authenticator decides
	return config, nil
}

func (f *certs) stamps() (s [3]stamp) {
	for i, name := range []string{f.certificate, f.key, f.clientCA} {
		if info, err := os.Stat(name); err == nil {
			s[i] = stamp{info.Size(), info.ModTime()}
		}
	}
	return s
}

// current is the configuration of the files as they are now.
func (f *certs) current(now time.Time) *tls.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.checked) < certsEvery {
		return f.config
	}
	f.checked = now
	seen := f.stamps()
	if seen == f.seen {
		return f.config
	}
	config, err := f.load()
	if err != nil { // half written, perhaps: the next look may find them whole
		f.counters.note(CertificateBad, "")
		return f.config
	}
	f.seen, f.config = seen, config
	return f.config
}

// handshake makes a connection one of TLS.
func (f *certs) handshake(ctx context.Context, c *conn) error {
	secure := tls.Server(c.Conn, f.current(time.Now()))
	if err := secure.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("shake hands: %w", err)
	}
	c.Conn = secure
	return nil
}

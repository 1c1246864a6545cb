package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// Options of Files. Certificate and Key are PEM files and are needed.
type Options struct {
	Certificate, Key string
	// ClientCA is a PEM file with authorities: a client may show a certificate of theirs. "": none is asked for.
	ClientCA string
	// Protocols are what is spoken over TLS (ALPN, RFC 7301), the best first; none: the port speaks one.
	Protocols []string
	// Bad is called where changed files cannot be used; nil: nobody is told.
	Bad func()
}

// every bounds how often the files are looked at.
const every = 2 * time.Second

// Files are looked at again by a handshake, so that a renewed certificate is used without a restart. Files that cannot
// be used leave those in use that could. The methods may be called concurrently.
type Files struct {
	o Options

	mu      sync.Mutex
	config  *tls.Config
	expires time.Time
	seen    [3]stamp
	checked time.Time
}

type stamp struct {
	size     int64
	modified time.Time
}

// New reads the files; what is wrong with them at the start is an error.
func New(o Options) (*Files, error) {
	f := &Files{o: o}
	f.seen = f.stamps()
	if err := f.load(); err != nil {
		return nil, err
	}
	return f, nil
}

// load reads the files. The caller holds the lock, or is alone.
func (f *Files) load() error {
	pair, err := tls.LoadX509KeyPair(f.o.Certificate, f.o.Key)
	if err != nil {
		return &devices.Error{Kind: devices.Invalid, Field: "certificate", Detail: "cannot be used with its key", Err: err}
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: f.o.Protocols}
	if f.o.ClientCA != "" {
		pem, err := os.ReadFile(f.o.ClientCA)
		if err != nil {
			return fmt.Errorf("read authorities of client certificates: %w", err)
		}
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(pem) {
			return devices.Errorf(devices.Invalid, "client-ca", "holds no certificate")
		}
		config.ClientAuth = tls.VerifyClientCertIfGiven // a password does as well: the authenticator decides
	}
	f.config = config
	if pair.Leaf != nil {
		f.expires = pair.Leaf.NotAfter
	}
	return nil
}

func (f *Files) stamps() (s [3]stamp) {
	for i, name := range []string{f.o.Certificate, f.o.Key, f.o.ClientCA} {
		if info, err := os.Stat(name); err == nil {
			s[i] = stamp{info.Size(), info.ModTime()}
		}
	}
	return s
}

// Current is the configuration of the files as they are now. It is shared: not to be changed.
func (f *Files) Current(now time.Time) *tls.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.checked) < every {
		return f.config
	}
	f.checked = now
	seen := f.stamps()
	if seen == f.seen {
		return f.config
	}
	if err := f.load(); err != nil { // half written, perhaps: the next look may find them whole
		if f.o.Bad != nil {
			f.o.Bad()
		}
		return f.config
	}
	f.seen = seen
	return f.config
}

// Server is a configuration that asks for the current one with each handshake.
func (f *Files) Server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: f.o.Protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return f.Current(time.Now()), nil },
	}
}

// Recheck has the next handshake look at the files, whenever they were looked at last.
func (f *Files) Recheck() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checked = time.Time{}
}

// Expires is when the certificate in use ends.
func (f *Files) Expires() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.expires
}

package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/simulator/sseclient"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

// certificateLife is longer than any bench.
const certificateLife = 24 * time.Hour

// certificate makes a certificate for 127.0.0.1 and returns its files and who trusts it.
func (l *lab) certificate() (cert, key string, trust *tls.Config, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", nil, fmt.Errorf("make certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(certificateLife),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return "", "", nil, fmt.Errorf("make certificate: %w", err)
	}
	pkcs8, err1 := x509.MarshalPKCS8PrivateKey(private)
	parsed, err2 := x509.ParseCertificate(der)
	cert, key = filepath.Join(l.dir, "cert.pem"), filepath.Join(l.dir, "key.pem")
	err3 := os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	err4 := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return "", "", nil, fmt.Errorf("make certificate: %w", err)
	}
	trust = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	trust.RootCAs.AddCert(parsed)
	return cert, key, trust, nil
}

// startSecure runs a gateway that speaks HTTPS.
func (l *lab) startSecure(ctx context.Context, cert, key string, trust *tls.Config) (*server, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	mqtt, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(l.dir, fmt.Sprintf("data-%d", l.servers))
	c, err := l.startChild(ctx, "gateway", l.Gateway, l.gatewayArgs("--mqtt-listen", mqtt, "--http-listen", address, "--http-cert", cert, "--http-key", key, "--data-dir", data)...)
	if err != nil {
		return nil, err
	}
	s := &server{parts: []*child{c}, mqtt: mqtt, http: address, url: "https://" + address + "/stream/assets"}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: trust, DisableKeepAlives: true}}
	return s, s.await(ctx, c, func(ctx context.Context) bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/readyz", nil)
		if err != nil {
			return false
		}
		response, err := client.Do(request)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// secureMemory measures viewers over TLS: over HTTP/1.1, over HTTP/2 with a connection of its own each, as browsers that are
// different people's, and over HTTP/2 with connections that many of them share, as a proxy's.
func (l *lab) secureMemory(ctx context.Context, count int) (rows []*MemoryRow, err error) {
	cert, key, trust, err := l.certificate()
	if err != nil {
		return nil, err
	}
	for _, kind := range []struct {
		what string
		open func(*server) (func() error, error)
	}{
		{"idle viewer, HTTPS, HTTP/1.1", func(s *server) (func() error, error) {
			return l.openSecure(ctx, s, watch.Options{Viewers: count, TLS: trust})
		}},
		{"idle viewer, HTTP/2, a connection each", func(s *server) (func() error, error) { return openHTTP2(ctx, s.url, trust, count) }},
		{"idle viewer, HTTP/2, shared connections", func(s *server) (func() error, error) {
			return l.openSecure(ctx, s, watch.Options{Viewers: count, TLS: trust, HTTP2Share: 1})
		}},
	} {
		s, err := l.startSecure(ctx, cert, key, trust)
		if err != nil {
			return rows, err
		}
		row := &MemoryRow{Server: "gateway", What: kind.what, Count: count}
		err = l.grown(ctx, s, row, func() (func() error, error) { return kind.open(s) })
		s.stop()
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (l *lab) openSecure(ctx context.Context, s *server, o watch.Options) (func() error, error) {
	c, err := l.startCrowd(ctx, s, o)
	if err != nil {
		return nil, err
	}
	return c.stop, nil
}

// openHTTP2 opens streams, each over a connection of its own, whose bytes are read and dropped until they are stopped.
func openHTTP2(ctx context.Context, url string, trust *tls.Config, count int) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var open sync.WaitGroup
	stop = func() error { cancel(); open.Wait(); return nil }
	for range count {
		if err := openOne(ctx, url, trust, &open); err != nil {
			return nil, errors.Join(err, stop())
		}
	}
	return stop, nil
}

var errNotHTTP2 = errors.New("the stream is not one of HTTP/2")

func openOne(ctx context.Context, url string, trust *tls.Config, open *sync.WaitGroup) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("open stream: %w", err)
	}
	transport := sseclient.NewHTTP2()
	transport.TLSClientConfig = trust.Clone()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("open stream: %w", err)
	}
	open.Go(func() {
		defer transport.CloseIdleConnections()
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body) // it ends with ctx
	})
	if response.ProtoMajor != 2 || response.StatusCode != http.StatusOK {
		return fmt.Errorf("open stream: %w: %s %s", errNotHTTP2, response.Proto, response.Status)
	}
	return nil
}

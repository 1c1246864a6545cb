package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/simulator/certs"
	"github.com/fleetcast/fleetcast/simulator/sseclient"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

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
	s := &server{parts: []*started{c}, mqtt: mqtt, http: address, url: "https://" + address + "/stream/assets"}
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
	made, err := certs.Make(l.dir)
	if err != nil {
		return nil, err
	}
	cert, key, trust := made.Cert, made.Key, made.Trust
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

package bench

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// http2Client speaks HTTP/2 with prior knowledge, over a connection of its own.
func http2Client() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: protocols}}
}

// speaksHTTP2 tells whether a port takes HTTP/2 without TLS.
func speaksHTTP2(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	client := http2Client()
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/healthz", nil)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.ProtoMajor == 2
}

// http2Memory measures viewers over HTTP/2, each on a connection of its own, as browsers that are different people's.
func (l *lab) http2Memory(ctx context.Context, s *server, count int) (*MemoryRow, error) {
	row := &MemoryRow{Server: "gateway", What: "idle viewer, HTTP/2 without TLS", Count: count}
	return row, l.grown(ctx, s, row, func() (func() error, error) {
		ctx, cancel := context.WithCancel(ctx)
		var open sync.WaitGroup
		stop := func() error { cancel(); open.Wait(); return nil }
		for range count {
			if err := openHTTP2(ctx, s.url, &open); err != nil {
				return nil, errors.Join(err, stop())
			}
		}
		return stop, nil
	})
}

// openHTTP2 opens a stream whose bytes are read and dropped until ctx ends.
func openHTTP2(ctx context.Context, url string, open *sync.WaitGroup) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	client := http2Client()
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	open.Go(func() {
		defer client.CloseIdleConnections()
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body) // it ends with ctx
	})
	return nil
}

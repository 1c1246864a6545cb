package sse

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// overHTTP2 serves a handler over TLS and returns a client whose streams have small windows.
func overHTTP2(t *testing.T, h http.Handler) (*httptest.Server, *http.Client) {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	transport := srv.Client().Transport.(*http.Transport).Clone()
	transport.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}
	t.Cleanup(transport.CloseIdleConnections)
	return srv, &http.Client{Transport: transport}
}

// openHTTP2 opens a stream that is not compressed.
func openHTTP2(t *testing.T, client *http.Client, url string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		res.Body.Close()
	})
	if res.ProtoMajor != 2 {
		t.Fatal(res.Proto)
	}
	return res
}

// A tab whose page does not read holds a window of its own, and nothing of the other tabs of the browser: it is late,
// and what it missed it gets as what is now.
func TestASlowStreamOverHTTP2IsOnlyLateAndSlowsNoOther(t *testing.T) {
	fleet, edge, h := startBusyFleet(t)
	srv, client := overHTTP2(t, h)
	fleet.round(1)
	eventually(t, "the hub is ready", edge.Ready)
	slow := openHTTP2(t, client, srv.URL)
	quick := openHTTP2(t, client, srv.URL)
	var page pageOf
	page.round = map[string]int{}
	const rounds = 150 // some 6 MB
	seen := make(chan int, rounds)
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() {
		defer close(seen)
		for lines := bufio.NewScanner(quick.Body); lines.Scan(); {
			before := page.oldest()
			if page.read(lines.Text()); page.oldest() > before {
				seen <- page.oldest()
			}
			if page.oldest() == rounds {
				return
			}
		}
	})
	for n := 2; n <= rounds; n++ {
		fleet.round(n)
	}
	last := 0
	for last = range seen {
		continue
	}
	if last != rounds {
		t.Fatalf("the quick stream saw round %d of %d beside a slow one", last, rounds)
	}
	late := pageOf{round: map[string]int{}}
	counted := &countingReader{from: slow.Body}
	for lines := bufio.NewScanner(counted); late.oldest() < rounds && lines.Scan(); {
		late.read(lines.Text())
	}
	if late.oldest() != rounds {
		t.Errorf("the slow stream ended at round %d", late.oldest())
	}
	if counted.n > 1<<20 {
		t.Errorf("the slow stream was given %d bytes: old states were kept for it", counted.n)
	}
	if ended := h.Stats().Ended; ended["stalled"] != 0 || ended["write_failed"] != 0 {
		t.Errorf("%v", ended)
	}
}

type countingReader struct {
	from io.Reader
	n    int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += n
	return n, err
}

// A write that stands, as the page does not read, must not keep a stream whose proof has ended.
func TestAStreamOverHTTP2ThatStandsEndsWithItsProof(t *testing.T) {
	ends := make(chan func(), 1)
	h, f := newTestHandler(t, Options{Admit: func(http.ResponseWriter, *http.Request) (Admission, error) {
		return Admission{Caller: &openCaller, Watch: func(end func()) func() {
			ends <- end
			return func() {}
		}}, nil
	}})
	srv, client := overHTTP2(t, h)
	res := openHTTP2(t, client, srv.URL)
	v := f.viewer(t, 0)
	v.chunks <- bytes.Repeat([]byte("x"), 1<<20)
	head := make([]byte, 16)
	if _, err := io.ReadFull(res.Body, head); err != nil {
		t.Fatal(err)
	}
	(<-ends)()
	ended(t, h, Expired, 1)
	// Another stream of the same connection is not affected.
	res = openHTTP2(t, client, srv.URL)
	f.viewer(t, 1).chunks <- []byte("data: y\n\n")
	if _, err := io.ReadFull(res.Body, head); err != nil {
		t.Error(err)
	}
}

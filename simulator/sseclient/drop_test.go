package sseclient

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestADroppedConnectionComesBackAtOnceWithItsIDOrWithout(t *testing.T) {
	s := &streams{scripts: []string{"retry: 3600000\n\nid: 1-5\ndata: a\n\n", "data: b\n\nid: 1-9\ndata: c\n\n", "data: d\n\n"}, hold: true}
	server := httptest.NewServer(s)
	defer server.Close()
	var c *Client
	var closed []error
	o := Options{URL: server.URL, OnClose: func(err error) { closed = append(closed, err) }}
	o.OnEvent = func(e Event, _ time.Time) error {
		switch string(e.Data) {
		case "a":
			c.Drop(false)
		case "c":
			c.Drop(true)
		case "d":
			return errEnough
		}
		return nil
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(t.Context()); !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	if ids := s.seenIDs(); fmt.Sprint(ids) != "[ 1-5 ]" {
		t.Errorf("the server saw %q", ids)
	}
	if len(closed) != 3 || !errors.Is(closed[0], ErrDropped) || !errors.Is(closed[1], ErrDropped) {
		t.Errorf("ended by %v", closed)
	}
}

// A stream that is compressed in blocks, each ended by a flush, is read block by block: nothing waits for the next.
func TestACompressedStreamIsReadAsItComes(t *testing.T) {
	next := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			http.Error(w, "it is not asked for", http.StatusNotAcceptable)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		for range 3 {
			_, err := io.WriteString(z, "data: a\n\n")
			if errors.Join(err, z.Flush(), http.NewResponseController(w).Flush()) != nil {
				return
			}
			<-next
		}
	}))
	defer server.Close()
	n := 0
	c, err := New(Options{URL: server.URL, Gzip: true, OnEvent: func(Event, time.Time) error {
		if n++; n == 3 {
			close(next)
			return errEnough
		}
		next <- struct{}{}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(t.Context()); !errors.Is(err, errEnough) {
		t.Error(err)
	}
}

func TestARawClientCountsBytesOnly(t *testing.T) {
	s := &streams{scripts: []string{"data: a\n\n"}}
	server := httptest.NewServer(s)
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c, err := New(Options{
		URL: server.URL, Raw: true, OnClose: func(error) { cancel() },
		OnEvent: func(e Event, _ time.Time) error { return fmt.Errorf("event %q", e.Data) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(ctx); err != nil || c.Bytes() < 9 {
		t.Errorf("%v, %d bytes", err, c.Bytes())
	}
}

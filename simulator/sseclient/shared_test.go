package sseclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

func TestStreamsShareAConnectionOverHTTP2(t *testing.T) {
	for _, secure := range []bool{true, false} {
		t.Run(fmt.Sprintf("TLS %v", secure), func(t *testing.T) { testShared(t, secure) })
	}
}

func testShared(t *testing.T, secure bool) {
	const clients = 20
	var connections, resumed, streams atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		streams.Add(1)
		if r.ProtoMajor != 2 {
			t.Errorf("it speaks %s", r.Proto)
		}
		if r.Header.Get("Last-Event-ID") == "x" {
			resumed.Add(1)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "retry: 1\n\nid: x\ndata: {}\n\n")
		_ = http.NewResponseController(w).Flush() // the client may be gone
		<-r.Context().Done()
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	transport := NewHTTP2()
	defer transport.CloseIdleConnections()
	if secure {
		server.EnableHTTP2 = true
		server.StartTLS()
		transport.TLSClientConfig = &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, MinVersion: tls.VersionTLS12}
	} else {
		server.Config.Protocols = &http.Protocols{}
		server.Config.Protocols.SetUnencryptedHTTP2(true)
		server.Start()
	}
	defer server.Close()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var events atomic.Int64
	var all [clients]*Client
	done := make(chan error, clients)
	for i := range all {
		c, err := New(Options{URL: server.URL, Transport: transport, Silence: time.Minute, OnEvent: func(Event, time.Time) error {
			events.Add(1)
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		all[i] = c
		go func() { done <- c.Run(ctx) }()
		eventually(t, "the stream is open", func() bool { return events.Load() > int64(i) }) // what dials at once has a connection of its own
	}
	eventually(t, "every stream has its event", func() bool { return events.Load() == clients })
	if n := connections.Load(); n > 2 {
		t.Errorf("%d streams are on %d connections", clients, n)
	}
	for _, c := range all {
		c.Drop(false)
	}
	eventually(t, "every stream came back with its id", func() bool { return resumed.Load() == clients })
	if all[0].Bytes() < 26 {
		t.Errorf("%d bytes were read", all[0].Bytes())
	}
	cancel()
	for range all {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestASharedStreamKeepsTheLimitsOfItsClient(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/error" {
			http.Error(w, "no", http.StatusTeapot)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "retry: 1\n\ndata: {}\n\n")
		_ = http.NewResponseController(w).Flush() // the client may be gone
		<-r.Context().Done()
	}))
	defer server.Close()
	for name, c := range map[string]struct {
		o    Options
		want error
	}{
		"age":     {Options{URL: server.URL, MaxAge: 20 * time.Millisecond}, ErrCut},
		"silence": {Options{URL: server.URL, Silence: 20 * time.Millisecond, Pace: 1000}, ErrSilent},
	} {
		var got atomic.Pointer[error]
		transport := &http.Transport{}
		c.o.Transport = transport
		c.o.OnClose = func(err error) { got.Store(&err) }
		client, err := New(c.o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- client.Run(ctx) }()
		eventually(t, name, func() bool { err := got.Load(); return err != nil && errors.Is(*err, c.want) })
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		transport.CloseIdleConnections()
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client, err := New(Options{URL: server.URL + "/error", Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	var status *StatusError
	if err := client.Run(t.Context()); !errors.As(err, &status) || status.Status != http.StatusTeapot {
		t.Errorf("%v", err)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

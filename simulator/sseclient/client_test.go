package sseclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tmaxmax/go-sse"
)

// streams answers each request with the next script, and the last one again and again.
type streams struct {
	mu      sync.Mutex
	scripts []string
	lastIDs []string
	hold    bool // keep the connection open after the script
}

func (s *streams) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	script := s.scripts[min(len(s.lastIDs), len(s.scripts)-1)]
	s.lastIDs = append(s.lastIDs, r.Header.Get("Last-Event-ID"))
	hold := s.hold
	s.mu.Unlock()
	if r.Header.Get("Accept") != "text/event-stream" || r.Header.Get("Sec-Fetch-Mode") == "" { // a browser says both
		http.Error(w, "not an EventSource", http.StatusNotAcceptable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	for part := range strings.SplitSeq(script, "|") { // each part is a chunk of its own
		if _, err := io.WriteString(w, part); err != nil {
			return
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
	}
	if hold {
		<-r.Context().Done()
	}
}

func (s *streams) seenIDs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lastIDs...)
}

var errEnough = errors.New("enough")

// collect runs a client until it has n events and returns them with the reasons why connections ended.
func collect(t *testing.T, n int, o Options) (got []seen, closed []error, err error) {
	t.Helper()
	o.OnEvent = func(e Event, _ time.Time) error {
		if got = append(got, seen{e.Type, string(e.Data), e.ID}); len(got) == n {
			return errEnough
		}
		return nil
	}
	o.OnClose = func(err error) { closed = append(closed, err) }
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Run(t.Context())
	return got, closed, err
}

func TestTheClientComesBackWithItsLastEventID(t *testing.T) {
	s := &streams{scripts: []string{"retry: 1\n\nid: 1-5\nda|ta: a\n\n", "data: b\n\nid: 1-9\ndata: c\n\nid: 1-10\ndata: cut", "data: d\n\n"}}
	server := httptest.NewServer(s)
	defer server.Close()
	got, closed, err := collect(t, 4, Options{URL: server.URL + "/stream/assets?fleet=a", LastEventID: "0-1"})
	if !errors.Is(err, errEnough) || len(closed) != 3 {
		t.Errorf("ended with %v after %v", err, closed)
	}
	want := []seen{{"", "a", "1-5"}, {"", "b", "1-5"}, {"", "c", "1-9"}, {"", "d", "1-9"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("events %q", got)
	}
	if ids := s.seenIDs(); fmt.Sprint(ids) != "[0-1 1-5 1-9]" {
		t.Errorf("the server saw %q", ids)
	}
}

func TestAnswersThatEndAnEventSourceEndTheClient(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"204": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"500": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(http.StatusInternalServerError)
		},
		"a page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
		},
	} {
		server := httptest.NewServer(handler)
		_, closed, err := collect(t, 1, Options{URL: server.URL})
		if _, ok := errors.AsType[*StatusError](err); !ok || len(closed) != 1 {
			t.Errorf("%s: %v after %v", name, err, closed)
		}
		server.Close()
	}
}

func TestAConnectionIsCutByAgeAndBySilence(t *testing.T) {
	for want, o := range map[error]Options{
		ErrCut:    {MaxAge: 30 * time.Millisecond, Silence: time.Hour},
		ErrSilent: {Silence: 30 * time.Millisecond},
	} {
		s := &streams{scripts: []string{"retry: 1\n\ndata: a\n\n"}, hold: true}
		server := httptest.NewServer(s)
		o.URL = server.URL
		got, closed, err := collect(t, 3, o)
		if !errors.Is(err, errEnough) || len(got) != 3 || len(closed) != 3 || !errors.Is(closed[0], want) {
			t.Errorf("%v: %d events, %v after %v", want, len(got), err, closed)
		}
		server.Close()
	}
}

func TestASlowReaderGetsEverything(t *testing.T) {
	s := &streams{scripts: []string{"data: " + strings.Repeat("x", 5000) + "\n\n"}, hold: true}
	server := httptest.NewServer(s)
	defer server.Close()
	got, _, err := collect(t, 1, Options{URL: server.URL, Pace: 20000})
	if !errors.Is(err, errEnough) || len(got) != 1 || len(got[0].data) != 5000 {
		t.Errorf("%d events, %v", len(got), err)
	}
}

func TestAClientEndsWithItsContext(t *testing.T) {
	s := &streams{scripts: []string{"data: a\n\n"}, hold: true}
	server := httptest.NewServer(s)
	defer server.Close()
	for name, pace := range map[string]int64{"fast": 0, "slow": 10} {
		ctx, cancel := context.WithCancel(t.Context())
		c, err := New(Options{URL: server.URL, Pace: pace, OnOpen: cancel})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Run(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHeadersWithoutEndAreRefused(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		for err == nil {
			if _, err = buf.WriteString("HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: b\r\n", 5000)); err == nil {
				err = buf.Flush()
			}
		}
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var closed error
	c, err := New(Options{URL: server.URL, OnClose: func(err error) { closed = err; cancel() }})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(ctx); err != nil {
		t.Error(err)
	}
	if !errors.Is(closed, ErrTooLong) && (closed == nil || !strings.Contains(closed.Error(), "malformed")) {
		t.Errorf("closed with %v", closed)
	}
}

func TestWrongAddressesAreRefused(t *testing.T) {
	for _, u := range []string{"", "127.0.0.1:8080", "ftp://x/", "http:///stream", "http://a b/"} {
		if _, err := New(Options{URL: u}); err == nil {
			t.Errorf("%q is accepted", u)
		}
	}
}

func TestWaitsGrowWhileNothingAnswers(t *testing.T) {
	c, err := New(Options{URL: "http://127.0.0.1/", Retry: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for failures, limit := range map[int]time.Duration{0: time.Second, 1: 2 * time.Second, 3: 8 * time.Second, 90: maxRetry} {
		if d := c.wait(failures); d > limit || d < limit*3/4-1 {
			t.Errorf("after %d failures the wait is %v", failures, d)
		}
	}
}

// The library's server writes as it likes, and both clients must read the same.
func TestTheStreamOfALibraryIsRead(t *testing.T) {
	provider := &sse.Joe{}
	handler := &sse.Server{Provider: provider}
	server := httptest.NewServer(handler)
	defer server.Close()
	got := make(chan seen, 10)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c, err := New(Options{
		URL: server.URL,
		OnEvent: func(e Event, _ time.Time) error {
			got <- seen{e.Type, string(e.Data), e.ID}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	m := &sse.Message{Type: sse.Type("ready"), ID: sse.ID("4")}
	m.AppendData("one\ntwo")
	tick := time.NewTicker(5 * time.Millisecond) // until the subscription stands
	defer tick.Stop()
	for first := true; first; {
		if err := handler.Publish(m); err != nil {
			t.Fatal(err)
		}
		select {
		case e := <-got:
			first = false
			if e != (seen{"ready", "one\ntwo", "4"}) {
				t.Errorf("%q", e)
			}
		case <-tick.C:
		}
	}
	// The server first: where the client goes first, the library may still be writing to a request that net/http has ended.
	if err := handler.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

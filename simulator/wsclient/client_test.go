package wsclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/simulator/sseclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a gateway as the contract describes it: it takes the subscription, says what its script has for that
// connection, and holds it open.
type fake struct {
	mu            sync.Mutex
	scripts       [][]string
	subscriptions []map[string]any
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow() //nolint:errcheck // the client may be gone
	_, text, err := conn.Read(r.Context())
	if err != nil {
		return
	}
	var s map[string]any
	if json.Unmarshal(text, &s) != nil {
		return
	}
	f.mu.Lock()
	f.subscriptions = append(f.subscriptions, s)
	script := f.scripts[min(len(f.subscriptions), len(f.scripts))-1]
	f.mu.Unlock()
	for _, message := range script {
		if conn.Write(r.Context(), websocket.MessageText, []byte(message)) != nil {
			return
		}
	}
	_, _, _ = conn.Read(r.Context()) // until the client goes
}

type seen struct {
	mu     sync.Mutex
	events []string
	closed []error
}

func (s *seen) options(url string) Options {
	return Options{
		URL: url, Retry: time.Millisecond,
		OnEvent: func(e sseclient.Event, _ time.Time) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, fmt.Sprintf("%s %s %s", e.Type, e.ID, e.Data))
			return nil
		},
		OnClose: func(err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.closed = append(s.closed, err)
		},
	}
}

func (s *seen) has(n int) func() bool {
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.events) >= n
	}
}

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

func start(t *testing.T, f *fake, o func(url string) Options) (c *Client, stop func()) {
	t.Helper()
	server := httptest.NewServer(f)
	c, err := New(o(server.URL + "/stream/ws?fleet=north&fleet=south&fields=lat,lon&every=1000&bbox=1,2,3.5,4"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return c, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		server.Close()
	}
}

// A WebSocket that says nothing of its tick is told once a second; a stream of events that says nothing is told at once.
func TestWithoutATickItAsksForThatOfAStreamOfEvents(t *testing.T) {
	c, err := New(Options{URL: "ws://127.0.0.1/stream/ws?fleet=north"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(&c.subscribe)
	if want := `{"action":"subscribe","fleets":["north"],"every":null,"envelope":true}`; err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}

func TestWhatIsSaidBecomesEventsAndAPositionThatResumes(t *testing.T) {
	f := &fake{scripts: [][]string{
		{`{"event":"assets","position":"p1","data":[{"id":"a"}]}`, `{"event":"ready","data":{"sid":"x"}}`, `[{"id":"b"}]`, `{"event":"assets","position":"p2","data":[]}`},
		{`{"event":"reset","data":{"reason":"epoch"}}`},
		{`nonsense`},
	}}
	s := &seen{}
	c, stop := start(t, f, s.options)
	eventually(t, "the first script", s.has(4))
	c.Drop(false)
	eventually(t, "a reset", s.has(5))
	c.Drop(false)
	eventually(t, "nonsense", s.has(6))
	stop()
	want := []string{`batch p1 [{"id":"a"}]`, `ready  {"sid":"x"}`, `batch  [{"id":"b"}]`, `batch p2 []`, `reset  {"reason":"epoch"}`, `batch  nonsense`}
	if !reflect.DeepEqual(s.events, want) {
		t.Errorf("%q", s.events)
	}
	first := map[string]any{
		"action": "subscribe", "envelope": true, "fleets": []any{"north", "south"}, "fields": []any{"lat", "lon"},
		"every": 1000.0, "bbox": []any{1.0, 2.0, 3.5, 4.0},
	}
	if !reflect.DeepEqual(f.subscriptions[0], first) {
		t.Errorf("%v", f.subscriptions[0])
	}
	if f.subscriptions[1]["position"] != "p2" || f.subscriptions[2]["position"] != nil {
		t.Errorf("%v, %v", f.subscriptions[1], f.subscriptions[2])
	}
	for _, err := range s.closed {
		if !errors.Is(err, sseclient.ErrDropped) {
			t.Error(err)
		}
	}
}

func TestAClientThatForgetsBeginsAnew(t *testing.T) {
	f := &fake{scripts: [][]string{{`{"event":"assets","position":"p1","data":[]}`}}}
	s := &seen{}
	c, stop := start(t, f, s.options)
	eventually(t, "a position", s.has(1))
	c.Drop(true)
	eventually(t, "another", s.has(2))
	stop()
	if f.subscriptions[1]["position"] != nil {
		t.Errorf("%v", f.subscriptions[1])
	}
}

func TestAgeSilenceAndPaceAreKept(t *testing.T) {
	for want, change := range map[error]func(*Options){
		sseclient.ErrCut:    func(o *Options) { o.MaxAge = 20 * time.Millisecond },
		sseclient.ErrSilent: func(o *Options) { o.Silence, o.Pace = 20*time.Millisecond, 1000 },
	} {
		f, s := &fake{scripts: [][]string{{`[]`}}}, &seen{}
		_, stop := start(t, f, func(url string) Options {
			o := s.options(url)
			change(&o)
			return o
		})
		eventually(t, "the end of a connection", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.closed) > 0 && errors.Is(s.closed[0], want)
		})
		stop()
	}
}

func TestWrongAddressesAreRefused(t *testing.T) {
	for _, wrong := range []string{"", "ftp://x/", "ws://", "ws://x/?every=often", "ws://x/?bbox=a", "%"} {
		if _, err := New(Options{URL: wrong}); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"event":"assets","position":"p1","data":[]}`)
	f.Add(`{"event":"reset"}`)
	f.Add(`[{"id":"b"}]`)
	f.Fuzz(func(t *testing.T, text string) {
		if e := decode([]byte(text)); e.Type == "" || (e.ID != "" && !e.HasID) {
			t.Fatalf("%q: %+v", text, e)
		}
	})
}

package api

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	gosse "github.com/tmaxmax/go-sse"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/sse"
	"github.com/fleetcast/fleetcast/sse/hub"
)

// edge is the real edge over an in-memory bus: hub, stream and router behind a real port. The test is the owner.
type edge struct {
	t      *testing.T
	url    string
	bus    *bus.Memory
	hub    *hub.Hub
	stream *sse.Handler
	lease  bus.Lease
}

func newEdge(t *testing.T) *edge {
	t.Helper()
	e := &edge{t: t}
	var err error
	if e.bus, err = bus.NewMemory(bus.MemoryOptions{}); err != nil {
		t.Fatal(err)
	}
	if e.lease, err = e.bus.Own(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if e.hub, err = hub.New(hub.Options{Bus: e.bus, Partitions: 1, Window: 10 * time.Millisecond, Heartbeat: 200 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if e.stream, err = sse.New(sse.Options{Hub: e.hub}); err != nil {
		t.Fatal(err)
	}
	a, err := New(Options{Assets: e.hub, Inlet: e.bus, Stream: e.stream})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := e.hub.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	srv := httptest.NewServer(a)
	e.url = srv.URL
	t.Cleanup(func() {
		if err := e.stream.Close(); err != nil {
			t.Error(err)
		}
		srv.Close()
		cancel()
		wg.Wait()
		if err := e.bus.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func change(t *testing.T, id, fleet string, received int64) bus.Change {
	t.Helper()
	device, err := devices.ParseDeviceID(id)
	if err != nil {
		t.Fatal(err)
	}
	f, err := devices.ParseFleetID(fleet)
	if err != nil {
		t.Fatal(err)
	}
	asset := devices.Asset{ID: device, Fleet: f, Status: devices.Online, Received: received}
	asset.Has, asset.Lat, asset.Lon = devices.FieldPosition, 48.85833, 2.29513
	return bus.Change{Device: device, Fleet: f, Frame: asset.AppendJSON(nil), Record: []byte{1}}
}

func (e *edge) publish(consumed bus.EntryID, changes ...bus.Change) {
	e.t.Helper()
	if _, err := e.lease.Publish(e.t.Context(), &bus.Flush{Consumed: consumed, Time: time.Now().UnixMilli(), Changes: changes}); err != nil {
		e.t.Fatal(err)
	}
}

// open opens a stream and gives its events.
func (e *edge) open(query, lastEventID string) (next func() gosse.Event) {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), 20*time.Second)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url+"/stream/assets"+query, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	events := make(chan gosse.Event)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(events)
		gosse.Read(res.Body, nil)(func(ev gosse.Event, err error) bool {
			if err != nil {
				return false
			}
			select {
			case events <- ev:
				return true
			case <-ctx.Done():
				return false
			}
		})
	})
	e.t.Cleanup(func() {
		cancel()
		res.Body.Close()
		wg.Wait()
	})
	return func() gosse.Event {
		e.t.Helper()
		for {
			select {
			case ev, ok := <-events:
				if !ok {
					e.t.Fatal("the stream ended")
				}
				// A block with only an id dispatches nothing in a browser (WHATWG 9.2.6); this client shows it.
				if ev.Type != "heartbeat" && ev.Data != "" {
					return ev
				}
			case <-ctx.Done():
				e.t.Fatal("no event came")
			}
		}
	}
}

func idOf(t *testing.T, ev gosse.Event) string {
	t.Helper()
	var asset struct{ ID string }
	if err := json.Unmarshal([]byte(ev.Data), &asset); err != nil {
		t.Fatalf("%+v: %v", ev, err)
	}
	return asset.ID
}

func TestTheHeadOfTheStreamFromTheRealRouterHasTheseBytes(t *testing.T) {
	e := newEdge(t)
	e.publish(0, change(t, "truck-17", "north", 5))
	conn, err := net.Dial("tcp", strings.TrimPrefix(e.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET /stream/assets HTTP/1.1\r\nHost: localhost:8080\r\nAccept: text/event-stream\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	var got strings.Builder
	for !strings.Contains(got.String(), "event: ready\n") {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("after %q: %v", got.String(), err)
		}
		got.WriteString(line)
	}
	want := regexp.MustCompile(`^HTTP/1\.1 200 OK\r
Cache-Control: no-cache, no-transform\r
Connection: close\r
Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r
Content-Type: text/event-stream\r
Cross-Origin-Resource-Policy: same-origin\r
Date: [^\r\n]+ GMT\r
Referrer-Policy: same-origin\r
Vary: Accept-Encoding\r
X-Accel-Buffering: no\r
X-Content-Type-Options: nosniff\r
X-Frame-Options: DENY\r
\r
retry: [2-5]\d{3}

id: [A-Za-z0-9_-]+

data: \{"id":"truck-17","fleet":"north","status":"online","received":5,"lat":48\.85833,"lon":2\.29513\}
id: [A-Za-z0-9_-]+

event: ready
$`)
	// A heartbeat may stand anywhere between two messages.
	text := regexp.MustCompile(`event: heartbeat\n(.+\n)+\n`).ReplaceAllString(got.String(), "")
	if !want.MatchString(text) {
		t.Errorf("got\n%q", text)
	}
}

func TestFromTheBusToAClientAndBackAgainWithAnID(t *testing.T) {
	e := newEdge(t)
	e.publish(0, change(t, "a", "north", 1), change(t, "b", "south", 1))
	next := e.open("?fleet=north", "")
	if ev := next(); idOf(t, ev) != "a" || ev.Type != "" {
		t.Fatalf("the snapshot begins with %+v", ev)
	}
	ready := next()
	if ready.Type != "ready" || ready.LastEventID == "" {
		t.Fatalf("then comes %+v", ready)
	}
	e.publish(0, change(t, "b", "south", 2), change(t, "a", "north", 2))
	live := next()
	if idOf(t, live) != "a" || !strings.Contains(live.Data, `"received":2`) || live.LastEventID == ready.LastEventID {
		t.Fatalf("live is %+v", live)
	}
	e.publish(0, change(t, "c", "north", 3))
	if ev := next(); idOf(t, ev) != "c" {
		t.Fatalf("then %+v", ev)
	}
	// Somebody who saw up to live is sent what changed since, and nothing else.
	again := e.open("?fleet=north", live.LastEventID)
	if ev := again(); idOf(t, ev) != "c" {
		t.Fatalf("resumed with %+v", ev)
	}
	if ev := again(); ev.Type != "ready" {
		t.Fatalf("then %+v", ev)
	}
	// Garbage is a snapshot.
	if ev := e.open("?fleet=north&format=batch", "garbage")(); ev.Type != "batch" || strings.Count(ev.Data, `"id"`) != 2 {
		t.Fatalf("garbage resumes with %+v", ev)
	}
}

func TestARemovalByRESTIsSeenInTheStream(t *testing.T) {
	e := newEdge(t)
	e.publish(0, change(t, "a", "north", 1))
	next := e.open("", "")
	next()
	next() // the asset, ready
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, e.url+"/api/assets/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		t.Fatalf("%s", res.Status)
	}
	entries, err := e.lease.Read(t.Context(), 10) // as the bridge does
	if err != nil || len(entries) != 1 || entries[0].Kind != bus.KindRemoval {
		t.Fatalf("the inlet holds %+v, %v", entries, err)
	}
	gone := change(t, "a", "north", 1)
	gone.Frame = nil
	e.publish(entries[0].ID, gone)
	if ev := next(); ev.Type != "removed" || !strings.Contains(ev.Data, `"id":"a"`) {
		t.Errorf("the stream says %+v", ev)
	}
}

// Drain must reach a viewer that waits for a tick that never comes.
func TestDrainEndsIdleStreamsOfTheRealHub(t *testing.T) {
	e := newEdge(t)
	e.publish(0)
	next := e.open("", "")
	next() // ready
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := e.stream.Drain(ctx); err != nil {
		t.Error(err)
	}
	if s := e.stream.Stats(); s.Open != 0 || s.Ended[sse.Drained.String()] != 1 {
		t.Errorf("%+v", s)
	}
	if n := e.hub.Stats().Viewers; n != 0 {
		t.Errorf("the hub still has %d viewers", n)
	}
}

func TestAStreamThroughHTTP2IsTheSame(t *testing.T) {
	e := newEdge(t)
	e.publish(0, change(t, "a", "north", 1))
	a, err := New(Options{Assets: e.hub, Inlet: e.bus, Stream: e.stream})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(a)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/stream/assets", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.ProtoMajor != 2 || res.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%s %v", res.Proto, res.Header)
	}
	for ev, err := range gosse.Read(res.Body, nil) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Type == "" && ev.Data != "" {
			if idOf(t, ev) != "a" {
				t.Errorf("%+v", ev)
			}
			return
		}
	}
}

package ws

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/sse"
	"github.com/fleetcast/fleetcast/sse/hub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test on a condition; it is no expectation of speed.
const patience = 30 * time.Second

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for !condition() {
		select {
		case <-poll.C:
		case <-deadline.C:
			t.Fatalf("it never came true that %s", what)
		}
	}
}

// site is a handler over a hub over a bus in memory, whose one owner is the test.
type site struct {
	t     testing.TB
	h     *Handler
	hub   *hub.Hub
	views *sse.Views
	url   string // of the server
	lease bus.Lease
	n     int
}

func newSite(t testing.TB, change func(*Options)) *site {
	t.Helper()
	b, err := bus.NewMemory(bus.MemoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t}
	if s.lease, err = b.Own(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	edge := bus.NewEdgeID()
	if s.hub, err = hub.New(hub.Options{Bus: b, Partitions: 1, Edge: edge, Window: 10 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if s.views, err = sse.NewViews(sse.ViewsOptions{Edge: edge, Edges: b}); err != nil {
		t.Fatal(err)
	}
	o := Options{Hub: s.hub, Views: s.views}
	if change != nil {
		change(&o)
	}
	if s.h, err = New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.hub.Run(ctx) })
	srv := httptest.NewServer(s.h)
	s.url = srv.URL
	t.Cleanup(func() {
		if err := s.h.Close(); err != nil {
			t.Error(err)
		}
		srv.Close()
		cancel()
		running.Wait()
		if st := s.h.Stats(); st.Open != 0 || s.hub.Stats().Viewers != 0 {
			t.Errorf("left: %+v, %+v", st, s.hub.Stats())
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	s.put("north", "first", 1, 1) // the hub is ready when it has the state
	eventually(t, "the hub has the state", func() bool { return s.hub.Stats().Assets == 1 })
	return s
}

// put publishes a device at a place.
func (s *site) put(fleet, device string, lat, lon float64) {
	s.t.Helper()
	f, err := devices.ParseFleetID(fleet)
	if err != nil {
		s.t.Fatal(err)
	}
	d, err := devices.ParseDeviceID(device)
	if err != nil {
		s.t.Fatal(err)
	}
	s.n++
	frame := fmt.Sprintf(`{"id":%q,"fleet":%q,"status":"online","received":%d,"lat":%v,"lon":%v,"metrics":{"n":%d}}`, device, fleet, time.Now().UnixMilli(), lat, lon, s.n)
	s.publish(&bus.Flush{Changes: []bus.Change{{Device: d, Fleet: f, Frame: []byte(frame), Lat: lat, Lon: lon, HasPosition: true}}})
}

func (s *site) publish(f *bus.Flush) {
	s.t.Helper()
	f.Time = time.Now().UnixMilli()
	if _, err := s.lease.Publish(context.Background(), f); err != nil {
		s.t.Fatal(err)
	}
}

// page is a client that folds what it is told.
type page struct {
	t        testing.TB
	conn     *websocket.Conn
	assets   map[string]string // id → fleet
	events   []string          // name and data
	position string
	err      error
}

func dialWith(t testing.TB, url string, header http.Header) (*page, *http.Response, error) {
	t.Helper()
	conn, resp, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		return nil, resp, err
	}
	conn.SetReadLimit(8 << 20)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &page{t: t, conn: conn, assets: map[string]string{}}, resp, nil
}

func (s *site) dial() *page {
	s.t.Helper()
	p, _, err := dialWith(s.t, s.url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (p *page) say(format string, args ...any) {
	p.t.Helper()
	if err := p.conn.Write(p.t.Context(), websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		p.t.Fatal(err)
	}
}

// read takes one message in; false at the end.
func (p *page) read() bool {
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	_, text, err := p.conn.Read(ctx)
	if err != nil {
		p.err = err
		return false
	}
	p.fold(text)
	return true
}

func (p *page) fold(text []byte) {
	p.t.Helper()
	var m struct {
		Event, Position, Ref string
		Data                 json.RawMessage
	}
	list := text
	if text[0] != '[' {
		if err := json.Unmarshal(text, &m); err != nil {
			p.t.Fatalf("%s: %v", text, err)
		}
		if m.Position != "" {
			p.position = m.Position
		}
		list = nil
		if m.Event == "assets" {
			list = m.Data
		}
	}
	if list != nil {
		var assets []struct{ ID, Fleet string }
		if err := json.Unmarshal(list, &assets); err != nil {
			p.t.Fatalf("%s: %v", text, err)
		}
		for _, a := range assets {
			p.assets[a.ID] = a.Fleet
		}
		return
	}
	p.events = append(p.events, strings.TrimSpace(m.Event+" "+m.Ref)+" "+string(m.Data))
	switch m.Event {
	case "reset":
		clear(p.assets)
	case "removed":
		var r struct{ ID, Fleet string }
		if err := json.Unmarshal(m.Data, &r); err != nil {
			p.t.Fatal(err)
		}
		if p.assets[r.ID] == r.Fleet {
			delete(p.assets, r.ID)
		}
	}
}

// until reads until the condition holds.
func (p *page) until(what string, condition func() bool) {
	p.t.Helper()
	for !condition() {
		if !p.read() {
			p.t.Fatalf("before %s: %v; it shows %v after %q", what, p.err, p.assets, p.events)
		}
	}
}

// untilEvent reads until an event of the name comes that was not there before, and returns it with its data.
func (p *page) untilEvent(name string) string {
	p.t.Helper()
	from, found := len(p.events), ""
	p.until("an event "+name, func() bool {
		for _, e := range p.events[from:] {
			if strings.HasPrefix(e, name+" ") {
				found = e
			}
		}
		return found != ""
	})
	return found
}

func (s *site) ended(why Reason) {
	s.t.Helper()
	eventually(s.t, "a connection ended as "+why.String(), func() bool { return s.h.Stats().Ended[why.String()] == 1 && s.h.Stats().Open == 0 })
}

// asClose tells whether an error is the peer's close frame.
func asClose(err error, ce *websocket.CloseError) bool {
	got, ok := errors.AsType[websocket.CloseError](err)
	*ce = got
	return ok
}

// unframe returns the payload of a frame, which must be one.
func unframe(t testing.TB, b []byte) []byte {
	t.Helper()
	if b[0] != opText {
		t.Fatalf("opcode %x", b[0])
	}
	n, rest := int(b[1]), b[2:]
	switch n {
	case twoBytes:
		n, rest = int(binary.BigEndian.Uint16(rest)), rest[2:]
		if n <= shortLength {
			t.Error("the length is longer than it need be")
		}
	case eightBytes:
		n, rest = int(binary.BigEndian.Uint64(rest)), rest[8:]
		if n <= 0xffff {
			t.Error("the length is longer than it need be")
		}
	}
	if len(rest) != n {
		t.Fatalf("%d bytes of %d", len(rest), n)
	}
	return rest
}

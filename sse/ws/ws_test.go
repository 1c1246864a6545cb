package ws

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/sse"
)

// The article's client: it subscribes to fleets and gets arrays of assets.
func TestTheArticlesClientWorks(t *testing.T) {
	s := newSite(t, nil)
	s.put("south", "other", 2, 2)
	p := s.dial()
	p.say(`{"action":"subscribe","fleets":["north"]}`)
	p.until("its fleet", func() bool { return p.assets["first"] == "north" })
	s.put("north", "second", 1, 1)
	p.until("what comes later", func() bool { return p.assets["second"] == "north" })
	p.say(`{"action":"subscribe","fleets":["south"]}`)
	p.until("the other fleet only", func() bool { return p.assets["other"] == "south" && len(p.assets) == 1 })
	p.say(`{"action":"subscribe","fleets":[]}`)
	p.untilEvent("unsubscribed")
	if n := s.hub.Stats().Viewers; n != 0 {
		t.Errorf("%d viewers are left", n)
	}
}

// Positions resume: what changed meanwhile comes, and no snapshot.
func TestAPositionResumes(t *testing.T) {
	s := newSite(t, nil)
	s.put("north", "stays", 1, 1)
	p := s.dial()
	p.say(`{"action":"subscribe","every":100,"envelope":true}`)
	p.untilEvent("ready")
	p.until("a position of all", func() bool { return len(p.assets) == 2 && p.position != "" })
	_ = p.conn.CloseNow()
	s.put("north", "first", 3, 3)
	back := s.dial()
	back.say(`{"action":"subscribe","every":100,"envelope":true,"position":%q}`, p.position)
	back.untilEvent("ready")
	if len(back.assets) != 1 || back.assets["first"] == "" || strings.Contains(fmt.Sprint(back.events), "reset") {
		t.Errorf("it is told %v, %v", back.assets, back.events)
	}
	wrong := s.dial()
	wrong.say(`{"action":"subscribe","fleets":["north"],"every":100,"envelope":true,"position":%q}`, p.position)
	if got := wrong.untilEvent("reset"); !strings.Contains(got, "filter") {
		t.Error(got)
	}
	wrong.untilEvent("ready")
	if len(wrong.assets) != 2 {
		t.Errorf("%v", wrong.assets)
	}
}

// The view changes by the connection, and by a PUT to the stream's id; an older number is left out.
func TestTheViewOfASubscriptionChanges(t *testing.T) {
	s := newSite(t, nil)
	s.put("north", "far", 50, 50)
	p := s.dial()
	p.say(`{"action":"view","seq":1,"bbox":[0,0,2,2],"ref":"early"}`)
	if got := p.untilEvent("error"); !strings.HasPrefix(got, "error early ") || !strings.Contains(got, "/problems/conflict") {
		t.Error(got)
	}
	p.say(`{"action":"subscribe","every":100}`)
	ready := p.untilEvent("ready")
	p.say(`{"action":"view","seq":1,"bbox":[0,0,2,2]}`)
	if got := p.untilEvent("view"); got != `view {"seq":1}` {
		t.Error(got)
	}
	p.untilEvent("ready")
	if len(p.assets) != 1 || p.assets["first"] == "" {
		t.Errorf("it shows %v", p.assets)
	}
	var r struct{ SID string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(ready, "ready ")), &r); err != nil {
		t.Fatal(err)
	}
	caller := &devices.Caller{Subject: "local"}
	if taken, err := s.views.Change(t.Context(), caller, r.SID, []byte(`{"seq":2,"bbox":[40,40,60,60]}`)); err != nil || !taken {
		t.Fatal(taken, err)
	}
	p.untilEvent("view")
	p.untilEvent("ready")
	if len(p.assets) != 1 || p.assets["far"] == "" {
		t.Errorf("it shows %v", p.assets)
	}
	if taken, err := s.views.Change(t.Context(), caller, r.SID, []byte(`{"seq":2,"bbox":null}`)); err != nil || taken {
		t.Errorf("an old one: %t, %v", taken, err)
	}
}

// Events are objects, whatever the format.
func TestEventsComeAsObjects(t *testing.T) {
	s := newSite(t, nil)
	p := s.dial()
	p.say(`{"action":"subscribe","every":100}`)
	p.untilEvent("ready")
	f, err := devices.ParseFleetID("north")
	if err != nil {
		t.Fatal(err)
	}
	d, err := devices.ParseDeviceID("first")
	if err != nil {
		t.Fatal(err)
	}
	s.publish(&bus.Flush{Events: []bus.Event{{Name: "alert", Device: d, Fleet: f, Data: []byte(`{"id":"x"}`)}}})
	if got := p.untilEvent("alert"); got != `alert {"id":"x"}` {
		t.Error(got)
	}
	s.publish(&bus.Flush{Changes: []bus.Change{{Device: d, Fleet: f}}})
	p.untilEvent("removed")
	if len(p.assets) != 0 {
		t.Errorf("%v", p.assets)
	}
}

// fakeCommander remembers what it is asked.
type fakeCommander struct{ asked string }

func (f *fakeCommander) Command(_ context.Context, c *devices.Caller, d devices.DeviceID, body []byte, key string) ([]byte, error) {
	f.asked = fmt.Sprintf("%s %s %s %s", c.Subject, d, body, key)
	if d.String() == "gone" {
		return nil, devices.Errorf(devices.NotFound, "", "there is no such device")
	}
	return []byte(`{"id":"c1","state":"accepted"}`), nil
}

func admitAs(role devices.Role, names ...string) func(http.ResponseWriter, *http.Request) (sse.Admission, error) {
	return func(http.ResponseWriter, *http.Request) (sse.Admission, error) {
		c := &devices.Caller{Subject: "ann", Role: role, Scope: devices.AllFleets(), Proof: "p"}
		if len(names) > 0 {
			var ids []devices.FleetID
			for _, n := range names {
				id, err := devices.ParseFleetID(n)
				if err != nil {
					return sse.Admission{}, err
				}
				ids = append(ids, id)
			}
			c.Scope = devices.OnlyFleets(ids...)
		}
		return sse.Admission{Caller: c}, nil
	}
}

// A command goes the way of the API's, and is answered with what that answers.
func TestACommandGoesTheWayOfTheAPIs(t *testing.T) {
	f := &fakeCommander{}
	s := newSite(t, func(o *Options) { o.Commander, o.Admit = f, admitAs(devices.Operator) })
	p := s.dial()
	p.say(`{"action":"command","device":"truck-17","name":"reboot","params":{"hard":true},"ttl":60,"key":"k1","ref":"r1"}`)
	if got := p.untilEvent("accepted r1"); got != `accepted r1 {"id":"c1","state":"accepted"}` {
		t.Error(got)
	}
	if f.asked != `ann truck-17 {"name":"reboot","params":{"hard":true},"ttl":60} k1` {
		t.Error(f.asked)
	}
	p.say(`{"action":"command","device":"gone","name":"reboot"}`)
	if got := p.untilEvent("error"); !strings.Contains(got, `"status":404`) {
		t.Error(got)
	}
	p.say(`{"action":"command","name":"reboot"}`)
	if got := p.untilEvent("error"); !strings.Contains(got, `"parameter":"device"`) {
		t.Error(got)
	}
	viewer := newSite(t, func(o *Options) { o.Commander, o.Admit = f, admitAs(devices.Viewer) }).dial()
	viewer.say(`{"action":"command","device":"truck-17","name":"reboot"}`)
	if got := viewer.untilEvent("error"); !strings.Contains(got, `"status":403`) {
		t.Error(got)
	}
	none := newSite(t, nil).dial()
	none.say(`{"action":"command","device":"truck-17","name":"reboot"}`)
	if got := none.untilEvent("error"); !strings.Contains(got, `"status":503`) {
		t.Error(got)
	}
}

// Whoever may see one fleet is shown one, whatever they ask for; of what is not theirs they are told nothing.
func TestASubscriptionStaysInTheScope(t *testing.T) {
	s := newSite(t, func(o *Options) { o.Admit = admitAs(devices.Viewer, "north") })
	s.put("south", "other", 1, 1)
	p := s.dial()
	p.say(`{"action":"subscribe","fleets":["south"]}`)
	if got := p.untilEvent("error"); !strings.Contains(got, `"status":403`) {
		t.Error(got)
	}
	p.say(`{"action":"subscribe","fleets":["south","north"],"every":100}`)
	p.untilEvent("ready")
	p.say(`{"action":"view","seq":1,"fleets":null}`)
	p.untilEvent("view")
	p.untilEvent("ready")
	p.say(`{"action":"view","seq":2,"fleets":["south"]}`)
	p.untilEvent("error")
	if len(p.assets) != 1 || p.assets["first"] != "north" {
		t.Errorf("it shows %v", p.assets)
	}
}

// A server that stops says when to come back, and lets nobody in.
func TestADrainSaysWhenToComeBack(t *testing.T) {
	s := newSite(t, nil)
	idle, listens := s.dial(), s.dial()
	listens.say(`{"action":"subscribe"}`)
	listens.untilEvent("ready")
	done := make(chan error, 1)
	go func() { done <- s.h.Drain(t.Context()) }()
	for _, p := range []*page{idle, listens} {
		for p.read() { // until the end
		}
		var hint struct {
			Retry int `json:"retry_ms"`
		}
		ce := websocket.CloseError{}
		if ok := asClose(p.err, &ce); !ok || ce.Code != websocket.StatusGoingAway || json.Unmarshal([]byte(ce.Reason), &hint) != nil || hint.Retry < 1000 {
			t.Errorf("%v", p.err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, resp, err := dialWith(t, s.url, nil); err == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%v", err)
	}
	if n := s.h.Stats().Ended[Drained.String()]; n != 2 {
		t.Errorf("%+v", s.h.Stats())
	}
}

// The end of a proof ends the connection, and says so.
func TestTheEndOfAProofEndsTheConnection(t *testing.T) {
	var end func()
	over := make(chan struct{})
	s := newSite(t, func(o *Options) {
		o.Admit = func(w http.ResponseWriter, r *http.Request) (sse.Admission, error) {
			a, err := admitAs(devices.Viewer)(w, r)
			a.Watch = func(f func()) func() { end = f; return func() { close(over) } }
			return a, err
		}
	})
	p := s.dial()
	p.say(`{"action":"subscribe"}`)
	p.untilEvent("ready")
	end()
	for p.read() { // until the end
	}
	if websocket.CloseStatus(p.err) != statusExpired {
		t.Errorf("%v", p.err)
	}
	s.ended(Expired)
	<-over
}

// Frames are whole and their lengths right, at the borders of the three forms (RFC 6455 section 5.2).
func TestFramesAreWellFormed(t *testing.T) {
	for _, n := range []int{2, 125, 126, 65535, 65536, 1 << 20} {
		asset := []byte(`"` + strings.Repeat("x", max(n-4, 0)) + `"`)
		for _, b := range [][]byte{
			Bare.AppendAssets(nil, [][]byte{asset}, "i"), Envelope.AppendAssets(nil, [][]byte{asset, asset}, "id"), Envelope.AppendID(nil, "id"),
			Envelope.AppendEvent(nil, "ready", asset, "id"), Bare.AppendEvent(nil, "ready", asset, "id"), Bare.AppendEvent(nil, "x", nil, ""),
		} {
			payload := unframe(t, b)
			if !json.Valid(payload) {
				t.Errorf("%d: %.80s", n, payload)
			}
		}
	}
	if b := Bare.AppendID(nil, "id"); b != nil {
		t.Errorf("%q", b)
	}
	for want, got := range map[string][]byte{
		`[1,2]`: Bare.AppendAssets(nil, [][]byte{[]byte("1"), []byte("2")}, "i"),
		`{"event":"assets","position":"i","data":[1]}`:        Envelope.AppendAssets(nil, [][]byte{[]byte("1")}, "i"),
		`{"event":"assets","data":[1]}`:                       Envelope.AppendAssets(nil, [][]byte{[]byte("1")}, ""),
		`{"event":"assets","position":"i","data":[]}`:         Envelope.AppendID(nil, "i"),
		`{"event":"ready","position":"i","data":{"sid":"s"}}`: Envelope.AppendEvent(nil, "ready", []byte(`{"sid":"s"}`), "i"),
		`{"event":"ready","data":{"sid":"s"}}`:                Bare.AppendEvent(nil, "ready", []byte(`{"sid":"s"}`), "i"),
	} {
		if string(unframe(t, got)) != want {
			t.Errorf("%s, want %s", unframe(t, got), want)
		}
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	s := newSite(t, nil)
	for _, o := range []Options{{}, {Hub: s.hub}, {Hub: s.hub, Views: s.views, Ping: -1}, {Hub: s.hub, Views: s.views, MaxConnections: -1}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

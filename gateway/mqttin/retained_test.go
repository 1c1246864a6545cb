package mqttin

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/dialect"
)

func TestTheNewestOfATopicIsRetainedForWhoComesLater(t *testing.T) {
	t.Parallel()
	h := routing(t, Limits{})
	from := client(t, h, 5, "from")
	from.say("chat/a", "old", 1, true)
	from.say("chat/a", "new", 2, true, append([]byte{propContentType}, str("text")...)...)
	from.say("chat/a/b", "below", 0, true)
	from.say("chat", "above", 1, true)
	from.say("chat/a", "not retained", 1, false)
	for filter, want := range map[string][]string{
		"chat/a": {"new"}, "chat/+": {"new"}, "chat/#": {"above", "below", "new"}, "#": {"above", "below", "new"}, "+/a/+": {"below"}, "chat/b": nil, "+": {"above"},
	} {
		for _, version := range []byte{4, 5} {
			to := client(t, h, version, "to")
			to.subscribe(filter, 1, 7)
			var got []string
			for range want {
				m := to.message()
				if !m.retain || m.dup || version == 5 && fmt.Sprint(m.ids) != "[7]" || m.payload == "new" && m.qos != 1 || m.payload == "below" && m.qos != 0 {
					t.Errorf("got %+v", m)
				}
				got = append(got, m.payload)
				to.confirm(m)
			}
			to.ping()
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", filter, got, want)
			}
			_ = to.Close()
		}
	}
	to := client(t, h, 5, "to")
	to.subscribe("chat/a", 2, 0)
	to.hears("new")
	from.say("chat/a", "", 1, true) // deletes it, and is a message like any other
	to.hears("")
	other := client(t, h, 4, "other")
	other.subscribe("chat/a", 2, 0)
	other.ping()
	if s := h.Stats(); s.Retained != 2 {
		t.Errorf("%d are retained", s.Retained)
	}
	from.say("chat", "", 0, true)
	from.say("chat/a/b", "", 2, true)
	if s := h.Stats(); s.Retained != 0 || s.RetainedBytes != 0 || len(h.retained.root.children) != 0 {
		t.Errorf("%+v is left", s)
	}
}

func TestASubscriptionSaysWhatItWantsOfWhatIsRetained(t *testing.T) {
	t.Parallel()
	h := routing(t, Limits{})
	from := client(t, h, 5, "from")
	from.say("chat/a", "kept", 1, true)
	to := client(t, h, 5, "to")
	to.subscribe("chat/a", 1|optNoneRetained, 0)
	to.ping()
	to.subscribe("chat/a", 1|optOnlyNew, 0) // it is not new
	to.ping()
	to.subscribe("chat/+", 1|optOnlyNew, 0)
	to.hears("kept")
	to.subscribe("chat/a", 1, 0) // again, each time
	to.hears("kept")
	to.send(frame(0xa2, append([]byte{0, 3, 0}, append(str("chat/a"), str("chat/+")...)...)))
	to.expect(0xb0, 3)
	to.subscribe("chat/#", 1|optAsPublished|optNoneRetained, 0)
	for _, retain := range []bool{true, false} {
		from.say("chat/a", "live", 1, retain)
		if m := to.message(); m.retain != retain {
			t.Errorf("got %+v", m)
		} else {
			to.confirm(m)
		}
	}
	to.subscribe("chat/#", 1|optNoneRetained, 0)
	from.say("chat/a", "live", 1, true)
	if m := to.message(); m.retain {
		t.Errorf("got %+v", m)
	}
}

func TestWhatIsRetainedIsBounded(t *testing.T) {
	t.Parallel()
	auth := newFakeAuth(aDevice("truck-1", "north"), aClient("op", []string{"#"}, []string{"#"}))
	h := guarded(t, Options{Route: true, Limits: Limits{RetainedMessages: 20, RetainedBytes: 10_000, RetainedPerDevice: 3}}, auth)
	device, _ := connect(t, h, as("truck-1"))
	for i := range 5 {
		device.say(fmt.Sprintf("fleets/north/devices/truck-1/replies/%026d", i), `{"status":"done"}`, 1, true)
	}
	if n := h.Stats().Retained; n != 3 || h.event(RetainRefused) != 2 {
		t.Errorf("a device has %d", n)
	}
	op, _ := connect(t, h, as("op"))
	for i := range 30 {
		op.say(fmt.Sprint("chat/", i), "x", 1, true)
	}
	if n := h.Stats().Retained; n != 20 {
		t.Errorf("%d are retained", n)
	}
	op.say("chat/0", "newer", 1, true) // in its own place
	op.say("chat/1", strings.Repeat("x", 12_000), 1, true)
	watch, _ := connect(t, h, as("op"))
	watch.subscribe("chat/0", 1, 0)
	watch.hears("newer")
	watch.subscribe("chat/1", 1, 0) // neither it nor what it replaced
	watch.ping()
	if s := h.Stats(); s.RetainedBytes > 10_000 || s.Retained != 19 {
		t.Errorf("%d, %d bytes are retained", s.Retained, s.RetainedBytes)
	}
	h.well(t)
}

func TestAllThatIsRetainedComesHoweverMuchItIs(t *testing.T) {
	t.Parallel()
	h := routing(t, Limits{ClientMessages: 100, ClientBytes: 1 << 20})
	from := client(t, h, 5, "from")
	const n = 1_000
	for i := range n {
		from.say(fmt.Sprint("chat/", i), "x", 1, true)
	}
	to, _ := lasting(t, h, 5, "to")
	to.subscribe("chat/#", 1, 0)
	got := map[string]bool{}
	for len(got) < n/2 {
		m := to.message()
		got[m.topic] = true
		to.confirm(m)
	}
	h.away(t, to)
	from.say("chat/999", "newest", 1, true)
	to, _ = lasting(t, h, 5, "to") // and goes on where it was
	for len(got) < n {
		m := to.message()
		if m.topic == "chat/999" && m.retain && m.payload != "newest" && got[m.topic] {
			t.Errorf("older after newer: %+v", m)
		}
		got[m.topic] = true
		to.confirm(m)
	}
	if h.event(RouteDropped) != 0 {
		t.Error("something was dropped")
	}
}

func TestAnEmptyRetainedMessageIsJudgedLikeAnyOther(t *testing.T) {
	t.Parallel()
	auth := newFakeAuth(aDevice("d1", "north"), aDevice("d3", "south"))
	auth.accounts["lora"] = aGateway("lora", "north")
	h := guarded(t, Options{Route: true}, auth)
	own, _ := connect(t, h, as("d1"))
	own.say("fleets/north/devices/d1/telemetry", `{"n":1}`, 1, true)
	own.say("fleets/north/devices/d1/telemetry", "", 1, true)
	if h.Stats().Retained != 0 {
		t.Error("it is not deleted")
	}
	gateway, _ := connect(t, h, as("lora"))
	packet := publishPacket(5, "fleets/north/devices/d3/telemetry", "", 1, 9, false)
	packet[0] |= 1
	gateway.send(packet) // of the other fleet, by the registry
	if body := gateway.expect(0x40, 9); codeOf(body) != 0x87 {
		t.Errorf("% x", body)
	}
	if got := h.inlet.metric("n"); len(got) != 1 || h.Stats().Rejected != [dialect.Reasons]uint64{} {
		t.Errorf("readings %v, rejected %v", got, h.Stats().Rejected)
	}
}

func TestNothingIsRetainedWithoutRouting(t *testing.T) {
	t.Parallel()
	h := start(t, Limits{})
	r := client(t, h, 5, "r")
	r.say(topicOne, `{"n":1}`, 1, true)
	r.subscribe("#", 1, 0)
	r.ping()
	if s := h.Stats(); s.Retained != 0 || len(h.inlet.of(bus.KindReading, "truck-1")) != 1 {
		t.Errorf("%d are retained", s.Retained)
	}
}

// willed connects with a will; delay in seconds is for MQTT 5.
func willed(t testing.TB, h *harness, o connectOptions, delay byte, qos byte) *raw {
	t.Helper()
	if o.version == 0 {
		o.version = 4
	}
	o.keepalive = 60
	packet := connectPacket(o)
	at := bytes.Index(packet, []byte("MQTT")) + 5
	packet[at] = packet[at]&^0x18 | qos<<3
	if delay > 0 {
		packet = delayed(packet, o.id)
		at := bytes.Index(packet, []byte{0x18, 0, 0, 0, 60})
		packet[at+4] = delay
	}
	r := dial(t, h)
	r.version, r.id = o.version, o.id
	r.send(packet)
	if first, body := r.read(); first != 0x20 || body[1] != 0 {
		t.Fatalf("CONNACK % x", body)
	}
	return r
}

func TestAWillIsRoutedWhenItsTimeHasCome(t *testing.T) {
	t.Parallel()
	h := routing(t, Limits{SessionExpiry: time.Hour})
	to := client(t, h, 5, "to")
	to.subscribe("chat/#", 2, 0)
	to.ping() // what is retained is looked up after the SUBACK: not what comes below
	o := connectOptions{version: 5, id: "dies", keep: true, expiry: 600, willTopic: "chat/will", will: "gone", retain: true}

	r := willed(t, h, o, 0, 1)
	_ = r.Close()
	if m := to.message(); m.payload != "gone" || m.qos != 1 || m.retain {
		t.Errorf("at once: %+v", m)
	} else {
		to.confirm(m)
	}
	if h.Stats().Retained != 1 {
		t.Error("it is not retained")
	}
	r = willed(t, h, o, 30, 2)
	r.leave() // says that it leaves
	h.away(t, r)
	h.endOutdated(time.Now().Add(31 * time.Second))
	to.ping()

	r = willed(t, h, o, 30, 1)
	h.away(t, r)
	h.endOutdated(time.Now().Add(29 * time.Second))
	to.ping()
	r = willed(t, h, o, 30, 1) // back in time
	h.endOutdated(time.Now().Add(31 * time.Second))
	to.ping()
	h.away(t, r)
	h.endOutdated(time.Now().Add(31 * time.Second))
	to.hears("gone")
	h.endOutdated(time.Now().Add(32 * time.Second))
	to.ping() // once

	o.expiry = 20 // the session ends before the delay
	r = willed(t, h, o, 30, 1)
	h.away(t, r)
	h.endOutdated(time.Now().Add(21 * time.Second))
	to.hears("gone")

	r = willed(t, h, o, 30, 1)
	r.send([]byte{0xe0, 2, 0x04, 0}) // a DISCONNECT that asks for it
	h.away(t, r)
	h.endOutdated(time.Now().Add(21 * time.Second))
	to.hears("gone")
}

func TestASessionThatMakesRoomLeavesNothing(t *testing.T) {
	t.Parallel()
	h := guarded(t, Options{Route: true, Limits: Limits{SessionsPerAccount: 1}}, newFakeAuth(aDevice("d1", "north"), aClient("op", []string{"#"}, []string{"#"}), aClient("op2", []string{"#"}, []string{"#"})))
	o := as("d1")
	o.id, o.keep, o.expiry, o.willTopic, o.will = "first", true, 600, "fleets/north/devices/d1/status", "offline"
	first := willed(t, h, o, 60, 1)
	first.subscribe("fleets/north/devices/d1/commands/#", 1, 0)
	h.away(t, first)
	op, _ := connect(t, h, as("op"))
	op.subscribe("fleets/north/#", 1, 0)
	other := as("op2")
	from, _ := connect(t, h, other)
	from.say("fleets/north/devices/d1/commands/1", "waits", 1, false)
	op.hears("waits")
	second, _ := connect(t, h, as("d1"))
	if m := op.message(); m.payload != "offline" { // the delay ends with the session
		t.Errorf("got %+v", m)
	} else {
		op.confirm(m)
	}
	if subs := h.routes.match("fleets/north/devices/d1/commands/1"); len(subs) != 1 || subs[0].box.client != "op" {
		t.Errorf("%d subscriptions", len(subs))
	}
	eventually(t, "nothing waits", func() bool { return h.Stats().RoutedBytes == 0 })
	second.ping()
}

// A connection that is replaced may notice its end before the newer one has dealt with its will.
func TestATakeoverDoesNotTakeTheWillBack(t *testing.T) {
	t.Parallel()
	for cause, left := range map[packets.Code]bool{packets.ErrSessionTakenOver: true, packets.CodeDisconnect: false} {
		b, cl, _ := unserved(t)
		s := cl.Net.Conn.(*conn).session
		s.willOut.Store(&lastWill{})
		s.overtaken.Store(true)
		cl.Stop(cause)
		b.endOf(s.conn, nil)
		if got := s.willOut.Load() != nil; got != left {
			t.Errorf("%v: the will is left to the newer connection: %t", cause, got)
		}
	}
}

func TestATakeoverSendsTheWillBeforeItsClientSpeaksAgain(t *testing.T) {
	t.Parallel()
	h := routing(t, Limits{})
	to := client(t, h, 5, "to")
	to.subscribe("chat/#", 1, 0)
	o := connectOptions{version: 5, id: "dies", keep: true, expiry: 600, willTopic: "chat/status", will: "offline"}
	_ = willed(t, h, o, 0, 1)
	r := willed(t, h, o, 30, 1)
	r.say("chat/status", "online", 1, false)
	to.hears("offline", "online")
	r = willed(t, h, o, 30, 1) // with a delay a session that goes on takes it back
	r.say("chat/status", "online", 1, false)
	to.hears("online")
	o.keep = false // a clean start ends the session, and its will is sent
	r = willed(t, h, o, 0, 1)
	r.say("chat/status", "online", 1, false)
	to.hears("offline", "online")
	four := connectOptions{id: "four", willTopic: "chat/status", will: "offline"}
	_ = willed(t, h, four, 0, 1)
	r = willed(t, h, four, 0, 1)
	r.say("chat/status", "online", 1, false)
	to.hears("offline", "online")
}

package mqttin

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/devices"
)

// Abuses of what is published, subscribed to and willed, as those of hardening_test.go are of the connection.

func subscribePacket(version byte, id uint16, filters ...string) []byte {
	body := []byte{byte(id >> 8), byte(id)}
	if version == 5 {
		body = append(body, 0)
	}
	for _, f := range filters {
		body = append(append(body, str(f)...), 1)
	}
	return frame(0x82, body)
}

func TestSubscriptionsAreAnsweredAndReachNothing(t *testing.T) {
	for _, version := range []byte{4, 5} {
		h := start(t, Limits{})
		r, _ := connect(t, h, connectOptions{version: version, id: "sub"})
		refused, invalid, shared := byte(0x87), byte(0x8f), byte(0x9e)
		if version == 4 {
			refused, invalid, shared = 0x80, 0x80, 0x80
		}
		for i, c := range []struct {
			filter string
			want   byte
		}{
			{"#", 1},
			{"+/+/cmd", 1},
			{"owntracks/ann/phone/cmd", 1},
			{"fleets/f/devices/witness/#", 1},
			{"$SYS/#", refused},
			{"$share/g/#", shared},
			{"$SHARE/g/fleets/#", refused},
			{strings.Repeat("a/", 15000), refused},
			{strings.Repeat("x", 65535), refused},
			{strings.Repeat("+/", maxFilterLevels) + "#", refused},
			{"a/#/b", invalid},
			{"a+", invalid},
			{"", invalid},
		} {
			r.send(subscribePacket(version, uint16(i+1), c.filter))
			body := r.expect(0x90, uint16(i+1))
			if got := body[len(body)-1]; got != c.want {
				t.Errorf("version %d: filter %.40q: %#x, want %#x", version, c.filter, got, c.want)
			}
		}
		h.counted(t, FilterRefused)
		h.well(t)
		if h.sessionOf("sub").wants("owntracks/ann/phone/cmd") {
			t.Error("a filter is kept that nothing is ever sent for")
		}
		r.ping() // the witness's messages did not come here
	}
}

func TestAPacketFullOfFiltersEndsTheConnection(t *testing.T) {
	h := start(t, Limits{})
	filters := make([]string, 10000)
	for i := range filters {
		filters[i] = fmt.Sprint(i)
	}
	r, _ := connect(t, h, connectOptions{id: "bomb"})
	r.send(subscribePacket(4, 1, filters...))
	r.gone()
	h.counted(t, TooManyFilters)
	h.well(t)
}

func TestWillsAreDecodedAndNeverPublished(t *testing.T) {
	h := start(t, Limits{})
	for _, c := range []struct {
		topic, will, device string
		kind                bus.EntryKind
		reason              Reason
	}{
		{"fleets/f/devices/d1/status", "offline", "d1", bus.KindStatus, 0},
		{"owntracks/ann/phone", `{"_type":"lwt","tst":"1440363922"}`, "ann:phone", bus.KindStatus, 0},
		{"fleets/f/devices/d2/telemetry", `{"dead":true}`, "d2", bus.KindReading, 0},
		{"$SYS/broker", "x", "", 0, WillIgnored},
		{"a/#/+", "x", "", 0, WillIgnored},
		{"tele/x/LWT", "Offline", "", 0, WillIgnored},
		{"fleets/f/devices/d3/status", "maybe", "", 0, WillIgnored},
	} {
		for _, version := range []byte{4, 5} {
			ignored, had := h.event(WillIgnored), len(h.inlet.of(c.kind, c.device))
			r, _ := connect(t, h, connectOptions{version: version, id: "willing", willTopic: c.topic, will: c.will, retain: true})
			_ = r.Close()
			if c.device == "" {
				eventually(t, "a count for "+c.topic, func() bool { return h.event(c.reason) > ignored })
				continue
			}
			eventually(t, "the will of "+c.topic, func() bool { return len(h.inlet.of(c.kind, c.device)) == had+1 })
		}
	}
	for _, e := range h.inlet.of(bus.KindStatus, "") {
		if e.Status != (bus.StatusReport{Status: devices.Offline, Will: true}) {
			t.Errorf("%+v", e)
		}
	}
	eventually(t, "all gone", func() bool { return h.Stats().Connections == 0 })
	for filter := range h.server.Topics.Retained.GetAll() {
		if !strings.HasPrefix(filter, "$SYS/") {
			t.Errorf("%q is retained", filter)
		}
	}
	h.well(t)
}

func TestADisconnectTakesTheWillBack(t *testing.T) {
	h := start(t, Limits{})
	r, _ := connect(t, h, connectOptions{id: "c", willTopic: "fleets/f/devices/d1/status", will: "offline"})
	r.publish("fleets/f/devices/d1/telemetry", "{}", 1, 1)
	r.expect(0x40, 1)
	r.send([]byte{0xe0, 0})
	eventually(t, "the end", func() bool { return len(h.inlet.of(bus.KindConnection, "d1")) == 2 })
	if got := h.inlet.of(bus.KindStatus, ""); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestPoisonIsAcknowledgedAndCounted(t *testing.T) {
	h := start(t, Limits{})
	r, _ := connect(t, h, connectOptions{id: "c"})
	id := uint16(0)
	for payload, want := range map[string]dialect.Reason{
		"": dialect.Empty, "null": dialect.NotObject, "[]": dialect.NotObject, `{"a":`: dialect.Truncated, `{"a":1}}`: dialect.Trailing,
		"\xef\xbb\xbf{}": dialect.ByteOrderMark, "\xff\xfe{\x00}\x00": dialect.NotUTF8, `{"a":"` + strings.Repeat("x", dialect.MaxPayloadBytes) + `"}`: dialect.TooLarge,
		strings.Repeat(`{"a":`, 5000): dialect.TooDeep,
	} {
		id++
		before := h.Stats().Rejected[want]
		r.publish(topicOne, payload, 1, id)
		r.expect(0x40, id)
		if after := h.Stats().Rejected[want]; after != before+1 {
			t.Errorf("%.20q: %v is counted %d times", payload, want, after-before)
		}
	}
	if got := h.inlet.entries(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestTopicsAreTextAndNotPaths(t *testing.T) {
	h := start(t, Limits{})
	r, _ := connect(t, h, connectOptions{id: "c"})
	id := uint16(0)
	for topic, device := range map[string]string{
		"fleets/f/devices/../telemetry": "..", "fleets/f/devices/%2e/telemetry": "%2e", "fleets/f/devices/a b/telemetry": "a b",
		"fleets/f/devices/\u202eevil/telemetry": "\u202eevil", "fleets/f/devices/🚚/telemetry": "🚚", "fleets/f/devices/</script>/telemetry": "",
		"fleets//devices/d/telemetry": "", "/fleets/f/devices/d/telemetry": "", "fleets/f/devices/d/telemetry/": "", "/": "", "//": "",
		strings.Repeat("a/", 127) + "a": "", "fleets/f/devices/" + strings.Repeat("d", 129) + "/telemetry": "",
	} {
		id++
		had := len(h.inlet.of(bus.KindReading, ""))
		r.publish(topic, `{}`, 1, id)
		r.expect(0x40, id)
		got := h.inlet.of(bus.KindReading, "")[had:]
		if device == "" && len(got) != 0 || device != "" && (len(got) != 1 || got[0].Device.String() != device) {
			t.Errorf("%.60q gives %+v", topic, got)
		}
	}
	h.well(t)
}

func TestARouteCacheIsBounded(t *testing.T) {
	h := start(t, Limits{Unacked: 5000})
	r, _ := connect(t, h, connectOptions{id: "c"})
	for i := range uint16(routesPerSession + 50) {
		r.publish(fmt.Sprintf("topics/%d", i), "x", 1, i+1)
	}
	for i := range uint16(routesPerSession + 50) {
		r.expect(0x40, i+1)
	}
	r.ping()
	s := h.sessionOf("c")
	_ = r.Close()
	eventually(t, "the end", func() bool { return h.Stats().Connections == 0 })
	if s.topics.routes != nil {
		t.Error("the routes outlive the connection")
	}
}

func TestUnsubscribingFindsTheFilter(t *testing.T) {
	h := start(t, Limits{})
	r, _ := connect(t, h, connectOptions{version: 5, id: "sub"})
	r.send(subscribePacket(5, 1, "fleets/f/devices/d/commands/#"))
	r.expect(0x90, 1)
	s := h.sessionOf("sub")
	if !s.wants("fleets/f/devices/d/commands/1") {
		t.Error("the subscription is not kept")
	}
	r.send(frame(0xa2, append([]byte{0, 2, 0}, str("fleets/f/devices/d/commands/#")...)))
	if body := r.expect(0xb0, 2); body[len(body)-1] != 0 {
		t.Errorf("UNSUBACK % x", body)
	}
	if s.wants("fleets/f/devices/d/commands/1") {
		t.Error("the subscription is left")
	}
}

package mqttin

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// Each test is an abuse. It asserts that the abuse is counted and that another client still works.

func TestASubscribeCutAfterItsFilterEndsOnlyItsConnection(t *testing.T) {
	h := start(t, Limits{})
	r, _ := connect(t, h, connectOptions{
		version: 5, id: "killer", willTopic: "fleets/f/devices/killer/status", will: "offline",
	})
	r.publish("fleets/f/devices/killer/telemetry", `{}`, 1, 1)
	r.expect(0x40, 1)
	r.send([]byte{0x82, 6, 0, 1, 0, 0, 1, 0x61}) // mochi #501: the parser reads past the end
	r.gone()
	h.counted(t, Panicked)
	h.well(t)
	eventually(t, "the end and the will", func() bool {
		return len(h.inlet.of(bus.KindConnection, "killer")) == 2 && len(h.inlet.of(bus.KindStatus, "killer")) == 1
	})
}

func TestAConnectThatClaims256MBIsRefusedBeforeItIsAllocated(t *testing.T) {
	h := start(t, Limits{})
	r := dial(t, h)
	r.send([]byte{0x10, 0xff, 0xff, 0xff, 0x7f}) // mochi #502
	r.gone()
	h.counted(t, PacketTooLarge)
	h.well(t)
}

func TestAPacketAboveTheLimitEndsTheConnection(t *testing.T) {
	h := start(t, Limits{PacketBytes: 1000})
	r, _ := connect(t, h, connectOptions{id: "c"})
	r.publish(topicOne, strings.Repeat("x", 1000), 1, 1)
	r.gone()
	h.counted(t, PacketTooLarge)
	h.well(t)
}

func TestASocketThatSaysNothingOrDripsIsClosed(t *testing.T) {
	h := start(t, Limits{FirstPacket: 50 * time.Millisecond})
	silent, dripping, endless := dial(t, h), dial(t, h), dial(t, h)
	dripping.send(connectPacket(connectOptions{version: 4, id: "x"})[:9])
	endless.send([]byte{0x10, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80}) // a length without end
	silent.gone()
	dripping.gone()
	endless.gone()
	eventually(t, "three counts", func() bool { return h.event(FirstPacketLate) == 2 && h.event(FirstPacketBad) == 1 })
	h.well(t)
	if s := h.Stats(); s.Unidentified != 0 {
		t.Errorf("%d unidentified connections are left", s.Unidentified)
	}
}

func TestAFirstPacketThatIsNoConnectEndsTheConnection(t *testing.T) {
	h := start(t, Limits{})
	for _, b := range [][]byte{
		publishPacket(4, topicOne, `{}`, 0, 0, false),
		{0xc0, 0},
		{0x00, 0},
		[]byte("GET / HTTP/1.1\r\n\r\n"),
		{0x16, 3, 1, 0, 5, 1},
		frame(0x10, append(str("MQTX"), 4, 2, 0, 60, 0, 1, 'a')),              // another protocol
		frame(0x10, append(str("MQTT"), 9, 2, 0, 60, 0, 1, 'a')),              // another version
		frame(0x10, append(str("MQTT"), 4, 3, 0, 60, 0, 1, 'a')),              // the reserved bit
		frame(0x10, append(str("MQTT"), 4, 2, 0, 60, 0, 2, 'a', 0)),           // NUL in the client id
		frame(0x10, append(str("MQTT"), 4, 2, 0, 60, 0, 1, 0xff)),             // not UTF-8
		frame(0x10, append(str("MQTT"), 4, 2, 0, 60, 0, 3, 0xed, 0xa0, 0x80)), // a surrogate
		frame(0x10, str("MQ")),
		{0x10, 0},
		{0x11, 0},
	} {
		before := h.event(FirstPacketBad)
		r := dial(t, h)
		r.send(b)
		r.gone()
		eventually(t, fmt.Sprintf("a count for % x", b), func() bool { return h.event(FirstPacketBad) > before })
	}
	h.well(t)
	if got := h.inlet.of(bus.KindReading, "truck-1"); len(got) != 0 {
		t.Errorf("a PUBLISH before the CONNECT was taken: %+v", got)
	}
}

func TestPacketsThatBreakTheProtocolEndTheConnection(t *testing.T) {
	h := start(t, Limits{})
	qos3 := publishPacket(4, topicOne, `{}`, 1, 1, false)
	qos3[0] |= 0x06
	dup := publishPacket(4, topicOne, `{}`, 0, 0, true)
	for name, b := range map[string][]byte{
		"a second CONNECT": connectPacket(connectOptions{version: 4, id: "x"}), "QoS 3": qos3, "DUP with QoS 0": dup,
		"packet id 0": publishPacket(4, topicOne, `{}`, 1, 0, false), "reserved bits": {0xc1, 0}, "packet type 0": {0, 0},
		"a topic with NUL": publishPacket(4, "a\x00b", `{}`, 1, 1, false), "a topic that is not UTF-8": publishPacket(4, "a\xff", `{}`, 1, 1, false),
		"a wildcard in a topic": publishPacket(4, "fleets/+/devices/d/telemetry", `{}`, 1, 1, false), "a PUBLISH cut short": frame(0x32, []byte{0, 9, 'a'}),
		"an empty topic": publishPacket(4, "", `{}`, 1, 1, false), "a SUBSCRIBE without filters": frame(0x82, []byte{0, 1}),
		"a SUBSCRIBE with QoS 3": frame(0x82, append([]byte{0, 1}, append(str("a"), 3)...)), "a SUBSCRIBE with bad flags": frame(0x80, []byte{0, 1}),
	} {
		before := h.event(Malformed) + h.event(PeerLost)
		r, _ := connect(t, h, connectOptions{id: "bad"})
		r.send(b)
		r.gone()
		eventually(t, "a count for "+name, func() bool { return h.event(Malformed)+h.event(PeerLost) > before })
	}
	h.well(t)
}

// The keep-alives that mochi's arithmetic turns into no deadline, or one of nothing.
func TestKeepAliveIsImposedBetweenBounds(t *testing.T) {
	l := Limits{}.withDefaults()
	for asked, want := range map[uint16]uint16{0: 3600, 1: 5, 5: 5, 60: 60, 3601: 3600, 43691: 3600, 65535: 3600} {
		if got := l.keepAlive(asked); got != want {
			t.Errorf("keep-alive %d becomes %d, want %d", asked, got, want)
		}
	}
	l.KeepAliveMax = 48 * time.Hour
	if got := l.keepAlive(0); got+got/2 < got {
		t.Errorf("keep-alive %d overflows", got)
	}
	h := start(t, Limits{})
	for asked, want := range map[uint16]uint16{1: 5, 43691: 3600, 65535: 3600} {
		r, connack := connect(t, h, connectOptions{version: 5, id: "c", keepalive: asked})
		if i := bytes.IndexByte(connack[3:], 0x13); i < 0 || binary.BigEndian.Uint16(connack[3+i+1:]) != want {
			t.Errorf("keep-alive %d: CONNACK % x does not say %d", asked, connack, want)
		}
		r.ping()
	}
}

func TestASilentClientEndsAfterItsKeepAlive(t *testing.T) {
	t.Parallel() // it waits
	h := start(t, Limits{KeepAliveMin: 1, KeepAliveMax: time.Second})
	r := dial(t, h)
	r.send(connectPacket(connectOptions{version: 4, id: "silent", keepalive: 0}))
	r.read()
	r.publish(topicOne, `{}`, 1, 1)
	r.expect(0x40, 1)
	r.gone()
	h.counted(t, KeepAliveMissed)
	eventually(t, "the end", func() bool { return len(h.inlet.of(bus.KindConnection, "truck-1")) == 2 })
	h.well(t)
}

func aliasPacket(topic string, alias uint16, payload string, qos byte, id uint16) []byte {
	body := str(topic)
	if qos > 0 {
		body = append(body, byte(id>>8), byte(id))
	}
	body = append(body, 3, 0x23, byte(alias>>8), byte(alias))
	return frame(0x30|qos<<1, append(body, payload...))
}

func TestTopicAliasesAreBoundedAndNeverGiveAnEmptyTopic(t *testing.T) {
	h := start(t, Limits{})
	v5 := connectOptions{version: 5, id: "alias"}
	r, connack := connect(t, h, v5)
	if !bytes.Contains(connack[3:], []byte{0x22, 0, topicAliases}) {
		t.Errorf("CONNACK % x does not announce the aliases", connack)
	}
	r.send(aliasPacket(topicOne, 3, `{"n":1}`, 1, 1))
	r.expect(0x40, 1)
	r.send(aliasPacket("", 3, `{"n":2}`, 1, 2))
	r.expect(0x40, 2)
	r.send(aliasPacket("$SYS/x", 4, `{"n":3}`, 1, 3)) // an alias for a topic that is not to be had
	if body := r.expect(0x40, 3); body[2] != codeTopicInvalid {
		t.Errorf("% x", body)
	}
	r.send(aliasPacket("", 4, `{"n":4}`, 1, 4))
	if body := r.expect(0x40, 4); body[2] != codeTopicInvalid {
		t.Errorf("% x", body)
	}
	r.send(aliasPacket(strings.Repeat("x", 2000), 5, `{}`, 1, 5)) // a topic that would pin its packet
	r.expect(0x40, 5)
	r.send(aliasPacket("", 5, `{}`, 1, 6))
	r.expect(0x40, 6)
	r.send(aliasPacket("", 9, `{"n":5}`, 1, 7)) // never set
	if first, body := r.read(); first != 0xe0 || body[0] != 0x94 {
		t.Errorf("got %#x % x", first, body)
	}
	r.gone()
	h.counted(t, AliasUnknown)
	for _, alias := range []uint16{0, topicAliases + 1, 65535} {
		before := h.event(Malformed)
		r, _ := connect(t, h, v5)
		r.send(aliasPacket(topicOne, alias, `{"n":6}`, 1, 1))
		r.gone()
		eventually(t, "a count", func() bool { return h.event(Malformed) > before })
	}
	if got := fmt.Sprint(h.inlet.metric("n")); got != "[1 2]" {
		t.Errorf("readings %v", got)
	}
	h.well(t)
}

func TestAnAliasKeepsNoPacketAlive(t *testing.T) {
	_, cl, h := unserved(t)
	s := sessionOf(cl)
	cl.State.TopicAliases = mqtt.NewTopicAliases(topicAliases)
	topic := strings.Clone(topicOne)
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish}, TopicName: topic, Payload: []byte(`{}`)}
	pk.Properties.TopicAlias, pk.Properties.TopicAliasFlag = 1, true
	cl.State.TopicAliases.Inbound.Set(1, topic) // as mochi does before it asks the hook
	_, _ = h.OnPublish(cl, pk)
	got, kept := cl.State.TopicAliases.Inbound.Set(1, ""), s.topics.last.topic
	if got != topicOne || unsafe.StringData(got) == unsafe.StringData(topic) || unsafe.StringData(got) != unsafe.StringData(kept) {
		t.Error("the alias table holds the packet's own string")
	}
}

func TestATakeoverIsTheEndOfTheOlderConnectionOnly(t *testing.T) {
	h := start(t, Limits{})
	o := connectOptions{id: "same", willTopic: "fleets/f/devices/d1/status", will: "offline"}
	first, _ := connect(t, h, o)
	first.publish("fleets/f/devices/d1/telemetry", "{}", 1, 1)
	first.expect(0x40, 1)
	second, _ := connect(t, h, o)
	second.publish("fleets/f/devices/d1/telemetry", "{}", 1, 1)
	second.expect(0x40, 1)
	first.gone()
	eventually(t, "three events", func() bool { return len(h.inlet.of(bus.KindConnection, "d1")) == 3 })
	live := map[uint64]bool{}
	for _, e := range h.inlet.of(bus.KindConnection, "d1") {
		live[e.Connection.Conn] = e.Connection.Up
	}
	up := 0
	for _, is := range live {
		if is {
			up++
		}
	}
	if len(live) != 2 || up != 1 {
		t.Errorf("connections %v", live)
	}
	h.counted(t, TakenOver)
	// mochi asks for the will of a replaced connection or does not, as its goroutines fall: it must not be heard.
	if got := h.inlet.of(bus.KindStatus, ""); len(got) != 0 {
		t.Errorf("the will of the older connection says that the device is gone: %+v", got)
	}
}

func TestAStormOfTakeoversLeavesOneConnection(t *testing.T) {
	h := start(t, Limits{})
	for round := range 10 {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				r := dial(t, h)
				_, _ = r.Write(connectPacket(connectOptions{
					version: 4 + byte(i%2), id: "storm", keep: i%3 == 0, keepalive: 60,
					willTopic: "fleets/f/devices/storm/status", will: "offline", expiry: 60,
				}))
				_, _ = r.Write(publishPacket(4+byte(i%2), "fleets/f/devices/storm/telemetry", "{}", byte(i%3), uint16(i%3), false))
			})
		}
		wg.Wait()
		eventually(t, fmt.Sprintf("one connection after round %d", round), func() bool { return h.Stats().Connections == 1 })
	}
	h.counted(t, TakenOver)
	h.well(t)
	if s := h.Stats(); s.Sessions > 2 {
		t.Errorf("%d sessions", s.Sessions)
	}
}

func TestKeptSessionsAreBounded(t *testing.T) {
	h := start(t, Limits{KeptSessions: 5})
	for i := range 40 {
		version := 4 + byte(i%2)
		r, connack := connect(t, h, connectOptions{version: version, id: fmt.Sprint("kept-", i), keep: true, expiry: 0xffffffff})
		if version == 5 && !bytes.Contains(connack, []byte{0x11, 0, 0}) {
			t.Errorf("CONNACK % x does not bound the expiry", connack)
		}
		if version == 5 { // the client asks once more, on leaving
			r.send(frame(0xe0, []byte{0, 5, 0x11, 0xff, 0xff, 0xff, 0xff}))
		} else {
			r.send([]byte{0xe0, 0})
		}
		r.gone()
		eventually(t, "the end", func() bool { return h.Stats().Connections == 0 })
	}
	h.counted(t, SessionNotKept)
	if s := h.Stats(); s.Sessions > 6 {
		t.Errorf("%d sessions are kept", s.Sessions)
	}
	h.registry.mu.Lock()
	for _, until := range h.registry.kept {
		if left := time.Until(until); left > time.Hour {
			t.Errorf("a session is kept for %v", left)
		}
	}
	h.registry.mu.Unlock()
	h.well(t)
}

func TestAnExpiredSessionLeavesNothing(t *testing.T) {
	t.Parallel() // it waits
	h := start(t, Limits{SessionExpiry: time.Second})
	r, _ := connect(t, h, connectOptions{id: "brief", keep: true})
	r.send(subscribePacket(4, 1, "fleets/f/devices/d/commands/#"))
	r.expect(0x90, 1)
	r.send([]byte{0xe0, 0})
	s := h.sessionOf("brief")
	eventually(t, "expiry", func() bool { return h.Stats().Sessions == 0 })
	eventually(t, "the end of the subscription", func() bool { return !s.wants("fleets/f/devices/d/commands/1") })
}

func TestAHugeConnectOrClientIDIsRefused(t *testing.T) {
	h := start(t, Limits{})
	for _, o := range []connectOptions{
		{version: 4, id: strings.Repeat("x", maxClientIDBytes+1)},
		{version: 4, id: "x", willTopic: "a", will: strings.Repeat("x", maxConnectBytes)},
	} {
		before := h.event(ConnectTooLarge)
		r := dial(t, h)
		r.send(connectPacket(o))
		r.gone()
		eventually(t, "a count", func() bool { return h.event(ConnectTooLarge) > before })
	}
	h.well(t)
}

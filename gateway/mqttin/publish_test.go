package mqttin

import (
	"errors"
	"fmt"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/devices"
)

func TestOnPublishReturnsOnlyTheTwoOutcomesThatMochiObeys(t *testing.T) {
	for qos, want := range map[byte]error{0: packets.CodeSuccessIgnore, 1: packets.ErrRejectPacket, 2: packets.ErrRejectPacket} {
		got := outcome(qos)
		if got != want { //nolint:errorlint // a wrapped code kills mochi: it must be this very value
			t.Errorf("QoS %d: %v", qos, got)
		}
		if (qos == 0) != errors.Is(got, packets.CodeSuccessIgnore) {
			t.Errorf("QoS %d would be acknowledged by mochi", qos)
		}
	}
}

func TestAPubackComesOnlyAfterTheCommit(t *testing.T) {
	for _, version := range []byte{4, 5} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			h := start(t, Limits{})
			release := h.inlet.hold()
			defer release()
			r, _ := connect(t, h, connectOptions{version: version, id: "c"})
			r.publish(topicOne, `{"n":1}`, 1, 10)
			eventually(t, "the append", h.inlet.isWaiting)
			r.ping() // answered, and no PUBACK before it
			release()
			r.expect(0x40, 10)
			if got := h.inlet.metric("n"); len(got) != 1 || got[0] != 1 {
				t.Errorf("readings %v", got)
			}
		})
	}
}

func TestAFailedAppendIsRepeatedUnderItsNumberAndAcksWait(t *testing.T) {
	h := start(t, Limits{})
	h.inlet.failNext(3)
	r, _ := connect(t, h, connectOptions{id: "c"})
	r.publish(topicOne, `{"n":1}`, 1, 10)
	r.expect(0x40, 10)
	h.inlet.mu.Lock()
	failed, kept := h.inlet.failed, h.inlet.appends
	h.inlet.mu.Unlock()
	if len(failed) != 3 || len(kept) != 1 {
		t.Fatalf("%d failed, %d kept", len(failed), len(kept))
	}
	for _, f := range failed {
		if f.Seq != kept[0].Seq || f.Door != kept[0].Door || fmt.Sprint(f.Entries) != fmt.Sprint(kept[0].Entries) {
			t.Errorf("the repeated append differs: %+v and %+v", f, kept[0])
		}
	}
	if kept[0].Door != h.Door() || h.event(AppendFailed) != 3 {
		t.Errorf("door %v, %d failures counted", kept[0].Door, h.event(AppendFailed))
	}
}

// Rejected payloads, unknown topics and messages without a reading take their turn among the rest.
func TestAcksComeInTheOrderOfArrival(t *testing.T) {
	for _, version := range []byte{4, 5} {
		h := start(t, Limits{})
		release := h.inlet.hold()
		defer release()
		r, _ := connect(t, h, connectOptions{version: version, id: "c"})
		var all []byte
		for _, m := range []struct {
			topic, payload string
			qos            byte
		}{
			{topicOne, `{"n":1}`, 1},
			{topicOne, `{"n":`, 1},
			{topicOne, `{"n":2}`, 2},
			{"unknown/topic", `x`, 1},
			{"$SYS/broker", "x", 1},
			{"owntracks/ann/phone/event", `{"_type":"transition"}`, 1},
			{topicOne, `[]`, 2},
			{topicOne, `{"n":3}`, 1},
		} {
			all = append(all, publishPacket(version, m.topic, m.payload, m.qos, uint16(len(all)+1), false)...)
		}
		r.send(all)
		eventually(t, "the first append", h.inlet.isWaiting)
		eventually(t, "all taken", func() bool { return h.Stats().Queued == 8 })
		r.ping()
		release()
		var ids, codes []string
		for range 8 {
			first, body := r.read()
			code := byte(0)
			if len(body) > 2 {
				code = body[2]
			}
			ids = append(ids, fmt.Sprintf("%x:%d", first>>4, uint16(body[0])<<8|uint16(body[1])))
			codes = append(codes, fmt.Sprintf("%02x", code))
		}
		for i := 1; i < len(ids); i++ {
			var a, b int
			_, _ = fmt.Sscanf(ids[i-1][2:], "%d", &a)
			_, _ = fmt.Sscanf(ids[i][2:], "%d", &b)
			if a >= b {
				t.Fatalf("version %d: out of order: %v", version, ids)
			}
		}
		want := "[00 00 00 00 00 00 00 00]"
		if version == 5 {
			want = "[00 99 00 90 90 00 99 00]"
		}
		if fmt.Sprint(codes) != want {
			t.Errorf("version %d: codes %v, want %s", version, codes, want)
		}
		if got := fmt.Sprint(h.inlet.metric("n")); got != "[1 2 3]" {
			t.Errorf("readings %v", got)
		}
		s := h.Stats()
		if s.Rejected[dialect.Truncated] != 1 || s.Rejected[dialect.NotObject] != 1 || s.Rejected[dialect.UnknownTopic] != 2 {
			t.Errorf("rejected %v", s.Rejected)
		}
	}
}

func TestAThousandPipelinedMessagesTakeFewCommits(t *testing.T) {
	h := start(t, Limits{Unacked: 2000})
	release := h.inlet.hold()
	defer release()
	r, _ := connect(t, h, connectOptions{id: "c"})
	var all []byte
	for i := range 1000 {
		all = append(all, publishPacket(4, topicOne, fmt.Sprintf(`{"n":%d}`, i), 1, uint16(i+1), false)...)
	}
	r.send(all)
	eventually(t, "all taken", func() bool { return h.Stats().Queued == 1000 })
	release()
	for i := range 1000 {
		r.expect(0x40, uint16(i+1))
	}
	if n := h.inlet.count(); n > 3 {
		t.Errorf("%d commits", n)
	}
	for i, n := range h.inlet.metric("n") {
		if int(n) != i {
			t.Fatalf("reading %d is %v", i, n)
		}
	}
}

func TestAtTheBoundOfUnackedMessagesTheConnectionIsNotRead(t *testing.T) {
	h := start(t, Limits{Unacked: 4})
	release := h.inlet.hold()
	defer release()
	r, _ := connect(t, h, connectOptions{id: "c"})
	for i := range 10 {
		r.publish(topicOne, fmt.Sprintf(`{"n":%d}`, i), 1, uint16(i+1))
	}
	eventually(t, "the bound", func() bool { return h.Stats().Queued == 4 })
	other, _ := connect(t, h, connectOptions{id: "d"}) // another connection is read all the same
	other.publish("fleets/north/devices/truck-2/telemetry", `{"m":1}`, 1, 1)
	eventually(t, "the other's message", func() bool { return h.Stats().Queued == 5 })
	release()
	for i := range 10 {
		r.expect(0x40, uint16(i+1))
	}
	other.expect(0x40, 1)
	if got := fmt.Sprint(h.inlet.metric("n")); got != "[0 1 2 3 4 5 6 7 8 9]" {
		t.Errorf("readings %v", got)
	}
}

func TestAfterAKeepAliveOfBackPressureTheConnectionEnds(t *testing.T) {
	h := start(t, Limits{Unacked: 1, KeepAliveMin: 1, KeepAliveMax: 1e9})
	release := h.inlet.hold()
	defer release()
	r, _ := connect(t, h, connectOptions{id: "c", keepalive: 1, version: 5})
	r.publish(topicOne, `{"n":1}`, 1, 1)
	r.publish(topicOne, `{"n":2}`, 1, 2)
	if first, body := r.read(); first != 0xe0 || body[0] != packets.ErrServerBusy.Code {
		t.Errorf("got %#x % x", first, body)
	}
	r.gone()
	h.counted(t, BackPressure)
	release()
	h.well(t)
	if got := fmt.Sprint(h.inlet.metric("n")); got != "[1]" {
		t.Errorf("readings %v", got)
	}
}

func TestWhenTheQueueIsFullTheNewestOfQoS0IsKeptAndQoS1Waits(t *testing.T) {
	h := start(t, Limits{QueueMessages: 3})
	release := h.inlet.hold()
	defer release()
	r, _ := connect(t, h, connectOptions{id: "c"})
	r.publish(topicOne, `{"n":0}`, 0, 0)
	eventually(t, "the inlet is asked", h.inlet.isWaiting) // else it may yet take what was kept along
	for i := range 4 {
		r.publish(topicOne, fmt.Sprintf(`{"n":%d}`, i+1), 0, 0)
	}
	eventually(t, "the last is kept", func() bool { return h.event(KeptNewest) == 2 && h.event(KeptReplaced) == 1 })
	r.publish(topicOne, `{"n":5}`, 1, 9)
	r.publish(topicOne, `{"n":6}`, 0, 0)
	release()
	r.expect(0x40, 9)
	eventually(t, "the last", func() bool { return fmt.Sprint(h.inlet.metric("n")) == "[0 1 2 4 5 6]" })
}

func TestTheQueueIsBoundedInBytes(t *testing.T) {
	h := start(t, Limits{QueueBytes: 20})
	release := h.inlet.hold()
	defer release()
	r, _ := connect(t, h, connectOptions{id: "c"})
	r.publish(topicOne, `{"number":1}`, 0, 0)
	eventually(t, "the inlet is asked", h.inlet.isWaiting)
	for i := range 3 { // the first of them is kept as the newest of its device
		r.publish(fmt.Sprintf("fleets/north/devices/van-%d/telemetry", i), `{"number":1}`, 0, 0)
	}
	eventually(t, "drops", func() bool { return h.event(QueueFull) == 2 })
}

func TestPresenceIsToldByConnection(t *testing.T) {
	h := start(t, Limits{})
	r, _ := connect(t, h, connectOptions{id: "gateway"})
	r.publish(topicOne, `{"n":1}`, 1, 1)
	r.expect(0x40, 1)
	r.publish(topicOne, `{"n":2}`, 1, 2)
	r.publish("fleets/north/devices/truck-1/status", `online`, 1, 3)
	r.publish("fleets/south/devices/truck-2/telemetry", `{"n":3}`, 1, 4)
	r.publish("fleets/south/devices/truck-3/telemetry", `no`, 1, 5) // a device that said nothing sensible
	for id := range uint16(4) {
		r.expect(0x40, id+2)
	}
	var got []string
	for _, e := range h.inlet.entries() {
		got = append(got, fmt.Sprintf("%s:%d", e.Device, e.Kind))
	}
	if want := "[truck-1:2 truck-1:1 truck-1:1 truck-1:3 truck-2:2 truck-2:1]"; fmt.Sprint(got) != want {
		t.Errorf("entries %v, want %s", got, want)
	}
	_ = r.Close()
	eventually(t, "both down", func() bool { return len(h.inlet.of(bus.KindConnection, "")) == 4 })
	up := h.inlet.of(bus.KindConnection, "")[0].Connection
	for i, e := range h.inlet.of(bus.KindConnection, "") {
		if e.Connection != (bus.Connection{Door: h.Door(), Conn: up.Conn, Up: i < 2}) {
			t.Errorf("event %d: %+v", i, e.Connection)
		}
	}
	again, _ := connect(t, h, connectOptions{id: "gateway"})
	again.publish(topicOne, `{"n":4}`, 1, 1)
	again.expect(0x40, 1)
	if e := h.inlet.of(bus.KindConnection, "truck-1")[2]; !e.Connection.Up || e.Connection.Conn == up.Conn {
		t.Errorf("the next connection: %+v", e.Connection)
	}
}

func TestADeviceIsTrackedUpToABoundPerConnection(t *testing.T) {
	h := start(t, Limits{DevicesPerConnection: 2})
	r, _ := connect(t, h, connectOptions{id: "gateway"})
	for i := range uint16(5) {
		r.publish(fmt.Sprintf("fleets/f/devices/d%d/telemetry", i), `{}`, 1, i+1)
		r.expect(0x40, i+1)
	}
	_ = r.Close()
	eventually(t, "ends", func() bool { return len(h.inlet.of(bus.KindConnection, "")) == 4 })
	if n := len(h.inlet.of(bus.KindReading, "")); n != 5 || h.event(DeviceNotTracked) != 3 {
		t.Errorf("%d readings, %d not tracked", n, h.event(DeviceNotTracked))
	}
}

func TestAStatusIsAReportAndNotRetained(t *testing.T) {
	h := start(t, Limits{})
	r, _ := connect(t, h, connectOptions{id: "c"})
	packet := publishPacket(4, "fleets/north/devices/truck-1/status", "Offline", 1, 1, false)
	packet[0] |= 1 // the retain flag
	r.send(packet)
	r.expect(0x40, 1)
	e := h.inlet.of(bus.KindStatus, "truck-1")
	if len(e) != 1 || e[0].Status != (bus.StatusReport{Status: devices.Offline}) {
		t.Errorf("%+v", e)
	}
}

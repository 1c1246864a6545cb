package mqttin

import (
	"fmt"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// refuse makes the inlet refuse each append for which f returns an error.
func (f *fakeInlet) refuseWith(refuse func(bus.Append) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = refuse
}

func holdsDevice(a bus.Append, device string) bool {
	for i := range a.Entries {
		if a.Entries[i].Device.String() == device {
			return true
		}
	}
	return false
}

// What the bus will never take must not hold up what it would take, for all devices, for ever.
func TestAPoisonousEntryIsDroppedAndItsCommitIsNot(t *testing.T) {
	for _, kind := range []devices.Kind{devices.Invalid, devices.TooLarge, devices.Conflict} {
		t.Run(kind.String(), func(t *testing.T) {
			h := start(t, Limits{})
			h.inlet.refuseWith(func(a bus.Append) error {
				if holdsDevice(a, "bad") {
					return devices.Errorf(kind, "entry", "is not for this bus")
				}
				return nil
			})
			release := h.inlet.hold()
			five, _ := connect(t, h, connectOptions{id: "five", version: 5})
			old, _ := connect(t, h, connectOptions{id: "old"})
			old.publish("fleets/f/devices/first/telemetry", `{"n":0}`, 1, 1) // so that the rest waits together
			eventually(t, "the first append", h.inlet.isWaiting)
			for i, device := range []string{"good", "bad", "good", "bad", "good"} {
				five.publish("fleets/f/devices/"+device+"/telemetry", fmt.Sprintf(`{"n":%d}`, i+1), 1, uint16(i+1))
			}
			old.publish("fleets/f/devices/bad/telemetry", `{"n":9}`, 1, 2)
			old.publish("fleets/f/devices/good/telemetry", `{"n":6}`, 1, 3)
			eventually(t, "the queue", func() bool { return h.Stats().Queued == 8 })
			release()
			for i := range 5 {
				body := five.expect(0x40, uint16(i+1))
				isBad := i == 1 || i == 3
				if isBad != (len(body) > 2 && body[2] == codeUnspecified) {
					t.Errorf("message %d is answered with % x", i+1, body)
				}
			}
			for id := range uint16(3) { // MQTT 3.1.1 has one answer only
				old.expect(0x40, id+1)
			}
			if got := h.inlet.metric("n"); len(got) != 5 {
				t.Errorf("kept %v", got)
			}
			if h.event(InletRefused) == 0 {
				t.Error("nothing was counted")
			}
			h.well(t)
		})
	}
}

// A refused QoS 2 message ends its exchange in MQTT 5, and completes it in 3.1.1.
func TestAPoisonousQoS2MessageEndsItsExchange(t *testing.T) {
	h := start(t, Limits{})
	h.inlet.refuseWith(func(a bus.Append) error {
		if holdsDevice(a, "bad") {
			return devices.Errorf(devices.Invalid, "entry", "is not for this bus")
		}
		return nil
	})
	five, _ := connect(t, h, connectOptions{id: "five", version: 5})
	for range 2 { // the id is free again
		five.publish("fleets/f/devices/bad/telemetry", `{"n":1}`, 2, 7)
		if body := five.expect(0x50, 7); len(body) < 3 || body[2] != codeUnspecified {
			t.Fatalf("answered with % x", body)
		}
	}
	old, _ := connect(t, h, connectOptions{id: "old"})
	old.publish("fleets/f/devices/bad/telemetry", `{"n":1}`, 2, 7)
	old.expect(0x50, 7)
	old.send([]byte{0x62, 2, 0, 7})
	old.expect(0x70, 7)
}

// A number that the bus has passed is the door's own trouble: no message is to be lost for it.
func TestAPassedNumberCostsNoMessage(t *testing.T) {
	h := start(t, Limits{})
	const passed = 5000
	h.inlet.refuseWith(func(a bus.Append) error {
		if a.Seq < passed {
			return &devices.Error{Kind: devices.Conflict, Field: "seq", Detail: "is out of order"}
		}
		return nil
	})
	r, _ := connect(t, h, connectOptions{id: "d", version: 5})
	for i := range 3 {
		r.publish(topicOne, fmt.Sprintf(`{"n":%d}`, i), 1, uint16(i+1))
		if body := r.expect(0x40, uint16(i+1)); len(body) > 2 {
			t.Fatalf("answered with % x", body)
		}
	}
	if got := fmt.Sprint(h.inlet.metric("n")); got != "[0 1 2]" {
		t.Errorf("kept %s", got)
	}
}

func TestInAnOutageQoS0IsKeptAsTheNewestOfEachDevice(t *testing.T) {
	for _, c := range []struct {
		name   string
		room   int // in the queue
		outage func(*harness) (end func())
	}{
		{"the inlet refuses", 1000, func(h *harness) func() {
			h.inlet.failNext(1 << 30)
			return func() { h.inlet.failNext(0) }
		}},
		{"the queue is full", 1, func(h *harness) func() { return h.inlet.hold() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := start(t, Limits{QueueMessages: c.room, KeptNewest: 3, KeepAliveMin: time.Minute})
			end := c.outage(h)
			r, _ := connect(t, h, connectOptions{id: "g"})
			say := func(device string, n int) {
				r.publish("fleets/f/devices/"+device+"/telemetry", fmt.Sprintf(`{"n":%d}`, n), 0, 0)
			}
			say("first", 0)
			eventually(t, "the outage", func() bool { return h.inlet.isWaiting() && c.room == 1 || h.committer.ready(time.Hour) != nil })
			for n := range 5 {
				say("a", 10+n)
			}
			say("b", 20)
			r.publish("fleets/f/devices/b/status", "offline", 0, 0)
			say("b", 21)
			say("c", 30) // no room: the first was b's reading, then its status
			r.ping()
			s := h.Stats()
			if s.Events[KeptNewest] != 8 || s.Events[KeptReplaced] != 5 || s.Events[QueueFull] != 1 {
				t.Errorf("kept %d, replaced %d, dropped %d", s.Events[KeptNewest], s.Events[KeptReplaced], s.Events[QueueFull])
			}
			end()
			eventually(t, "the kept ones", func() bool { return len(h.inlet.metric("n")) == 3 })
			if got := fmt.Sprint(h.inlet.metric("n")); got != "[0 14 21]" {
				t.Errorf("in the inlet: %s", got)
			}
			if got := h.inlet.of(bus.KindStatus, "b"); len(got) != 1 {
				t.Errorf("status %v", got)
			}
			h.well(t)
		})
	}
}

func TestMembersThatWereLeftOutAreCounted(t *testing.T) {
	h := start(t, Limits{})
	r, _ := connect(t, h, connectOptions{id: "d"})
	r.publish(topicOne, `{"lat":"north","lon":2,"fuel":1}`, 1, 1)
	r.expect(0x40, 1)
	if n := h.Stats().Dropped; n == 0 {
		t.Error("nothing was counted")
	}
}

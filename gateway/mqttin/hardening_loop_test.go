package mqttin

import (
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// Row 29: what we sent to a device comes back, over a bridge that forwards everything or from an external broker.
func TestWhatWeSentIsNotTakenWhenItComesBack(t *testing.T) {
	t.Parallel()
	for _, route := range []bool{false, true} {
		h := guarded(t, Options{Route: route}, newFakeAuth(aDevice("truck-1", "north"), aClient("bridge", []string{"#"}, []string{"#"})))
		device, _ := connect(t, h, as("truck-1"))
		device.subscribe("fleets/north/devices/truck-1/commands/#", 1, 0)
		bridge, _ := connect(t, h, as("bridge"))
		bridge.subscribe("fleets/+/devices/+/commands/#", 1, 0)
		if _, err := h.Send(&Command{Topic: commandTopic, Payload: []byte("go")}, func() {}); err != nil {
			t.Fatal(err)
		}
		device.hears("go")
		m := bridge.message()
		if m.user != downlinkKey+"="+downlinkValue+";" {
			t.Fatalf("it has no mark: %+v", m)
		}
		mark := append(append([]byte{propUser}, str(downlinkKey)...), str(downlinkValue)...)
		for qos := range byte(3) { // and what is on a topic of telemetry is not a reading
			bridge.say(m.topic, m.payload, qos, false, mark...)
			bridge.say("fleets/north/devices/truck-1/telemetry", `{"n":1}`, qos, true, mark...)
		}
		device.say("fleets/north/devices/truck-1/replies/7", `{"status":"done"}`, 1, false, mark...) // an answer is the device's word
		device.ping()
		bridge.ping()
		if n := h.event(Looped); n != 6 || len(h.inlet.of(bus.KindReading, "truck-1")) != 0 || h.Stats().Retained != 0 {
			t.Errorf("%d came back, readings %v", n, h.inlet.of(bus.KindReading, "truck-1"))
		}
		h.well(t)
	}
}

func TestWhatWeSentIsNotTakenFromAnExternalBroker(t *testing.T) {
	t.Parallel()
	u, err := NewUpstream(UpstreamOptions{URLs: []string{"mqtt://127.0.0.1:1"}, ClientID: "door", Inlet: new(fakeInlet)})
	if err != nil {
		t.Fatal(err)
	}
	l := &link{upstream: u, conn: &upstreamConn{}}
	u.receive(l, &paho.Publish{
		Topic: topicOne, Payload: []byte(`{"n":1}`),
		Properties: &paho.PublishProperties{User: paho.UserProperties{{Key: downlinkKey, Value: downlinkValue}}},
	})
	if n, _ := u.committer.gauges(); n != 0 || u.Stats().Events[Looped] != 1 {
		t.Errorf("%d are taken", n)
	}
	u.receive(l, &paho.Publish{Topic: topicOne, Payload: []byte(`{"n":1}`)})
	if n, _ := u.committer.gauges(); n != 1 {
		t.Errorf("%d of a device are taken", n)
	}
}

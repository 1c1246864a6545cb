package mqttin

import (
	"bytes"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

const commandTopic = "fleets/north/devices/truck-1/commands/7"

// command reads the next PUBLISH and returns its packet id.
func (r *raw) command(topic, payload string) uint16 {
	r.t.Helper()
	first, body := r.read()
	if first&0xf0 != 0x30 || !bytes.HasPrefix(body, str(topic)) || !bytes.HasSuffix(body, []byte(payload)) {
		r.t.Fatalf("got %#x % x", first, body)
	}
	if first&0x06 == 0 {
		return 0
	}
	at := 2 + len(topic)
	return uint16(body[at])<<8 | uint16(body[at+1])
}

func (r *raw) ack(id uint16) { r.send([]byte{0x40, 2, byte(id >> 8), byte(id)}) }

func TestACommandIsSentToWhoListensAndItsAcknowledgementIsHeard(t *testing.T) {
	var heard atomic.Value
	h := guarded(t, Options{Listening: func(filter string) { heard.Store(filter) }}, newFakeAuth(aDevice("truck-1", "north"), aGateway("lora", "north"), aDevice("truck-2", "north")))
	c := &Command{Topic: commandTopic, Payload: []byte("go"), ResponseTopic: "fleets/north/devices/truck-1/replies/7", CorrelationData: []byte("7"), Expires: time.Now().Add(time.Minute)}
	if _, err := h.Send(c, func() {}); devices.KindOf(err) != devices.NotFound {
		t.Errorf("nobody is there: %v", err)
	}
	for _, version := range []byte{4, 5} {
		o := as("truck-1")
		o.version, o.id = version, "truck-1"
		r, _ := connect(t, h, o)
		r.send(subscribePacket(version, 1, "fleets/north/devices/truck-1/commands/#"))
		if body := r.expect(0x90, 1); body[len(body)-1] != 1 {
			t.Errorf("SUBACK % x", body)
		}
		eventually(t, "the word that it listens", func() bool { return heard.Load() != nil })
		var acked atomic.Int64
		if n, err := h.Send(c, func() { acked.Add(1) }); n.Clients != 1 || err != nil {
			t.Fatalf("%v clients: %v", n, err)
		}
		id := r.command(commandTopic, "go")
		// The client's own message with the same id is another matter (mochi #519), and so is a SUBSCRIBE.
		r.publish("fleets/north/devices/truck-1/telemetry", `{}`, 1, id)
		r.expect(0x40, id)
		r.send(subscribePacket(version, id, "fleets/north/devices/truck-1/commands/+"))
		r.expect(0x90, id)
		if acked.Load() != 0 {
			t.Error("acknowledged by nobody")
		}
		r.ack(id)
		eventually(t, "the acknowledgement", func() bool { return acked.Load() == 1 })
		r.ack(id)
		r.ping()
		if acked.Load() != 1 {
			t.Error("acknowledged twice")
		}
	}
	h.well(t)
}

func TestCommandsToAClientThatDoesNotAcknowledgeAreBounded(t *testing.T) {
	h := guarded(t, Options{}, newFakeAuth(aDevice("truck-1", "north")))
	r, _ := connect(t, h, as("truck-1"))
	r.send(subscribePacket(5, 1, "fleets/north/devices/truck-1/commands/#"))
	r.expect(0x90, 1)
	for range maxCommandsAway {
		if _, err := h.Send(&Command{Topic: commandTopic}, func() {}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.Send(&Command{Topic: commandTopic}, func() {}); devices.KindOf(err) != devices.Exhausted {
		t.Errorf("one more: %v", err)
	}
	h.counted(t, CommandUnsent)
	r.ack(r.command(commandTopic, ""))
	eventually(t, "room", func() bool { _, err := h.Send(&Command{Topic: commandTopic}, func() {}); return err == nil })
	if _, err := h.Send(&Command{Topic: commandTopic, Expires: time.Now().Add(-time.Second)}, func() {}); devices.KindOf(err) != devices.Invalid {
		t.Errorf("an expired one: %v", err)
	}
	h.well(t)
}

func TestACommandReachesGatewaysAndIsShownToWhoWatches(t *testing.T) {
	h := guarded(t, Options{Route: true}, newFakeAuth(aGateway("lora", "north"), aGateway("south", "south"), aClient("log", nil, []string{"fleets/north/#"})))
	gateway, _ := connect(t, h, as("lora"))
	gateway.send(subscribePacket(5, 1, "fleets/north/devices/+/commands/#"))
	gateway.expect(0x90, 1)
	other, _ := connect(t, h, as("south"))
	other.send(subscribePacket(5, 1, "fleets/south/devices/+/commands/#"))
	other.expect(0x90, 1)
	watching, _ := connect(t, h, as("log"))
	watching.send(subscribePacket(5, 1, "fleets/north/#"))
	watching.expect(0x90, 1)
	acked := make(chan struct{})
	if n, err := h.Send(&Command{Topic: commandTopic, Payload: []byte("go")}, func() { close(acked) }); n.Clients != 1 || err != nil {
		t.Fatalf("%v clients: %v", n, err)
	}
	if id := watching.command(commandTopic, "go"); id != 0 {
		t.Error("who watches is asked to acknowledge")
	}
	gateway.ack(gateway.command(commandTopic, "go"))
	<-acked
	other.ping()
}

func TestASessionThatComesBackListensAgain(t *testing.T) {
	var heard atomic.Int64
	h := guarded(t, Options{Listening: func(string) { heard.Add(1) }}, newFakeAuth(aDevice("truck-1", "north")))
	o := as("truck-1")
	o.keep, o.expiry = true, 600
	r, _ := connect(t, h, o)
	r.send(subscribePacket(5, 1, "fleets/north/devices/truck-1/commands/#"))
	r.expect(0x90, 1)
	_ = r.Close()
	eventually(t, "the end", func() bool { return h.Stats().Connections == 0 })
	if _, err := h.Send(&Command{Topic: commandTopic}, func() {}); devices.KindOf(err) != devices.NotFound {
		t.Errorf("to a session that is away: %v", err)
	}
	r, connack := connect(t, h, o)
	if connack[0] != 1 {
		t.Fatal("the session is gone")
	}
	eventually(t, "the word that it listens", func() bool { return heard.Load() == 2 })
	if _, err := h.Send(&Command{Topic: commandTopic}, func() {}); err != nil {
		t.Error(err)
	}
	r.command(commandTopic, "")
}

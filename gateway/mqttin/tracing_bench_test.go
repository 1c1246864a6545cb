package mqttin

import (
	"math"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fleetcast/fleetcast/devices/trace"
)

// forgetful keeps no span: what is measured is the door's own part of tracing.
type forgetful struct{}

func (forgetful) Start(string, trace.Kind, *trace.Context, time.Time, []trace.Attr) trace.Ongoing {
	return forgetful{}
}

func (forgetful) Context() trace.Context {
	return trace.Context{TraceID: [16]byte{1}, SpanID: [8]byte{1}, Flags: 1}
}

func (forgetful) End(time.Time, string, []trace.Attr) {}

// tracing traces whatever asks for it.
func tracing() *trace.Tracer {
	return trace.New(trace.Options{Backend: forgetful{}, PerSecond: math.MaxInt})
}

// tracedPacket is a message of a device that would go on with a trace.
func tracedPacket() packets.Packet {
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, ProtocolVersion: 5, TopicName: topicOne, Payload: []byte(document), PacketID: 1,
	}
	pk.Properties.User = []packets.UserProperty{{Key: trace.ParentKey, Val: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}
	return pk
}

// While tracing is off, a message that asks to be traced allocates what one that does not ask does.
func TestAMessageThatAsksToBeTracedCostsNothingWhileTracingIsOff(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	cost := func(pk packets.Packet, tracer *trace.Tracer) float64 {
		b, cl, h := unservedTraced(t, tracer)
		run := func() {
			_, _ = h.OnPublish(cl, pk) // its outcome is told by an error
			b.committer.forget()
		}
		run()
		return testing.AllocsPerRun(200, run)
	}
	plain := tracedPacket()
	plain.Properties.User = nil
	off, asks := cost(plain, nil), cost(tracedPacket(), nil)
	if off != asks {
		t.Errorf("off: %v allocations, %v of a message that asks to be traced", off, asks)
	}
	if on := cost(tracedPacket(), tracing()); on <= off {
		t.Errorf("with tracing on %v allocations, off %v: the test does not see them", on, off)
	}
}

// BenchmarkHookTraced is BenchmarkHook at QoS 1 with tracing off, with it on and nobody who asks, and with every message traced.
func BenchmarkHookTraced(b *testing.B) {
	plain := tracedPacket()
	plain.Properties.User = nil
	for _, c := range []struct {
		name   string
		packet packets.Packet
		tracer *trace.Tracer
	}{
		{"off", plain, nil},
		{"off,asked", tracedPacket(), nil},
		{"on,unasked", plain, tracing()},
		{"on,asked", tracedPacket(), tracing()},
	} {
		b.Run(c.name, func(b *testing.B) {
			broker, cl, h := unservedTraced(b, c.tracer)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				_, _ = h.OnPublish(cl, c.packet)
				if n++; n%128 == 0 {
					broker.committer.forget()
				}
			}
		})
	}
}

package mqttin

import (
	"bufio"
	"context"
	"io"
	"net"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/devices/trace"
)

const document = `{"at":1795353543237,"lat":48.858331,"lon":2.295131,"altitude":167.5,"speed":16.94,"heading":271.2,"accuracy":4.5,` +
	`"battery":67,"fuel":41.5,"odometer":182734.2,"engine":{"rpm":1850,"temp":88.5,"on":true},"state":"moving"}`

// sink is an inlet that forgets.
type sink struct{}

func (sink) Partitions() int                          { return 1 }
func (sink) Append(context.Context, bus.Append) error { return nil }

// unserved is a broker with one session and no goroutines: what the hook does is all that happens.
func unserved(t testing.TB) (*Broker, *mqtt.Client, *hook) {
	t.Helper()
	return unservedTraced(t, nil)
}

func unservedTraced(t testing.TB, tracer *trace.Tracer) (*Broker, *mqtt.Client, *hook) {
	t.Helper()
	b, err := New(Options{Inlet: sink{}, Listen: "127.0.0.1:0", Tracer: tracer})
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	c := &conn{Conn: ours, raw: ours, counters: b.counters}
	cl := b.server.NewClient(c, listenerName, "c", false)
	c.session = b.newSession(c, cl, anonymous)
	return b, cl, &hook{broker: b}
}

// forget empties the queue as a commit does.
func (c *committer) forget() {
	c.swap()
	for _, t := range c.flying.tickets {
		c.settle(t.origin, 1)
	}
	c.swap()
}

// A message costs its reading and its metrics, which the inlet keeps, and nothing else.
func TestTakingAMessageAllocatesItsReadingAndItsMetrics(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for qos := range byte(2) {
		b, cl, h := unserved(t)
		pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos}, TopicName: topicOne, Payload: []byte(document), PacketID: uint16(qos)}
		run := func() {
			if _, err := h.OnPublish(cl, pk); err == nil {
				t.Fatal("no outcome")
			}
			b.committer.forget()
		}
		run()
		if n := testing.AllocsPerRun(200, run); n > 2 {
			t.Errorf("QoS %d: %v allocations", qos, n)
		}
		if b.Stats().Messages[dialect.Position] < 200 {
			t.Error("nothing was decoded")
		}
	}
}

func BenchmarkHook(b *testing.B) {
	for _, c := range []struct {
		name string
		qos  byte
	}{{"QoS0", 0}, {"QoS1", 1}} {
		b.Run(c.name, func(b *testing.B) {
			broker, cl, h := unserved(b)
			pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: c.qos}, TopicName: topicOne, Payload: []byte(document), PacketID: uint16(c.qos)}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				_, _ = h.OnPublish(cl, pk)
				if n++; n%128 == 0 {
					broker.committer.forget()
				}
			}
		})
	}
}

// BenchmarkWire is one connection over TCP with a window of messages, the inlet costing nothing. Allocations include
// mochi's parser.
func BenchmarkWire(b *testing.B) {
	for _, c := range []struct {
		name string
		qos  byte
	}{{"QoS0", 0}, {"QoS1", 1}} {
		b.Run(c.name, func(b *testing.B) {
			broker, err := New(Options{Inlet: sink{}, Listen: "127.0.0.1:0"})
			if err != nil {
				b.Fatal(err)
			}
			if err := broker.Listen(); err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- broker.Run(ctx) }()
			r, _ := connect(b, &harness{Broker: broker}, connectOptions{id: "bench"})
			const window = 100
			var packet []byte
			for i := range window {
				packet = append(packet, publishPacket(4, topicOne, document, c.qos, uint16(i+1)*uint16(c.qos), false)...)
			}
			acks := bufio.NewReader(r)
			b.ReportAllocs()
			b.ResetTimer()
			for sent := 0; sent < b.N; sent += window {
				r.send(packet)
				if c.qos == 0 {
					r.send([]byte{0xc0, 0})
				}
				want := 4 * window
				if c.qos == 0 {
					want = 2
				}
				if _, err := io.CopyN(io.Discard, acks, int64(want)); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			cancel()
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		})
	}
}

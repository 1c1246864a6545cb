package mqttin

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// Packets are read ahead of mochi, some by us and some by it: where they are cut on their way must not matter.
func TestAStreamMeansTheSameInPiecesOfAnySize(t *testing.T) {
	h := start(t, Limits{})
	for _, size := range []int{1, 2, 3, 7, 64, 100_000} {
		id := fmt.Sprintf("cut-%d", size)
		topic := "fleets/north/devices/" + id + "/telemetry"
		stream := connectPacket(connectOptions{version: 4, id: id, keepalive: 60})
		stream = append(stream, publishPacket(4, topic, `{"n":1}`, 1, 1, false)...)
		stream = append(stream, 0xc0, 0)
		stream = append(stream, publishPacket(4, topic, `{"n":2}`, 0, 0, false)...)
		stream = append(stream, publishPacket(4, topic, `{"n":3,"pad":"`+string(bytes.Repeat([]byte("x"), 3000))+`"}`, 1, 2, false)...)
		stream = append(stream, publishPacket(4, topic, `{"n":4}`, 2, 3, false)...)
		stream = append(stream, 0x62, 2, 0, 3)
		stream = append(stream, publishPacket(4, topic, `{"n":5}`, 1, 4, false)...)
		r := dial(t, h)
		for rest := stream; len(rest) > 0; {
			n := min(size, len(rest))
			r.send(rest[:n])
			rest = rest[n:]
		}
		got := map[byte]int{}
		for got[0x70] == 0 || got[0x40] < 3 {
			first, _ := r.read()
			got[first]++
		}
		if got[0x20] != 1 || got[0xd0] != 1 || got[0x40] != 3 || got[0x50] != 1 || got[0x70] != 1 {
			t.Errorf("in pieces of %d: %v", size, got)
		}
		if n := len(h.inlet.of(bus.KindReading, id)); n != 5 {
			t.Errorf("in pieces of %d: %d readings", size, n)
		}
		_ = r.Close()
	}
}

// A connection is a stack above all. mochi's own way to read a PUBLISH needs 16 KiB of it.
func TestAMessageNeedsASmallStack(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's stacks are larger; without it the test runs")
	}
	const connections, most = 300, 6 << 10
	h := start(t, Limits{PerAddress: connections + 10, UnidentifiedPerAddress: connections})
	stacks := func() uint64 {
		var m runtime.MemStats
		for range 3 { // each halves what is too large
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return m.StackInuse
	}
	before := stacks()
	var all []*raw
	for i := range connections {
		r, _ := connect(t, h, connectOptions{id: fmt.Sprintf("small-%d", i)})
		all = append(all, r)
	}
	stacks() // what greeting needed is given back
	for i, r := range all {
		r.publish(fmt.Sprintf("fleets/north/devices/small-%d/telemetry", i), `{"lat":48.85,"lon":2.29,"speed":3,"fuel":41.5}`, 1, 1)
		r.expect(0x40, 1)
		r.ping()
		r.send(subscribePacket(4, 1, fmt.Sprintf("fleets/north/devices/small-%d/commands/+", i)))
		r.read()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m) // as they are after a message, before a collection could shrink them
	if each := (int64(m.StackInuse) - int64(before)) / connections; each > most {
		t.Errorf("%d bytes of stack a connection after a message, want at most %d", each, most)
	}
}

func TestALengthWithoutEndIsMalformed(t *testing.T) {
	h := start(t, Limits{FirstPacket: time.Minute})
	r, _ := connect(t, h, connectOptions{id: "endless"})
	r.send([]byte{0x30, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80})
	r.gone()
	h.counted(t, Malformed)
	h.well(t)
}

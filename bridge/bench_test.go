package bridge

import (
	"fmt"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// crowd is a rig with n devices and one reading of each, as trackers send them.
func crowd(b *testing.B, n int) (*rig, []bus.Entry) {
	b.Helper()
	r := newRig(b)
	r.opts.MaxDevices = n
	entries := make([]bus.Entry, n)
	for i := range entries {
		entries[i] = *r.entry(bus.Entry{
			Kind: bus.KindReading, Device: deviceID(b, fmt.Sprintf("truck-%d", i)),
			Reading: &devices.Reading{
				At: noon, Measures: devices.Measures{
					Has: allFields, Lat: 48.85833, Lon: 2.29513, Altitude: 167, Speed: 16.9, Heading: 271, Accuracy: 5, Battery: 67,
				},
				Metrics: numbers("fuel", 41.5, "ignition", true),
			},
		})
		r.apply(&entries[i], 0)
	}
	r.makeFlush(noon)
	r.committed()
	return r, entries
}

// again makes an entry the next message of its device.
func again(r *rig, e *bus.Entry) {
	r.id++
	e.ID, e.Time = r.id, e.Time+second
	e.Reading.At = e.Time
	e.Reading.Lat += 0.00001
	e.Reading.Metrics[0].Value.Num += 0.125
}

func BenchmarkApplyReading(b *testing.B) {
	r, entries := crowd(b, 1000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e := &entries[i%len(entries)]
		again(r, e)
		r.apply(e, 0)
		if i%len(entries) == 0 {
			r.closed = r.closed[:0] // a flush takes the closed blocks of trails
		}
	}
}

func BenchmarkFlush1000(b *testing.B) {
	r, entries := crowd(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for i := range entries {
			again(r, &entries[i])
			r.apply(&entries[i], 0)
		}
		b.StartTimer()
		if f := r.makeFlush(noon); len(f.Changes) != len(entries) {
			b.Fatalf("%d changes", len(f.Changes))
		}
		r.committed()
	}
}

func BenchmarkLoad1000(b *testing.B) {
	r, entries := crowd(b, 1000)
	for i := range entries {
		again(r, &entries[i])
		r.apply(&entries[i], 0)
	}
	s := newStore()
	s.flush(r)
	b.ReportAllocs()
	for b.Loop() {
		s.owner(b)
	}
}

// BenchmarkSweepStep is what a step of looking at 100,000 devices costs, a tenth of them.
func BenchmarkSweepStep(b *testing.B) {
	r := newRig(b)
	r.opts.MaxDevices = 100_000
	r.opts.Registry = newFakeRegistry()
	for i := range 100_000 {
		r.apply(r.entry(bus.Entry{
			Kind: bus.KindConnection, Device: deviceID(b, fmt.Sprint("d", i)), Connection: bus.Connection{Door: 1, Conn: uint64(i), Up: true},
		}), 0)
	}
	doors := &doorsNow{generation: 1, hears: map[bus.DoorID]bool{1: true}}
	b.ReportAllocs()
	for b.Loop() {
		r.sweep(noon+hour, noon, 0, doors)
	}
}

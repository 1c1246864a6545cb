package hub

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// benchDevices is the fleet of the benchmarks; its frames have the size of an asset with some metrics.
const benchDevices = 10_000

// benchHub is a hub that does not run: the benchmark plays the follower and the ticker.
type benchHub struct {
	*Hub
	world *world
	next  int
	dirty []*view
}

func newBenchHub(b *testing.B, fleets int) *benchHub {
	b.Helper()
	w := newWorld(b, 1)
	for i := range benchDevices {
		w.where[dev(i)] = [2]float64{float64(i*7919%16000)/100 - 80, float64(i*104729%36000)/100 - 180}
		w.set(fmt.Sprintf("fleet-%d", i%fleets), dev(i), 120)
	}
	w.flush()
	h, err := New(Options{Bus: w, Partitions: 1, MaxViewers: 1 << 20, MaxViews: 1 << 20})
	if err != nil {
		b.Fatal(err)
	}
	mustLoad(b, h.tables[0], w.partitions[0].snapshot())
	return &benchHub{Hub: h, world: w}
}

// batches are batches of changed devices each, which take turns, to be given their offsets when they are applied.
func (h *benchHub) batches(changed int) []*bus.Batch {
	var out []*bus.Batch
	state := h.world.partitions[0].state
	all := make([]bus.Change, 0, len(state))
	for i := range benchDevices {
		d := deviceID(h.world.tb, dev(i))
		all = append(all, state[[2]string{h.world.fleetOf[d].String(), d.String()}].Change)
	}
	for len(all) >= changed && changed > 0 {
		out = append(out, &bus.Batch{Changes: all[:changed]})
		all = all[changed:]
	}
	return out
}

func (h *benchHub) apply(b *testing.B, batches []*bus.Batch) {
	b.Helper()
	batch := batches[h.next%len(batches)]
	h.next++
	batch.Position = h.tables[0].position
	batch.Position.Offset++
	var err error
	if h.dirty, err = h.tables[0].apply(batch, h.dirty[:0]); err != nil {
		b.Fatal(err)
	}
}

func (h *benchHub) tickAll() {
	for _, v := range h.dirty {
		v.due = time.Time{}
	}
	h.tickDue(h.dirty, time.Now())
}

// viewers are up to date.
func (h *benchHub) viewers(b *testing.B, n int, query func(i int) Query) []*Viewer {
	b.Helper()
	var out []*Viewer
	for i := range n {
		v, err := h.Attach(query(i), lineFormat{}, "")
		if err != nil {
			b.Fatal(err)
		}
		drainAll(v)
		out = append(out, v)
	}
	return out
}

func drainAll(v *Viewer) (bytes int) {
	for p := v.poll(); p != nil; p = v.poll() {
		bytes += len(p)
	}
	return bytes
}

func all(int) Query { return Query{} }

func BenchmarkApply1000Changes(b *testing.B) {
	h := newBenchHub(b, 1)
	batches := h.batches(1000)
	b.ReportAllocs()
	for b.Loop() {
		h.apply(b, batches)
	}
}

// BenchmarkTick is a batch and the tick of one view that reads everything.
func BenchmarkTick(b *testing.B) {
	for _, fleets := range []int{1, benchDevices} {
		for _, changed := range []int{1, 100, 1000} {
			b.Run(fmt.Sprintf("fleets=%d/changed=%d", fleets, changed), func(b *testing.B) {
				h := newBenchHub(b, fleets)
				h.viewers(b, 1, all)
				batches := h.batches(changed)
				b.ReportAllocs()
				for b.Loop() {
					h.apply(b, batches)
					h.tickAll()
				}
			})
		}
	}
}

// BenchmarkDeliver is a tick of 100 changes to 1,000 viewers of one view; with one viewer it is what the tick costs.
func BenchmarkDeliver(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("viewers=%d", n), func(b *testing.B) {
			h := newBenchHub(b, 1)
			viewers := h.viewers(b, n, all)
			batches := h.batches(100)
			b.ReportAllocs()
			for b.Loop() {
				h.apply(b, batches)
				h.tickAll()
				for _, v := range viewers {
					<-v.wake
					if v.poll() == nil {
						b.Fatal("nothing delivered")
					}
				}
			}
		})
	}
}

// BenchmarkSnapshot is a whole snapshot of 10,000 devices, for the first viewer and for those who share its slices.
func BenchmarkSnapshot(b *testing.B) {
	h := newBenchHub(b, 1)
	keep := h.viewers(b, 1, all)
	defer keep[0].Close()
	run := func(b *testing.B, before func()) {
		b.Helper()
		b.ReportAllocs()
		for b.Loop() {
			before()
			v, err := h.Attach(Query{}, lineFormat{}, "")
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(drainAll(v)))
			v.Close()
		}
	}
	b.Run("made", func(b *testing.B) {
		run(b, func() { keep[0].view.slices.expire(time.Now().Add(time.Hour)) })
	})
	b.Run("shared", func(b *testing.B) { run(b, func() {}) })
}

// BenchmarkDeviceLists is a batch, and the ticks of 1,000 views that each name other 1,000 of 10,000 devices.
func BenchmarkDeviceLists(b *testing.B) {
	for _, changed := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("changed=%d", changed), func(b *testing.B) {
			h := newBenchHub(b, 1)
			h.lists(b)
			batches := h.batches(changed)
			b.ReportAllocs()
			for b.Loop() {
				h.apply(b, batches)
				h.tickAll()
			}
		})
	}
}

// BenchmarkHeartbeat is the heartbeat of 1,000 views that each name 1,000 devices, while others changed.
func BenchmarkHeartbeat(b *testing.B) {
	h := newBenchHub(b, 1)
	h.lists(b)
	batches := h.batches(1)
	b.ReportAllocs()
	for b.Loop() {
		h.apply(b, batches)
		h.tickAll()
		h.beat(uint64(h.next))
	}
}

// lists attaches 1,000 viewers, each with its own list.
func (h *benchHub) lists(b *testing.B) {
	b.Helper()
	rnd := newRand(1)
	ids := make([]devices.DeviceID, benchDevices)
	for i := range ids {
		ids[i] = deviceID(b, dev(i))
	}
	h.viewers(b, 1000, func(int) Query {
		list := make([]devices.DeviceID, 1000)
		for i := range list {
			list[i] = ids[rnd.IntN(len(ids))]
		}
		return Query{Devices: list}
	})
}

// BenchmarkFilters is a batch, and the ticks of 1,000 views that each read something else of 10,000 devices: what is
// delivered is the measure, so it is reported.
func BenchmarkFilters(b *testing.B) {
	for name, query := range map[string]func(b *testing.B, i int) Query{
		"one fleet of 1000": func(b *testing.B, i int) Query {
			b.Helper()
			return Query{Fleets: []devices.FleetID{fleetID(b, fmt.Sprintf("fleet-%d", i))}}
		},
		"ten devices": func(b *testing.B, i int) Query {
			b.Helper()
			var q Query
			for n := range 10 {
				q.Devices = append(q.Devices, deviceID(b, dev((i*10+n*977)%benchDevices)))
			}
			return q
		},
		"a box": func(b *testing.B, i int) Query { // a square of ten degrees with about twenty devices
			b.Helper()
			return Query{BBox: bbox(b, fmt.Sprintf("%d,%d,%d,%d", i%35*10-180, i/35%16*10-80, i%35*10-170, i/35%16*10-70)), Every: time.Duration(100+i) * time.Millisecond}
		},
	} {
		for _, changed := range []int{100, 1000} {
			b.Run(fmt.Sprintf("%s/changed=%d", name, changed), func(b *testing.B) {
				h := newBenchHub(b, 1000)
				viewers := h.viewers(b, 1000, func(i int) Query { return query(b, i) })
				batches := h.batches(changed)
				b.ReportAllocs()
				delivered := 0
				for b.Loop() {
					h.apply(b, batches)
					h.tickAll()
					for _, v := range viewers {
						for p := v.poll(); p != nil; p = v.poll() {
							delivered += bytes.Count(p, []byte("\nA ")) + 1
						}
					}
				}
				b.ReportMetric(float64(delivered)/float64(b.N), "assets/op")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(max(delivered, 1)), "ns/asset")
			})
		}
	}
}

// BenchmarkComeBack is one of a crowd that comes back to 10,000 devices of which 3,000 changed meanwhile: away for the same
// time as the others, or each for a time of its own.
func BenchmarkComeBack(b *testing.B) {
	for name, spread := range map[string]uint64{"one gap": 1, "many gaps": 200} {
		b.Run(name, func(b *testing.B) {
			h := newBenchHub(b, 1)
			keep := h.viewers(b, 1, all)
			batches := h.batches(10)
			for range 300 {
				h.apply(b, batches)
				h.tickAll()
				keep[0].poll()
			}
			at := keep[0].at.at[0]
			b.ReportAllocs()
			n := uint64(0)
			for b.Loop() {
				at := at
				at.Offset -= 250 - n%spread
				n++
				m := newMark([]markPart{{at: at}}, cursor{}, keep[0].view.filter)
				v, err := h.Attach(Query{}, lineFormat{}, m.text)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(drainAll(v)))
				v.Close()
			}
			s := h.Stats()
			b.ReportMetric(float64(s.Slices)/float64(s.Slices+s.SharedSlices), "made/slice")
		})
	}
}

// BenchmarkList is a page of a hundred of 10,000 assets.
func BenchmarkList(b *testing.B) {
	h := newBenchHub(b, 10)
	b.ReportAllocs()
	for b.Loop() {
		if frames, next := h.Assets(ListQuery{After: "dev-5", Limit: 100}); len(frames) != 100 || next == "" {
			b.Fatal(len(frames), next)
		}
	}
}

package hub

import (
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices/latency"
)

// Stats is what the hub counts, for metrics.
type Stats struct {
	Viewers, Views, Assets         int
	Batches, Changes, Snapshots    uint64 // from the bus
	Ticks                          uint64 // of views
	Slices, SharedSlices           uint64 // made, and given again to other viewers
	SliceBytes                     int64  // kept now, to be given again
	Queued                         uint64 // viewers that waited for their turn to begin
	Moves                          uint64 // views that viewers were asked to go to
	Conflated                      uint64 // times that a viewer fell behind, and gets what it missed as one newest value of each device
	WatchFailures                  uint64
	RefusedViewers, RefusedFilters uint64
	Resets                         map[string]uint64 // by reason
	// Bus is how old what was published was when it came here, by fleet, by the clocks of the owner and of this process.
	Bus map[string]latency.Snapshot
	// Offsets are how far each partition has come here.
	Offsets []uint64
}

type stats struct {
	batches, changes, snapshots, ticks, slices, shared, moves, conflated, queued, watchFailures, refusedViewers, refusedViews atomic.Uint64

	resets [len(resetReasons)]atomic.Uint64
	bus    latency.ByFleet
}

var resetReasons = [...]reason{resetEpoch, resetExpired, resetFilter, resetAhead}

func (s *stats) reset(why reason) {
	for i, r := range resetReasons {
		if r == why {
			s.resets[i].Add(1)
		}
	}
}

// came counts how old a batch is, once for each asset in it.
func (s *stats) came(b *bus.Batch) {
	age := time.Since(time.UnixMilli(b.Time))
	for i := 0; i < len(b.Changes); { // runs of one fleet are counted at once
		fleet, from := b.Changes[i].Fleet, i
		for i < len(b.Changes) && b.Changes[i].Fleet == fleet {
			i++
		}
		s.bus.Of(fleet).ObserveTimes(age, i-from)
	}
}

// Stats returns the counters as they are now.
func (h *Hub) Stats() Stats {
	s := &h.stats
	out := Stats{
		Batches: s.batches.Load(), Changes: s.changes.Load(), Snapshots: s.snapshots.Load(), Ticks: s.ticks.Load(),
		Slices: s.slices.Load(), SharedSlices: s.shared.Load(),
		SliceBytes: h.sliceBytes.Load(), Queued: s.queued.Load(), Moves: s.moves.Load(), Conflated: s.conflated.Load(), WatchFailures: s.watchFailures.Load(),
		RefusedViewers: s.refusedViewers.Load(), RefusedFilters: s.refusedViews.Load(),
		Resets: map[string]uint64{}, Bus: s.bus.Snapshot(),
	}
	for i, r := range resetReasons {
		out.Resets[string(r)] = s.resets[i].Load()
	}
	h.mu.Lock()
	out.Viewers, out.Views = h.viewers, len(h.views)
	h.mu.Unlock()
	for _, t := range h.tables {
		t.mu.RLock()
		out.Assets += t.live
		out.Offsets = append(out.Offsets, t.position.Offset)
		t.mu.RUnlock()
	}
	return out
}

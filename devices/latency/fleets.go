package latency

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/fleetcast/fleetcast/devices"
)

// DefaultMaxFleets is how many fleets have a histogram of their own: a bound on what a metrics system has to keep, since
// anybody who may name a fleet makes series.
const DefaultMaxFleets = 50

// Rest is the name under which the fleets above the bound are counted together. No fleet can have it.
const Rest = "+rest"

// ByFleet is a histogram a fleet, up to a bound. The zero value has DefaultMaxFleets; all methods may be called
// concurrently. Who was met first has a histogram of its own, until the process ends.
type ByFleet struct {
	// MaxFleets is set before the first call, or never.
	MaxFleets int

	known atomic.Pointer[map[devices.FleetID]*Histogram] // replaced, never changed
	rest  Histogram
	mu    sync.Mutex // one addition at a time
}

// Of is the fleet's histogram. It may be kept.
func (b *ByFleet) Of(fleet devices.FleetID) *Histogram {
	if known := b.known.Load(); known != nil {
		if h, ok := (*known)[fleet]; ok {
			return h
		}
	}
	return b.add(fleet)
}

func (b *ByFleet) add(fleet devices.FleetID) *Histogram {
	b.mu.Lock()
	defer b.mu.Unlock()
	most := b.MaxFleets
	if most == 0 {
		most = DefaultMaxFleets
	}
	var known map[devices.FleetID]*Histogram
	if p := b.known.Load(); p != nil {
		known = *p
	}
	if h, ok := known[fleet]; ok {
		return h
	}
	h := &b.rest
	if len(known) < most {
		h = &Histogram{}
	} else if len(known) >= 2*most { // those that were told apart are not told of again: a lookup is cheaper than a lock
		return h
	}
	next := maps.Clone(known)
	if next == nil {
		next = map[devices.FleetID]*Histogram{}
	}
	next[fleet] = h
	b.known.Store(&next)
	return h
}

// Snapshot returns what is held now by the names of fleets, and under Rest what is counted together.
func (b *ByFleet) Snapshot() map[string]Snapshot {
	out := map[string]Snapshot{}
	if known := b.known.Load(); known != nil {
		for fleet, h := range *known {
			if h != &b.rest {
				out[fleet.String()] = h.Snapshot()
			}
		}
	}
	if rest := b.rest.Snapshot(); rest.Count() > 0 {
		out[Rest] = rest
	}
	return out
}

package bridge

import (
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/latency"
)

// freshness is how old things are where the owner meets them. All partitions share it.
type freshness struct {
	// device is from the time that a reading claims to the inlet's: what the device, its network and the door took, and how
	// wrong its clock is. A clock that is ahead counts as none.
	device latency.ByFleet
	// owner is from the inlet's time of a device's newest message to when its state was published.
	owner latency.ByFleet
	// publish is what the bus took to commit a flush.
	publish latency.Histogram
}

// Freshness is how long things took, for metrics.
type Freshness struct {
	Device  map[string]latency.Snapshot // by fleet: from the time that a reading claims until the inlet had it
	Owner   map[string]latency.Snapshot // by fleet: from there until the state was published
	Publish latency.Snapshot            // of that, what the bus took to commit
}

func (f *freshness) snapshot() Freshness {
	return Freshness{Device: f.device.Snapshot(), Owner: f.owner.Snapshot(), Publish: f.publish.Snapshot()}
}

// ages are a fleet's histograms, at hand where its devices are.
type ages struct{ device, owner *latency.Histogram }

func (f *freshness) of(fleet devices.FleetID) ages {
	return ages{f.device.Of(fleet), f.owner.Of(fleet)}
}

// claimed counts how old a reading was when the inlet had it. One that says no time, or an absurd one, says nothing.
func (a *ages) claimed(r *devices.Reading, received int64) {
	if r.At >= earliestClock && !r.Retained {
		a.device.Observe(time.Duration(received-r.At) * time.Millisecond)
	}
}

// countPublished counts how old what was heard since the flush before was when it was published.
func (s *state) countPublished(at time.Time) {
	now := at.UnixMilli()
	for _, d := range s.dirty {
		if received := d.asset.Received; received > s.shown && d.rules != nil && !d.gone {
			d.rules.ages.owner.Observe(time.Duration(now-received) * time.Millisecond)
		}
	}
	s.shown = s.lastTime
}

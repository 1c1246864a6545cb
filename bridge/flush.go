package bridge

import (
	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// isPending tells whether there is something to publish: a change, or entries that were looked at and can leave the
// inlet.
func (s *state) isPending() bool {
	return len(s.dirty) > 0 || len(s.dirtyGone) > 0 || len(s.judging.events) > 0 || s.applied > s.published || len(s.commands.dirty) > 0 || len(s.erased) > 0
}

// makeFlush collects everything that changed since the last flush that was committed. The flush is valid until the next
// call; its byte slices are the bus's to keep.
func (s *state) makeFlush(now int64) *bus.Flush {
	f := &s.flush
	f.Consumed, f.Time, f.Config = s.applied, now, s.config
	clear(f.Changes) // lets go of the bytes of the last flush
	f.Changes = f.Changes[:0]
	f.Events = append(f.Events[:0], s.judging.events...)
	f.Erased = s.erased
	f.Trails = s.closedTrails(f.Trails)
	// Removals first, so that a device that moved is not taken off a dashboard after it came, and so that a bus that
	// commits a large flush in parts has the removal whenever it has what followed.
	for _, t := range s.dirtyGone {
		if !s.isSuperseded(t) {
			f.Changes = append(f.Changes, bus.Change{Device: t.key.device, Fleet: t.key.fleet, Record: t.appendRecord(nil)})
		}
	}
	for _, d := range s.dirty {
		if !d.gone {
			f.Changes = append(f.Changes, s.change(d))
		}
	}
	f.Commands = s.commandRows(f.Commands)
	f.Traces = s.tracing.traces(nil) // the bus keeps it as long as the batch
	return f
}

// isSuperseded tells whether the device came back, or was removed again, since.
func (s *state) isSuperseded(t *tombstone) bool {
	if d := s.live[t.key.device]; d != nil && d.asset.Fleet == t.key.fleet {
		return true
	}
	newer := s.removed[t.key]
	return newer != nil && newer != t
}

// committed tells that the last flush was published. Until then the same changes are part of every flush that is made.
func (s *state) committed() {
	s.published = s.flush.Consumed
	for _, d := range s.dirty {
		d.dirty = false
	}
	s.committedCommands()
	clear(s.dirty)
	clear(s.dirtyGone)
	clear(s.closed)
	clear(s.judging.events)
	s.judging.events = s.judging.events[:0]
	s.closed, s.erased = s.closed[:0], nil // the bus keeps what it was given
	s.dirty, s.dirtyGone = s.dirty[:0], s.dirtyGone[:0]
}

// change encodes a device, frame and record in one allocation of just their size. Not in one of the whole flush: the
// bus and the edges keep the bytes until the device changes again, and one silent device would keep those of all its
// neighbours with its own.
func (s *state) change(d *device) bus.Change {
	s.scratch = s.appendFrame(s.scratch[:0], d)
	frameEnd := len(s.scratch)
	s.scratch = d.appendRecord(s.scratch)
	bytes := append(make([]byte, 0, len(s.scratch)), s.scratch...)
	return bus.Change{
		Device: d.asset.ID, Fleet: d.asset.Fleet,
		Frame: bytes[:frameEnd:frameEnd], Record: bytes[frameEnd:],
		Lat: d.asset.Lat, Lon: d.asset.Lon, HasPosition: d.asset.Has.Has(devices.FieldPosition),
		Notes: d.alerts.busNotes(),
	}
}

func (s *state) appendFrame(dst []byte, d *device) []byte {
	d.asset.Metrics, d.asset.At = s.heldMetrics(d), d.assetTime()
	dst = d.asset.AppendJSON(dst)
	d.asset.Metrics = nil
	return dst
}

// heldMetrics are the device's metrics. The list is valid until the next call.
func (s *state) heldMetrics(d *device) []devices.Metric {
	held := s.metrics[:0]
	for i := range d.metrics {
		if m := &d.metrics[i]; m.isHeld() {
			held = append(held, devices.Metric{Name: m.name, Value: m.value})
		}
	}
	s.metrics = held
	return held
}

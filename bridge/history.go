package bridge

import (
	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// History writes down what devices said, each reading, for others to evaluate later. What viewers see is conflated; this is not.
// Its methods may be called concurrently for different partitions.
type History interface {
	// Keep writes down readings of a partition, in the order of its inlet, before the inlet lets go of them. Where it fails none
	// of them count as written, and they come again with those that follow; where the owner dies between this and its publish,
	// the next owner reads them again. So a reading may be written twice, with the same ID. It must not wait for anybody.
	Keep(partition int, readings []Heard) error
}

// Heard is a reading as an owner read it. Hygiene has not looked at it.
type Heard struct {
	ID     bus.EntryID // its place in the partition's inlet
	Time   int64       // when the inlet took it, unix ms
	Device devices.DeviceID
	Fleet  devices.FleetID
	*devices.Reading
}

// maxUnwritten bounds the readings that wait while history cannot be written. They are some 20 MB.
const maxUnwritten = 50_000

// remember has a reading written down before the next publish.
func (s *state) remember(d *device, e *bus.Entry) {
	switch {
	case s.opts.History == nil:
	case len(s.unwritten) >= maxUnwritten:
		s.counters.add(reasonHistoryDropped)
	default:
		s.unwritten = append(s.unwritten, Heard{ID: e.ID, Time: e.Time, Device: d.asset.ID, Fleet: d.asset.Fleet, Reading: e.Reading})
	}
}

// keepHistory writes down what was read since the last flush. What people see now does not wait for a disk that is full: what
// cannot be written is tried again with the next flush.
func (o *ownership) keepHistory() {
	s := o.state
	if len(s.unwritten) == 0 {
		return
	}
	if err := o.opts.History.Keep(o.id, s.unwritten); err != nil {
		if !s.historyFails {
			o.log.Error("history cannot be written", "error", err)
		}
		s.historyFails = true
		s.counters.add(reasonHistoryError)
		return
	}
	if s.historyFails {
		s.historyFails = false
		o.log.Info("history can be written again", "readings", len(s.unwritten))
	}
	s.counters[countHistory].Add(uint64(len(s.unwritten)))
	clear(s.unwritten) // lets go of the readings
	s.unwritten = s.unwritten[:0]
}

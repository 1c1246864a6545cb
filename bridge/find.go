package bridge

import (
	"strings"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// find returns the device of an entry, made where the entry is one that makes a device, or nil where the entry is to be
// dropped. It has counted why.
func (s *state) find(e *bus.Entry) *device {
	if d := s.live[e.Device]; d != nil && d.asset.Fleet == e.Fleet {
		return d // what changed in the registry comes by its feed
	}
	fleet, ok := s.home(e)
	if !ok {
		return nil
	}
	if d := s.live[e.Device]; d != nil {
		if d.asset.Fleet == fleet {
			return d
		}
		if reg, known := s.registered(e.Device); known && reg.Fleet == fleet {
			s.move(d, fleet) // the news of it is on its way
			return d
		}
		s.counters.add(reasonFleetConflict)
		return nil
	}
	key := deviceKey{fleet, e.Device}
	t := s.removed[key]
	switch {
	case t != nil && e.ID <= t.applied:
		s.counters.add(reasonReplayed)
	case !provesLife(e):
		s.counters.add(reasonUnknown)
	case t != nil && s.effectiveTime(e) < t.at:
		s.counters.add(reasonRemoved)
	case len(s.live) >= s.opts.MaxDevices:
		s.counters.add(reasonDeviceLimit)
	case !s.claim(key):
		s.counters.add(reasonFleetConflict)
	default:
		return s.create(key, t)
	}
	return nil
}

// claim makes the device one of the fleet, unless it belongs to another and the registry does not say otherwise.
func (s *state) claim(key deviceKey) bool {
	if s.index.claim(key.device, key.fleet) {
		return true
	}
	if reg, known := s.registered(key.device); !known || reg.Fleet != key.fleet {
		return false
	}
	s.index.move(key.device, key.fleet) // the owner of the other partition has not heard yet that it moved
	return true
}

// provesLife tells whether an entry shows that the device is there. One that only says that it is not makes no device.
func provesLife(e *bus.Entry) bool {
	switch e.Kind {
	case bus.KindReading:
		return true
	case bus.KindConnection:
		return e.Connection.Up
	case bus.KindStatus:
		return e.Status.Status == devices.Online && !e.Status.Retained
	default:
		return false
	}
}

func (s *state) effectiveTime(e *bus.Entry) int64 {
	if e.Kind != bus.KindReading {
		return e.Time
	}
	var (
		uncounted counters // the reading is counted where it is applied
		settled   cleaned
	)
	s.rulesOf(e.Fleet).settleTime(e.Reading, e.Time, &settled, &uncounted)
	return settled.at
}

func (s *state) create(key deviceKey, t *tombstone) *device {
	d := &device{}
	if t != nil {
		d.since = t.at
		delete(s.removed, key)
	}
	s.keep(d, cloneDevice(key.device), cloneFleet(key.fleet))
	if reg, ok := s.registered(key.device); ok {
		d.born = reg.Born
	}
	return d
}

// cloneDevice copies an id that lives as long as its device, since it may share memory with an entry.
func cloneDevice(id devices.DeviceID) devices.DeviceID {
	if own, err := devices.ParseDeviceID(strings.Clone(id.String())); err == nil {
		return own
	}
	return id
}

func cloneFleet(id devices.FleetID) devices.FleetID {
	if own, err := devices.ParseFleetID(strings.Clone(id.String())); err == nil {
		return own
	}
	return id
}

package bridge

import (
	"slices"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// erase forgets all that this partition holds of a device, in any fleet of it: the live state with its trail and alerts, its
// commands, open ones too, and its events. Nobody is told more than that it was removed: an alert that is closed now, or a
// command that fails for it, would be another event with its words. Of a removal the mark stays, which has its names only.
//
// Entries of the device that come after it begin it anew.
func (s *state) erase(e *bus.Entry) {
	d := s.live[e.Device]
	if d != nil && e.ID <= d.applied { // it came back, and the step of its record was kept where that of the erasure's was not
		s.counters.add(reasonReplayed)
		return
	}
	s.counters.add(countErased)
	id := cloneDevice(e.Device) // the entry's memory is not ours
	s.judging.events = slices.DeleteFunc(s.judging.events, func(o bus.Event) bool { return o.Device == id })
	s.outbox = slices.DeleteFunc(s.outbox, func(o bus.Entry) bool { return o.Device == id })
	s.unwritten = slices.DeleteFunc(s.unwritten, func(o Heard) bool { return o.Device == id })
	delete(s.asked, id)
	s.commands.erase(id)
	if d != nil {
		s.forgetAlerts(d)
		s.bury(d, &tombstone{key: deviceKey{d.asset.Fleet, id}, at: e.Time, applied: e.ID})
	}
	if !slices.Contains(s.erased, id) {
		s.erased = append(s.erased, id)
	}
}

// forgetAlerts drops what is remembered of a device's alerts, and tells nobody.
func (s *state) forgetAlerts(d *device) {
	if d.alerts == nil {
		return
	}
	s.judging.dues.set(d, 0)
	d.alerts = nil
	s.judging.watched--
}

// erase forgets all commands of a device.
func (t *commands) erase(id devices.DeviceID) {
	d := t.devices[id]
	if d == nil {
		return
	}
	for _, k := range slices.Clone(t.expiry) { // those that are open
		if k.device == id {
			t.finish(k)
		}
	}
	for _, k := range slices.Clone(d.finished) {
		k.now = nil
		t.forget(k)
	}
}

// isFull tells whether a flush must come before anything else is applied.
func (s *state) isFull() bool { return s.judging.isFull() || len(s.erased) > bus.MaxErased-readMax }

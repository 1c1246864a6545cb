package bridge

import (
	"context"
	"fmt"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// Registry is who there is, as people say. An owner follows it: what is deleted there leaves the live state, what is
// renamed or moved is so at once. Its methods may be called concurrently; only Lookup waits.
type Registry interface {
	// Registered returns what is registered of a device, as this process has it.
	Registered(device devices.DeviceID) (Registered, bool)
	// Lookup asks the store itself, for where this process may be behind the door that let a device in.
	Lookup(ctx context.Context, device devices.DeviceID) (Registered, bool, error)
	// Fleet returns what is set for a fleet's devices.
	Fleet(fleet devices.FleetID) FleetTimes
	// Follow begins a feed for one owner. Its first news comes when the registry is loaded, and says All.
	Follow() RegistryFeed
}

// Registered is what an owner needs of a device.
type Registered struct {
	Fleet devices.FleetID
	Name  string // a line of text that leaves room for the rest of an asset
	Born  int64  // another for every time that the id was registered; not 0
}

// FleetTimes is what is set for a fleet; 0: nothing is.
type FleetTimes struct {
	// Silence is after how long without a message a device is taken for offline, whether or not it is connected.
	Silence time.Duration
	// RetireAfter is after how long without a sign of life a device leaves the live state.
	RetireAfter time.Duration
	// AlertsKept is how long an alert that was cleared can still be looked up; 0: Options.AlertsKept.
	AlertsKept time.Duration
}

// RegistryNews is what changed since the last.
type RegistryNews struct {
	All     bool                      // anything may have changed
	Devices map[devices.DeviceID]bool // that changed; true: it was deleted since, whether or not it is there again
}

// RegistryFeed is for one goroutine.
type RegistryFeed interface {
	C() <-chan struct{} // has a token where there may be news
	Take() (RegistryNews, bool)
	Close() // may be called twice
}

// nameMemberBytes is what a name takes in a frame besides its text.
const nameMemberBytes = len(`,"name":`)

// maxAsked bounds the answers of Lookup that are kept until something changes in the registry.
const maxAsked = 1024

// answer is one of Lookup.
type answer struct {
	Registered
	known bool
}

// registered returns what is known of a device: of the registry, or of an answer to Lookup.
func (s *state) registered(id devices.DeviceID) (Registered, bool) {
	if s.opts.Registry == nil {
		return Registered{}, false
	}
	if reg, ok := s.opts.Registry.Registered(id); ok {
		return reg, true
	}
	a := s.asked[id]
	return a.Registered, a.known
}

// mustAsk tells whether the store has to be asked before an entry is applied: where only registered devices have state,
// one that this process does not know of may be registered all the same, a moment ago.
func (s *state) mustAsk(e *bus.Entry) bool {
	if !s.opts.Closed || s.opts.Registry == nil || s.live[e.Device] != nil || e.ID <= s.applied || !isSound(e) {
		return false
	}
	if _, known := s.opts.Registry.Registered(e.Device); known {
		return false
	}
	_, asked := s.asked[e.Device]
	return !asked
}

// answered keeps what Lookup said.
func (s *state) answered(id devices.DeviceID, a answer) {
	if len(s.asked) >= maxAsked {
		clear(s.asked)
	}
	s.asked[cloneDevice(id)] = a
}

// home returns the fleet that an entry is for: the registry's where the device is registered. It returns false where
// the entry is not for this partition or for nobody; it has counted why, and passes on what another partition is to have.
func (s *state) home(e *bus.Entry) (devices.FleetID, bool) {
	reg, known := s.registered(e.Device)
	switch {
	case !known && s.opts.Closed:
		s.counters.add(reasonUnregistered)
		return devices.FleetID{}, false
	case !known || reg.Fleet == e.Fleet:
		return e.Fleet, true
	case s.isHere(reg.Fleet):
		return reg.Fleet, true
	}
	// It moved after the door took this in: what was acknowledged is not lost for it.
	s.counters.add(countForwarded)
	moved := *e
	moved.Fleet = reg.Fleet
	s.outbox = append(s.outbox, moved)
	return devices.FleetID{}, false
}

func (s *state) isHere(fleet devices.FleetID) bool {
	return fleet.Partition(s.opts.Bus.Partitions()) == s.partition
}

// follow applies what changed in the registry.
func (s *state) follow(news RegistryNews) {
	clear(s.asked)
	for id, deleted := range news.Devices {
		s.reviewCommands(id, deleted)
		if d := s.live[id]; d != nil {
			s.review(d, deleted)
		}
	}
	if !news.All {
		return
	}
	for id := range s.commands.devices {
		s.reviewCommands(id, false)
	}
	for _, d := range s.live { // a device that moves within it may be met twice, which changes nothing
		s.review(d, false)
	}
}

// review makes a device what the registry says.
func (s *state) review(d *device, deleted bool) {
	reg, known := s.registered(d.asset.ID)
	switch {
	case deleted && d.born != 0, !known && (s.opts.Closed || d.born != 0), known && d.born != 0 && d.born != reg.Born:
		s.counters.add(countDeleted)
		s.drop(d)
		return
	case !known:
		return
	}
	if d.born != reg.Born {
		d.born = reg.Born
		s.touch(d)
	}
	if d.asset.Name != reg.Name {
		s.rename(d, reg.Name)
	}
	if d.asset.Fleet != reg.Fleet {
		s.move(d, reg.Fleet)
	}
}

// rename gives a device a name. Where its metrics then do not fit any more, the last of them go: a name is the people's.
func (s *state) rename(d *device, name string) {
	d.asset.Name = name
	s.touch(d)
	s.setRoom(d)
	for i := len(d.metrics) - 1; i >= 0 && !s.fits(d); i-- {
		if d.metrics[i].isHeld() {
			s.counters.add(reasonAssetBytes)
			d.clearMetric(i, d.metrics[i].at)
		}
	}
	for held := -1; held != len(d.metrics); { // one at a time
		held = len(d.metrics)
		d.forgetCleared()
	}
}

// drop removes a device without an entry that says so. Its tombstone is as late as the inlet is.
func (s *state) drop(d *device) { s.dropAt(d, max(s.lastTime, d.asset.Received)) }

func (s *state) dropAt(d *device, at int64) {
	s.bury(d, &tombstone{key: deviceKey{d.asset.Fleet, d.asset.ID}, at: at, applied: s.applied})
}

// movedAway is the time of the tombstone of a device that lives on in another fleet: it keeps no reading out, for it may
// come back with its state. What is late under its old fleet goes to the new one.
const movedAway = 0

// bury takes a device out of the live state and remembers that it was there.
func (s *state) bury(d *device, t *tombstone) {
	s.stay(d)
	s.closeAlerts(d, "the device was removed")
	d.gone = true
	s.dropClosed(t.key)
	delete(s.live, t.key.device)
	s.index.release(t.key.device, t.key.fleet)
	s.entomb(t)
}

func (s *state) entomb(t *tombstone) {
	s.removed[t.key] = t
	s.removals = append(s.removals, t)
	s.dirtyGone = append(s.dirtyGone, t)
	s.forgetRemovals()
}

// move takes a device to another fleet. Where that is in another partition, what is known of the device goes there as
// entries, ahead of the removal here; where it is in this one, the device itself goes.
func (s *state) move(d *device, fleet devices.FleetID) {
	s.counters.add(countMoved)
	old := deviceKey{d.asset.Fleet, d.asset.ID}
	s.closeAlerts(d, "the device moved to another fleet")
	if !s.isHere(fleet) {
		s.outbox = d.appendEntries(s.outbox, fleet)
		s.dropAt(d, movedAway)
		return
	}
	s.index.release(old.device, old.fleet)
	if !s.index.claim(old.device, fleet) {
		s.index.move(old.device, fleet) // the registry knows better than another owner that is behind it
	}
	delete(s.removed, deviceKey{fleet, old.device})
	s.dropClosed(old) // what of its trail is in the bus goes with the removal; the open block goes with the device
	s.keep(d, old.device, cloneFleet(fleet))
	d.rules = nil
	s.touch(d)
	s.entomb(&tombstone{key: old, at: movedAway, applied: s.applied})
}

// appendEntries appends what is known of a device as entries of another fleet: a reading for each time that a field has,
// and its connections. The readings are marked as kept, so that they are no sign of life.
func (d *device) appendEntries(dst []bus.Entry, fleet devices.FleetID) []bus.Entry {
	id := d.asset.ID
	readings := map[int64]*devices.Reading{}
	at := func(t int64) *devices.Reading {
		r := readings[t]
		if r == nil {
			r = &devices.Reading{At: t, Retained: true}
			readings[t] = r
			dst = append(dst, bus.Entry{Device: id, Fleet: fleet, Kind: bus.KindReading, Reading: r})
		}
		return r
	}
	from := members(&d.asset.Measures)
	for i, t := range d.times {
		field := devices.Fields(1) << i
		if !d.asset.Has.Has(field) {
			continue
		}
		r := at(t)
		r.Has |= field
		to := members(&r.Measures)
		for j, f := range memberFields {
			if f == field {
				*to[j] = *from[j]
			}
		}
	}
	for i := range d.metrics {
		if m := &d.metrics[i]; m.isHeld() {
			r := at(m.at)
			r.Metrics = append(r.Metrics, devices.Metric{Name: m.name, Value: m.value})
		}
	}
	if len(readings) == 0 {
		dst = append(dst, bus.Entry{Device: id, Fleet: fleet, Kind: bus.KindReading, Reading: &devices.Reading{At: d.asset.Received, Retained: true}})
	}
	if d.asset.Status == devices.Offline {
		dst = append(dst, bus.Entry{Device: id, Fleet: fleet, Kind: bus.KindStatus, Status: bus.StatusReport{Status: devices.Offline}})
	}
	for _, c := range d.conns {
		dst = append(dst, bus.Entry{Device: id, Fleet: fleet, Kind: bus.KindConnection, Connection: bus.Connection{Door: c.door, Conn: c.conn, Up: true}})
	}
	return dst
}

// outbound sends what other partitions are to have. One Append is under way at a time: it is repeated as it was until the
// bus has it, and only then does a publish consume what it came from.
type outbound struct {
	door    bus.DoorID
	seq     uint64
	sending []bus.Entry
}

func (o *ownership) sendOutbox(ctx context.Context) error {
	for {
		if len(o.out.sending) == 0 {
			if len(o.state.outbox) == 0 {
				return nil
			}
			n := min(len(o.state.outbox), readMax)
			o.out.sending = append(o.out.sending, o.state.outbox[:n]...)
			o.state.outbox = append(o.state.outbox[:0], o.state.outbox[n:]...)
			o.out.seq++
		}
		err := o.opts.Bus.Append(ctx, bus.Append{Door: o.out.door, Seq: o.out.seq, Entries: o.out.sending})
		switch devices.KindOf(err) {
		case devices.Invalid, devices.TooLarge, devices.Conflict:
			o.counters.add(reasonForwardRefused) // repeating it is of no use
			err = nil
		default:
		}
		if err != nil {
			o.counters.add(reasonPublishError)
			return fmt.Errorf("pass entries on: %w", err)
		}
		clear(o.out.sending)
		o.out.sending = o.out.sending[:0]
	}
}

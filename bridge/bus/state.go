package bus

import (
	"container/list"

	"github.com/fleetcast/fleetcast/devices"
)

// state is what a partition holds of its devices and events at a position. It has no lock; the partition's guards it.
// The number of devices is the owner's to bound: the bus cannot refuse one without losing an acknowledged reading.
type state struct {
	position   Position
	time       int64 // the owner's clock at the last flush
	floor      Floor
	held       map[deviceKey]*held
	tombstones *list.List       // of *held, the oldest removal first
	events     []VersionedEvent // the oldest first
	trails     trails
	commands   commandTable
	config     uint64 // the highest that an owner had applied
}

// deviceKey is a device in a fleet. A device that moves has two places for a while: a tombstone and a live one.
type deviceKey struct {
	fleet  devices.FleetID
	device devices.DeviceID
}

type held struct {
	change    Change // with the record
	offset    uint64
	removedAt int64         // by the bus's clock, ms
	tombstone *list.Element // nil while the device is live
}

func newState(at Position) state {
	return state{position: at, held: make(map[deviceKey]*held), tombstones: list.New(), trails: newTrails(), commands: newCommandTable()}
}

func keyOf(c *Change) deviceKey { return deviceKey{fleet: c.Fleet, device: c.Device} }

func (s *state) has(c *Change) bool {
	_, ok := s.held[keyOf(c)]
	return ok
}

// apply moves the state by a flush and returns what those who watch are told; the partition fills in the rest. The one
// allocation that grows with the flush is the batch's slice of changes: per device and per feed there is none.
func (s *state) apply(f *Flush, now int64) *Batch {
	if f.HasContent() {
		s.position.Offset++
	}
	s.time = f.Time
	s.config = max(s.config, f.Config)
	for i := range f.Trails {
		s.trails.add(&f.Trails[i], now)
	}
	s.commands.apply(f.Commands)
	b := &Batch{Position: s.position, Time: f.Time, Traces: f.Traces}
	b.Erased = append(b.Erased, f.Erased...)
	s.events = WithoutErased(s.events, f.Erased)
	if len(f.Changes) > 0 {
		b.Changes = make([]Change, len(f.Changes))
	}
	for i := range f.Changes {
		s.keep(&f.Changes[i], now)
		b.Changes[i] = f.Changes[i]
		b.Changes[i].Record = nil
	}
	b.Events = append(b.Events, f.Events...)
	for _, e := range f.Events {
		s.events = append(s.events, VersionedEvent{Event: e, Offset: s.position.Offset})
	}
	return b
}

func (s *state) keep(c *Change, now int64) {
	h := s.held[keyOf(c)]
	if h == nil {
		h = new(held)
		s.held[keyOf(c)] = h
	}
	h.change, h.offset = *c, s.position.Offset
	if h.tombstone != nil {
		s.tombstones.Remove(h.tombstone)
		h.tombstone = nil
	}
	if c.Removed() {
		s.trails.remove(keyOf(c))
		h.removedAt = now
		h.tombstone = s.tombstones.PushBack(h)
	}
}

// pruneTombstonesBefore drops the tombstones of removals before a time and returns their number.
func (s *state) pruneTombstonesBefore(ms int64) uint64 {
	var n uint64
	for e := s.tombstones.Front(); e != nil && e.Value.(*held).removedAt < ms; e = s.tombstones.Front() {
		s.pruneTombstone(e)
		n++
	}
	return n
}

// pruneTombstonesOver drops the oldest tombstones until limit are left and returns their number.
func (s *state) pruneTombstonesOver(limit int) uint64 {
	var n uint64
	for s.tombstones.Len() > limit {
		s.pruneTombstone(s.tombstones.Front())
		n++
	}
	return n
}

// pruneTombstone raises the floor over what nobody can be told any more.
func (s *state) pruneTombstone(e *list.Element) {
	h := s.tombstones.Remove(e).(*held)
	s.floor.Tombstones = max(s.floor.Tombstones, h.offset)
	delete(s.held, keyOf(&h.change))
}

// pruneEventsOver drops the oldest events until limit are left and returns their number.
func (s *state) pruneEventsOver(limit int) uint64 {
	over := len(s.events) - limit
	if over <= 0 {
		return 0
	}
	s.floor.Events = s.events[over-1].Offset
	clear(s.events[:over]) // lets the data go; the array itself goes at append's next growth
	s.events = s.events[over:]
	return uint64(over)
}

// records is what the next owner starts from.
func (s *state) records() []Record {
	out := make([]Record, 0, len(s.held))
	for _, h := range s.held {
		c := &h.change
		out = append(out, Record{Device: c.Device, Fleet: c.Fleet, Data: c.Record, Removed: c.Removed()})
	}
	return out
}

func (s *state) snapshot() *Snapshot {
	out := &Snapshot{Position: s.position, Time: s.time, Floor: s.floor, Devices: make([]Versioned, 0, len(s.held))}
	for _, h := range s.held {
		v := Versioned{Change: h.change, Offset: h.offset}
		v.Record = nil
		out.Devices = append(out.Devices, v)
	}
	out.Events = append(out.Events, s.events...)
	return out
}

package redisbus

import (
	"github.com/fleetcast/fleetcast/bridge/bus"
)

// table is the state of a partition as its edges know it, for feeds that begin or that fell behind: so that neither
// costs the store anything. Its frames are the same memory as those in the updates. It has no lock; the sub's guards it.
type table struct {
	position bus.Position
	call     string // the publish that made the position's offset
	n        uint64 // the last publish that is part of it
	time     int64
	lag      int64
	floor    bus.Floor
	rows     map[place]bus.Versioned
	gone     int // of them tombstones, some of them below the floor
	events   []bus.VersionedEvent
}

func placeOf(c *bus.Change) place { return place{c.Fleet, c.Device} }

// apply moves the table by a batch.
func (t *table) apply(m *message) {
	b := &m.batch
	t.position, t.n, t.time, t.lag, t.floor = b.Position, m.n, b.Time, b.LagMS, b.Floor
	if b.IsBeat() {
		return
	}
	t.call = m.call
	t.events = bus.WithoutErased(t.events, b.Erased)
	for i := range b.Changes {
		t.put(bus.Versioned{Change: b.Changes[i], Offset: b.Position.Offset})
	}
	for i := range b.Events {
		t.events = append(t.events, bus.VersionedEvent{Event: b.Events[i], Offset: b.Position.Offset})
	}
	t.prune()
}

func (t *table) put(v bus.Versioned) {
	at := placeOf(&v.Change)
	if before, held := t.rows[at]; held && before.Removed() {
		t.gone--
	}
	if v.Removed() {
		t.gone++
	}
	t.rows[at] = v
}

// pruneFrom is how many tombstones a table may hold below its floor before they are looked for.
const pruneFrom = 1000

// prune lets go of what is below the floor: events at once, tombstones when there are many more than there were after
// the last search, so that the search costs a batch little on average.
func (t *table) prune() {
	n := 0
	for n < len(t.events) && t.events[n].Offset <= t.floor.Events {
		n++
	}
	clear(t.events[:n])
	t.events = t.events[n:]
	if t.gone < pruneFrom || t.gone < len(t.rows)/2 {
		return
	}
	for at, v := range t.rows {
		if v.Removed() && v.Offset <= t.floor.Tombstones {
			delete(t.rows, at)
			t.gone--
		}
	}
}

func (t *table) snapshot(partition int) *bus.Snapshot {
	s := &bus.Snapshot{
		Partition: partition, Position: t.position, Time: t.time, LagMS: t.lag, Floor: t.floor,
		Devices: make([]bus.Versioned, 0, len(t.rows)), Events: append([]bus.VersionedEvent(nil), t.events...),
	}
	for _, v := range t.rows {
		if !v.Removed() || v.Offset > t.floor.Tombstones {
			s.Devices = append(s.Devices, v)
		}
	}
	return s
}

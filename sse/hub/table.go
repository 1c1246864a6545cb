package hub

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// table is the edge's state of one partition: for every device the newest frame and the offset of its last change,
// with tombstones for the removed. It answers one question, "what changed after this offset", in two ways: newest first
// by recency lists, at the cost of what changed; and in the fixed order of the devices' hashes, for passes.
//
// The follower of the partition writes it, everybody reads it; mu is held for the time of a batch or of a slice.
type table struct {
	partition  int
	partitions int // in all

	mu       sync.RWMutex
	position bus.Position // Epoch 0: not loaded yet
	floor    bus.Floor
	heard    time.Time     // when the owner was last heard of
	lag      time.Duration // the age of its oldest unread entry then
	fleets   map[devices.FleetID]*fleetRows
	newest   *fleetRows                // head of the list of fleets by their last change, linked by fleetRows.before
	devices  map[devices.DeviceID]*row // the newest row of the device; older tombstones hang on row.older
	rows     ordered                   // of all fleets
	events   []bus.VersionedEvent      // retained, in order of offset
	tombs    []tomb                    // in order of offset; entries whose row moved on are skipped
	live     int

	unsettled []*fleetRows // whose rows changed in number since the last settle

	views       []*view                      // that read every fleet
	deviceViews map[devices.DeviceID][]*view // that read this device
}

// fleetRows is the part of a table that a fleet's views read.
type fleetRows struct {
	id     devices.FleetID
	rows   ordered
	newest *row // head of the recency list, linked by row.before
	live   int

	changed uint64     // the offset of the fleet's last change
	after   *fleetRows // changed later than this one
	before  *fleetRows // changed earlier

	views  []*view
	marked bool // while a batch is applied: the views were marked dirty
}

// row is a device in a fleet. A device that moved has a tombstone row in its old fleet and a live one in the new.
type row struct {
	device   devices.DeviceID
	fleet    *fleetRows
	frame    []byte // nil: a tombstone
	offset   uint64 // of the batch that changed it last
	hash     uint64
	lat, lon float64
	placed   bool // lat and lon hold
	dead     bool // pruned; still in ordered until it is compacted
	after    *row // changed later than this one
	before   *row // changed earlier
	older    *row // the same device's tombstone in another fleet
}

type tomb struct {
	row    *row
	offset uint64
}

// holds tells whether the row is still the tombstone that was noted.
func (n tomb) holds() bool { return n.row.frame == nil && n.row.offset == n.offset }

func newTable(partition, partitions int) *table {
	return &table{
		partition:   partition,
		partitions:  partitions,
		fleets:      map[devices.FleetID]*fleetRows{},
		devices:     map[devices.DeviceID]*row{},
		deviceViews: map[devices.DeviceID][]*view{},
	}
}

// errGap says that the bus broke its contract; the follower asks for a new snapshot.
type errGap struct{ have, got bus.Position }

func (e errGap) Error() string { return fmt.Sprintf("update %v does not follow %v", e.got, e.have) }

// apply brings a batch in and returns the views that it touched, appended to dirty.
func (t *table) apply(b *bus.Batch, dirty []*view) ([]*view, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	want := t.position
	if !b.IsBeat() {
		want.Offset++
	}
	if b.Position != want {
		return dirty, errGap{t.position, b.Position}
	}
	t.position = b.Position
	t.hear(b.LagMS)
	for i := range b.Changes {
		f := t.change(&b.Changes[i], b.Position.Offset)
		dirty = t.markDevice(b.Changes[i].Device, t.mark(f, dirty))
	}
	for i := range b.Events {
		t.events = append(t.events, bus.VersionedEvent{Event: b.Events[i], Offset: b.Position.Offset})
		f := t.fleet(b.Events[i].Fleet)
		t.unsettled = append(t.unsettled, f)
		dirty = t.markDevice(b.Events[i].Device, t.mark(f, dirty))
	}
	for i := range b.Changes {
		t.fleets[b.Changes[i].Fleet].marked = false
	}
	for i := range b.Events {
		t.fleets[b.Events[i].Fleet].marked = false
	}
	t.raiseFloor(b.Floor)
	t.settle()
	return dirty, nil
}

// load replaces the table by a snapshot. Within the same epoch the rows keep their offsets, so that viewers go on as if
// the batches in between had been seen; a new epoch makes every older position meaningless. An older snapshot of the same
// epoch, from a copy that lags, is refused: it would take every viewer back in time.
func (t *table) load(s *bus.Snapshot) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.Position.Epoch == t.position.Epoch && s.Position.Offset < t.position.Offset {
		return errGap{t.position, s.Position}
	}
	old := t.fleets
	t.fleets = make(map[devices.FleetID]*fleetRows, len(old))
	for id, f := range old { // views stay registered
		if len(f.views) > 0 {
			t.fleets[id] = &fleetRows{id: id, views: f.views}
		}
	}
	t.devices = make(map[devices.DeviceID]*row, len(s.Devices))
	t.newest, t.rows, t.tombs, t.live, t.unsettled = nil, ordered{}, nil, 0, nil
	t.events = slices.Clone(s.Events)
	t.position, t.floor = s.Position, s.Floor
	t.hear(s.LagMS)
	byOffset := make([]*bus.Versioned, len(s.Devices))
	for i := range s.Devices {
		byOffset[i] = &s.Devices[i]
	}
	slices.SortFunc(byOffset, func(a, b *bus.Versioned) int { return cmp.Compare(a.Offset, b.Offset) })
	for _, d := range byOffset {
		t.change(&d.Change, d.Offset)
	}
	t.settle()
	return nil
}

func (t *table) hear(lagMS int64) {
	t.heard, t.lag = time.Now(), time.Duration(lagMS)*time.Millisecond
}

func (t *table) fleet(id devices.FleetID) *fleetRows {
	f := t.fleets[id]
	if f == nil {
		f = &fleetRows{id: id}
		t.fleets[id] = f
	}
	return f
}

// change sets one device's row and makes it the newest of its fleet.
func (t *table) change(c *bus.Change, offset uint64) *fleetRows {
	f := t.fleet(c.Fleet)
	r := t.row(f, c.Device)
	if r.frame != nil {
		f.live--
		t.live--
	}
	r.frame, r.offset = c.Frame, offset
	r.lat, r.lon, r.placed = c.Lat, c.Lon, c.HasPosition
	if c.Removed() {
		t.bury(r)
	} else {
		f.live++
		t.live++
		t.front(r)
	}
	f.touch(r)
	t.touch(f, offset)
	return f
}

// row finds or makes the row of a device in a fleet.
func (t *table) row(f *fleetRows, id devices.DeviceID) *row {
	newest := t.devices[id]
	for r := newest; r != nil; r = r.older {
		if r.fleet == f {
			return r
		}
	}
	r := &row{device: id, fleet: f, hash: id.Hash()}
	if newest != nil && newest.frame != nil { // it stays the first until change knows that r is live
		r.older, newest.older = newest.older, r
	} else {
		r.older, t.devices[id] = newest, r
	}
	t.rows.add(r)
	f.rows.add(r)
	t.unsettled = append(t.unsettled, f)
	return r
}

// bury notes a tombstone for the day when the floor rises over it. Notes of rows that moved on are thrown out when they
// are most: where devices come back, the floor may never rise.
func (t *table) bury(r *row) {
	if len(t.tombs) > 64+2*(t.rows.len()-t.live) {
		t.tombs = slices.DeleteFunc(t.tombs, func(n tomb) bool { return !n.holds() })
	}
	t.tombs = append(t.tombs, tomb{r, r.offset})
}

// front makes r the first of its device's chain, so that a lookup by device meets the live row first.
func (t *table) front(r *row) {
	first := t.devices[r.device]
	if first == r {
		return
	}
	for p := first; p != nil; p = p.older {
		if p.older == r {
			p.older = r.older
			break
		}
	}
	r.older = first
	t.devices[r.device] = r
}

func (t *table) mark(f *fleetRows, dirty []*view) []*view {
	if f.marked {
		return dirty
	}
	f.marked = true
	for _, v := range f.views {
		dirty = v.markDirty(dirty)
	}
	for _, v := range t.views {
		dirty = v.markDirty(dirty)
	}
	return dirty
}

func (t *table) markDevice(id devices.DeviceID, dirty []*view) []*view {
	if len(t.deviceViews) == 0 {
		return dirty
	}
	for _, v := range t.deviceViews[id] {
		dirty = v.markDirty(dirty)
	}
	return dirty
}

// raiseFloor forgets the tombstones and events that the bus no longer keeps.
func (t *table) raiseFloor(floor bus.Floor) {
	if floor == t.floor {
		return
	}
	t.floor = floor
	n := 0
	for ; n < len(t.tombs) && t.tombs[n].offset <= floor.Tombstones; n++ {
		if t.tombs[n].holds() {
			t.forget(t.tombs[n].row)
		}
	}
	t.tombs = slices.Delete(t.tombs, 0, n)
	n = 0
	for n < len(t.events) && t.events[n].Offset <= floor.Events {
		n++
	}
	t.events = slices.Delete(t.events, 0, n)
}

func (t *table) forget(r *row) {
	r.dead = true
	r.fleet.unlink(r)
	r.fleet.rows.dead++
	t.rows.dead++
	t.unsettled = append(t.unsettled, r.fleet)
	if t.devices[r.device] == r {
		if r.older == nil {
			delete(t.devices, r.device)
		} else {
			t.devices[r.device] = r.older
		}
		return
	}
	for p := t.devices[r.device]; p != nil; p = p.older {
		if p.older == r {
			p.older = r.older
			return
		}
	}
}

// settle puts the new rows in their places and drops what is empty.
func (t *table) settle() {
	t.rows.settle()
	for _, f := range t.unsettled {
		f.rows.settle()
		t.dropIfEmpty(f)
	}
	t.unsettled = t.unsettled[:0]
}

func (t *table) dropIfEmpty(f *fleetRows) {
	if len(f.rows.sorted) > 0 {
		return
	}
	t.unlink(f)
	if len(f.views) == 0 {
		delete(t.fleets, f.id)
	}
}

package hub

import (
	"bytes"
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
	rows     ordered                   // of all fleets, by hash
	named    ordered                   // the same, by the device's id
	events   []bus.VersionedEvent      // retained, in order of offset
	tombs    []tomb                    // in order of offset; entries whose row moved on are skipped
	live     int

	unsettled []*fleetRows // whose rows changed in number since the last settle

	views []*view     // that read every fleet
	names *nameIndex  // of views that name devices; one of all tables
	boxes boxIndex    // of views of a box
	boxed []*interest // of all views with a box, those that also name devices included
	grid  rowGrid
	loads uint64 // how often the table was loaded
	notes noteTable
}

// fleetRows is the part of a table that a fleet's views read.
type fleetRows struct {
	id     devices.FleetID
	rows   ordered // by hash
	newest *row    // head of the recency list, linked by row.before
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
	inGrid   bool
	cell     cell // its square in the grid, and its place there
	inCell   int
	dead     bool // pruned; still in ordered until it is compacted
	after    *row // changed later than this one
	before   *row // changed earlier
	older    *row // the same device's tombstone in another fleet
}

// spot is where the row shows on a map.
func (r *row) spot() spot { return spot{r.lat, r.lon, r.frame != nil && r.placed} }

type tomb struct {
	row    *row
	offset uint64
}

// holds tells whether the row is still the tombstone that was noted.
func (n tomb) holds() bool { return n.row.frame == nil && n.row.offset == n.offset }

func newTable(partition, partitions int) *table {
	return &table{
		partition:  partition,
		partitions: partitions,
		fleets:     map[devices.FleetID]*fleetRows{},
		devices:    map[devices.DeviceID]*row{},
		names:      newNameIndex(),
		grid:       rowGrid{},
		notes:      newNoteTable(),
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
	t.names.mu.RLock()
	defer t.names.mu.RUnlock()
	t.events = bus.WithoutErased(t.events, b.Erased)
	for i := range b.Changes {
		if t.shows(&b.Changes[i]) {
			continue
		}
		r, was := t.change(&b.Changes[i], b.Position.Offset)
		dirty = t.noteChange(r, was, t.mark(r.fleet, dirty))
	}
	for i := range b.Events {
		e := bus.VersionedEvent{Event: b.Events[i], Offset: b.Position.Offset}
		t.events = append(t.events, e)
		f := t.fleet(b.Events[i].Fleet)
		t.unsettled = append(t.unsettled, f)
		dirty = t.noteEvent(e, t.mark(f, dirty))
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

// shows tells whether the change is one of the owner's own record, and of notes, only: nobody needs to hear again what they see. An edge
// that was not there before takes it for a change, which costs its viewers a frame that they know.
func (t *table) shows(c *bus.Change) bool {
	if c.Removed() {
		return false
	}
	r := t.find(c.Fleet, c.Device)
	if r == nil || !bytes.Equal(r.frame, c.Frame) {
		return false
	}
	t.notes.set(r, c.Notes)
	return true
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

// change sets one device's row and makes it the newest of its fleet. It returns the row and where it was.
func (t *table) change(c *bus.Change, offset uint64) (*row, spot) {
	f := t.fleet(c.Fleet)
	r := t.row(f, c.Device)
	was := r.spot()
	if r.frame != nil {
		f.live--
		t.live--
	}
	r.frame, r.offset = c.Frame, offset
	t.notes.set(r, c.Notes)
	r.lat, r.lon, r.placed = c.Lat, c.Lon, c.HasPosition
	if c.Removed() {
		t.bury(r)
	} else {
		f.live++
		t.live++
		t.front(r)
	}
	t.grid.move(r)
	f.touch(r)
	t.touch(f, offset)
	return r, was
}

// find returns the row of a device in a fleet, or nil.
func (t *table) find(f devices.FleetID, id devices.DeviceID) *row {
	for r := t.devices[id]; r != nil; r = r.older {
		if r.fleet.id == f {
			return r
		}
	}
	return nil
}

// row finds or makes the row of a device in a fleet.
func (t *table) row(f *fleetRows, id devices.DeviceID) *row {
	if r := t.find(f.id, id); r != nil {
		return r
	}
	newest := t.devices[id]
	r := &row{device: id, fleet: f, hash: id.Hash()}
	if newest != nil && newest.frame != nil { // it stays the first until change knows that r is live
		r.older, newest.older = newest.older, r
	} else {
		r.older, t.devices[id] = newest, r
	}
	t.rows.add(r)
	t.named.add(r)
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

// noteChange tells the views that name the row's device, and those of boxes that it is in or has left.
func (t *table) noteChange(r *row, was spot, dirty []*view) []*view {
	for _, v := range t.names.of(r.device) {
		if i := v.interest(t); i != nil && i.note(r, was, r.offset) {
			dirty = v.markDirty(dirty)
		}
	}
	if t.boxes.size == 0 {
		return dirty
	}
	now := r.spot()
	for _, s := range [...]spot{now, was} {
		for i := range t.boxes.around(s) {
			if s != now && now.in(i.view.query.BBox) { // told already
				continue
			}
			if i.note(r, was, r.offset) {
				dirty = i.view.markDirty(dirty)
			}
		}
		if was == now {
			break
		}
	}
	return dirty
}

// noteEvent tells the views that name the event's device, and those of boxes that read its fleet.
func (t *table) noteEvent(e bus.VersionedEvent, dirty []*view) []*view {
	for _, v := range t.names.of(e.Event.Device) {
		if i := v.interest(t); i != nil && i.tell(e) {
			dirty = v.markDirty(dirty)
		}
	}
	for _, interests := range [...][]*interest{t.boxes.anyone, t.boxes.byFleet[e.Event.Fleet]} {
		for _, i := range interests {
			if i.tell(e) {
				dirty = i.view.markDirty(dirty)
			}
		}
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
	t.grid.remove(r)
	r.fleet.unlink(r)
	r.fleet.rows.dead++
	t.rows.dead++
	t.named.dead++
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
	t.rows.settle(byHash)
	t.named.settle(byName)
	for _, f := range t.unsettled {
		f.rows.settle(byHash)
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

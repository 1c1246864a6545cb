package hub

import (
	"slices"
	"sync"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// interest is what a view of named devices or of a box has in one table. The table's indexes find the interests that a
// change concerns, and note the change there, so that a tick costs what the view is told of and not what else changed.
// Views of whole fleets have none: the fleets' recency lists are theirs.
//
// It is guarded by the table's mu: the follower writes it, viewers read left, and the ticker, which is one goroutine a
// view, takes the news under the read lock.
type interest struct {
	view *view

	news  []touched
	told  []bus.VersionedEvent
	lost  bool   // there was more than is noted: viewers go by passes
	loads uint64 // the table's when the news were last taken

	// A box can be left. Its viewers hold what was in it at their position, so the interest keeps who left it when.
	left  map[*row]uint64 // rows outside that were inside after floor: the offset at which they left
	floor uint64          // who left up to here is not known
	// A device that stands at the edge must not come and go with each fix: one that was in the box is a member for as long
	// as it is in the view's margin.
	near map[*row]struct{} // members that are not in the box
}

// hysteresis is how much of a box's width and height is on each side of it in the margin: 16 pixels of a map of 1,000.
const hysteresis = 1.0 / 64

// touched is a row at one of its changes. It counts while that is the newest that the view has to be told of the row.
type touched struct {
	row    *row
	offset uint64
}

// Bounds of an interest.
const (
	maxNews    = 4096 // changes between two ticks, of rows that are told of; more go by passes
	maxTold    = 1024 // events between two ticks; the same
	maxLeft    = 4096 // devices that left a box and may have to be told of; a viewer behind the oldest is reset
	maxAllLeft = 1 << 20
	minLeft    = 256 // what each may keep where all together keep maxAllLeft
)

// note takes a row's change to offset in and tells whether the view is to be told of it. was is where the row stood.
func (i *interest) note(r *row, was spot, offset uint64) bool {
	v := i.view
	if v.fleets != nil && !v.fleets[r.fleet.id] {
		return false
	}
	if n := len(i.news); n > 0 && i.news[n-1] == (touched{r, offset}) {
		return false // the index has the view where the row was and where it is
	}
	if !v.query.BBox.IsZero() && !i.follow(r, was, offset) {
		return false
	}
	if len(i.news) >= maxNews && !i.lost {
		i.news = slices.DeleteFunc(i.news, func(n touched) bool { return !i.counts(n) })
		i.lost = len(i.news) > maxNews/2
	}
	if i.lost {
		i.news = nil
	} else {
		i.news = append(i.news, touched{r, offset})
	}
	return true
}

// follow keeps who is a member of the box, and tells whether the row is or was one.
func (i *interest) follow(r *row, was spot, offset uint64) bool {
	_, member := i.near[r]
	member = member || was.in(i.view.query.BBox)
	switch at := r.spot(); {
	case at.in(i.view.query.BBox):
		i.enter(r)
	case member:
		i.drift(r, offset)
	default:
		return false
	}
	return true
}

// drift takes a member in that is not in the box: it stays one while it is near.
func (i *interest) drift(r *row, offset uint64) {
	if !r.spot().in(i.view.margin) || len(i.near) >= maxLeft {
		i.leave(r, offset)
		return
	}
	i.enter(r)
	if i.near == nil {
		i.near = map[*row]struct{}{}
	}
	i.near[r] = struct{}{}
}

// has tells whether a row is a member of the box. A nil interest has none.
func (i *interest) has(r *row) bool {
	if i == nil {
		return false
	}
	if r.spot().in(i.view.query.BBox) {
		return true
	}
	_, near := i.near[r]
	return near
}

// leftAfter tells whether a row left the box after an offset. Nothing ever left a nil interest.
func (i *interest) leftAfter(r *row, offset uint64) bool { return i != nil && i.left[r] > offset }

// tell takes an event in.
func (i *interest) tell(e bus.VersionedEvent) bool {
	if i.view.fleets != nil && !i.view.fleets[e.Event.Fleet] {
		return false
	}
	if i.lost = i.lost || len(i.told) >= maxTold; i.lost { // they are in the table, where passes find them
		i.news, i.told = nil, nil
		return true
	}
	i.told = append(i.told, e)
	return true
}

func (i *interest) enter(r *row) {
	delete(i.near, r)
	if _, ok := i.left[r]; ok {
		delete(i.left, r)
		i.view.allLeft.Add(-1)
	}
}

func (i *interest) leave(r *row, offset uint64) {
	delete(i.near, r)
	if i.left == nil {
		i.left = map[*row]uint64{}
	}
	if _, ok := i.left[r]; !ok {
		i.view.allLeft.Add(1)
	}
	i.left[r] = offset
	if n := len(i.left); n > maxLeft || n > minLeft && i.view.allLeft.Load() > maxAllLeft {
		i.cut()
	}
}

// cut forgets the older half of who left.
func (i *interest) cut() {
	offsets := make([]uint64, 0, len(i.left))
	for _, offset := range i.left {
		offsets = append(offsets, offset)
	}
	slices.Sort(offsets)
	i.raise(offsets[len(offsets)/2])
}

// raise forgets who left up to floor.
func (i *interest) raise(floor uint64) {
	i.floor = max(i.floor, floor)
	for r, offset := range i.left {
		if offset <= i.floor {
			delete(i.left, r)
			i.view.allLeft.Add(-1)
		}
	}
}

// counts tells whether what was noted is the newest that the view has to be told of the row.
func (i *interest) counts(n touched) bool {
	if !i.view.query.BBox.IsZero() && !i.has(n.row) {
		return i.left[n.row] == n.offset
	}
	return n.row.offset == n.offset && !n.row.dead
}

// carry brings who left over to the rows of a table that was loaded anew in the same epoch. inside are the old rows that
// were members: where their device is outside now, it left at its last change, which is after all that viewers saw.
func (i *interest) carry(t *table, inside []*row) {
	old := i.left
	i.left, i.near = nil, nil
	i.view.allLeft.Add(-int64(len(old)))
	for r, offset := range old {
		if now := t.find(r.fleet.id, r.device); now != nil && !now.spot().in(i.view.query.BBox) {
			i.leave(now, offset)
		}
	}
	for _, r := range inside {
		if now := t.find(r.fleet.id, r.device); now != nil && !now.spot().in(i.view.query.BBox) {
			i.drift(now, now.offset)
		}
	}
}

// take moves the news into g, in a locked table, and tells whether that is all of them.
func (i *interest) take(t *table, g *gathered) bool {
	whole := !i.lost && i.loads == t.loads
	if whole {
		for _, e := range i.told {
			g.tell(&e.Event)
		}
		for _, n := range i.news {
			if i.counts(n) {
				i.show(n.row, g)
			}
		}
	}
	clear(i.news)
	clear(i.told)
	i.news, i.told, i.lost, i.loads = i.news[:0], i.told[:0], false, t.loads
	if cap(i.news) > maxNews/8 { // an outbreak is over
		i.news = nil
	}
	if cap(i.told) > maxTold/8 {
		i.told = nil
	}
	return whole && g.bytes <= MaxChunkBytes
}

// show gathers a row as the view shows it now: its frame, or that it is gone.
func (i *interest) show(r *row, g *gathered) {
	if r.frame != nil && !i.view.query.BBox.IsZero() && !i.has(r) {
		g.remove(r)
		return
	}
	g.add(r)
}

// nameIndex finds the views that name a device. It is one for all tables: in which of them a device is nobody knows.
// Its mu is taken while a table's is held.
type nameIndex struct {
	mu    sync.RWMutex
	views map[devices.DeviceID][]*view
}

func newNameIndex() *nameIndex { return &nameIndex{views: map[devices.DeviceID][]*view{}} }

// of are the views that name a device. x.mu is held.
func (x *nameIndex) of(id devices.DeviceID) []*view {
	if len(x.views) == 0 {
		return nil
	}
	return x.views[id]
}

func (x *nameIndex) add(v *view) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, w := range v.byHash {
		x.views[w.id] = append(x.views[w.id], v)
	}
}

func (x *nameIndex) remove(v *view) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, w := range v.byHash {
		if left := without(x.views[w.id], v); len(left) > 0 {
			x.views[w.id] = left
		} else {
			delete(x.views, w.id)
		}
	}
}

package hub

import (
	"slices"
	"strconv"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// A viewer's view may change while its stream goes on: a map that is dragged. What the client holds then follows from the
// old view and the viewer's place in it, as everything does here, so nothing is kept per device. The way from one view to
// the other is two sweeps in slices, like a pass: the first over what may be held from the old view tells what the new one
// does not show (`removed`), and the events that were due; the second over the new view gives what is not held as it is
// now. The old view stays in the indexes until the first is through, so that it goes on noting who leaves it.
//
// While a viewer is on its way, what it holds is neither view's: the ids that it has been given say "nothing", and a client
// that is cut then comes back to a reset. From the end of the second sweep on, ids are those of the new view.
//
// A change that comes on the way begins a way of its own. In the first sweep all that is held is still the old view's, so
// only the aim changes; in the second it is the new view's, which becomes the old one.

// change is a view that a viewer is to go to.
type change struct {
	view *view
	seq  uint64
}

// moving is a viewer on its way from one view to another. It belongs to the viewer's goroutine.
type moving struct {
	old  *view
	held []held // what it may hold from there, by the old view's partitions
	// entering says that all that leaves was told.
	entering bool
	place    cursor     // in the sweep; its part is of the old view, or of the new one when entering
	begun    []uint64   // by the new view's partitions: the tables' offsets when the way began
	parts    []markPart // the place in the new view that it comes to
}

// Move has the viewer show what the query reads, in place of what it shows now. Its stream says `view` with seq, then what
// leaves and what enters, then `ready`. A change that comes before the one before it was begun takes its place. It may be
// called from any goroutine.
//
// Errors are devices.Errors: Exhausted at MaxViews, NotFound when the viewer was closed.
func (v *Viewer) Move(q Query, seq uint64) error {
	h := v.hub
	q = q.normalise(h.options.Window)
	to := newView(q, v.format, h.tablesOf(q)) // hashes every name: not under the lock
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || v.closed.Load() {
		return devices.Errorf(devices.NotFound, "", "the stream has ended")
	}
	to, err := h.hold(to)
	if err != nil {
		return err
	}
	if late := v.next.Swap(&change{to, seq}); late != nil {
		h.release(late.view)
	}
	h.stats.moves.Add(1)
	v.tell()
	return nil
}

// turnTo begins the way to the next view, and returns what says so; nil where it must wait.
func (v *Viewer) turnTo() []byte {
	if v.reset != noReset || !v.mayMove() {
		return nil // what is held is not known before the reset was told, or the edge has come up
	}
	from, way := v.holding()
	h := v.hub
	h.mu.Lock()
	c := v.next.Swap(nil)
	if c == nil {
		h.mu.Unlock()
		return nil
	}
	attached := v.attached()
	if !attached || c.view == v.view { // closed meanwhile; or the client says the same again
		h.release(c.view)
		h.mu.Unlock()
		if !attached {
			return nil
		}
		return v.stay(c.seq)
	}
	left := v.view
	left.part(v)
	c.view.join(v)
	v.view = c.view
	if from == left {
		if v.old != nil {
			h.release(v.old)
		}
		v.old = left
	} else {
		h.release(left) // nothing of it was given yet
	}
	h.mu.Unlock()
	v.begins(from, way)
	return v.viewEvent(c.seq, true)
}

// attached tells whether the viewer was not taken out yet. The hub's mu is held.
func (v *Viewer) attached() bool {
	v.view.mu.Lock()
	defer v.view.mu.Unlock()
	return v.index >= 0
}

// mayMove tells whether this edge has what the viewer has seen: else frames that it is given on its way might step back.
func (v *Viewer) mayMove() bool {
	if v.moving != nil || v.behind == nil {
		return true
	}
	for i := range v.behind.parts {
		p := &v.behind.parts[i]
		if now, _, why := v.view.tables[i].answers(v.view, p, 0); why != resetEpoch && p.seen() > now.Offset {
			return false
		}
	}
	return true
}

// stay says that the view is the one that is asked for.
func (v *Viewer) stay(seq uint64) []byte {
	if v.moving == nil {
		if v.behind == nil {
			v.fall()
		}
		v.ready = false
	}
	return v.viewEvent(seq, false)
}

// viewEvent tells the seq. Where a way begins it also carries an id.
func (v *Viewer) viewEvent(seq uint64, begins bool) []byte {
	var b []byte
	if begins {
		b = v.format.AppendID(b, v.between())
	}
	data := append(strconv.AppendUint([]byte(`{"seq":`), seq, 10), '}')
	return v.view.pack(v.format.AppendEvent(b, "view", data, ""))
}

// between is the id of a viewer that holds no view's state: no filter is its, so that whoever comes back with it is reset.
// It says how new the frames may be that were given, so that none of them steps back then.
func (v *Viewer) between() string {
	m := mark{parts: make([]markPart, len(v.view.tables))}
	for i, t := range v.view.tables {
		t.mu.RLock()
		m.parts[i] = markPart{partition: t.partition, at: t.position}
		t.mu.RUnlock()
	}
	return m.encode()
}

// begins sets out from what is held. Where it is nothing, there is no way to go.
func (v *Viewer) begins(old *view, from []held) {
	v.at, v.seen, v.owed, v.turn = nil, nil, nil, 0
	v.ready, v.ahead = false, time.Time{}
	v.beats = v.view.state.Load().beat.number
	v.behind, v.blank = v.view.freshMark(), false
	m := &moving{old: old, held: from, parts: v.behind.parts, begun: v.view.offsets()}
	m.parts = slices.Clone(m.parts)
	if v.view.query.Fields.Key() != old.query.Fields.Key() {
		for i := range m.held {
			m.held[i].known = false // the frames have other members
		}
	}
	nothing := true
	for i := range from {
		h := &from[i]
		if h.nothing {
			continue
		}
		nothing = false
		if j := slices.Index(v.view.tables, old.tables[i]); j >= 0 {
			m.parts[j].at.Epoch, m.parts[j].fresh = h.at.Epoch, false
		}
	}
	v.moving = m
	if nothing {
		v.arrived()
	}
}

// offsets are how far the tables are.
func (v *view) offsets() []uint64 {
	at := make([]uint64, len(v.tables))
	for i, t := range v.tables {
		t.mu.RLock()
		at[i] = t.position.Offset
		t.mu.RUnlock()
	}
	return at
}

// move gives the next piece of the way; nil where it is at its end, or must begin anew.
func (v *Viewer) move(s *viewState) []byte {
	if b := v.heartbeat(s); b != nil {
		return b
	}
	for v.moving != nil {
		if b := v.sweepOn(); b != nil {
			return b
		}
	}
	return nil
}

// sweepOn gathers the next slice, of what leaves or of what enters, and takes the viewer that far.
func (v *Viewer) sweepOn() []byte {
	m := v.moving
	tables := m.old.tables
	if m.entering {
		tables = v.view.tables
	}
	if m.place.part == len(tables) {
		v.through()
		return nil
	}
	var g gathered
	var why reason
	t := tables[m.place.part]
	t.mu.RLock()
	if m.entering {
		why = m.enter(v.view, t, v.limit, &g)
	} else {
		why = m.leave(v.view, t, v.limit, &g)
	}
	t.mu.RUnlock()
	switch {
	case why != noReset:
		v.letGo()
		v.moving, v.behind, v.reset, v.blank = nil, v.view.freshMark(), why, false
		return nil
	case g.empty():
		return nil
	}
	plain := v.view.encode(&g, "", v.between())
	v.plain = len(plain)
	return v.view.pack(plain)
}

// through goes from the first sweep to the second, and from there to the end.
func (v *Viewer) through() {
	v.letGo()
	if v.moving.entering {
		v.arrived()
		return
	}
	v.moving.entering, v.moving.place = true, cursor{}
}

// letGo releases the view that was left.
func (v *Viewer) letGo() {
	v.hub.mu.Lock()
	defer v.hub.mu.Unlock()
	if v.old != nil {
		v.hub.release(v.old)
		v.old = nil
	}
}

// arrived makes the viewer one that is behind in its new view, as any that reads on from an id.
func (v *Viewer) arrived() {
	v.behind, v.moving = newMark(v.moving.parts, cursor{}, v.view.filter), nil
	v.letGo()
}

// next moves the place to the next partition where the sweep of this one is through.
func (m *moving) next(c cursor) {
	if m.place = c; !c.active {
		m.place.part++
	}
}

// leave gathers, in a locked table, what was held of the old view and is not in the new one.
func (m *moving) leave(to *view, t *table, limit int, g *gathered) reason {
	h, old := &m.held[m.place.part], m.old
	if h.nothing {
		m.place = cursor{part: m.place.part + 1}
		return noReset
	}
	if why := t.tells(old, h.at); why != noReset {
		return why
	}
	if !m.place.active {
		old.eventsBetween(t, since{offset: h.events}, t.position.Offset, g)
		h.events = t.position.Offset
	}
	from := since{offset: h.at.Offset, held: &held{}}
	c := old.sweep(t, from, m.place, g.bytes+limit, g, func(r *row) {
		switch {
		case !old.readsFleet(r):
		case r.frame != nil && to.namesRow(r) && to.reads(t, r): // it stays
		case r.frame != nil && old.reads(t, r), old.interest(t).leftAfter(r, h.at.Offset),
			r.frame == nil && r.offset > h.at.Offset && old.query.BBox.IsZero():
			g.remove(r)
		}
	})
	c.part = m.place.part
	m.next(c)
	return noReset
}

// enter gathers, in a locked table, what of the new view is not held as it is, and who left the view since the way began.
func (m *moving) enter(to *view, t *table, limit int, g *gathered) reason {
	part := m.place.part
	p, begun := &m.parts[part], m.begun[part]
	if p.fresh {
		m.place = cursor{part: part + 1}
		return noReset
	}
	if why := t.tells(to, bus.Position{Epoch: p.at.Epoch, Offset: begun}); why != noReset {
		return why
	}
	h := &m.held[slices.Index(m.old.tables, t)]
	if !m.place.active {
		m.place.to = t.position.Offset
		m.events(to, t, begun, h.events, g)
	}
	c := to.walk(t, since{offset: begun, held: h}, m.place, g.bytes+limit, g)
	c.part = part
	if !c.active {
		p.at.Offset = m.place.to
		p.ahead = t.position.Offset - m.place.to
	}
	m.next(c)
	return noReset
}

// events gathers those of the new view that came since the way began. Those that were told with the old one, up to told,
// are left out.
func (m *moving) events(to *view, t *table, begun, told uint64, g *gathered) {
	for i := t.eventsAfter(begun); i < len(t.events); i++ {
		e := &t.events[i]
		if to.matchesEvent(&e.Event) && !(e.Offset <= told && m.old.matchesEvent(&e.Event)) {
			g.tell(&e.Event)
		}
	}
}

// tells says why a locked table cannot tell a view what happened since a position.
func (t *table) tells(v *view, at bus.Position) reason {
	switch {
	case t.position.Epoch != at.Epoch:
		return resetEpoch
	case at.Offset < t.oldest(v):
		return resetExpired
	}
	return noReset
}

package hub

import (
	"cmp"
	"slices"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// gathered is what a piece will say: collected under a table's lock, encoded after it was given back.
type gathered struct {
	events  []bus.Event
	removed []removal
	frames  [][]byte
	bytes   int // of all of them, about
	traces  *tracedSet
	traced  []*traced // of those, what is among the frames

	projected []byte // scratch of encode
}

type removal struct {
	device devices.DeviceID
	fleet  devices.FleetID
}

// What the framing of a message costs beside its data, about; only to size buffers and slices.
const messageOverhead = 8

func (g *gathered) reset() {
	clear(g.events)
	clear(g.frames)
	g.events, g.removed, g.frames, g.bytes = g.events[:0], g.removed[:0], g.frames[:0], 0
	g.traced = nil
}

func (g *gathered) empty() bool { return len(g.events)+len(g.removed)+len(g.frames) == 0 }

// tell adds an event.
func (g *gathered) tell(e *bus.Event) {
	g.events = append(g.events, *e)
	g.bytes += len(e.Data) + messageOverhead
}

// remove adds that the row is gone, from the table or from the view.
func (g *gathered) remove(r *row) {
	g.removed = append(g.removed, removal{r.device, r.fleet.id})
	g.bytes += len(r.device.String()) + len(r.fleet.id.String()) + 40
}

func (g *gathered) add(r *row) {
	if r.frame == nil {
		g.remove(r)
		return
	}
	g.frames = append(g.frames, r.frame)
	g.bytes += len(r.frame) + messageOverhead
	if one := g.traces.of(r); one != nil {
		g.traced = append(g.traced, one)
	}
}

// since is the beginning of what is gathered. fresh is a viewer that was given nothing yet: it needs neither the
// removal of what it never saw nor the events of a time when it was not there.
type since struct {
	offset uint64
	fresh  bool
	held   *held // of a viewer that comes from another view: what it has of this one
}

func (s since) wants(r *row) bool {
	switch {
	case s.fresh:
		return r.frame != nil
	case r.offset > s.offset:
		return true
	}
	return s.held != nil && r.frame != nil && !s.held.has(r)
}

// changes gathers the rows that changed in a locked table, at the cost of what changed; it gives up, and returns false,
// when that is more than limit bytes.
func (v *view) changes(t *table, from since, limit int, g *gathered) bool {
	switch {
	case v.byHash == nil && !v.query.BBox.IsZero():
		return false // the walk costs what is in the box
	case v.byHash != nil && t.changedAtMost(len(v.byHash)/listSlack, from):
		v.changesNamed(t, from, g)
		return g.bytes <= limit
	case v.byHash != nil:
		for _, w := range v.byHash {
			v.changedRows(t, t.devices[w.id], from, g)
			if g.bytes > limit {
				return false
			}
		}
	case v.fleets != nil:
		for id := range v.fleets {
			if f := t.fleets[id]; f != nil && !f.changes(from, limit, g) {
				return false
			}
		}
	default:
		for f := range t.changedFleets(from) {
			if !f.changes(from, limit, g) {
				return false
			}
		}
	}
	return true
}

// listSlack is by how much the devices that a view names must outnumber those that changed, for it to be cheaper to look
// for the changed ones in the list than for the list's in the table.
const listSlack = 8

// changesNamed gathers the changed rows that the view names: with a thousand lists in use, looking up every name of
// each at every tick would cost more than all else.
func (v *view) changesNamed(t *table, from since, g *gathered) {
	for f := range t.changedFleets(from) {
		for r := f.newest; r != nil && (from.fresh || r.offset > from.offset); r = r.before {
			if v.names(r.hash, r.device) {
				v.pick(t, r, from, g)
			}
		}
	}
}

// changedRows gathers one device's rows: the live one and the tombstones that it left in other fleets.
func (v *view) changedRows(t *table, r *row, from since, g *gathered) {
	for ; r != nil; r = r.older {
		v.pick(t, r, from, g)
	}
}

// pick gathers a row that the view may have to be told of since from: what it is, or that it left the box.
func (v *view) pick(t *table, r *row, from since, g *gathered) {
	switch {
	case !v.readsFleet(r):
	case v.reads(t, r):
		if from.wants(r) {
			g.add(r)
		}
	case !from.fresh && v.interest(t).leftAfter(r, from.offset):
		g.remove(r)
	}
}

func (f *fleetRows) changes(from since, limit int, g *gathered) bool {
	for r := f.newest; r != nil && (from.fresh || r.offset > from.offset); r = r.before {
		if from.wants(r) {
			g.add(r)
		}
		if g.bytes > limit {
			return false
		}
	}
	return true
}

// eventsBetween gathers the view's events after from, up to to. Events are never conflated, so no limit applies; the
// bus bounds how many are retained.
func (v *view) eventsBetween(t *table, from since, to uint64, g *gathered) {
	if from.fresh {
		return
	}
	for i := t.eventsAfter(from.offset); i < len(t.events) && t.events[i].Offset <= to; i++ {
		if e := &t.events[i].Event; v.matchesEvent(e) {
			g.tell(e)
		}
	}
}

// eventsAfter is the index of the first event after an offset.
func (t *table) eventsAfter(offset uint64) int {
	i, _ := slices.BinarySearchFunc(t.events, offset, func(e bus.VersionedEvent, offset uint64) int {
		if e.Offset <= offset {
			return -1
		}
		return cmp.Compare(e.Offset, offset)
	})
	return i
}

// encode makes the bytes of a piece: events, removals, assets. The id stands on the last message, so that a client that
// is cut in the middle comes back from before the piece; opening, unless empty, is the id that it comes back with then.
func (v *view) encode(g *gathered, opening, id string) []byte {
	dst := make([]byte, 0, g.bytes+64*(len(g.events)+len(g.removed))+2*len(id)+64)
	if opening != "" {
		dst = v.format.AppendID(dst, opening)
	}
	last := func(is bool) string {
		if is {
			return id
		}
		return ""
	}
	for i := range g.events {
		is := i == len(g.events)-1 && len(g.removed)+len(g.frames) == 0
		dst = v.format.AppendEvent(dst, g.events[i].Name, g.events[i].Data, last(is))
	}
	var data []byte
	for i, r := range g.removed {
		data = r.appendJSON(data[:0])
		dst = v.format.AppendEvent(dst, "removed", data, last(i == len(g.removed)-1 && len(g.frames) == 0))
	}
	if len(g.frames) == 0 {
		return dst
	}
	return v.format.AppendAssets(dst, v.project(g), id)
}

func (r *removal) appendJSON(dst []byte) []byte {
	dst = devices.AppendJSONString(append(dst, `{"id":`...), r.device.String())
	dst = devices.AppendJSONString(append(dst, `,"fleet":`...), r.fleet.String())
	return append(dst, '}')
}

// project cuts the frames where the view asked for some fields only.
func (v *view) project(g *gathered) [][]byte {
	if v.query.Fields.IsAll() {
		return g.frames
	}
	g.projected = slices.Grow(g.projected[:0], g.bytes) // never grows below: a cut is not longer than its frame
	for i, frame := range g.frames {
		begin := len(g.projected)
		g.projected = v.query.Fields.Append(g.projected, frame)
		g.frames[i] = g.projected[begin:]
	}
	return g.frames
}

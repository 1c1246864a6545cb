package hub

import (
	"slices"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// held is what a viewer may have of a view in one partition.
type held struct {
	view    *view
	nothing bool
	at      bus.Position // who left after it is to be told of; the frames are as new as that where known says so
	known   bool
	events  uint64 // the view's events up to here were told
}

// has tells whether a live row is held as it is now.
func (h *held) has(r *row) bool {
	v := h.view
	return h.known && r.offset <= h.at.Offset && v.readsFleet(r) && v.namesRow(r) &&
		(v.query.BBox.IsZero() || r.spot().in(v.query.BBox))
}

// holding is the view that the client's state comes from, and what it has of it.
func (v *Viewer) holding() (*view, []held) {
	switch m := v.moving; {
	case m == nil:
		return v.view, v.heldOf()
	case !m.entering:
		from := slices.Clone(m.held)
		for i := range from {
			from[i].known = false // some of it may have been removed
		}
		return m.old, from
	default:
		return v.view, m.entered(v.view)
	}
}

// heldOf is what a viewer has of its view that is not on a way.
func (v *Viewer) heldOf() []held {
	if v.behind == nil {
		v.fall()
	}
	out := make([]held, len(v.behind.parts))
	for i := range v.behind.parts {
		p, to := &v.behind.parts[i], v.behind.cursor.toIn(i)
		h := held{view: v.view, at: p.at, known: !p.fresh, events: max(p.at.Offset, to)}
		switch {
		case p.fresh && !(v.behind.cursor.active && v.behind.cursor.part == i):
			h.nothing = true
		case p.fresh: // some of a snapshot, of which the rest may come from a slice that was cut
			h.at.Offset = to
		}
		out[i] = h
	}
	return out
}

// entered is what a viewer has of the view that it is entering.
func (m *moving) entered(v *view) []held {
	out := make([]held, len(m.parts))
	for i := range m.parts {
		p := &m.parts[i]
		h := held{view: v, at: p.at, nothing: p.fresh, known: true, events: p.at.Offset}
		if !p.fresh && i >= m.place.part { // not through
			h.at.Offset, h.known, h.events = m.begun[i], false, m.begun[i]
			if i == m.place.part && m.place.active {
				h.events = m.place.to
			}
		}
		out[i] = h
	}
	return out
}

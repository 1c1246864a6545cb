package hub

import (
	"cmp"
	"iter"
	"math"
	"slices"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

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
	inBoxes := t.inBoxes(s.Position.Epoch == t.position.Epoch)
	t.loads++
	t.grid, t.notes = rowGrid{}, newNoteTable()
	t.devices = make(map[devices.DeviceID]*row, len(s.Devices))
	t.newest, t.rows, t.named, t.tombs, t.live, t.unsettled = nil, ordered{}, ordered{}, nil, 0, nil
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
	for n, i := range t.boxed {
		if inBoxes == nil {
			i.raise(math.MaxUint64)
			i.floor, i.near = s.Position.Offset, nil
		} else {
			i.carry(t, inBoxes[n])
		}
	}
	return nil
}

// inBoxes are the members of each of the table's boxes, before a load in the same epoch.
func (t *table) inBoxes(sameEpoch bool) [][]*row {
	if !sameEpoch {
		return nil
	}
	rows := make([][]*row, len(t.boxed))
	for n, i := range t.boxed {
		rows[n] = slices.AppendSeq(rows[n], i.view.members(t))
	}
	return rows
}

// inBox yields the rows in a box, in no order.
func (t *table) inBox(b devices.BBox) iter.Seq[*row] {
	return func(yield func(*row) bool) {
		if !t.grid.wide(b) {
			t.grid.in(b, yield)
			return
		}
		for _, r := range t.rows.sorted {
			if r.spot().in(b) && !yield(r) {
				return
			}
		}
	}
}

// members yields the rows of every fleet that are in the view's box, or were and are near, in no order.
func (v *view) members(t *table) iter.Seq[*row] {
	return func(yield func(*row) bool) {
		for r := range t.inBox(v.query.BBox) {
			if !yield(r) {
				return
			}
		}
		for r := range v.interest(t).near {
			if !yield(r) {
				return
			}
		}
	}
}

package hub

import (
	"cmp"
	"slices"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// Note is something of a device that people look up: see bus.Note. Its data is shared and must not be changed.
type Note struct {
	bus.Note
	Device devices.DeviceID
	Fleet  devices.FleetID
}

// NotesQuery asks for notes.
type NotesQuery struct {
	Name   string            // of the notes: alert
	Fleets []devices.FleetID // empty: every fleet
	Device devices.DeviceID  // zero: any
	// Before is a note that was given before: only what is listed behind it is asked for. The zero value is none.
	BeforeAt int64
	BeforeID string
}

// noteKey names a note.
type noteKey struct{ name, id string }

// noteTable is the notes of a table. Nearly no device has any.
type noteTable struct {
	rows map[*row][]bus.Note
	ids  map[noteKey]*row
}

func newNoteTable() noteTable {
	return noteTable{rows: map[*row][]bus.Note{}, ids: map[noteKey]*row{}}
}

// set makes the row's notes what a change says.
func (n *noteTable) set(r *row, notes []bus.Note) {
	before, had := n.rows[r]
	if !had && len(notes) == 0 {
		return
	}
	for i := range before {
		delete(n.ids, noteKey{before[i].Name, before[i].ID})
	}
	if len(notes) == 0 {
		delete(n.rows, r)
		return
	}
	n.rows[r] = notes
	for i := range notes {
		n.ids[noteKey{notes[i].Name, notes[i].ID}] = r
	}
}

// Notes returns the notes that are asked for, the newest first and by their ids where they are as new. It looks at every
// device that has notes, in its own time: the tables are locked for the copying only.
func (h *Hub) Notes(q NotesQuery) []Note {
	var out []Note
	for _, t := range h.tables {
		out = t.appendNotes(q, out)
	}
	slices.SortFunc(out, func(a, b Note) int { return cmp.Or(cmp.Compare(b.At, a.At), cmp.Compare(a.ID, b.ID)) })
	return out
}

func (t *table) appendNotes(q NotesQuery, out []Note) []Note {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for r, notes := range t.notes.rows {
		if !q.Device.IsZero() && r.device != q.Device || len(q.Fleets) > 0 && !slices.Contains(q.Fleets, r.fleet.id) {
			continue
		}
		for i := range notes {
			if n := &notes[i]; n.Name == q.Name && q.takes(n) {
				out = append(out, Note{*n, r.device, r.fleet.id})
			}
		}
	}
	return out
}

func (q *NotesQuery) takes(n *bus.Note) bool {
	return q.BeforeID == "" || n.At < q.BeforeAt || n.At == q.BeforeAt && n.ID > q.BeforeID
}

// Note returns the note of an id.
func (h *Hub) Note(name, id string) (Note, bool) {
	for _, t := range h.tables {
		if n, ok := t.note(noteKey{name, id}); ok {
			return n, true
		}
	}
	return Note{}, false
}

func (t *table) note(key noteKey) (Note, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	r := t.notes.ids[key]
	if r == nil {
		return Note{}, false
	}
	for _, n := range t.notes.rows[r] {
		if n.Name == key.name && n.ID == key.id {
			return Note{n, r.device, r.fleet.id}, true
		}
	}
	return Note{}, false
}

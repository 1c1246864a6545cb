package hub

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

func note(id string, at int64) bus.Note {
	return bus.Note{Name: "alert", ID: id, At: at, Data: []byte(`{}`)}
}

// What is kept beside a device's frame follows the device: in batches, also those that change nothing that is shown, in
// snapshots, and out with its tombstone.
func TestNotesFollowTheirDevice(t *testing.T) {
	h := &Hub{tables: []*table{newTable(0, 2), newTable(1, 2)}}
	north, south := fleetID(t, "north"), fleetID(t, "south")
	a, b := deviceID(t, "a"), deviceID(t, "b")
	mustLoad(t, h.tables[0], &bus.Snapshot{Position: bus.Position{Epoch: 1}})
	mustLoad(t, h.tables[1], &bus.Snapshot{Position: bus.Position{Epoch: 1}, Devices: []bus.Versioned{
		{Change: bus.Change{Device: b, Fleet: south, Frame: []byte("{}"), Notes: []bus.Note{note("b1", 5)}}},
	}})
	list := func(q NotesQuery) string {
		q.Name = "alert"
		var ids []string
		for _, n := range h.Notes(q) {
			ids = append(ids, fmt.Sprint(n.Device, " ", n.ID))
		}
		return strings.Join(ids, ", ")
	}
	var offset uint64
	change := func(c bus.Change) []*view {
		offset++
		dirty, err := h.tables[0].apply(&bus.Batch{Position: bus.Position{Epoch: 1, Offset: offset}, Changes: []bus.Change{c}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return dirty
	}
	v := newView(Query{}, lineFormat{}, h.tables)
	for _, table := range h.tables {
		table.views = append(table.views, v)
	}
	change(bus.Change{Device: a, Fleet: north, Frame: []byte("{}"), Notes: []bus.Note{note("a1", 4), note("a2", 6)}})
	if got := list(NotesQuery{}); got != "a a2, b b1, a a1" {
		t.Errorf("notes are %s", got)
	}
	v.dirty.Store(false)
	if dirty := change(bus.Change{Device: a, Fleet: north, Frame: []byte("{}"), Notes: []bus.Note{note("a2", 6), note("a3", 7)}}); len(dirty) > 0 {
		t.Error("notes are news to viewers")
	}
	for q, want := range map[string]string{
		list(NotesQuery{}): "a a3, a a2, b b1",
		list(NotesQuery{Fleets: []devices.FleetID{south}}): "b b1",
		list(NotesQuery{Device: a}):                        "a a3, a a2",
		list(NotesQuery{BeforeAt: 6, BeforeID: "a2"}):      "b b1",
	} {
		if q != want {
			t.Errorf("notes are %s, want %s", q, want)
		}
	}
	if _, ok := h.Note("alert", "a1"); ok {
		t.Error("a note that went is there")
	}
	if n, ok := h.Note("alert", "a3"); !ok || n.Device != a || n.Fleet != north {
		t.Errorf("%+v, %v", n, ok)
	}
	change(bus.Change{Device: a, Fleet: north})
	if got := list(NotesQuery{}); got != "b b1" || len(h.tables[0].notes.ids) != 0 {
		t.Errorf("notes are %s", got)
	}
	mustLoad(t, h.tables[1], &bus.Snapshot{Position: bus.Position{Epoch: 2}})
	if got := list(NotesQuery{}); got != "" {
		t.Errorf("notes are %s", got)
	}
}

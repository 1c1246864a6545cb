package hub

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// An id comes back from anybody: whatever it holds, it is read or refused, and what is read means the same when it is
// written again.
func FuzzMark(f *testing.F) {
	for _, m := range []*mark{
		{parts: []markPart{{partition: 0, at: bus.Position{Epoch: 7, Offset: 9}, ahead: 3}}},
		{parts: []markPart{{partition: 0, fresh: true}, {partition: 15, at: bus.Position{Epoch: 1, Offset: 1 << 60}}}},
		{parts: []markPart{{partition: 1, at: bus.Position{Epoch: 7, Offset: 9}}}, cursor: cursor{active: true, to: 12, hash: 1 << 63}},
	} {
		f.Add(m.encode())
	}
	f.Add("AQEAc5J0oRft25PaBAAA3z9hmASp")
	f.Add("AQ")
	f.Add("\x00\n\r")
	f.Fuzz(func(t *testing.T, id string) {
		m, ok := decodeMark(id)
		if !ok {
			return
		}
		again, ok := decodeMark(m.encode())
		if !ok {
			t.Fatalf("%q was read as %+v, and not again", id, m)
		}
		if len(again.parts) != len(m.parts) || again.cursor != m.cursor || again.filter != m.filter {
			t.Fatalf("%q became %+v, then %+v", id, m, again)
		}
		for i := range m.parts {
			if again.parts[i] != m.parts[i] {
				t.Fatalf("part %d became %+v, then %+v", i, m.parts[i], again.parts[i])
			}
		}
	})
}

// An id with offsets that nobody handed out costs its sender a reset at most, and never a hole in time for others.
func TestForgedIDsDoNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		w.set("north", "a", 0)
		w.flush()
		window()
		filter := newView(Query{}.normalise(DefaultWindow), lineFormat{}, nil).filter
		epoch := w.partitions[0].position.Epoch
		for name, m := range map[string]*mark{
			"far ahead":           {parts: []markPart{{at: bus.Position{Epoch: epoch, Offset: 1 << 62}, ahead: 1 << 62}}},
			"a pass beyond":       {parts: []markPart{{at: bus.Position{Epoch: epoch}}}, cursor: cursor{active: true, to: 1 << 40, hash: 5}},
			"fresh in no epoch":   {parts: []markPart{{fresh: true}}, cursor: cursor{active: true, to: 1, hash: 1}},
			"offset in no epoch":  {parts: []markPart{{at: bus.Position{Offset: 5}}}},
			"overflowing ahead":   {parts: []markPart{{at: bus.Position{Epoch: epoch, Offset: 1}, ahead: ^uint64(0)}}},
			"partitions repeated": {parts: []markPart{{partition: 0, fresh: true}, {partition: 0, fresh: true}}},
			"no partitions":       {},
		} {
			m.filter = filter
			v := attach(t, h, Query{}, m.encode())
			c := newClient(t, name, everything)
			for range 3 { // the wait for an edge that is ahead is in fake time
				for b := v.poll(); b != nil; b = v.poll() {
					c.read(b)
				}
				if c.ready > 0 {
					break
				}
				b, err := v.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				c.read(b)
			}
			v.Close()
			if c.ready == 0 || len(c.held) != 1 && name != "overflowing ahead" { // which says that it has offset 1
				t.Errorf("%s: ready %d times with %d assets; resets %v", name, c.ready, len(c.held), c.resets)
			}
		}
	})
}

func TestDeliveryToAnUpToDateViewerAllocatesNothing(t *testing.T) {
	w := newWorld(t, 1)
	h, err := New(Options{Bus: w, Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	mustLoad(t, h.tables[0], w.partitions[0].snapshot())
	var viewers []*Viewer
	for range 100 {
		v := attach(t, h, Query{}, "")
		defer v.Close()
		for b := v.poll(); b != nil; b = v.poll() { // until it is up to date
			continue
		}
		viewers = append(viewers, v)
	}
	view := viewers[0].view
	bytes := []byte("data")
	heads := []*vector{view.state.Load().head, {at: []bus.Position{{Epoch: 1, Offset: 1}}}}
	states := [2]viewState{}
	for i := range states {
		states[i] = viewState{head: heads[1-i], chunk: chunk{from: heads[i], to: heads[1-i], bytes: bytes}}
	}
	tick := 0
	if n := testing.AllocsPerRun(100, func() {
		view.publish(&states[tick%2])
		tick++
		for _, v := range viewers {
			<-v.wake
			if len(v.poll()) == 0 {
				t.Fatal("nothing delivered")
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations a tick for %d viewers", n, len(viewers))
	}
}

func TestRowsKeepTheOrderOfHashes(t *testing.T) {
	tb := newTable(0, 1)
	rnd := newRand(1)
	for batch := range 50 {
		b := &bus.Batch{Position: bus.Position{Offset: uint64(batch + 1)}}
		for range rnd.IntN(40) {
			c := bus.Change{Device: deviceID(t, dev(rnd.IntN(500))), Fleet: fleetID(t, dev(rnd.IntN(3))), Frame: []byte("{}")}
			if rnd.IntN(4) == 0 {
				c.Frame = nil
			}
			b.Changes = append(b.Changes, c)
		}
		if b.IsBeat() {
			b.Changes = []bus.Change{{Device: deviceID(t, "x"), Fleet: fleetID(t, "f"), Frame: []byte("{}")}}
		}
		if batch > 10 {
			b.Floor.Tombstones = uint64(batch - 10)
		}
		if _, err := tb.apply(b, nil); err != nil {
			t.Fatal(err)
		}
		checkTable(t, tb)
	}
}

// checkTable holds the table's indexes against one another.
func checkTable(t *testing.T, tb *table) {
	t.Helper()
	rows, live, listed := 0, 0, 0
	for f := tb.newest; f != nil; f = f.before {
		listed += len(f.rows.sorted)
		if f.before != nil && f.before.changed > f.changed || f.newest != nil && f.newest.offset > f.changed || tb.fleets[f.id] != f {
			t.Fatal("the list of fleets is out of order")
		}
	}
	for _, f := range tb.fleets {
		linked := 0
		for r := f.newest; r != nil; r = r.before {
			linked++
			if r.before != nil && r.before.offset > r.offset {
				t.Fatal("the recency list is out of order")
			}
		}
		if linked != len(f.rows.sorted) {
			t.Fatalf("%d rows in the recency list and %d by hash", linked, len(f.rows.sorted))
		}
		rows += len(f.rows.sorted)
	}
	for i, r := range tb.rows.sorted {
		if i > 0 && tb.rows.sorted[i-1].hash > r.hash {
			t.Fatal("the rows are out of order")
		}
		if r.frame != nil {
			live++
		}
		if r.frame == nil && r.offset <= tb.floor.Tombstones {
			t.Fatal("a tombstone below the floor is left")
		}
	}
	if !slices.IsSortedFunc(tb.named.sorted, byName) || len(tb.named.sorted) != len(tb.rows.sorted) {
		t.Fatalf("%d rows by name, or out of order", len(tb.named.sorted))
	}
	if rows != len(tb.rows.sorted) || listed != rows || live != tb.live {
		t.Fatalf("%d rows by fleet, %d in all; %d live, counted %d", rows, len(tb.rows.sorted), live, tb.live)
	}
}

func TestListsPageByID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		h := startHub(t, w)
		for i := range 25 {
			w.set("f"+dev(i%4), dev(i), 0)
		}
		w.flush()
		window()
		var after string
		var ids []string
		seen := 0
		for pages := 0; ; pages++ {
			frames, next := h.Assets(ListQuery{After: after, Limit: 10})
			seen += len(frames)
			for _, frame := range frames {
				id, _, _ := strings.Cut(strings.TrimPrefix(string(frame), `{"id":"`), `"`)
				ids = append(ids, id)
			}
			if after = next; next == "" {
				if seen != 25 || pages != 2 || !slices.IsSorted(ids) || len(slices.Compact(ids)) != 25 {
					t.Errorf("%d assets in %d pages: %q", seen, pages+1, ids)
				}
				break
			}
		}
		if frames, next := h.Assets(ListQuery{Fleets: []devices.FleetID{fleetID(t, "f"+dev(1))}, Status: "online", Limit: 100}); len(frames) != 6 || next != "" {
			t.Errorf("one fleet's page has %d assets, next %q", len(frames), next)
		}
		if frames, _ := h.Assets(ListQuery{Status: "offline", Limit: 100}); len(frames) != 0 {
			t.Errorf("%d assets are offline", len(frames))
		}
		if f, ok := h.Fleet(deviceID(t, dev(7))); !ok || f.String() != "f"+dev(3) {
			t.Errorf("fleet of dev-7: %v %v", f, ok)
		}
		if _, ok := h.Asset(deviceID(t, "nobody")); ok {
			t.Error("there is an asset of nobody")
		}
	})
}

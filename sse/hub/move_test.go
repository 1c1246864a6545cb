package hub

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// moveTo changes the view of a client that is up to date or not, and reads what comes.
func moveTo(t *testing.T, c *client, v *Viewer, seq uint64, q Query) (pieces []string) {
	t.Helper()
	ask(t, c, v, seq, q)
	return readAll(c, v)
}

func ask(t *testing.T, c *client, v *Viewer, seq uint64, q Query) {
	t.Helper()
	c.views[fmt.Sprintf(`{"seq":%d}`, seq)] = q
	if err := v.Move(q, seq); err != nil {
		t.Fatal(err)
	}
}

func readAll(c *client, v *Viewer) (pieces []string) {
	for range 3 {
		for b := v.poll(); b != nil; b = v.poll() {
			pieces = append(pieces, string(b))
			c.read(b)
		}
		window() // its new view may have to tick
	}
	return pieces
}

// What leaves is removed, what enters comes as it is, what stays is not said again, and then comes ready.
func TestAViewThatChangesTellsTheDifference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := Query{BBox: bbox(t, "0,0,10,10")}
		w := newBoxWorld(t, q)
		defer func() { w.v.Close() }()
		w.put("north", "leaves", 1, 1)
		w.put("north", "stays", 5, 9)
		w.put("south", "enters", 5, 15)
		w.put("south", "elsewhere", 50, 50)
		w.tick()
		said := strings.Join(moveTo(t, w.c, w.v, 7, Query{BBox: bbox(t, "8,0,20,10")}), "")
		if !strings.Contains(said, `E view {"seq":7}`) || strings.Index(said, "E view") > strings.Index(said, "E removed") ||
			strings.Index(said, `E removed {"id":"leaves","fleet":"north"}`) > strings.Index(said, `A {"id":"enters"`) ||
			strings.Contains(said, `"stays"`) || strings.Contains(said, `"elsewhere"`) || strings.Index(said, "E ready") < strings.Index(said, `"enters"`) {
			t.Errorf("it is told\n%s", said)
		}
		w.c.mustShowNow(w.world)
		w.put("north", "stays", 5, 9.5)
		w.put("north", "leaves", 5, 5)
		before := w.c.bytes
		w.tick()
		if w.c.mustShowNow(w.world); w.c.bytes == before {
			t.Error("nothing is told any more")
		}
		if said := strings.Join(moveTo(t, w.c, w.v, 8, Query{BBox: bbox(t, "8,0,20,10")}), ""); !strings.Contains(said, `E view {"seq":8}`) || strings.Contains(said, "A ") || !strings.Contains(said, "E ready") {
			t.Errorf("the same view again says\n%s", said)
		}
		if s := w.h.Stats(); s.Views != 1 || s.Viewers != 1 || s.Moves != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// A device that jitters over the edge neither comes nor goes; one that stays in the margin is shown for as long as it was in
// the box, and one that came no nearer is not.
func TestADeviceThatJittersOverTheEdgeOfABoxDoesNotFlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := Query{BBox: bbox(t, "179,0,-179,1")}
		w := newBoxWorld(t, q)
		defer func() { w.v.Close() }()
		w.put("north", "a", 0.5, -179.01)
		w.put("north", "near", 1.01, 180)
		w.tick()
		removed := 0
		for i := range 20 {
			w.put("north", "a", 0.5, -179.02+0.03*float64(i%2))
			w.put("north", "near", 1.01, 180)
			w.flush()
			window()
			for b := w.v.poll(); b != nil; b = w.v.poll() {
				removed += strings.Count(string(b), "E removed")
				w.c.read(b)
			}
			if w.c.held["a"] == "" || removed > 0 || w.c.held["near"] != "" {
				t.Fatalf("after %d moves it shows %v and was told of %d removals", i+1, w.c.held, removed)
			}
		}
		fresh := attach(t, w.h, q, "")
		defer fresh.Close()
		c := newClient(t, "fresh", everything)
		c.box = q.BBox
		c.drain(fresh)
		if c.held["a"] == "" {
			t.Error("who comes to the view later is not shown its member in the margin")
		}
		w.put("north", "a", 0.5, -178.9)
		w.tick()
		if w.c.held["a"] != "" {
			t.Error("it left and is shown")
		}
	})
}

// Where the viewer stands does not matter: in its first pass, behind, or up to date.
func TestAViewMayChangeInAPass(t *testing.T) {
	for name, before := range map[string]func(w *boxWorld){
		"fresh":        func(*boxWorld) {},
		"in snapshot":  func(w *boxWorld) { w.c.read(w.v.poll()) },
		"up to date":   func(w *boxWorld) { slowly(w.c, w.v) },
		"behind":       func(w *boxWorld) { slowly(w.c, w.v); w.shift(0.1) },
		"in a pass":    func(w *boxWorld) { slowly(w.c, w.v); w.shift(0.1); w.c.read(w.v.poll()); w.shift(0.2) },
		"after a load": func(w *boxWorld) { slowly(w.c, w.v); w.restart(); window() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := Query{BBox: bbox(t, "0,0,10,10")}
				w := newBoxWorld(t, q)
				defer func() { w.v.Close() }()
				w.shift(0)
				w.v.Close()
				w.v, w.c = attach(t, w.h, q, ""), newClient(t, name, everything)
				w.c.box = q.BBox
				w.v.Took(1, time.Second)
				before(w)
				for seq, box := range []string{"5,5,15,15", "0,0,10,10", "30,30,40,40", "0,0,12,9"} {
					ask(t, w.c, w.v, uint64(seq), Query{BBox: bbox(t, box)})
					for range 3 { // and on before it is through
						if b := w.v.poll(); b != nil {
							w.c.read(b)
						}
						w.shift(float64(seq) / 7)
					}
				}
				readAll(w.c, w.v)
				w.c.mustShowNow(w.world)
				if len(w.c.held) < 20 {
					t.Errorf("it shows %d", len(w.c.held))
				}
			})
		})
	}
}

// shift puts 200 devices around the box, a little further than before, and removes some.
func (w *boxWorld) shift(by float64) {
	for i := range 200 {
		w.where[dev(i)] = [2]float64{float64(i%20) + by, float64(i/10) - by}
		w.set([]string{"north", "south"}[i%2], dev(i), 100)
	}
	gone := dev(int(by * 100))
	if f, ok := w.fleetOf[deviceID(w.tb, gone)]; ok && by > 0 {
		w.remove(f.String(), gone)
	}
	w.flush()
	window()
}

// Alerts of the fleets that both views read are told once, whenever the view changes.
func TestNoEventIsLostOnTheWayToAnotherView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		north := []devices.FleetID{fleetID(t, "north")}
		w := newBoxWorld(t, Query{Fleets: north})
		defer func() { w.v.Close() }()
		var want []string
		alert := func() {
			data := fmt.Sprintf(`{"n":%d}`, len(want))
			want = append(want, "alert "+data)
			w.flush(bus.Event{Name: "alert", Device: deviceID(t, "a"), Fleet: north[0], Data: []byte(data)},
				bus.Event{Name: "alert", Device: deviceID(t, "b"), Fleet: fleetID(t, "south"), Data: []byte(`{"of":"south"}`)})
		}
		for seq, q := range []Query{{Fleets: north, BBox: bbox(t, "0,0,1,1")}, {Fleets: north, Devices: []devices.DeviceID{deviceID(t, "a")}}, {Fleets: north}} {
			alert()
			ask(t, w.c, w.v, uint64(seq), q)
			alert()
			for range 2 {
				if b := w.v.poll(); b != nil {
					w.c.read(b)
				}
				alert()
				window()
			}
			readAll(w.c, w.v)
		}
		if !slices.Equal(w.c.events, want) {
			t.Errorf("events %v, want %v", w.c.events, want)
		}
	})
}

// A client that is cut on its way is reset when it comes back, with whichever filter; from the end of the way on it resumes.
func TestAClientThatIsCutOnItsWayBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, to := Query{BBox: bbox(t, "0,0,10,10")}, Query{BBox: bbox(t, "5,5,25,25")}
		w := newBoxWorld(t, q)
		w.shift(0)
		w.c.drain(w.v)
		w.v.Took(1, time.Second)
		ask(t, w.c, w.v, 1, to)
		w.c.read(w.v.poll())
		w.c.read(w.v.poll())
		w.v.Close()
		for _, back := range []Query{q, to} {
			c := newClient(t, "back", everything)
			v := attach(t, w.h, back, w.c.id)
			c.drain(v)
			if fmt.Sprint(c.resets) != `[{"reason":"filter"}]` || c.ready != 1 {
				t.Errorf("resets %v, ready %d times", c.resets, c.ready)
			}
			v.Close()
		}
		keeps := attach(t, w.h, to, "")
		defer keeps.Close()
		w.open(t, q, "")
		moveTo(t, w.c, w.v, 2, to)
		w.v.Close()
		v := attach(t, w.h, to, w.c.id)
		defer v.Close()
		w.c.resets = nil
		w.c.drain(v)
		if w.c.mustShowNow(w.world); len(w.c.resets) != 0 {
			t.Errorf("resets %v", w.c.resets)
		}
	})
}

// A change that nobody picks up holds one view, however many come, and gives it back.
func TestChangesThatAreNotPickedUpAreNotKept(t *testing.T) {
	w := newWorld(t, 1)
	h, err := New(Options{Bus: w, Partitions: 1, MaxViews: 3})
	if err != nil {
		t.Fatal(err)
	}
	mustLoad(t, h.tables[0], w.partitions[0].snapshot())
	v, other := attach(t, h, Query{}, ""), attach(t, h, Query{Every: time.Minute}, "")
	for i := range 10 {
		if err := v.Move(Query{BBox: bbox(t, fmt.Sprintf("0,0,%d,1", i+1))}, uint64(i)); i < 1 && err != nil {
			t.Fatal(err)
		}
	}
	if s := h.Stats(); s.Views != 3 {
		t.Errorf("%d views", s.Views)
	}
	if err := other.Move(Query{BBox: bbox(t, "1,1,2,2")}, 1); devices.KindOf(err) != devices.Exhausted {
		t.Errorf("a view too many gives %v", err)
	}
	v.Close()
	other.Close()
	if err := v.Move(Query{}, 11); devices.KindOf(err) != devices.NotFound {
		t.Errorf("a viewer that is closed gives %v", err)
	}
	if s := h.Stats(); s.Views != 0 || s.Viewers != 0 {
		t.Errorf("%d views and %d viewers are left", s.Views, s.Viewers)
	}
}

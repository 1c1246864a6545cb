package hub

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// Whatever is in a box is in a square under which the index has the box, and a box is in few of them.
func TestTheGridFindsEveryPositionInABox(t *testing.T) {
	degrees := func(most float64) *rapid.Generator[float64] {
		return rapid.OneOf(rapid.Float64Range(-most, most), rapid.SampledFrom([]float64{-most, most, 0, most / 2, most - 1e-9}))
	}
	rapid.Check(t, func(t *rapid.T) {
		south, north := degrees(90).Draw(t, "south"), degrees(90).Draw(t, "north")
		box, err := devices.NewBBox(degrees(180).Draw(t, "west"), min(south, north), degrees(180).Draw(t, "east"), max(south, north))
		if err != nil {
			t.Fatal(err)
		}
		lat := rapid.OneOf(degrees(90), rapid.Just(south), rapid.Just(north)).Draw(t, "lat")
		lon := degrees(180).Draw(t, "lon")
		for _, c := range []cover{coverOf(box), coverAt(rowLevel, box)} {
			if c.level != rowLevel && c.len() > cellsOfBox && c.level > 0 {
				t.Fatalf("%v is in %d squares", box, c.len())
			}
			at := cellAt(c.level, lat, lon)
			found := c.len() > 1<<16 // too many to look at one by one
			for one := range c.cells {
				if found = found || one == at; found {
					break
				}
			}
			if box.Contains(lat, lon) && !found {
				t.Fatalf("%v holds %v,%v, which is in %v, and is under %+v", box, lat, lon, at, c)
			}
		}
	})
}

// boxWorld is a hub and a client of a box, with what happens told in words.
type boxWorld struct {
	*world
	h *Hub
	c *client
	v *Viewer
}

func newBoxWorld(t *testing.T, q Query) *boxWorld {
	t.Helper()
	w := &boxWorld{world: newWorld(t, 1)}
	w.h = startHub(t, w.world)
	w.open(t, q, "")
	return w
}

func (w *boxWorld) open(t *testing.T, q Query, id string) {
	t.Helper()
	w.v, w.c = attach(t, w.h, q, id), newClient(t, "client", wantsOf(q))
	w.c.box = q.BBox
	w.c.drain(w.v)
}

// put sets a device at a place, "" for none.
func (w *boxWorld) put(fleet, device string, lat, lon float64) {
	w.where[device] = [2]float64{lat, lon}
	w.set(fleet, device, 0)
}

func (w *boxWorld) tick() {
	w.flush()
	window()
	w.c.drain(w.v)
}

// What comes into a box is an asset, what leaves it is removed, and of what stays outside nobody hears.
func TestABoxIsEnteredAndLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := bbox(t, "178,-1,-178,1")
		w := newBoxWorld(t, Query{BBox: box})
		defer func() { w.v.Close() }()
		step := func(what string, want int) {
			t.Helper()
			bytes := w.c.bytes
			w.tick()
			w.c.mustShow(w.showsIn(everything, box))
			if len(w.c.held) != want {
				t.Errorf("%s: it shows %d", what, len(w.c.held))
			}
			if what == "outside" && w.c.bytes != bytes {
				t.Errorf("%s: %d bytes", what, w.c.bytes-bytes)
			}
		}
		w.put("north", "a", 0, 179)
		w.put("north", "b", 0, -179)
		w.put("north", "c", 0, 10)
		step("two of three", 2)
		w.put("north", "c", 0, 11)
		step("outside", 2)
		w.put("north", "c", 0, 180)
		step("in", 3)
		w.put("north", "a", 0, 177.9)
		step("out", 2)
		w.put("north", "a", 0, 177)
		step("outside", 2)
		w.put("south", "b", 0.5, -179.5) // into another fleet, and inside
		step("moved", 2)
		delete(w.where, "b")
		w.set("south", "b", 0)
		step("without a position", 1)
		w.remove("north", "c")
		step("removed", 0)
		w.remove("south", "b")
		step("outside", 0)
		w.put("north", "a", 0, 179)
		w.flush()
		w.put("north", "a", 0, 0) // in and out between two ticks
		step("in and out", 0)
	})
}

// A viewer that was away hears who left the box meanwhile, on the edge that kept it; elsewhere it begins anew.
func TestWhoLeftABoxIsToldToThoseWhoWereAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := Query{BBox: bbox(t, "1,1,2,2")}
		w := newBoxWorld(t, q)
		other := startHub(t, w.world)
		keeps := attach(t, w.h, q, "")
		defer keeps.Close()
		w.put("north", "a", 1.5, 1.5)
		w.put("north", "b", 1.5, 1.6)
		w.put("north", "c", 1.6, 1.6)
		w.tick()
		w.v.Close()
		w.put("north", "a", 3, 3)
		w.remove("north", "b")
		w.flush()
		window()
		id := w.c.id
		c := w.c
		v := attach(t, w.h, q, id)
		defer v.Close()
		c.drain(v)
		if len(c.held) != 1 || len(c.resets) != 0 {
			t.Errorf("it shows %v after resets %v", c.held, c.resets)
		}
		elsewhere := attach(t, other, q, id)
		defer elsewhere.Close()
		c.drain(elsewhere)
		if c.mustShow(w.showsIn(everything, q.BBox)); fmt.Sprint(c.resets) != `[{"reason":"expired"}]` {
			t.Errorf("at another edge: resets %v", c.resets)
		}
	})
}

// A load in the same epoch, by a feed that lost its place, is no reason to begin anew, and hides no departure.
func TestALoadDoesNotHideWhoLeftABox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := Query{BBox: bbox(t, "1,1,2,2")}
		w := newBoxWorld(t, q)
		defer func() { w.v.Close() }()
		for _, id := range []string{"stays", "left", "leaves", "goes"} {
			w.put("north", id, 1.5, 1.5)
		}
		w.tick()
		w.put("north", "left", 5, 5)
		w.flush() // the viewer does not look yet
		window()
		p := w.partitions[0]
		feeds := p.feeds
		p.feeds = nil // the feed misses what follows
		w.put("north", "leaves", 5, 5)
		w.remove("north", "goes")
		w.put("north", "comes", 1.2, 1.2)
		w.flush()
		p.feeds = feeds
		for _, f := range feeds {
			f.send(bus.Update{Snapshot: p.snapshot()})
		}
		window()
		w.c.drain(w.v)
		if w.c.mustShow(w.showsIn(everything, q.BBox)); len(w.c.held) != 2 || len(w.c.resets) != 0 {
			t.Errorf("it shows %v after resets %v", w.c.held, w.c.resets)
		}
	})
}

// An alert is not a place on a map: the events of a box's fleets come whole.
func TestABoxHearsTheEventsOfItsFleets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBoxWorld(t, Query{BBox: bbox(t, "1,1,2,2"), Fleets: []devices.FleetID{fleetID(t, "north")}})
		defer func() { w.v.Close() }()
		for _, fleet := range []string{"north", "south"} {
			w.flush(bus.Event{Name: "alert", Device: deviceID(t, "a"), Fleet: fleetID(t, fleet), Data: []byte(`{"of":"` + fleet + `"}`)})
			window()
		}
		w.c.drain(w.v)
		if fmt.Sprint(w.c.events) != `[alert {"of":"north"}]` {
			t.Errorf("events %v", w.c.events)
		}
	})
}

// Crowds that pass through a box do not make it grow: who left longest ago is forgotten, and who has not heard of it yet
// begins anew.
func TestWhatABoxKeepsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := Query{BBox: bbox(t, "1,1,2,2")}
		w := newBoxWorld(t, q)
		v := w.v
		defer v.Close()
		held := attach(t, w.h, q, "") // never reads again
		defer held.Close()
		slow := newClient(t, "slow", everything)
		slow.box = q.BBox
		slow.drain(held)
		for i := range 3 * maxLeft {
			w.put("north", dev(i), 1.5, 1.5)
			if i%1000 == 999 {
				w.tick()
				for j := i - 999; j <= i; j++ {
					w.put("north", dev(j), 5, 5)
				}
				w.tick()
			}
		}
		i := v.view.interest(w.h.tables[0])
		if n := len(i.left); n > maxLeft || n < maxLeft/4 || int64(n) != w.h.left.Load() {
			t.Errorf("%d departures are kept, counted as %d", n, w.h.left.Load())
		}
		slow.drain(held)
		if slow.mustShow(w.showsIn(everything, q.BBox)); fmt.Sprint(slow.resets) != `[{"reason":"expired"}]` {
			t.Errorf("resets %v", slow.resets)
		}
		v.Close()
		held.Close()
		if w.h.left.Load() != 0 {
			t.Errorf("%d departures are counted when the view is gone", w.h.left.Load())
		}
	})
}

// Changes find their views: of a thousand filters only those are ticked that have something to tell.
func TestOnlyTheFiltersThatAChangeConcernsAreTouched(t *testing.T) {
	w := newWorld(t, 1)
	h, err := New(Options{Bus: w, Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	tb := h.tables[0]
	for i := range 1000 {
		w.where[dev(i)] = [2]float64{float64(i / 100), float64(i % 100)}
		w.set(fmt.Sprintf("fleet-%d", i%100), dev(i), 0)
	}
	w.flush()
	mustLoad(t, tb, w.partitions[0].snapshot())
	views := map[string]func(i int) Query{
		"device lists": func(i int) Query {
			return Query{Devices: []devices.DeviceID{deviceID(t, dev(i)), deviceID(t, dev(i+1))}}
		},
		"boxes": func(i int) Query {
			return Query{BBox: bbox(t, fmt.Sprintf("%d,%d,%d.5,%d.5", i%100, i/100, i%100, i/100))}
		},
		"fleets": func(i int) Query { return Query{Fleets: []devices.FleetID{fleetID(t, fmt.Sprintf("fleet-%d", i))}} },
	}
	of := map[*view]string{}
	for name, query := range views {
		for i := range 1000 {
			v := attach(t, h, query(i), "")
			defer v.Close()
			of[v.view] = name
		}
	}
	at := tb.position
	at.Offset++
	c := w.partitions[0].state[[2]string{"fleet-7", dev(507)}].Change
	if dirty, err := tb.apply(&bus.Batch{Position: at, Changes: []bus.Change{c}}, nil); err != nil || len(dirty) != 0 {
		t.Fatalf("what every viewer sees already touches %d views, %v", len(dirty), err)
	}
	at.Offset++
	c.Frame = append(slices.Clone(c.Frame), ' ')
	dirty, err := tb.apply(&bus.Batch{Position: at, Changes: []bus.Change{c}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var touched []string
	for _, v := range dirty {
		touched = append(touched, of[v])
	}
	slices.Sort(touched)
	if want := []string{"boxes", "device lists", "device lists", "fleets"}; !slices.Equal(touched, want) {
		t.Errorf("a change of one device touches %v", touched)
	}
	for _, v := range dirty {
		if i := v.interest(tb); i != nil && len(i.news) != 1 {
			t.Errorf("%s: %d news", of[v], len(i.news))
		}
	}
}

// A view of several fleets visits theirs, in the order of all.
func TestAPassOverSeveralFleetsIsInTheOrderOfHashes(t *testing.T) {
	tb := newTable(0, 1)
	w := newWorld(t, 1)
	for i := range 500 {
		w.set(fmt.Sprintf("fleet-%d", i%7), dev(i), 0)
	}
	w.flush()
	mustLoad(t, tb, w.partitions[0].snapshot())
	q := Query{Fleets: []devices.FleetID{fleetID(t, "fleet-1"), fleetID(t, "fleet-3"), fleetID(t, "fleet-5"), fleetID(t, "no-such")}}
	v := newView(q, lineFormat{}, []*table{tb})
	var want []*row
	for _, r := range tb.rows.sorted {
		if v.reads(tb, r) {
			want = append(want, r)
		}
	}
	if got := slices.Collect(v.ordered(tb, since{}, 0, false)); !slices.Equal(got, want) {
		t.Errorf("%d rows, want %d in order", len(got), len(want))
	}
	if got := slices.Collect(v.ordered(tb, since{}, want[99].hash, true)); !slices.Equal(got, want[100:]) {
		t.Errorf("%d rows behind the hundredth", len(got))
	}
}

// The news of a slow view of a few busy devices do not grow with time.
func TestTheNewsOfASlowViewAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		q := Query{Devices: []devices.DeviceID{deviceID(t, "a"), deviceID(t, "b")}, Every: time.Hour}
		v := attach(t, h, q, "")
		defer v.Close()
		c := newClient(t, "client", wantsOf(q))
		c.drain(v)
		i := v.view.interest(h.tables[0])
		for n := range 3 * maxNews {
			w.set("north", "a", 0)
			if n%100 == 0 {
				w.set("north", "b", 0)
			}
			w.flush()
			synctest.Wait()
			h.tables[0].mu.Lock() // the ticker takes the news under the read lock
			news, lost := len(i.news), i.lost
			h.tables[0].mu.Unlock()
			if news > maxNews || lost {
				t.Fatalf("%d news, lost %t", news, lost)
			}
		}
		<-time.After(2 * time.Hour)
		synctest.Wait()
		c.drain(v)
		c.mustShow(w.shows(c.wants))
	})
}

// The rows of a table are in the squares in which they show, and in no other.
func TestTheGridOfATableFollowsItsRows(t *testing.T) {
	w, tb := newWorld(t, 1), newTable(0, 1)
	mustLoad(t, tb, w.partitions[0].snapshot())
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		for range 20 {
			id := dev(rnd.IntN(50))
			w.move(rnd, id)
			w.set([]string{"north", "south"}[rnd.IntN(2)], id, 0)
			if gone := deviceID(t, dev(rnd.IntN(50))); rnd.IntN(3) == 0 && !w.fleetOf[gone].IsZero() {
				w.remove(w.fleetOf[gone].String(), gone.String())
			}
		}
		if rnd.IntN(20) == 0 {
			w.forget()
		}
		p := w.partitions[0]
		feed := &worldFeed{updates: make(chan bus.Update, 1)}
		p.feeds = []*worldFeed{feed}
		w.flush()
		if _, err := tb.apply((<-feed.updates).Batch, nil); err != nil {
			t.Fatal(err)
		}
		checkTable(t, tb)
		n := 0
		for at, rows := range tb.grid {
			n += len(rows)
			for i, r := range rows {
				if !r.inGrid || r.cell != at || r.inCell != i || r.dead || cellAt(rowLevel, r.lat, r.lon) != at {
					t.Fatalf("%v stands at %v, %d", r, at, i)
				}
			}
		}
		shown := 0
		for _, r := range tb.rows.sorted {
			if r.spot().shown {
				shown++
			}
		}
		if n != shown {
			t.Fatalf("%d rows are in the grid, %d show", n, shown)
		}
	}
}

// A device may leave a box while its view is being made: its first viewer begins where departures are known.
func TestABoxThatIsMadeWhileDevicesLeaveItIsRight(t *testing.T) {
	w := newWorld(t, 1)
	h, err := New(Options{Bus: w, Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	feed := &worldFeed{updates: make(chan bus.Update, 1)}
	w.partitions[0].feeds = []*worldFeed{feed}
	tb := h.tables[0]
	mustLoad(t, tb, w.partitions[0].snapshot())
	put := func(lat float64) {
		for i := range 10 {
			w.where[dev(i)] = [2]float64{lat, 1}
			w.set("north", dev(i), 0)
		}
		w.flush()
		if _, err := tb.apply((<-feed.updates).Batch, nil); err != nil {
			t.Fatal(err)
		}
	}
	put(1)
	q := Query{BBox: bbox(t, "0,0,2,2")}
	v := newView(q.normalise(h.options.Window), lineFormat{}, h.tables)
	v.enlist = func(v *view) { h.enlist(v.markDirty(nil)...) }
	v.slices.all, v.allLeft = &h.sliceBytes, &h.left
	v.takeHead()
	put(5) // all leave
	v.register()
	h.views[v.key] = v
	c := newClient(t, "client", everything)
	viewer := attach(t, h, q, "")
	defer viewer.Close()
	if viewer.view != v {
		t.Fatal("the viewer has a view of its own")
	}
	for range 3 {
		c.drain(viewer)
		h.tickDue(h.takeDirty(nil), time.Now())
	}
	c.drain(viewer)
	if c.mustShow(w.showsIn(everything, q.BBox)); c.ready != 1 || len(c.resets) != 0 {
		t.Errorf("ready %d times, resets %v", c.ready, c.resets)
	}
}

// The events of a slow box do not pile up in it: what is too much comes by a pass, from the table.
func TestTheEventsOfASlowBoxAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBoxWorld(t, Query{BBox: bbox(t, "1,1,2,2"), Every: time.Minute})
		defer func() { w.v.Close() }()
		const events = 3 * maxTold
		for n := range events {
			w.flush(bus.Event{Name: "alert", Device: deviceID(t, "a"), Fleet: fleetID(t, "north"), Data: fmt.Appendf(nil, "%d", n)})
			synctest.Wait()
		}
		tb := w.h.tables[0]
		tb.mu.Lock()
		if i := w.v.view.interest(tb); len(i.told) > maxTold {
			t.Errorf("%d events are noted", len(i.told))
		}
		tb.mu.Unlock()
		<-time.After(2 * time.Minute)
		synctest.Wait()
		w.c.drain(w.v)
		if len(w.c.events) != events || !strings.HasSuffix(w.c.events[events-1], fmt.Sprint(events-1)) {
			t.Errorf("%d events of %d came", len(w.c.events), events)
		}
	})
}

// An id may be too old for an edge that lags behind what the viewer has seen. A snapshot of this edge would show devices
// as they were before that, so it waits, and says "ahead" where the edge does not come up.
func TestAnEdgeThatLagsDoesNotGoBackByAReset(t *testing.T) {
	for name, comes := range map[string]bool{"it comes up": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := Query{BBox: bbox(t, "1,1,2,2")}
				w := newBoxWorld(t, q)
				defer func() { w.v.Close() }()
				for range 8 {
					w.put("north", "a", 1.5, 1.5)
					w.tick()
				}
				w.v.Close()
				w.open(t, q, "") // the view is made anew: it knows who left since now
				id := newMark([]markPart{{at: bus.Position{Epoch: w.partitions[0].position.Epoch, Offset: 3}, ahead: 7}}, cursor{}, w.v.view.filter)
				v := attach(t, w.h, q, id.text)
				defer v.Close()
				c := newClient(t, "client", everything)
				c.drain(v)
				if c.bytes != 0 {
					t.Errorf("it is told of %v after resets %v, though it has seen what this edge has not", c.held, c.resets)
				}
				want := `[{"reason":"ahead"}]`
				if comes {
					for range 2 {
						w.put("north", "a", 1.5, 1.5)
						w.tick()
					}
					want = `[{"reason":"expired"}]`
				} else {
					<-time.After(AheadWait)
				}
				c.drain(v)
				if c.mustShow(w.showsIn(everything, q.BBox)); fmt.Sprint(c.resets) != want {
					t.Errorf("resets %v, want %s", c.resets, want)
				}
			})
		})
	}
}

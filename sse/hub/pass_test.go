package hub

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// slowly reads a viewer's pieces as one whose connection takes about a kilobyte at a time, and returns them.
func slowly(c *client, v *Viewer) (pieces []string) {
	v.Took(1, time.Second)
	for b := v.poll(); b != nil; b = v.poll() {
		pieces = append(pieces, string(b))
		c.read(b)
	}
	return pieces
}

// A pass gives each device that changed once, in slices of the size that the viewer takes, whatever the filter.
func TestAPassGivesEachDeviceOnceInSlicesOfItsSize(t *testing.T) {
	north, south := fleetID(t, "north"), fleetID(t, "south")
	var list []devices.DeviceID
	for i := range 200 {
		list = append(list, deviceID(t, dev(i)))
	}
	for name, q := range map[string]Query{
		"everything": {}, "one fleet": {Fleets: []devices.FleetID{north}},
		"two fleets": {Fleets: []devices.FleetID{north, south}}, "a list": {Devices: list},
		"a list in a fleet": {Devices: list, Fleets: []devices.FleetID{south}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1)
			h := startHub(t, w)
			change := func() {
				for i := range 600 {
					w.set([]string{"north", "south", "east"}[i%3], dev(i), 200)
				}
				w.flush()
				window()
			}
			change()
			c := newClient(t, name, wantsOf(q))
			for _, small := range []bool{true, false} {
				v := attach(t, h, q, c.id)
				given, most := map[string]int{}, 0
				limit := MaxSliceBytes
				if small {
					limit = MinSliceBytes
					v.Took(1, time.Second)
				}
				for b := v.poll(); b != nil; b = v.poll() {
					c.read(b)
					most = max(most, len(b))
					for line := range strings.Lines(string(b)) {
						if strings.HasPrefix(line, "A ") {
							given[line[:strings.Index(line, ",")]]++
						}
					}
				}
				v.Close()
				want := w.shows(wantsOf(q))
				c.mustShow(want)
				for id, n := range given {
					if n != 1 {
						t.Errorf("%s: %s was given %d times", name, id, n)
					}
				}
				if len(given) != len(want) || most > limit+1024 {
					t.Errorf("%s: %d of %d devices, in pieces of up to %d bytes", name, len(given), len(want), most)
				}
				change()
			}
			v := attach(t, h, q, c.id)
			defer v.Close()
			c.drain(v)
			for i := range 3 { // a few, live
				w.set([]string{"north", "south", "east"}[i], dev(i), 200)
			}
			w.flush()
			window()
			c.drain(v)
			c.mustShow(w.shows(wantsOf(q)))
		})
	}
}

// The two rows of a device that moved have one hash, and the cursor of a slice is a hash: a slice that ended between
// them would lose the second.
func TestASliceDoesNotEndBetweenTheRowsOfADeviceThatMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		for i := range 200 {
			w.set("north", dev(i), 100)
		}
		w.flush()
		window()
		c := newClient(t, "client", everything)
		v := attach(t, h, Query{}, "")
		c.drain(v)
		v.Close()
		for i := range 200 {
			w.set("south", dev(i), 100+i) // so that slices end after every kind of row
		}
		w.flush()
		window()
		v = attach(t, h, Query{}, c.id)
		defer v.Close()
		slowly(c, v)
		c.mustShow(w.shows(everything))
		fresh := attach(t, h, Query{}, "")
		defer fresh.Close()
		if all := strings.Join(slowly(newClient(t, "fresh", everything), fresh), ""); strings.Contains(all, "E removed") {
			t.Error("a new viewer is told of removals of what it never saw")
		}
	})
}

// A connection may be cut within a slice. Its beginning says how to go on: with what was removed meanwhile, and not at an
// edge that knows less than the page shows.
func TestASliceThatWasCutIsGoneOnFromItsBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		first, second := startHub(t, w), startHub(t, w)
		for i := range 100 {
			w.set("north", dev(i), 100)
		}
		w.flush()
		window()
		w.partitions[0].feeds[1].hold = true
		for i := range 100 {
			w.set("north", dev(i), 100)
		}
		w.flush()
		window()
		c := newClient(t, "client", everything)
		v := attach(t, first, Query{}, "")
		v.Took(1, time.Second)
		b := string(v.poll())
		c.read([]byte(b[:strings.LastIndex(b, "I ")]))
		v.Close()
		if len(c.held) == 0 || c.id == "" {
			t.Fatalf("the slice that was cut gave %d assets and the id %q", len(c.held), c.id)
		}

		late := attach(t, second, Query{}, c.id) // the client complains about a step back
		c.drain(late)
		late.Close()
		for id := range c.held {
			w.remove("north", id)
		}
		w.flush()
		window()
		v = attach(t, first, Query{}, c.id)
		defer v.Close()
		c.drain(v)
		c.mustShow(w.shows(everything))
		if len(c.resets) != 0 {
			t.Errorf("resets %v", c.resets)
		}
		w.partitions[0].feeds[1].release()
	})
}

// A pass that goes on at an edge that has not come up to the end of the pass would miss what changed in between.
func TestAPassWaitsForAnEdgeThatLags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		first, second := startHub(t, w), startHub(t, w)
		for i := range 100 {
			w.set("north", dev(i), 100)
		}
		w.flush()
		window()
		late := w.partitions[0].feeds[1]
		late.hold = true
		for i := range 100 {
			w.set("north", dev(i), 100)
		}
		w.flush()
		window()
		c := newClient(t, "client", everything)
		v := attach(t, first, Query{}, "")
		v.Took(1, time.Second)
		c.read(v.poll())
		v.Close()
		v = attach(t, second, Query{}, c.id)
		defer v.Close()
		if c.drain(v); c.ready != 0 {
			t.Error("ready at an edge that lags")
		}
		late.release()
		window()
		c.drain(v)
		c.mustShow(w.shows(everything))
	})
}

// After a reset the page is empty. Cut then, it must not go on from its old position at an edge that has not heard of the
// new epoch.
func TestAClientThatIsCutAfterAResetBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		first, second := startHub(t, w), startHub(t, w)
		w.set("north", "a", 0)
		w.flush()
		window()
		c := newClient(t, "client", everything)
		v := attach(t, first, Query{}, "")
		c.drain(v)
		v.Close()
		w.partitions[0].feeds[1].hold = true
		w.restart()
		window()
		v = attach(t, first, Query{}, c.id)
		c.read(v.poll())
		v.Close()
		if len(c.resets) != 1 || len(c.held) != 0 {
			t.Fatalf("resets %v, %d assets", c.resets, len(c.held))
		}
		v = attach(t, second, Query{}, c.id)
		defer v.Close()
		c.drain(v)
		c.mustShow(w.shows(everything))
	})
}

// While a snapshot is on its way, what it showed may be removed and forgotten: then only a reset helps.
func TestASnapshotWhoseRemovalsAreForgottenIsReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		for i := range 100 {
			w.set("north", dev(i), 100)
		}
		w.flush()
		window()
		c := newClient(t, "client", everything)
		v := attach(t, h, Query{}, "")
		defer v.Close()
		v.Took(1, time.Second)
		c.read(v.poll())
		for id := range c.held {
			w.remove("north", id)
		}
		w.flush()
		w.forget()
		w.set("north", "other", 0)
		w.flush()
		window()
		c.drain(v)
		c.mustShow(w.shows(everything))
		if fmt.Sprint(c.resets) != `[{"reason":"expired"}]` {
			t.Errorf("resets %v", c.resets)
		}
	})
}

// A slice that finds nothing among very many rows ends all the same: it holds the table's lock.
func TestASliceLooksAtABoundedNumberOfRows(t *testing.T) {
	tb := newTable(0, 1)
	s := &bus.Snapshot{Position: bus.Position{Epoch: 1, Offset: 1}}
	for i := range maxSliceVisits + 5000 {
		s.Devices = append(s.Devices, bus.Versioned{Offset: 1, Change: bus.Change{Device: deviceID(t, dev(i)), Fleet: fleetID(t, "east"), Frame: []byte("{}")}})
	}
	mustLoad(t, tb, s)
	v := newView(Query{Every: time.Second}, lineFormat{}, []*table{tb})
	m := newMark([]markPart{{at: tb.position}}, cursor{active: true, to: 1}, v.filter) // nothing changed since
	if got := v.build(m, m.cursor, MaxSliceBytes); got.bytes != nil || !got.next.cursor.active {
		t.Errorf("the slice has %d bytes, and the pass goes on: %v", len(got.bytes), got.next.cursor.active)
	}
}

func TestSlicesAreKeptForASecond(t *testing.T) {
	h, err := New(Options{Bus: newWorld(t, 1), Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	c, now := sliceCache{all: &h.sliceBytes}, time.Now()
	e := c.entry(sliceKey{mark: "m", limit: 1}, false, now)
	e.bytes = []byte("x")
	c.weigh(e, now)
	if c.entry(sliceKey{mark: "m", limit: 1}, false, now.Add(maxSliceAge)) != e {
		t.Error("a slice is gone within a second")
	}
	if c.entry(sliceKey{mark: "m", limit: 2}, false, now) == e {
		t.Error("a slice of another size was given")
	}
	if h.sliceBytes.Load() != 1 {
		t.Error("a slice is not counted")
	}
	if c.entry(sliceKey{mark: "m", limit: 1}, false, now.Add(maxSliceAge+1)) == e {
		t.Error("an old slice was given")
	}
	now = now.Add(maxSliceAge + 1)
	c.expire(now.Add(maxSliceAge + 1))
	if len(c.byKey)+len(c.fifo)+c.bytes != 0 || h.sliceBytes.Load() != 0 {
		t.Error("an old slice is kept")
	}
}

func TestPassesThatBeginAtOneTimeEndAtOnePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newView(Query{}, lineFormat{}, []*table{newTable(0, 1)})
		end := func(from *markPart, epoch bus.Epoch, head uint64) uint64 {
			return v.passTo(0, from, bus.Position{Epoch: epoch, Offset: head}, 0)
		}
		nothing := &markPart{fresh: true}
		got := []uint64{end(nothing, 1, 5), end(nothing, 1, 6)}
		<-time.After(maxSnapshotAge + 1)
		got = append(got, end(nothing, 1, 7), end(nothing, 2, 3))
		if fmt.Sprint(got) != "[5 5 7 3]" {
			t.Errorf("passes from nothing end at %v", got)
		}
		at := func(offset uint64) *markPart { return &markPart{at: bus.Position{Epoch: 1, Offset: offset}} }
		got = []uint64{end(at(1), 1, 5), end(at(4), 1, 6), end(at(5), 1, 7), end(at(1), 1, 8)}
		<-time.After(maxSliceAge + 1)
		got = append(got, end(at(1), 1, 9), end(at(1), 2, 3))
		if fmt.Sprint(got) != "[5 5 7 7 9 3]" {
			t.Errorf("passes end at %v", got)
		}
	})
}

// The pieces of a packed view are packed once each and read by themselves, and its slices are sized by what the
// connection takes of them before they are packed.
func TestThePiecesOfAPackedViewAreItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		for i := range 3000 {
			w.set("north", dev(i), 100)
		}
		w.flush()
		h := startHub(t, w)
		open := func(f Format) (*Viewer, *client) {
			v, err := h.Attach(Query{}, f, "")
			if err != nil {
				t.Fatal(err)
			}
			c := newClient(t, f.Name(), everything)
			c.format = f
			return v, c
		}
		packed, pc := open(packedFormat{})
		defer packed.Close()
		plain, c := open(lineFormat{})
		defer plain.Close()
		for b := packed.poll(); b != nil; b = packed.poll() {
			if n := len(unpack(b)); n > MaxSliceBytes+1024 || n > 10_000 && len(b) > n*3/4 {
				t.Errorf("a slice of %d bytes is packed in %d", n, len(b))
			}
			pc.read(b)
			packed.Took(len(b), sliceTime/2) // twice as fast as a slice of 64 KiB needs, whatever its packed size
			if packed.limit != MaxSliceBytes && packed.plain > MinSliceBytes {
				t.Errorf("the next slice after %d bytes, %d packed, is of %d", packed.plain, len(b), packed.limit)
			}
		}
		c.drain(plain)
		live := func() {
			w.set("north", "a", 0)
			w.flush()
			window()
			pc.drain(packed)
			c.drain(plain)
		}
		live()
		w.restart() // a reset, and all again
		window()
		live()
		<-time.After(DefaultHeartbeat)
		live()
		for _, c := range []*client{pc, c} {
			c.mustShow(w.shows(everything))
			if len(c.resets) != 1 || c.ready != 2 || c.beats < 3 {
				t.Errorf("%s: resets %v, ready %d, heartbeats %d", c.name, c.resets, c.ready, c.beats)
			}
		}
		if pc.bytes*5 > c.bytes*4 {
			t.Errorf("%d bytes packed, %d plain", pc.bytes, c.bytes)
		}
	})
}

package hub

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// A crowd of which each was away for another time costs a number of slices that depends on how long they were away and
// not on how many they are, and keeps a bounded number of bytes.
func TestACrowdThatComesBackSharesItsSlices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const crowd, fleet = 250, 150
		w := newWorld(t, 1)
		h := startHub(t, w)
		live := func(n int) {
			for i := range 10 {
				w.set("north", dev((n*10+i)%fleet), 100)
			}
			w.flush()
			window()
		}
		for n := range fleet / 10 {
			live(n)
		}
		var clients []*client
		for n := range crowd { // each leaves at another tick
			c := newClient(t, fmt.Sprintf("client %d", n), everything)
			v := attach(t, h, Query{}, "")
			c.drain(v)
			v.Close()
			clients = append(clients, c)
			live(n)
		}
		keeps := attach(t, h, Query{}, "") // the view is there before them, as one edge of several
		defer keeps.Close()
		drainAll(keeps)
		before, want := h.Stats(), w.shows(everything)
		for _, c := range clients {
			v := attach(t, h, Query{}, c.id)
			defer v.Close()
			had := c.bytes
			c.drain(v)
			c.mustShow(want)
			if len(c.resets) != 0 || c.ready != 2 {
				t.Fatalf("%s: resets %v, ready %d", c.name, c.resets, c.ready)
			}
			if n := len(c.held); c.bytes == had || n != fleet {
				t.Fatalf("%s holds %d", c.name, n)
			}
		}
		s := h.Stats()
		if made, shared := s.Slices-before.Slices, s.SharedSlices-before.SharedSlices; made > crowd/3 || made+shared < crowd {
			t.Errorf("%d slices were made and %d shared for %d gaps", made, shared, crowd)
		}
		if s.SliceBytes > maxCachedSliceBytes {
			t.Errorf("%d bytes are kept", s.SliceBytes)
		}
	})
}

// Those who come with nothing share one snapshot: however many come at once, each slice of it is made once.
func TestACrowdWithoutIDsSharesOneSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const crowd = 40
		w := newWorld(t, 1)
		for i := range 1500 {
			w.set("north", dev(i), 100)
		}
		w.flush()
		h := startHub(t, w)
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for n := range crowd {
			v, err := h.Attach(Query{}, packedFormat{}, "")
			if err != nil {
				t.Fatal(err)
			}
			c := newClient(t, fmt.Sprintf("client %d", n), everything)
			c.format = packedFormat{}
			wg.Go(func() {
				defer v.Close()
				for {
					b, err := v.Next(ctx)
					if err != nil {
						c.mustShow(w.shows(everything))
						return
					}
					<-time.After(time.Duration(n) * time.Millisecond) // each reads at a pace of its own
					c.read(b)
				}
			})
		}
		<-time.After(time.Minute)
		cancel()
		wg.Wait()
		s := h.Stats()
		if total := s.Slices + s.SharedSlices; total < 5*crowd {
			t.Fatalf("only %d slices", total)
		}
		if s.Slices > crowd {
			t.Errorf("%d slices were made, and %d shared, for %d viewers of one snapshot", s.Slices, s.SharedSlices, crowd)
		}
	})
}

// A slice that many want at one moment is made by one of them.
func TestASliceIsMadeOnceForAllWhoWantItAtOnce(t *testing.T) {
	w := newWorld(t, 1)
	for i := range 2000 {
		w.set("north", dev(i), 100)
	}
	w.flush()
	h, err := New(Options{Bus: w, Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	mustLoad(t, h.tables[0], w.partitions[0].snapshot())
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range 50 {
		v := attach(t, h, Query{}, "")
		defer v.Close()
		wg.Go(func() {
			<-start
			v.poll()
		})
	}
	close(start)
	wg.Wait()
	if s := h.Stats(); s.Slices != 1 || s.SharedSlices != 49 {
		t.Errorf("%d slices were made, %d shared", s.Slices, s.SharedSlices)
	}
}

// Rounding a position down repeats no event and does not go below what the table can tell.
func TestACoarserPositionHasTheSameEventsAndIsNoNewer(t *testing.T) {
	tb := newTable(0, 1)
	s := &bus.Snapshot{Position: bus.Position{Epoch: 1, Offset: 10_000}, Floor: bus.Floor{Tombstones: 700}}
	for _, offset := range []uint64{5000, 9000} {
		s.Events = append(s.Events, bus.VersionedEvent{Offset: offset, Event: bus.Event{Name: "alert", Fleet: fleetID(t, "north"), Device: deviceID(t, "a")}})
	}
	mustLoad(t, tb, s)
	v := newView(Query{}, lineFormat{}, []*table{tb})
	for _, c := range []struct{ at, ahead, want uint64 }{
		{10_000, 0, 10_000},
		{9_999, 0, 9_999},
		{9_990, 0, 9_990},
		{9_801, 5, 9_792}, // of 199, an eighth down to a power of two
		{9_005, 0, 9_000}, // an event is there
		{9_000, 0, 9_000},
		{5_100, 7, 5_000},
		{4_990, 0, 4_608},
		{701, 0, 700},
		{700, 0, 700},
		{600, 0, 600}, // it will be reset
		{10_050, 0, 10_050},
	} {
		m := newMark([]markPart{{at: bus.Position{Epoch: 1, Offset: c.at}, ahead: c.ahead}}, cursor{}, v.filter)
		got := m.coarse(v).parts[0]
		if got.at.Offset != c.want || got.seen() < c.at+c.ahead || got.seen() > max(c.at+c.ahead, tb.position.Offset) {
			t.Errorf("%d ahead %d becomes %d, seen %d; want %d", c.at, c.ahead, got.at.Offset, got.seen(), c.want)
		}
	}
	other := newMark([]markPart{{at: bus.Position{Epoch: 2, Offset: 77}}}, cursor{}, v.filter)
	if got := other.coarse(v); got.text != other.text {
		t.Error("a position of another epoch is changed")
	}
}

// Slices are newer than the head that the view has come to. A viewer that is told ready has all that anybody was shown
// before it asked, also where it could have had the slice of another that asked earlier.
func TestASharedSliceIsNotOlderThanWhoAsksForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		change := func() {
			w.set("north", "a", 100)
			w.flush()
			synctest.Wait() // the table has it; the view's head comes with its tick
		}
		change()
		window()
		keeps := attach(t, h, Query{}, "") // the view is there before those who come back
		defer keeps.Close()
		drainAll(keeps)
		gone := newClient(t, "gone", everything)
		v := attach(t, h, Query{}, "")
		gone.drain(v)
		v.Close()
		change()
		window()
		for n := range 3 {
			change()
			c := newClient(t, fmt.Sprintf("client %d", n), everything)
			v := attach(t, h, Query{}, gone.id)
			for c.ready == 0 {
				b := v.poll()
				if b == nil {
					t.Fatal("it is never ready")
				}
				c.read(b)
			}
			c.mustShow(w.shows(everything))
			v.Close()
		}
	})
}

// A view's head is what it ticked last. Where another view, or another viewer's slice, showed what came since, a viewer
// that comes back to the very head is not ready before it has that too, however slow its own view ticks.
func TestWhoComesBackToTheHeadOfItsViewIsNotReadyWithLessThanOthersWereShown(t *testing.T) {
	for _, every := range []time.Duration{0, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 2)
			h := startHub(t, w)
			change := func() {
				w.set("north", "a", 100)
				w.set("south", "b", 100)
				w.flush()
				synctest.Wait() // the tables have it; the view's head comes with its tick
			}
			change()
			window()
			q := Query{Every: every}
			keeps := attach(t, h, q, "")
			defer keeps.Close()
			drainAll(keeps)
			gone := newClient(t, "gone", everything)
			v := attach(t, h, q, "")
			gone.drain(v)
			v.Close()
			change()
			back := newClient(t, "back", everything)
			v = attach(t, h, q, gone.id)
			defer v.Close()
			for back.ready == 0 {
				b := v.poll()
				if b == nil {
					t.Fatal("it is not ready, and waits for a tick of its view")
				}
				back.read(b)
			}
			back.mustShow(w.shows(everything))
			change()
			if every == 0 {
				window()
				back.drain(v)
				back.mustShow(w.shows(everything))
			}
		})
	}
}

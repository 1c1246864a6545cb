package hub

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// A batch may find a view in an index while the view is still being made: it must be fit to be ticked by then.
func TestAViewThatABatchFindsHasAState(t *testing.T) {
	w := newWorld(t, 2)
	h, err := New(Options{Bus: w, Partitions: 2})
	if err != nil {
		t.Fatal(err)
	}
	for i, tb := range h.tables {
		mustLoad(t, tb, w.partitions[i].snapshot())
	}
	second := h.tables[1]
	second.mu.Lock() // a load of it takes its time
	attached := make(chan *Viewer)
	go func() {
		v, _ := h.Attach(Query{}, lineFormat{}, "")
		attached <- v
	}()
	// It is to come as far as it can: into the first index, or to the second table.
	var dirty []*view
	fleet := fleetIn(t, w, 0)
	for i := uint64(1); i < 1000 && len(dirty) == 0; i++ {
		runtime.Gosched()
		at := bus.Position{Epoch: w.partitions[0].position.Epoch, Offset: i}
		c := bus.Change{Device: deviceID(t, "a"), Fleet: fleetID(t, fleet), Frame: []byte(`{"id":"a","fleet":"` + fleet + `"}`)}
		if dirty, err = h.tables[0].apply(&bus.Batch{Position: at, Changes: []bus.Change{c}}, dirty); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range dirty {
		if v.state.Load() == nil {
			t.Error("the ticker would have fallen over it")
		}
	}
	second.mu.Unlock()
	v := <-attached
	defer v.Close()
	var found gathered
	h.tickDue(h.takeDirty(dirty), time.Now(), &found)
	c := newClient(t, "client", everything)
	c.drain(v)
	if c.ready != 1 || len(c.held) != 1 {
		t.Errorf("ready %d times with %d assets", c.ready, len(c.held))
	}
}

// What changes while a view is being made is in its first tick, even if nothing changes after it.
func TestWhatChangesWhileAViewIsMadeIsNotLost(t *testing.T) {
	tb := newTable(0, 1)
	mustLoad(t, tb, &bus.Snapshot{Position: bus.Position{Epoch: 1}})
	v := newView(Query{}, lineFormat{}, []*table{tb})
	v.takeHead()
	c := bus.Change{Device: deviceID(t, "a"), Fleet: fleetID(t, "north"), Frame: []byte(`{}`)}
	if _, err := tb.apply(&bus.Batch{Position: bus.Position{Epoch: 1, Offset: 1}, Changes: []bus.Change{c}}, nil); err != nil {
		t.Fatal(err)
	}
	var enlisted []*view
	v.enlist = func(v *view) { enlisted = append(enlisted, v) }
	v.register()
	if !slices.Contains(enlisted, v) {
		t.Error("nobody will tick the view")
	}
}

// The state that a partition brings is what a viewer waits for with an empty page: it does not wait for the view's tick.
func TestAViewOfALongTickDoesNotWaitForItWhenAPartitionIsLoaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		for i := range 20 {
			w.set("f"+dev(i%5), dev(i), 0)
		}
		w.flush()
		h := startHub(t, w)
		v := attach(t, h, Query{Every: time.Minute}, "")
		defer v.Close()
		c := newClient(t, "client", everything)
		window()
		c.drain(v)
		for range 3 {
			for i := range 20 {
				w.set("f"+dev(i%5), dev(i), 0)
			}
			w.flush()
			window()
			c.drain(v)
		}
		w.restart()
		window()
		window()
		c.drain(v)
		if len(c.resets) != 1 || c.ready != 2 {
			t.Errorf("two windows after all began anew: resets %v, ready %d times", c.resets, c.ready)
		}
		c.mustShow(w.shows(everything))
	})
}

// A tick that only moves the head has no bytes; the heartbeat that came with it has.
func TestATickWithoutBytesDoesNotHideAHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		w.set("north", "a", 0)
		w.set("south", "b", 0)
		w.flush()
		window()
		north := Query{Fleets: []devices.FleetID{fleetID(t, "north")}, Every: time.Minute}
		v := attach(t, h, north, "")
		defer v.Close()
		c := newClient(t, "client", func(fleet, _ string) bool { return fleet == "north" })
		c.drain(v)
		v.view.wantTick()
		window()
		c.drain(v)
		v.view.wantTick() // for later than the heartbeat
		<-time.After(time.Minute + time.Second)
		synctest.Wait()
		if b := string(v.poll()); !strings.HasPrefix(b, "E heartbeat") {
			t.Errorf("after a minute of silence the viewer is told %q", b)
		}
	})
}

// Views are cheap to ask for, by a tick of another millisecond. What they keep for viewers to come is bounded together.
func TestTheSlicesThatAllViewsKeepAreBoundedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		for i := range 2000 {
			w.set("north", dev(i), 3000)
		}
		w.flush()
		window()
		var viewers []*Viewer
		for i := range 20 {
			v := attach(t, h, Query{Every: time.Second + time.Duration(i)*time.Millisecond}, "")
			for b := v.poll(); b != nil; b = v.poll() {
				continue
			}
			viewers = append(viewers, v)
		}
		kept := 0
		for _, v := range h.views {
			kept += v.slices.bytes
		}
		if kept > maxKeptSliceBytes || int64(kept) != h.sliceBytes.Load() {
			t.Errorf("%d bytes of slices are kept, counted as %d, the limit is %d", kept, h.sliceBytes.Load(), maxKeptSliceBytes)
		}
		for _, v := range viewers {
			v.Close()
		}
		if n := h.sliceBytes.Load(); n != 0 {
			t.Errorf("%d bytes are counted when all views are gone", n)
		}
	})
}

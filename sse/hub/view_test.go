package hub

import (
	"fmt"
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
	h.tickDue(h.takeDirty(dirty), time.Now())
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

// Views are walls, and a view of named devices is found by each of them.
func TestAViewIsToldOfWhatItNamesAndOfNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		w.set("north", "a", 0)
		w.set("north", "b", 0)
		w.set("south", "c", 0)
		w.flush()
		window()
		queries := map[string]Query{
			"a":     {Devices: []devices.DeviceID{deviceID(t, "a")}},
			"north": {Fleets: []devices.FleetID{fleetID(t, "north")}},
			"b in north": {
				Fleets: []devices.FleetID{fleetID(t, "north")}, Devices: []devices.DeviceID{deviceID(t, "b"), deviceID(t, "c")},
			},
		}
		clients, viewers := map[string]*client{}, map[string]*Viewer{}
		for name, q := range queries {
			clients[name], viewers[name] = newClient(t, name, wantsOf(q)), attach(t, h, q, "")
			defer viewers[name].Close()
			clients[name].drain(viewers[name])
		}
		alert := func(fleet, device string) bus.Event {
			return bus.Event{Name: "alert", Device: deviceID(t, device), Fleet: fleetID(t, fleet), Data: []byte(`{"of":"` + device + `"}`)}
		}
		tell := func(events ...bus.Event) {
			w.flush(events...)
			window()
			for name, c := range clients {
				c.drain(viewers[name])
				c.mustShow(w.shows(c.wants))
			}
		}
		for range 2 { // twice: what was told once can be told again
			for _, only := range []string{"a", "b"} {
				w.set("north", only, 0)
				tell()
				tell(alert("north", only))
			}
			w.set("south", "c", 0)
			tell(alert("south", "c"))
		}
		a, b := `alert {"of":"a"}`, `alert {"of":"b"}`
		for name, want := range map[string][]string{"a": {a, a}, "north": {a, b, a, b}, "b in north": {b, b}} {
			if fmt.Sprint(clients[name].events) != fmt.Sprint(want) {
				t.Errorf("%s was told %v, want %v", name, clients[name].events, want)
			}
		}
		fresh := newClient(t, "fresh", everything)
		v := attach(t, h, Query{}, "")
		defer v.Close()
		if fresh.drain(v); len(fresh.events) != 0 {
			t.Errorf("a new viewer is told what happened before it came: %v", fresh.events)
		}
	})
}

// An event is in the pass that reaches its offset, and not in one before: it would come twice.
func TestAnEventBeyondTheHeadOfASlowViewComesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		w.set("north", "a", 0)
		w.flush()
		window()
		slow := Query{Every: time.Minute}
		keeps := attach(t, h, slow, "")
		defer keeps.Close()
		c := newClient(t, "client", everything)
		v := attach(t, h, slow, "")
		c.drain(v)
		v.Close()
		for _, name := range []string{"one", "two"} { // the view ticks after the first
			w.set("north", "a", 0)
			w.flush(bus.Event{Name: name, Device: deviceID(t, "a"), Fleet: fleetID(t, "north"), Data: []byte("{}")})
			window()
		}
		v = attach(t, h, slow, c.id)
		defer v.Close()
		c.drain(v)
		<-time.After(2 * time.Minute)
		synctest.Wait()
		c.drain(v)
		if fmt.Sprint(c.events) != "[one {} two {}]" {
			t.Errorf("events %v", c.events)
		}
	})
}

// A viewer that joins a slow view may be given frames that are newer than a chunk that is being made just then.
func TestAChunkOlderThanWhatAViewerSawIsNotForIt(t *testing.T) {
	w := newWorld(t, 1)
	h, err := New(Options{Bus: w, Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	tb := h.tables[0]
	mustLoad(t, tb, w.partitions[0].snapshot())
	change := func() {
		w.set("north", "a", 0)
		p := w.partitions[0]
		p.position.Offset++
		b := &bus.Batch{Position: p.position, Changes: p.pending}
		p.pending = nil
		if _, err := tb.apply(b, nil); err != nil {
			t.Fatal(err)
		}
	}
	keeps := attach(t, h, Query{}, "")
	defer keeps.Close()
	newClient(t, "keeps", everything).drain(keeps)
	view := keeps.view
	before := view.state.Load()
	change()
	var found gathered
	view.tick(beat{}, &found)
	after := view.state.Load()
	view.state.Store(before) // the tick has looked at the table, and has not told anybody
	change()
	view.slices.expire(time.Now().Add(time.Hour)) // of the time before
	v := attach(t, h, Query{}, "")
	defer v.Close()
	c := newClient(t, "client", everything)
	c.drain(v)
	view.publish(after)
	c.drain(v) // the client complains about a step back
	if c.n["a"] != 2 || c.ready != 1 {
		t.Errorf("version %d, ready %d times", c.n["a"], c.ready)
	}
}

// hookFormat calls the hook while a tick encodes, when no lock is held.
type hookFormat struct {
	lineFormat
	hook *func()
}

func (f hookFormat) AppendAssets(dst []byte, frames [][]byte, id string) []byte {
	if hook := *f.hook; hook != nil {
		*f.hook = nil
		hook()
	}
	return f.lineFormat.AppendAssets(dst, frames, id)
}

func TestWhatChangesDuringATickIsInTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		var hook func()
		v, err := h.Attach(Query{}, hookFormat{hook: &hook}, "")
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		c := newClient(t, "client", everything)
		c.drain(v)
		applied := make(chan struct{})
		hook = func() {
			w.set("north", "b", 0)
			w.flush()
			for h.Stats().Batches < 2 {
				<-time.After(time.Millisecond)
			}
			<-time.After(time.Millisecond)
			close(applied)
		}
		w.set("north", "a", 0)
		w.flush()
		<-applied
		<-time.After(5 * DefaultWindow)
		synctest.Wait()
		c.drain(v)
		c.mustShow(w.shows(everything))
	})
}

// What is small comes in one piece, what is more than a chunk in slices.
func TestAChunkIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		v := attach(t, h, Query{}, "")
		defer v.Close()
		c := newClient(t, "client", everything)
		c.drain(v)
		for _, changed := range []int{500, 6000} {
			for i := range changed {
				w.set("north", dev(i), 200)
			}
			w.flush()
			window()
			pieces, most := 0, 0
			for b := v.poll(); b != nil; b = v.poll() {
				pieces, most = pieces+1, max(most, len(b))
				c.read(b)
			}
			c.mustShow(w.shows(everything))
			if changed == 500 && pieces != 1 || changed == 6000 && most > MaxSliceBytes+1024 {
				t.Errorf("%d changes came in %d pieces of up to %d bytes", changed, pieces, most)
			}
		}
	})
}

func TestAHeartbeatDoesNotMakeASlowViewTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		v := attach(t, h, Query{Every: time.Minute}, "")
		defer v.Close()
		c := newClient(t, "client", everything)
		c.drain(v)
		given := 0
		for range 1200 {
			w.set("north", "a", 0)
			w.flush()
			window()
			for b := v.poll(); b != nil; b = v.poll() {
				given += strings.Count(string(b), "A ")
				c.read(b)
			}
		}
		if given < 2 || given > 3 || c.beats < 10 || c.beats > 14 {
			t.Errorf("in two minutes it was given %d assets and %d heartbeats", given, c.beats)
		}
	})
}

func TestAQuietViewerGetsEachHeartbeatOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := attach(t, startHub(t, newWorld(t, 1)), Query{}, "")
		defer v.Close()
		c := newClient(t, "client", everything)
		c.drain(v)
		before := c.beats
		for range 6 {
			<-time.After(DefaultHeartbeat)
			synctest.Wait()
			c.drain(v)
		}
		if n := c.beats - before; n != 6 {
			t.Errorf("%d heartbeats in the time of six", n)
		}
	})
}

// The owners flush at the same multiples of the window, though not at the same instant.
func TestBatchesOfTwoPartitionsGoOutInOneWriteWithOneID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		h := startHub(t, w)
		v := attach(t, h, Query{}, "")
		defer v.Close()
		c := newClient(t, "client", everything)
		window()
		c.drain(v)
		<-time.After(DefaultWindow)
		for p := range 2 {
			fleet, device := fleetID(t, fleetIn(t, w, p)), deviceID(t, dev(p))
			w.flush(
				bus.Event{Name: "alert", Device: device, Fleet: fleet, Data: []byte("{}")},
				bus.Event{Name: "alert", Device: device, Fleet: fleet, Data: []byte("{}")},
			)
			<-time.After(DefaultWindow / 20)
		}
		<-time.After(DefaultWindow / 2)
		synctest.Wait()
		b := string(v.poll())
		if strings.Count(b, "E alert") != 4 || strings.Count(b, "I ") != 1 || strings.Index(b, "I ") < strings.LastIndex(b, "E alert") {
			t.Errorf("two partitions' events came as %q", b)
		}
	})
}

func TestABatchThatWasLateDoesNotMakeLaterOnesLate(t *testing.T) {
	start, every := time.Unix(1000, 0), 100*time.Millisecond
	for late, want := range map[time.Duration]time.Duration{
		0: every, 30 * time.Millisecond: every, every: 2 * every, time.Second: time.Second + every, -20 * time.Millisecond: 80 * time.Millisecond,
	} {
		if got := nextDue(start, start.Add(late), every).Sub(start); got != want {
			t.Errorf("a tick that came %v late is followed by one due at %v, want %v", late, got, want)
		}
	}
}

func TestACutOfFieldsIsEachDevicesOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		for i := range 20 {
			w.set("north", dev(i), i)
		}
		w.flush()
		window()
		p, err := devices.ParseProjection([]string{"lat"})
		if err != nil {
			t.Fatal(err)
		}
		v := attach(t, h, Query{Fields: p}, "")
		defer v.Close()
		c := newClient(t, "client", everything)
		if c.drain(v); len(c.held) != 20 {
			t.Errorf("%d devices of 20", len(c.held))
		}
	})
}

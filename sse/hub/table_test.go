package hub

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// A device that moved has two rows of one offset, and a snapshot has them in no order: the live one is the device.
func TestAMovedDeviceIsFoundAfterALoad(t *testing.T) {
	id, from, to := deviceID(t, "a"), fleetID(t, "north"), fleetID(t, "south")
	live := bus.Versioned{Change: bus.Change{Device: id, Fleet: to, Frame: []byte(`{"id":"a"}`)}, Offset: 5}
	gone := bus.Versioned{Change: bus.Change{Device: id, Fleet: from}, Offset: 5}
	for name, rows := range map[string][]bus.Versioned{"live first": {live, gone}, "tombstone first": {gone, live}} {
		h, err := New(Options{Bus: newWorld(t, 1), Partitions: 1})
		if err != nil {
			t.Fatal(err)
		}
		mustLoad(t, h.tables[0], &bus.Snapshot{Position: bus.Position{Epoch: 1, Offset: 5}, Devices: rows})
		if _, ok := h.Asset(id); !ok {
			t.Errorf("%s: the device is not found", name)
		}
		if f, ok := h.Fleet(id); !ok || f != to {
			t.Errorf("%s: it is of fleet %v, %v", name, f, ok)
		}
		if n := newView(Query{Devices: []devices.DeviceID{id}}, lineFormat{}, h.tables).sizeIn(h.tables[0]); n != 1 {
			t.Errorf("%s: a view of it shows %d assets", name, n)
		}
	}
}

// A device that is removed and comes back, for ever, leaves at most one tombstone at a time, so no floor ever rises.
func TestRemovingAndComingBackForEverTakesNoMemory(t *testing.T) {
	tb := newTable(0, 1)
	mustLoad(t, tb, &bus.Snapshot{Position: bus.Position{Epoch: 1}})
	id, f := deviceID(t, "a"), fleetID(t, "north")
	for i := range uint64(10_000) {
		c := bus.Change{Device: id, Fleet: f}
		if i%2 == 0 {
			c.Frame = []byte("{}")
		}
		if _, err := tb.apply(&bus.Batch{Position: bus.Position{Epoch: 1, Offset: i + 1}, Changes: []bus.Change{c}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(tb.tombs); n > 1000 {
		t.Errorf("%d entries for one tombstone", n)
	}
	checkTable(t, tb)
	if _, err := tb.apply(&bus.Batch{Position: tb.position, Floor: bus.Floor{Tombstones: tb.position.Offset}}, nil); err != nil {
		t.Fatal(err)
	}
	if len(tb.fleets) != 0 || tb.newest != nil || len(tb.devices) != 0 || len(tb.tombs) != 0 {
		t.Error("something is left of a device that is gone and forgotten")
	}
}

// Within an epoch time goes on. A snapshot that is older than the table, from a copy that lags, must not take viewers back.
func TestASnapshotOlderThanTheTableIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		w.set("north", "a", 0)
		w.flush()
		old := w.partitions[0].snapshot()
		window()
		v := attach(t, h, Query{}, "")
		defer v.Close()
		c := newClient(t, "client", everything)
		w.set("north", "a", 0)
		w.flush()
		window()
		c.drain(v)
		w.partitions[0].feeds[0].send(bus.Update{Snapshot: old})
		<-time.After(time.Second) // it asks again and gets what is true
		synctest.Wait()
		late := attach(t, h, Query{}, c.id)
		defer late.Close()
		c.drain(late)
		c.drain(v)
		w.set("north", "a", 0)
		w.flush()
		window()
		c.drain(v)
		c.mustShow(w.shows(everything))
		if s := h.Stats(); s.WatchFailures != 1 {
			t.Errorf("%d failures", s.WatchFailures)
		}
	})
}

// An edge that comes later has all from a snapshot, in no order, and goes on for viewers of every kind as if it had been
// there; also after a batch was lost, and an event with it.
func TestAfterALoadNothingIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		first := startHub(t, w)
		for i := range 100 {
			w.set("north", dev(i), 0)
		}
		w.flush()
		window()
		north := Query{Fleets: []devices.FleetID{fleetID(t, "north")}}
		c := newClient(t, "client", wantsOf(north))
		v := attach(t, first, north, "")
		c.drain(v)
		v.Close()
		for i := range 50 {
			w.set("north", dev((i*37)%100), 0)
			w.flush(bus.Event{Name: "alert", Device: deviceID(t, dev(i)), Fleet: fleetID(t, "north"), Data: []byte(`{}`)})
		}
		w.remove("north", dev(3))
		w.flush()
		second := startHub(t, w)
		v = attach(t, second, north, c.id)
		defer v.Close()
		c.drain(v)
		c.mustShow(w.shows(c.wants))
		if len(c.events) != 50 || len(c.resets) != 0 {
			t.Errorf("%d of 50 events, resets %v", len(c.events), c.resets)
		}
		feed := w.partitions[0].feeds[1]
		feed.hold = true
		w.set("north", dev(5), 0)
		w.flush(bus.Event{Name: "alert", Device: deviceID(t, dev(5)), Fleet: fleetID(t, "north"), Data: []byte(`{}`)})
		feed.held, feed.hold = nil, false
		w.set("north", dev(6), 0)
		w.flush()
		<-time.After(time.Second)
		synctest.Wait()
		w.set("north", dev(7), 0)
		w.flush()
		window()
		c.drain(v)
		c.mustShow(w.shows(c.wants))
		if len(c.events) != 51 || len(c.resets) != 0 {
			t.Errorf("%d of 51 events, resets %v", len(c.events), c.resets)
		}
	})
}

// Events that the bus no longer keeps cannot be given to one who comes back.
func TestAPositionBelowTheEventsThatAreKeptIsReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		h := startHub(t, w)
		w.set("north", "a", 0)
		w.flush()
		window()
		c := newClient(t, "client", everything)
		v := attach(t, h, Query{}, "")
		c.drain(v)
		v.Close()
		p := w.partitions[0]
		w.flush(bus.Event{Name: "alert", Device: deviceID(t, "a"), Fleet: fleetID(t, "north"), Data: []byte(`{}`)})
		p.events, p.floor.Events = nil, p.position.Offset
		w.set("north", "a", 0)
		w.flush()
		window()
		if n := len(h.tables[0].events); n != 0 {
			t.Errorf("%d events are kept below the floor", n)
		}
		v = attach(t, h, Query{}, c.id)
		defer v.Close()
		c.drain(v)
		if len(c.resets) != 1 {
			t.Errorf("resets %v", c.resets)
		}
	})
}

// A beat of the owner is all that tells a quiet partition from a dead one.
func TestLagIsSilenceAndWhatTheOwnerHasNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable(0, 1)
		mustLoad(t, tb, &bus.Snapshot{Position: bus.Position{Epoch: 1}, LagMS: 5})
		<-time.After(3 * time.Second)
		if got := tb.lateness(time.Now()); got != 3*time.Second+5*time.Millisecond {
			t.Errorf("after three seconds of silence the lag is %v", got)
		}
		if _, err := tb.apply(&bus.Batch{Position: bus.Position{Epoch: 1}, LagMS: 7}, nil); err != nil {
			t.Fatal(err)
		}
		if got := tb.lateness(time.Now()); got != 7*time.Millisecond {
			t.Errorf("after a beat the lag is %v", got)
		}
	})
}

// The owner publishes a device whose own record changed and whose frame did not, for example because it was registered.
// Nobody hears again what they see, and who comes back does not either.
func TestAFrameThatDidNotChangeIsNoNews(t *testing.T) {
	tb := newTable(0, 1)
	mustLoad(t, tb, &bus.Snapshot{Position: bus.Position{Epoch: 1}})
	id, f := deviceID(t, "a"), fleetID(t, "north")
	for i, frame := range []string{"{1}", "{1}", "{2}", "{2}"} {
		c := bus.Change{Device: id, Fleet: f, Frame: []byte(frame)}
		if _, err := tb.apply(&bus.Batch{Position: bus.Position{Epoch: 1, Offset: uint64(i + 1)}, Changes: []bus.Change{c}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if r := tb.find(f, id); r.offset != 3 || tb.position.Offset != 4 {
		t.Errorf("it changed at %d of %d", r.offset, tb.position.Offset)
	}
	checkTable(t, tb)
}

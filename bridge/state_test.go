package bridge

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

func busDoor(n int) bus.DoorID { return bus.DoorID(n) }

func otherDevice(r *rig, id string) bus.Entry {
	return bus.Entry{Kind: bus.KindReading, Device: deviceID(r.t, id), Reading: &devices.Reading{}}
}

func otherFleet(r *rig, fleet string) bus.Entry {
	return bus.Entry{Kind: bus.KindReading, Fleet: fleetID(r.t, fleet), Reading: &devices.Reading{Measures: at(5, 6)}}
}

func TestALateReadingDoesNotBringARemovedDeviceBack(t *testing.T) {
	r := newRig(t)
	r.read(devices.Reading{At: noon, Measures: at(1, 2), Metrics: numbers("fuel", 4)})
	r.time += 10 * second
	r.removeTruck()
	f := r.makeFlush(r.time)
	if len(f.Changes) != 1 || !f.Changes[0].Removed() || len(f.Changes[0].Record) == 0 {
		t.Fatalf("the removal is published as %+v", f.Changes)
	}
	r.committed()
	r.time += second
	r.read(devices.Reading{At: noon + 9*second, Measures: at(3, 4)})
	if got := r.frame(); got != "" {
		t.Errorf("it came back: %s", got)
	}
	r.wantCounts(t, map[reason]uint64{reasonRemoved: 1})
}

func TestANewerReadingMakesANewAsset(t *testing.T) {
	r := newRig(t)
	r.read(devices.Reading{At: noon, Measures: at(1, 2), Metrics: numbers("fuel", 4)})
	r.time += 10 * second
	r.removeTruck()
	r.time += second
	r.read(devices.Reading{Measures: speed(3)})
	r.time += second
	r.read(devices.Reading{At: noon + 5*second, Measures: at(1, 2)}) // a buffered one from before
	want := `{"id":"truck-17","fleet":"north","status":"online","at":1780315211000,"received":1780315212000,"speed":3}`
	if got := r.frame(); got != want {
		t.Errorf("frame %s, want %s", got, want)
	}
	r.wantCounts(t, map[reason]uint64{reasonRemoved: 1})
	if f := r.makeFlush(r.time); len(f.Changes) != 1 || f.Changes[0].Removed() {
		t.Errorf("the flush has %d changes", len(f.Changes))
	}
}

func TestADeviceBelongsToOneFleet(t *testing.T) {
	r := newRig(t)
	r.read(devices.Reading{Measures: at(1, 2)})
	r.put(otherFleet(r, "south"))
	r.put(bus.Entry{Kind: bus.KindConnection, Fleet: fleetID(t, "south"), Connection: bus.Connection{Up: true}})
	r.put(bus.Entry{Kind: bus.KindRemoval, Fleet: fleetID(t, "south")})
	if got := r.frame(); !strings.Contains(got, `"fleet":"north"`) || !strings.Contains(got, `"lat":1`) {
		t.Errorf("frame %s", got)
	}
	r.wantCounts(t, map[reason]uint64{reasonFleetConflict: 3})
}

func TestARemovedDeviceMayJoinAnotherFleet(t *testing.T) {
	r := newRig(t)
	r.read(devices.Reading{Measures: at(1, 2)})
	r.removeTruck()
	r.put(otherFleet(r, "south"))
	f := r.makeFlush(noon)
	if len(f.Changes) != 2 || !f.Changes[0].Removed() || f.Changes[0].Fleet.String() != "north" || f.Changes[1].Fleet.String() != "south" {
		t.Fatalf("the flush has %+v", f.Changes)
	}
	r.wantCounts(t, nil)
}

func TestAnotherPartitionOfTheBridgeSeesTheFleetToo(t *testing.T) {
	a := newRig(t)
	b := newRig(t)
	b.index = a.index
	a.read(devices.Reading{})
	b.put(otherFleet(b, "south"))
	b.wantCounts(t, map[reason]uint64{reasonFleetConflict: 1})
	if b.truck() != nil {
		t.Fatal("the device is in two fleets")
	}
	a.removeTruck()
	b.put(otherFleet(b, "south"))
	if b.truck() == nil {
		t.Error("the device was removed from the one fleet and may not join the other")
	}
	a.read(devices.Reading{})
	a.wantCounts(t, map[reason]uint64{reasonFleetConflict: 1})
	b.unload() // the partition was lost
	a.read(devices.Reading{})
	if a.truck() == nil {
		t.Error("a partition that was lost still holds the device's id")
	}
}

func TestDevicesAboveTheLimitAreDropped(t *testing.T) {
	r := newRig(t)
	r.opts.MaxDevices = 3
	for i := range 5 {
		r.put(otherDevice(r, fmt.Sprintf("made-up-%d", i)))
	}
	r.put(otherDevice(r, "made-up-1"))
	if len(r.live) != 3 {
		t.Errorf("%d devices are held", len(r.live))
	}
	r.wantCounts(t, map[reason]uint64{reasonDeviceLimit: 2, reasonDuplicate: 1})
	r.put(bus.Entry{Kind: bus.KindRemoval, Device: deviceID(t, "made-up-0")})
	r.put(otherDevice(r, "made-up-9"))
	if len(r.live) != 3 || r.live[deviceID(t, "made-up-9")] == nil {
		t.Error("a removal makes no room")
	}
}

func TestRemovalsAreForgottenOldestFirstButPublished(t *testing.T) {
	r := newRig(t)
	r.opts.MaxDevices = 20
	for i := range 50 {
		id := deviceID(t, fmt.Sprintf("d%02d", i))
		r.put(bus.Entry{Kind: bus.KindReading, Device: id, Reading: &devices.Reading{}})
		r.put(bus.Entry{Kind: bus.KindRemoval, Device: id})
	}
	if n := len(r.removed); n > 20 || n < 17 || len(r.removals) != n {
		t.Errorf("%d removals are remembered in a list of %d", n, len(r.removals))
	}
	if r.removed[deviceKey{fleetID(t, "north"), deviceID(t, "d49")}] == nil {
		t.Error("the newest was forgotten")
	}
	if f := r.makeFlush(noon); len(f.Changes) != 50 {
		t.Errorf("%d of 50 removals are published", len(f.Changes))
	}
}

func TestEntriesWithoutSenseAreCounted(t *testing.T) {
	r := newRig(t)
	r.put(bus.Entry{Kind: bus.KindReading})
	r.put(bus.Entry{Kind: 77})
	r.put(bus.Entry{})
	r.apply(&bus.Entry{ID: 100, Kind: bus.KindRemoval}, 0)
	r.wantCounts(t, map[reason]uint64{reasonBadEntry: 4})
	if f := r.makeFlush(noon); f.Consumed != 100 || len(f.Changes) != 0 {
		t.Errorf("consumed %d with %d changes", f.Consumed, len(f.Changes))
	}
}

func TestAFlushHasEveryChangedDeviceOnce(t *testing.T) {
	r := newRig(t)
	for i := range 100 {
		r.put(otherDevice(r, fmt.Sprintf("d%d", i%10)))
	}
	if f := r.makeFlush(noon); len(f.Changes) != 10 || f.Consumed != 100 {
		t.Errorf("%d changes, consumed %d", len(f.Changes), f.Consumed)
	}
	// What was not committed is part of the next flush, as it is by then.
	r.put(bus.Entry{Kind: bus.KindReading, Device: deviceID(t, "d3"), Reading: &devices.Reading{Measures: at(7, 8)}})
	f := r.makeFlush(noon)
	if len(f.Changes) != 10 || f.Consumed != 101 {
		t.Errorf("%d changes, consumed %d", len(f.Changes), f.Consumed)
	}
	for _, c := range f.Changes {
		if c.Device.String() == "d3" && (!c.HasPosition || c.Lat != 7 || c.Lon != 8) {
			t.Errorf("the change has the position %v, %v, %v", c.Lat, c.Lon, c.HasPosition)
		}
	}
	r.committed()
	if r.isPending() || len(r.makeFlush(noon).Changes) != 0 {
		t.Error("what was committed is still pending")
	}
}

package bridge

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

func (r *rig) erase() { r.put(bus.Entry{Kind: bus.KindErasure, Fleet: fleetID(r.t, "any")}) }

// Whatever is held of a device goes, in one flush that says nothing of it but that it was removed; what comes after it is new.
func TestAnErasedDeviceLeavesNothingButItsNames(t *testing.T) {
	r := newRig(t)
	r.put(bus.Entry{Kind: bus.KindReading, Device: deviceID(t, "other"), Reading: &devices.Reading{Measures: at(1, 2)}})
	r.put(bus.Entry{Kind: bus.KindCommand, Device: deviceID(t, "other"), Command: &bus.CommandOrder{ID: commandID(9), Name: "reboot", At: r.time, TTL: 60 * second}})
	r.read(devices.Reading{Measures: at(48, 2), Metrics: []devices.Metric{{Name: "secret", Value: devices.NumberValue(1)}}})
	r.send(1, 60*second)
	r.put(bus.Entry{Kind: bus.KindCommandState, Report: &bus.CommandReport{ID: commandID(1), State: devices.CommandDone, Result: []byte(`"secret"`)}})
	r.send(2, 60*second)
	r.saw(2, devices.CommandSent)
	r.makeFlush(0)
	r.committed()
	r.send(3, 60*second) // was never published
	r.erase()

	f := r.makeFlush(1)
	if len(f.Erased) != 1 || f.Erased[0] != deviceID(t, "truck-17") {
		t.Errorf("erased are %v", f.Erased)
	}
	if len(f.Events) != 0 || len(f.Changes) != 1 || !f.Changes[0].Removed() || f.Changes[0].Fleet.String() != "north" {
		t.Errorf("events %v, changes %v", f.Events, f.Changes)
	}
	if len(f.Commands) != 3 {
		t.Errorf("%d rows are told", len(f.Commands))
	}
	for _, row := range f.Commands {
		if row.Data != nil || row.Device.String() != "truck-17" {
			t.Errorf("row %v is kept: %s", row.ID, row.Data)
		}
	}
	if bytes.Contains(fmt.Appendf(nil, "%s", f.Changes[0].Record), []byte("secret")) {
		t.Error("the record of the removal has its words")
	}
	r.committed()
	if r.isPending() || len(r.commands.rows) != 1 || r.commands.devices[deviceID(t, "truck-17")] != nil || len(r.commands.expiry) != 1 {
		t.Errorf("pending %v, %d commands, %d open", r.isPending(), len(r.commands.rows), len(r.commands.expiry))
	}
	if bytes, one := r.commands.bytes, r.commands.rows[commandID(9)].size; bytes != one {
		t.Errorf("commands take %d bytes, want %d", bytes, one)
	}
	r.saw(2, devices.CommandDone) // an answer that was under way
	r.time += second
	r.read(devices.Reading{Measures: at(50, 3)})
	if f = r.makeFlush(2); len(f.Erased) != 0 || len(f.Changes) != 1 || f.Changes[0].Removed() || bytes.Contains(f.Changes[0].Frame, []byte("secret")) {
		t.Errorf("after it there are %+v", f)
	}
	r.wantSome(t, map[reason]uint64{countErased: 1, reasonCommandUnknown: 1})
}

// What was never seen is erased too: the partition may have its events of an earlier owner's time.
func TestADeviceThatIsNotThereIsErased(t *testing.T) {
	r := newRig(t)
	r.erase()
	if f := r.makeFlush(0); !r.isPending() || len(f.Erased) != 1 || len(f.Changes)+len(f.Events)+len(f.Commands) != 0 {
		t.Errorf("%+v", f)
	}
}

func TestAnErasureThatIsReadAgainSparesWhatCameSince(t *testing.T) {
	r := newRig(t)
	r.id = 5
	r.read(devices.Reading{Measures: at(48, 2)})
	r.makeFlush(0)
	r.committed()
	r.truck().applied = 9 // as a record that was kept says
	r.erase()
	if r.truck() == nil || r.isPending() && len(r.erased) > 0 {
		t.Error("it is gone")
	}
	r.wantSome(t, map[reason]uint64{countErased: 0, reasonReplayed: 1})
}

func TestManyErasuresFitTheirFlushes(t *testing.T) {
	r := newRig(t)
	for n := range bus.MaxErased - readMax {
		r.put(bus.Entry{Kind: bus.KindErasure, Device: deviceID(t, fmt.Sprint("d", n))})
	}
	if r.isFull() {
		t.Error("a flush is asked for too early")
	}
	for n := range readMax { // a read that came at once
		r.put(bus.Entry{Kind: bus.KindErasure, Device: deviceID(t, fmt.Sprint("e", n))})
	}
	if f := r.makeFlush(0); !r.isFull() || f.CheckErased() != nil {
		t.Errorf("full %v, %v", r.isFull(), f.CheckErased())
	}
}

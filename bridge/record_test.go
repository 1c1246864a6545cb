package bridge

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/rules"
	"github.com/fleetcast/fleetcast/devices"
)

// fullDevice has something in every part of the record.
func fullDevice(t fataler) (*rig, *device) {
	r := newRig(t)
	r.read(devices.Reading{})
	r.time += second
	r.removeTruck()
	r.time += second
	r.connect(0xd00d, 7, true)
	r.connect(0xd00e, 300, true)
	r.read(devices.Reading{
		At:       r.time - 500,
		Measures: devices.Measures{Has: devices.FieldPosition | devices.FieldSpeed, Lat: 48.85833, Lon: 2.29513, Speed: 16.9},
		Metrics:  numbers("fuel", 41.5, "door", "open", "ok", true, "gone", nil),
	})
	r.read(devices.Reading{At: r.time, Measures: devices.Measures{Has: devices.FieldBattery, Battery: 67}, Cleared: devices.FieldAltitude})
	r.connect(0xd00d, 7, false)
	r.connect(0xd00e, 300, false)
	r.connect(0xd00f, 1, true)
	r.connect(0xd00f, 1, false)
	d := r.truck()
	d.conns = []conn{{0xd00d, 7}, {0xd00e, 300}}
	d.born, d.every = 300, 5000
	d.alerts = alertsOfTest(t)
	d.suspect = &suspect{lat: 61, lon: 21, at: r.time - 1004, since: r.time - 1000, fixes: 3}
	return r, d
}

// alertsOfTest are of a rule that has raised an alert, and of one that was cleared.
func alertsOfTest(t fataler) *alerts {
	w := newAlerts()
	track, err := rules.ParseTrack([]byte("\x01\x04fast\x01\x02\x03\x04\x0a\x0c\x02a2"))
	if err != nil {
		t.Fatal(err)
	}
	w.track, w.lag = track, 1000
	w.notes = []alertNote{{id: "a1", raised: 5, closed: 300, data: []byte(`{"id":"a1"}`)}, {id: "a2", raised: 6, data: []byte(`{"id":"a2"}`)}}
	return w
}

// Records of these bytes exist: a change of the format needs a new version that still reads them.
func TestRecordsHaveTheseBytes(t *testing.T) {
	_, d := fullDevice(t)
	for _, c := range []struct{ name, got, want string }{
		{"device", hex.EncodeToString(d.appendRecord(nil)), goldenDevice},
		{"tombstone", hex.EncodeToString((&tombstone{at: noon, applied: 300}).appendRecord(nil)), "02ac0280e8f0b0d067"},
	} {
		if c.got != c.want {
			t.Errorf("%s is\n%s, want\n%s", c.name, c.got, c.want)
		}
	}
}

const goldenDevice = "040aa087f1b0d067d0f7f0b0d067b0d5f1b0d06702257d96e7c1dd6d48403f8c101e6d5c02406666666666e630400000000000c0504027" +
	"e80700e80700023b964d5d2a31a45e00ebf1e9c3ef7a9a020dd0000000000000070ed0000000000000ac020404646f6f72e80702046f70" +
	"656e046675656ce807010000000000c0444004676f6e65e80700026f6be80703011202dcbfb898e83388c2f9d10388d6f1159a0d" +
	"03" + "0000000000804e40" + "0000000000003540" + "d80f" + "d00f" + "d804" + "8827" +
	"01" + "37" + "0f" + "010466617374010203040a0c026132" + "00" + "d00f" + "02" +
	"026131" + "0b7b226964223a226131227d" + "0a" + "d804" + "026132" + "0b7b226964223a226132227d" + "0c" + "00"

// goldenFirst is of the first version, which has no trail.
const goldenFirst = "010aa087f1b0d067d0f7f0b0d067b0d5f1b0d06702257d96e7c1dd6d48403f8c101e6d5c02406666666666e630400000000000c0504027" +
	"e80700e80700023b964d5d2a31a45e00ebf1e9c3ef7a9a020dd0000000000000070ed0000000000000ac020404646f6f72e80702046f70" +
	"656e046675656ce807010000000000c0444004676f6e65e80700026f6be8070301"

func TestRecordsOfTheFirstVersionAreRead(t *testing.T) {
	data, err := hex.DecodeString(goldenFirst)
	if err != nil {
		t.Fatal(err)
	}
	d, err := decodeDevice(data)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.appendRecord(nil); !bytes.Equal(got, data) {
		t.Errorf("record\n%x became\n%x", data, got)
	}
}

func TestARecordGivesTheDeviceBack(t *testing.T) {
	r, d := fullDevice(t)
	data := d.appendRecord(nil)
	back, err := decodeDevice(data)
	if err != nil {
		t.Fatal(err)
	}
	r.keep(back, d.asset.ID, d.asset.Fleet)
	if again := back.appendRecord(nil); !bytes.Equal(again, data) {
		t.Errorf("record\n%x became\n%x", data, again)
	}
	if got, want := r.appendFrame(nil, back), r.appendFrame(nil, d); !bytes.Equal(got, want) {
		t.Errorf("frame\n%s became\n%s", want, got)
	}
	back.alerts = d.alerts // whose bytes are the same, and which the rules have not bound yet
	back.presence, back.dirty, back.rules = d.presence, d.dirty, d.rules
	if back.next != d.next { // the ring may be turned
		back.next, back.recent = d.next, d.recent
	}
	if !reflect.DeepEqual(back, d) {
		t.Errorf("device\n%+v became\n%+v", d, back)
	}
}

func TestABadRecordIsCountedAndHarmsNobodyElse(t *testing.T) {
	r, d := fullDevice(t)
	good := d.appendRecord(nil)
	records := []bus.Record{
		{Device: deviceID(t, "cut"), Fleet: fleetID(t, "north"), Data: good[:20]},
		{Device: deviceID(t, "empty"), Fleet: fleetID(t, "north")},
		{Device: deviceID(t, "odd"), Fleet: fleetID(t, "north"), Data: append([]byte{0}, good[1:]...)},
		{Device: deviceID(t, "longer"), Fleet: fleetID(t, "north"), Data: append(bytes.Clone(good), 0)},
		{Device: deviceID(t, "dead"), Fleet: fleetID(t, "north"), Data: good, Removed: true},
		{Device: deviceID(t, "truck-17"), Fleet: fleetID(t, "north"), Data: good},
	}
	next := newRig(t)
	next.load(func(yield func(bus.Record) bool) {
		for _, rec := range records {
			if !yield(rec) {
				return
			}
		}
	})
	if got, want := next.frame(), r.frame(); got != want || len(next.live) != 1 || len(next.removed) != 0 {
		t.Errorf("loaded %d devices, %d removals and %s, want %s", len(next.live), len(next.removed), got, want)
	}
	next.wantCounts(t, map[reason]uint64{reasonBadRecord: 5})
	if front := next.nextLeaving(); front == nil || front.presence.due != 5*time.Second {
		t.Errorf("the grace of the loaded device is not waited for: %+v", front)
	}
}

func TestWhatANewerReleaseWroteIsNotBegunAnew(t *testing.T) {
	_, d := fullDevice(t)
	good := d.appendRecord(nil)
	if good[0] != recordNewest {
		t.Fatalf("the fullest record is of version %d", good[0])
	}
	tomb := (&tombstone{at: noon, applied: 3}).appendRecord(nil)
	tagged := append(bytes.Clone(good), partNewest+1, 1, 'x')
	for name, rec := range map[string]bus.Record{
		"a device":                {Data: append([]byte{recordNewest + 1}, good[1:]...)},
		"a device with new parts": {Data: tagged},
		"a removed one":           {Data: append([]byte{recordNewest + 1}, tomb[1:]...), Removed: true},
	} {
		rec.Device, rec.Fleet = deviceID(t, "truck-17"), fleetID(t, "north")
		next := newRig(t)
		err := next.state.load(func(yield func(bus.Record) bool) { yield(rec) })
		if !errors.Is(err, errNewer) || !strings.Contains(fmt.Sprint(err), "north/truck-17") {
			t.Errorf("%s: %v", name, err)
		}
		next.wantCounts(t, map[reason]uint64{})
	}
}

func FuzzRecord(f *testing.F) {
	_, d := fullDevice(f)
	good := d.appendRecord(nil)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add((&tombstone{at: noon, applied: 3}).appendRecord(nil))
	f.Add([]byte{recordLive})
	f.Add(append([]byte{recordLive}, bytes.Repeat([]byte{0xff}, 40)...))
	r := newRig(f)
	id, fleet := deviceID(f, "d"), fleetID(f, "f")
	f.Fuzz(func(t *testing.T, data []byte) {
		if tomb, err := decodeTombstone(data); err == nil {
			again, err := decodeTombstone(tomb.appendRecord(nil))
			if err != nil || *again != *tomb {
				t.Fatalf("tombstone %+v became %+v, %v", tomb, again, err)
			}
		}
		d, err := decodeDevice(data)
		if err != nil {
			return
		}
		r.keep(d, id, fleet)
		record, frame := d.appendRecord(nil), r.appendFrame(nil, d)
		again, err := decodeDevice(record)
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		r.keep(again, id, fleet)
		if !bytes.Equal(again.appendRecord(nil), record) || !bytes.Equal(r.appendFrame(nil, again), frame) {
			t.Fatalf("record %x is not the same after reading", record)
		}
	})
}

// A bus that commits a large flush in parts may keep records that are ahead of the position. Reading up to them again
// must not show a device as it was.
func TestEntriesThatARecordKnowsAreSkipped(t *testing.T) {
	s := newStore()
	r := s.owner(t)
	entries := []*bus.Entry{
		r.entry(bus.Entry{Kind: bus.KindReading, Reading: &devices.Reading{}}),
		r.entry(bus.Entry{Kind: bus.KindStatus, Status: bus.StatusReport{Status: devices.Offline}}),
		r.entry(bus.Entry{Kind: bus.KindReading, Reading: &devices.Reading{Measures: at(1, 2)}}),
		r.entry(bus.Entry{Kind: bus.KindReading, Device: deviceID(t, "d2"), Reading: &devices.Reading{}}),
		r.entry(bus.Entry{Kind: bus.KindRemoval, Device: deviceID(t, "d2")}), // in the same millisecond
	}
	for _, e := range entries {
		r.apply(e, 0)
	}
	s.flush(r)
	next := s.owner(t)
	for _, e := range entries {
		next.apply(e, 0)
		if got, want := next.frame(), r.frame(); got != want {
			t.Errorf("after entry %d the device is %s, want %s", e.ID, got, want)
		}
		if next.live[deviceID(t, "d2")] != nil {
			t.Errorf("entry %d brought a removed device back", e.ID)
		}
	}
	next.wantCounts(t, map[reason]uint64{reasonReplayed: 5})
	if len(next.makeFlush(noon).Changes) != 0 {
		t.Error("what was skipped is published")
	}
}

func TestDevicesThatLeaveDoSoInOrderAfterLoading(t *testing.T) {
	s := newStore()
	r := s.owner(t)
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} { // a store yields them in a random order
		r.time += second
		r.put(bus.Entry{Kind: bus.KindReading, Device: deviceID(t, id), Reading: &devices.Reading{}})
		r.put(bus.Entry{Kind: bus.KindConnection, Device: deviceID(t, id)})
	}
	s.flush(r)
	next := s.owner(t)
	next.expireBefore(noon + 3*second + next.opts.OfflineGrace.Milliseconds())
	for id, want := range map[string]devices.Status{
		"a": devices.Offline, "b": devices.Offline, "c": devices.Offline, "d": devices.Online, "e": devices.Online, "f": devices.Online,
	} {
		if got := next.live[deviceID(t, id)].asset.Status; got != want {
			t.Errorf("%s is %v, want %v", id, got, want)
		}
	}
}

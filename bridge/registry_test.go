package bridge

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// fakeRegistry is what people say, in a map.
type fakeRegistry struct {
	mu      sync.Mutex
	devices map[devices.DeviceID]Registered
	store   map[devices.DeviceID]Registered // what Lookup knows besides
	fleets  map[devices.FleetID]FleetTimes
	feeds   []*fakeFeed
	away    int // how many of the next Lookups fail
	lookups int
}

func newFakeRegistry() *fakeRegistry {
	return &fakeRegistry{devices: map[devices.DeviceID]Registered{}, store: map[devices.DeviceID]Registered{}, fleets: map[devices.FleetID]FleetTimes{}}
}

func (f *fakeRegistry) Registered(id devices.DeviceID) (Registered, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	reg, ok := f.devices[id]
	return reg, ok
}

func (f *fakeRegistry) Lookup(_ context.Context, id devices.DeviceID) (Registered, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lookups++
	if f.away > 0 {
		f.away--
		return Registered{}, false, errBroken
	}
	reg, ok := f.store[id]
	return reg, ok, nil
}

func (f *fakeRegistry) Fleet(id devices.FleetID) FleetTimes {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fleets[id]
}

func (f *fakeRegistry) Follow() RegistryFeed {
	f.mu.Lock()
	defer f.mu.Unlock()
	feed := &fakeFeed{wake: make(chan struct{}, 1), news: RegistryNews{All: true}, any: true}
	feed.wake <- struct{}{}
	f.feeds = append(f.feeds, feed)
	return feed
}

// set registers, changes or, with a zero fleet, deletes a device.
func (f *fakeRegistry) set(id devices.DeviceID, reg Registered) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if reg.Fleet.IsZero() {
		delete(f.devices, id)
	} else {
		f.devices[id] = reg
	}
	for _, feed := range f.feeds {
		feed.add(id, reg.Fleet.IsZero())
	}
}

type fakeFeed struct {
	wake chan struct{}
	mu   sync.Mutex
	news RegistryNews
	any  bool
}

func (f *fakeFeed) add(id devices.DeviceID, deleted bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.news.Devices == nil {
		f.news.Devices = map[devices.DeviceID]bool{}
	}
	f.news.Devices[id] = f.news.Devices[id] || deleted
	f.any = true
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *fakeFeed) C() <-chan struct{} { return f.wake }
func (f *fakeFeed) Close()             {}
func (f *fakeFeed) Take() (RegistryNews, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, ok := f.news, f.any
	f.news, f.any = RegistryNews{}, false
	return n, ok
}

// newPeopleRig is a rig of one of some partitions, with a registry.
func newPeopleRig(t fataler, partitions int, closed bool) (*rig, *fakeRegistry) {
	reg := newFakeRegistry()
	h := devices.DefaultHygiene()
	h.Off = []string{"jump"}
	opts := Options{Bus: newFakeBus(partitions), MaxDevices: 1000, Registry: reg, Closed: closed, Settings: &settings{all: &h}}
	if err := opts.complete(); err != nil {
		t.Fatal(err)
	}
	r := &rig{state: newState(&opts, &counters{}, newFleetIndex()), t: t, time: noon}
	r.partition = fleetID(t, "north").Partition(partitions)
	return r, reg
}

func (r *rig) news(ids ...devices.DeviceID) {
	n := RegistryNews{Devices: map[devices.DeviceID]bool{}}
	for _, id := range ids {
		n.Devices[id] = false
	}
	r.follow(n)
}

func TestANameComesFromTheRegistryAndARenameIsLive(t *testing.T) {
	r, reg := newPeopleRig(t, 1, false)
	truck, north := deviceID(t, "truck-17"), fleetID(t, "north")
	r.read(devices.Reading{Measures: at(1, 2)})
	if strings.Contains(r.frame(), "name") {
		t.Errorf("%s", r.frame())
	}
	r.committed()
	reg.set(truck, Registered{north, "Truck </script>", 1})
	r.news(truck)
	if f := r.makeFlush(noon); len(f.Changes) != 1 || !strings.Contains(string(f.Changes[0].Frame), `"name":"Truck \u003c/script\u003e"`) {
		t.Errorf("%+v", f)
	}
	r.makeFlush(noon)
	r.committed()
	r.news(truck)
	if f := r.makeFlush(noon); len(f.Changes) != 0 {
		t.Errorf("what did not change is published: %+v", f.Changes)
	}
	back, err := decodeDevice(r.truck().appendRecord(nil))
	if err != nil || back.born != 1 {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestALongNamePushesMetricsOutAndNeverAFrameOverItsBound(t *testing.T) {
	r, reg := newPeopleRig(t, 1, false)
	truck := deviceID(t, "truck-17")
	for i := range 60 {
		r.read(devices.Reading{Metrics: numbers(fmt.Sprintf("m%02d", i), strings.Repeat("x", 47))})
	}
	if n := len(r.frame()); n < devices.MaxAssetBytes-700 {
		t.Fatalf("the frame has only %d bytes", n)
	}
	reg.set(truck, Registered{fleetID(t, "north"), strings.Repeat("n", 254), 1})
	r.news(truck)
	if n := len(r.frame()); n > devices.MaxAssetBytes {
		t.Errorf("the frame has %d bytes", n)
	}
}

func TestADeletionInTheRegistryRemovesTheAssetForGood(t *testing.T) {
	for _, closed := range []bool{true, false} {
		r, reg := newPeopleRig(t, 1, closed)
		truck, north := deviceID(t, "truck-17"), fleetID(t, "north")
		reg.set(truck, Registered{north, "", 1})
		r.read(devices.Reading{Measures: at(1, 2)})
		r.makeFlush(noon)
		r.committed()
		reg.set(truck, Registered{})
		r.follow(RegistryNews{Devices: map[devices.DeviceID]bool{truck: true}})
		if f := r.makeFlush(noon); len(f.Changes) != 1 || !f.Changes[0].Removed() {
			t.Fatalf("closed %v: %+v", closed, f.Changes)
		}
		r.committed()
		r.time += second
		e := r.entry(bus.Entry{Kind: bus.KindReading, Reading: &devices.Reading{At: noon - second, Measures: at(3, 4)}})
		if r.mustAsk(e) != closed {
			t.Errorf("closed %v: the store is asked: %v", closed, !closed)
		}
		r.answered(truck, answer{})
		r.apply(e, 0)
		if r.live[truck] != nil {
			t.Errorf("closed %v: a late reading brought it back", closed)
		}
		r.time += second
		r.read(devices.Reading{Measures: at(5, 6)})
		if (r.live[truck] == nil) != closed {
			t.Errorf("closed %v: a new reading made it: %v", closed, r.live[truck] != nil)
		}
		reg.set(truck, Registered{north, "", 2}) // somebody registers it anew
		r.news(truck)
		r.time += second
		r.read(devices.Reading{Measures: at(7, 8)})
		if r.live[truck] == nil || r.live[truck].born != 2 {
			t.Errorf("closed %v: made anew it is %+v", closed, r.live[truck])
		}
	}
}

func TestWhatWasDeletedWhileNobodyOwnedThePartitionIsFoundByTheNextOwner(t *testing.T) {
	r, reg := newPeopleRig(t, 1, false)
	north := fleetID(t, "north")
	for _, id := range []string{"deleted", "anew", "stays", "never"} {
		if id != "never" {
			reg.set(deviceID(t, id), Registered{north, "", 1})
		}
		r.apply(r.entry(otherDevice(r, id)), 0)
	}
	records := recordsOfState(r.state)
	next, reg := newPeopleRig(t, 1, false)
	reg.set(deviceID(t, "anew"), Registered{north, "", 2})
	reg.set(deviceID(t, "stays"), Registered{north, "S", 1})
	next.load(func(yield func(bus.Record) bool) {
		for _, rec := range records {
			if !yield(rec) {
				return
			}
		}
	})
	next.follow(RegistryNews{All: true})
	for id, want := range map[string]bool{"deleted": false, "anew": false, "stays": true, "never": true} {
		if got := next.live[deviceID(t, id)] != nil; got != want {
			t.Errorf("%s is live: %v", id, got)
		}
	}
	closed, _ := newPeopleRig(t, 1, true)
	closed.load(func(yield func(bus.Record) bool) { yield(records[0]) })
	if len(closed.live) != 1 {
		t.Fatal("what cannot be known before the registry is loaded is gone")
	}
	closed.follow(RegistryNews{All: true})
	if len(closed.live) != 0 {
		t.Error("where only registered devices have state, one that is not has")
	}
}

func recordsOfState(s *state) []bus.Record {
	var out []bus.Record
	for _, c := range s.makeFlush(noon).Changes {
		out = append(out, bus.Record{Device: c.Device, Fleet: c.Fleet, Data: c.Record, Removed: c.Removed()})
	}
	return out
}

func TestADeviceMovesWithItsStateWithinAPartition(t *testing.T) {
	r, reg := newPeopleRig(t, 1, true)
	truck, north, south := deviceID(t, "truck-17"), fleetID(t, "north"), fleetID(t, "south")
	reg.set(truck, Registered{north, "T", 1})
	r.connect(7, 1, true)
	r.read(devices.Reading{Measures: at(1, 2), Metrics: numbers("fuel", 4)})
	r.makeFlush(noon)
	r.committed()
	reg.set(truck, Registered{south, "T", 1})
	r.news(truck)
	f := r.makeFlush(noon)
	if len(f.Changes) != 2 || !f.Changes[0].Removed() || f.Changes[0].Fleet != north || f.Changes[1].Fleet != south ||
		!strings.Contains(string(f.Changes[1].Frame), `"fleet":"south","name":"T","status":"online"`) || !strings.Contains(string(f.Changes[1].Frame), `"fuel":4`) {
		t.Fatalf("%+v", f.Changes)
	}
	r.committed()
	r.read(devices.Reading{Measures: at(3, 4)}) // the door had not heard yet
	if d := r.live[truck]; d == nil || d.asset.Fleet != south || d.asset.Lat != 3 {
		t.Errorf("a reading under the old fleet was lost: %+v", d)
	}
	reg.set(truck, Registered{north, "T", 1}) // and back
	r.news(truck)
	if f := r.makeFlush(noon); len(f.Changes) != 2 || f.Changes[0].Fleet != south || f.Changes[1].Fleet != north {
		t.Errorf("%+v", f.Changes)
	}
}

// otherPartition is a fleet of another partition than north's.
func otherPartition(t fataler, partitions int) devices.FleetID {
	north := fleetID(t, "north")
	for i := 0; ; i++ {
		if f := fleetID(t, fmt.Sprint("f", i)); f.Partition(partitions) != north.Partition(partitions) {
			return f
		}
	}
}

func TestADeviceMovesWithItsStateToAnotherPartition(t *testing.T) {
	const partitions = 4
	r, reg := newPeopleRig(t, partitions, true)
	truck, north, away := deviceID(t, "truck-17"), fleetID(t, "north"), otherPartition(t, partitions)
	reg.set(truck, Registered{north, "", 1})
	r.connect(7, 1, true)
	r.read(devices.Reading{At: noon - 5*second, Measures: at(1, 2)})
	r.read(devices.Reading{At: noon - 2*second, Measures: speed(9), Metrics: numbers("fuel", 4)})
	want := r.frame()
	r.makeFlush(noon)
	r.committed()
	reg.set(truck, Registered{away, "", 1})
	r.news(truck)
	if f := r.makeFlush(noon); len(f.Changes) != 1 || !f.Changes[0].Removed() {
		t.Fatalf("%+v", f.Changes)
	}
	r.read(devices.Reading{At: noon - second, Measures: speed(10)}) // late, under the old fleet
	moved := r.outbox
	if len(moved) == 0 || r.live[truck] != nil {
		t.Fatalf("%+v", moved)
	}
	to, reg2 := newPeopleRig(t, partitions, true)
	to.partition = away.Partition(partitions)
	reg2.set(truck, Registered{away, "", 1})
	to.time = noon
	for _, e := range moved {
		if err := e.Check(); err != nil {
			t.Fatal(err)
		}
		to.id++
		e.ID, e.Time = to.id, to.time
		to.apply(&e, 0)
	}
	want = strings.NewReplacer(`"fleet":"north"`, `"fleet":"`+away.String()+`"`, `"speed":9`, `"speed":10`).Replace(want)
	if got := string(to.appendFrame(nil, to.live[truck])); got != want {
		t.Errorf("there it is\n%s, was\n%s", got, want)
	}
	if len(to.live[truck].conns) != 1 {
		t.Error("its connection did not come along")
	}
	// And back, where it was removed a moment ago.
	reg.set(truck, Registered{north, "", 1})
	reg2.set(truck, Registered{north, "", 1})
	to.news(truck)
	r.outbox = nil
	for _, e := range to.outbox {
		r.id++
		e.ID, e.Time = r.id, r.time
		r.apply(&e, 0)
	}
	want = strings.ReplaceAll(want, away.String(), "north")
	if d := r.live[truck]; d == nil || string(r.appendFrame(nil, d)) != want {
		t.Errorf("back again it is not\n%s: %+v", want, d)
	}
}

func TestWhereOnlyRegisteredDevicesHaveStateTheStoreIsAskedBeforeAnythingIsDropped(t *testing.T) {
	r, reg := newPeopleRig(t, 1, true)
	o := &ownership{partition: &partition{opts: r.opts}, state: r.state}
	north := fleetID(t, "north")
	reg.store[deviceID(t, "known")] = Registered{north, "", 1}
	reg.away = 1
	batch := []bus.Entry{*r.entry(otherDevice(r, "known")), *r.entry(otherDevice(r, "nobody")), *r.entry(otherDevice(r, "nobody"))}
	if !o.apply(t.Context(), batch) {
		t.Fatal("it was not applied")
	}
	if r.live[deviceID(t, "known")] == nil || r.live[deviceID(t, "nobody")] != nil {
		t.Error("known is not there, or nobody is")
	}
	if reg.lookups != 3 { // one failed; nobody is asked for once
		t.Errorf("%d lookups", reg.lookups)
	}
	r.wantCounts(t, map[reason]uint64{reasonUnregistered: 2})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if o.apply(ended, []bus.Entry{*r.entry(otherDevice(r, "late"))}) {
		t.Error("an entry was passed over because the owner stops")
	}
}

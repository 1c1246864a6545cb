package registry

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/secret"
	"github.com/fleetcast/fleetcast/devices/store"
)

func TestADeviceIsCreatedReadChangedMovedAndDeleted(t *testing.T) {
	r := start(t, Options{})
	d, token := create(t, r, "truck-17", "north")
	if !secret.IsToken([]byte(token)) || d.Status != Enabled || d.Revision == 0 || d.Created == 0 {
		t.Fatalf("created %+v with %q", d, token)
	}
	got, ok := r.Device(d.ID)
	if !ok || got.Revision != d.Revision || !got.equal(d) {
		t.Fatalf("reads %+v, wrote %+v", got, d)
	}
	if f, ok := r.Fleet(d.Fleet); !ok || f.Devices != 1 {
		t.Errorf("the fleet is %+v", f)
	}
	_, _, err := r.CreateDevice(t.Context(), Device{ID: d.ID, Fleet: fleetID(t, "south")}, Secret{})
	wantKind(t, "creating it again", err, devices.Conflict)

	changed, err := r.UpdateDevice(t.Context(), d.ID, []byte(`{"name":"Truck 17","metadata":{"plate":"AB 1","vin":"x"},"limits":{"messages_per_second":5}}`), 0)
	if err != nil || changed.Name != "Truck 17" || len(changed.Metadata) != 2 {
		t.Fatalf("%+v, %v", changed, err)
	}
	changed, err = r.UpdateDevice(t.Context(), d.ID, []byte(`{"metadata":{"vin":null},"fleet":"south"}`), changed.Revision)
	if err != nil || len(changed.Metadata) != 1 || changed.Name != "Truck 17" || changed.Fleet.String() != "south" || changed.Limits.Messages != 5 {
		t.Fatalf("%+v, %v", changed, err)
	}
	_, err = r.UpdateDevice(t.Context(), d.ID, []byte(`{"name":"other"}`), d.Revision)
	wantKind(t, "a change of what was read before another's", err, devices.Conflict)
	for patch, field := range map[string]string{
		`{"id":"x"}`: "body", `{"created":1}`: "body", `{"nam":"x"}`: "nam", `{"status":"quarantined"}`: "status", `[]`: "body", `"x"`: "body",
		`{"name":"a\u0000"}`: "name", `{"name":"` + strings.Repeat("x", MaxNameBytes) + `"}`: "name", `{"fleet":"a/b"}`: "fleet",
		`{"limits":{"burst_s":-1}}`: "limits", `{"metadata":{"` + strings.Repeat("k", MaxMetadataKeyBytes+1) + `":"v"}}`: "metadata", `{"name":5}`: "name",
	} {
		_, err := r.UpdateDevice(t.Context(), d.ID, []byte(patch), 0)
		wantKind(t, patch, err, devices.Invalid)
		if wrong, ok := err.(*devices.Error); !ok || wrong.Field != field { //nolint:errorlint // what the API shows
			t.Errorf("%s blames %v", patch, err)
		}
	}
	if f, _ := r.Fleet(fleetID(t, "north")); f.Devices != 0 {
		t.Errorf("the old fleet has %d devices", f.Devices)
	}
	wantKind(t, "deleting a fleet with devices", r.DeleteFleet(t.Context(), fleetID(t, "south"), 0), devices.Conflict)
	wantKind(t, "deleting what was read before", r.DeleteDevice(t.Context(), d.ID, d.Revision), devices.Conflict)
	if err := r.DeleteDevice(t.Context(), d.ID, 0); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Device(d.ID); ok {
		t.Error("it is there after its deletion")
	}
	wantKind(t, "deleting it again", r.DeleteDevice(t.Context(), d.ID, 0), devices.NotFound)
	_, err = r.UpdateDevice(t.Context(), d.ID, []byte(`{}`), 0)
	wantKind(t, "changing what is gone", err, devices.NotFound)
	if err := r.DeleteFleet(t.Context(), fleetID(t, "south"), 0); err != nil {
		t.Error(err)
	}
	create(t, r, "truck-17", "north")
}

func TestListsArePagedFilteredAndSorted(t *testing.T) {
	r := start(t, Options{})
	for i := range 25 {
		create(t, r, fmt.Sprintf("d%02d", (i*7)%25), []string{"north", "south"}[i%2])
	}
	if _, err := r.UpdateDevice(t.Context(), deviceID(t, "d03"), []byte(`{"name":"The Red One","status":"disabled","metadata":{"plate":"XY-9"}}`), 0); err != nil {
		t.Fatal(err)
	}
	var all []string
	for q := (Query{Limit: 4}); ; {
		page, next := r.Devices(q)
		for _, d := range page {
			all = append(all, d.ID.String())
		}
		if next == "" {
			break
		}
		q.After = next
	}
	if len(all) != 25 {
		t.Fatalf("%d devices: %v", len(all), all)
	}
	for i, id := range all {
		if id != fmt.Sprintf("d%02d", i) {
			t.Fatalf("place %d has %s", i, id)
		}
	}
	for _, c := range []struct {
		q    Query
		want int
	}{
		{Query{Fleets: []devices.FleetID{fleetID(t, "north")}}, 13},
		{Query{Status: Disabled}, 1},
		{Query{Search: "RED"}, 1},
		{Query{Search: "xy-"}, 1},
		{Query{Search: "d1"}, 10},
		{Query{Search: "nothing"}, 0},
		{Query{After: "d24"}, 0},
		{Query{After: "d2300"}, 1},
	} {
		if page, next := r.Devices(c.q); len(page) != c.want || next != "" {
			t.Errorf("%+v has %d devices and next %q, want %d", c.q, len(page), next, c.want)
		}
	}
}

func TestBoundsOfDevicesHold(t *testing.T) {
	r := start(t, Options{MaxDevices: 3})
	if _, err := r.CreateFleet(t.Context(), Fleet{ID: fleetID(t, "small"), MaxDevices: 1}); err != nil {
		t.Fatal(err)
	}
	create(t, r, "a", "small")
	_, _, err := r.CreateDevice(t.Context(), Device{ID: deviceID(t, "b"), Fleet: fleetID(t, "small")}, Secret{})
	wantKind(t, "a second device of a fleet of one", err, devices.Exhausted)
	create(t, r, "b", "large")
	_, err = r.UpdateDevice(t.Context(), deviceID(t, "b"), []byte(`{"fleet":"small"}`), 0)
	wantKind(t, "moving to a full fleet", err, devices.Exhausted)
	create(t, r, "c", "large")
	if _, err = r.UpdateDevice(t.Context(), deviceID(t, "b"), []byte(`{"fleet":"other"}`), 0); err != nil {
		t.Errorf("moving where the installation is full: %v", err)
	}
	_, _, err = r.CreateDevice(t.Context(), Device{ID: deviceID(t, "d"), Fleet: fleetID(t, "large")}, Secret{})
	wantKind(t, "a fourth device of three", err, devices.Exhausted)
}

func TestFleetsHaveSettings(t *testing.T) {
	r := start(t, Options{})
	north := fleetID(t, "north")
	f, err := r.CreateFleet(t.Context(), Fleet{ID: north, Name: "North", Silence: 60, RetireAfter: 3600, Hygiene: &devices.HygieneSettings{MaxSpeed: 50, JumpFixes: 1, JumpSeconds: 1}})
	if err != nil || f.Revision == 0 {
		t.Fatal(f, err)
	}
	_, err = r.CreateFleet(t.Context(), Fleet{ID: north})
	wantKind(t, "creating it again", err, devices.Conflict)
	f, err = r.UpdateFleet(t.Context(), north, []byte(`{"silence_s":null,"hygiene":{"min_distance":1}}`), f.Revision)
	if err != nil || f.Silence != 0 || f.Hygiene.MaxSpeed != 50 || f.Hygiene.MinDistance != 1 {
		t.Fatalf("%+v %v", f, err)
	}
	for _, patch := range []string{`{"silence_s":1}`, `{"retire_after_s":5}`, `{"alerts_s":59}`, `{"alerts_s":2592001}`, `{"history_s":3599}`, `{"history_s":-1}`, `{"max_devices":-1}`, `{"hygiene":[1]}`, `{"hygiene":{"bad":1}}`, `{"hygiene":{"max_speed":-1}}`, `{"id":"x"}`} {
		_, err := r.UpdateFleet(t.Context(), north, []byte(patch), 0)
		wantKind(t, patch, err, devices.Invalid)
	}
	if _, err := r.UpdateFleet(t.Context(), north, []byte(`{"alerts_s":60,"history_s":3600}`), 0); err != nil {
		t.Error(err)
	}
	if kept, ok := r.HistoryKept(); !ok || len(kept) != 1 || kept["north"] != time.Hour {
		t.Errorf("%v %v", kept, ok)
	}
	if page, next := r.Fleets("", 10); len(page) != 1 || next != "" || page[0].Name != "North" {
		t.Errorf("%+v %q", page, next)
	}
}

func TestAChangeThatOthersOvertakeIsTriedAgain(t *testing.T) {
	s := newStore(t)
	one, two := start(t, Options{Store: s}), start(t, Options{Store: s})
	create(t, one, "d", "north")
	const each = 20
	done := make(chan error, 2)
	for i, r := range []*Registry{one, two} {
		go func() {
			for n := range each {
				if _, err := r.UpdateDevice(t.Context(), deviceID(t, "d"), fmt.Appendf(nil, `{"metadata":{"r%d":"%d"}}`, i, n), 0); err != nil && devices.KindOf(err) != devices.Conflict {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if d, _ := one.Device(deviceID(t, "d")); len(d.Metadata) != 2 {
		t.Errorf("%+v", d)
	}
}

func TestOfADeletedDeviceTheFeedKnowsAlsoWhereItIsMadeAgain(t *testing.T) {
	r := start(t, Options{Now: ticking()})
	feed := r.Follow()
	defer feed.Close()
	if n, ok := feed.Take(); !ok || !n.All {
		t.Fatalf("the first news is %+v", n)
	}
	create(t, r, "d", "north")
	if n, _ := feed.Take(); n.Devices[deviceID(t, "d")] || len(n.Devices) != 1 || n.All || len(n.Fleets) != 1 {
		t.Errorf("after the creation: %+v", n)
	}
	if err := r.DeleteDevice(t.Context(), deviceID(t, "d"), 0); err != nil {
		t.Fatal(err)
	}
	create(t, r, "d", "north")
	if n, _ := feed.Take(); !n.Devices[deviceID(t, "d")] {
		t.Errorf("after deletion and creation: %+v", n)
	}
	if _, err := r.UpdateDevice(t.Context(), deviceID(t, "d"), []byte(`{"name":"x"}`), 0); err != nil {
		t.Fatal(err)
	}
	if n, _ := feed.Take(); n.Devices[deviceID(t, "d")] || len(n.Devices) != 1 || len(n.Accounts) != 0 {
		t.Errorf("after a rename: %+v", n)
	}
	if n, ok := feed.Take(); ok {
		t.Errorf("no news are %+v", n)
	}
}

func TestASnapshotIsBelievedWhateverItsRevisions(t *testing.T) {
	d := newDirectory()
	record := func(at store.Revision, name string) store.Update {
		return store.Update{Snapshot: true, Revision: at, Records: []store.Record{{
			Kind: KindDevice, ID: "d", Revision: at, Value: fmt.Appendf(nil, `{"id":"d","fleet":"f","name":%q,"status":"enabled","created":1,"updated":1}`, name),
		}}}
	}
	d.apply(record(10, "lost in a failover"))
	feed := d.feed()
	feed.Take()
	d.apply(record(10, "written since")) // under a number that was given out before
	if n, ok := feed.Take(); !ok || len(n.Devices) != 1 || d.devices[deviceID(t, "d")].Name != "written since" {
		t.Errorf("%+v, %+v", n, d.devices)
	}
	d.apply(record(12, "written since"))
	if n, ok := feed.Take(); ok {
		t.Errorf("what did not change is news: %+v", n)
	}
	d.apply(store.Update{Snapshot: true, Revision: 13})
	if n, _ := feed.Take(); !n.Devices[deviceID(t, "d")] || len(d.ids) != 0 {
		t.Errorf("%+v %v", n, d.ids)
	}
}

func FuzzMergePatch(f *testing.F) {
	f.Add(`{"name":"x","metadata":{"a":null},"limits":{"burst_s":1}}`)
	f.Add(`{"metadata":[[[[{"a":{"a":{"a":{"a":1}}}}]]]]}`)
	f.Add(`{"id":"y","name":"\u0000"}`)
	f.Add(`nul`)
	f.Fuzz(func(t *testing.T, patch string) {
		id, fleet := deviceID(t, "d"), fleetID(t, "f")
		before := Device{ID: id, Fleet: fleet, Status: Enabled, Metadata: map[string]string{"a": "b"}, Created: 1}
		var after Device
		if err := MergePatch(&before, []byte(patch), &after); err != nil {
			if devices.KindOf(err) != devices.Invalid {
				t.Fatalf("an error that says nothing: %v", err)
			}
			return
		}
		if after.Check() != nil {
			return
		}
		if _, err := put(KindDevice, "d", &after, store.Condition{}); err != nil {
			t.Fatal(err)
		}
	})
}

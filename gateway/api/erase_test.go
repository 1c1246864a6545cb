package api

import (
	"context"
	"errors"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/registry"
)

// erasingInlet erases an asset when every partition is told to, as their owners do. It is what follows them too.
type erasingInlet struct {
	assets     *fakeAssets
	partitions map[int]bool
	took       int
	done       chan struct{}
	stays      bool
}

func (f *erasingInlet) Append(_ context.Context, a bus.Append) error {
	for _, e := range a.Entries {
		if e.Kind == bus.KindErasure {
			f.partitions[e.Fleet.Partition(partitions)] = true
		}
	}
	if len(f.partitions) == partitions {
		f.took++
		if !f.stays {
			delete(f.assets.frames, a.Entries[0].Device.String())
		}
		close(f.done)
	}
	return nil
}

const partitions = 5

func (f *erasingInlet) follow(devices.DeviceID) Erasure {
	f.partitions, f.done = map[int]bool{}, make(chan struct{})
	return f
}

func (f *erasingInlet) Done() <-chan struct{} { return f.done }
func (f *erasingInlet) Close()                {}

func TestADeviceIsErasedByREST(t *testing.T) {
	w := newPeople(t, registry.Options{})
	inlet := &erasingInlet{assets: w.assets}
	w.options.Inlet = inlet
	compacted, forgotten, letters, configured := 0, "", 0, 0
	w.options.Erasing = Erasing{
		Partitions: partitions, Follow: inlet.follow,
		Letters:    func(context.Context, devices.DeviceID) error { letters++; return nil },
		Configured: func(context.Context) error { configured++; return nil },
		Compact: func(context.Context) error {
			if len(w.assets.frames) > 0 {
				t.Error("what is written anew has it still")
			}
			compacted++
			return nil
		},
		Forget: func(id devices.DeviceID) (int, int, error) {
			forgotten += id.String()
			return 7, 1, nil
		},
		Elsewhere: []string{"a place"},
	}
	w.send("POST", "/api/devices", `{"id":"truck-17","fleet":"north"}`)
	w.assets.frames["truck-17"] = frameOf("truck-17")
	v := decoded(t, w.do("POST", "/api/devices/truck-17/erase"))
	if v["registered"] != true || v["live"] != true || v["compacted"] != true || v["readings_of_history"] != 7.0 || len(v["remains"].([]any)) != 3 {
		t.Errorf("%v", v)
	}
	isProblem(t, w.do("GET", "/api/devices/truck-17"), 404, "")
	v = decoded(t, w.do("POST", "/api/devices/truck-17/erase")) // again: there is nothing, and that is no error
	if v["registered"] != false || v["live"] != false || inlet.took != 2 || compacted != 2 || letters != 2 || configured != 2 || forgotten != "truck-17truck-17" {
		t.Errorf("%v, %d removals, %d compacted", v, inlet.took, compacted)
	}
	w.options.Erasing = Erasing{Partitions: partitions, Follow: inlet.follow}
	if v = decoded(t, w.do("POST", "/api/devices/truck-17/erase")); v["compacted"] != false || len(v["remains"].([]any)) != 1 {
		t.Errorf("%v", v)
	}
	w.options.Erasing.Compact = func(context.Context) error { return devices.Errorf(devices.Unavailable, "", "try again") }
	isProblem(t, w.do("POST", "/api/devices/truck-17/erase"), 503, "")
	w.options.Erasing.Compact, w.options.Erasing.Forget = nil, func(devices.DeviceID) (int, int, error) { return 0, 0, errors.New("a disk") }
	isProblem(t, w.do("POST", "/api/devices/truck-17/erase"), 500, "")
	w.options.Erasing.Forget = nil
	inlet.stays = true // it goes on speaking
	w.assets.frames["truck-17"] = frameOf("truck-17")
	isProblem(t, w.do("POST", "/api/devices/truck-17/erase"), 503, "")
	isProblem(t, w.do("POST", "/api/devices/a%0Ab/erase"), 404, "")
}

package api

import (
	"context"
	"errors"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/registry"
)

// removingInlet takes an asset away when it is told to, as its owner does.
type removingInlet struct {
	assets *fakeAssets
	took   int
}

func (f *removingInlet) Append(_ context.Context, a bus.Append) error {
	for _, e := range a.Entries {
		if e.Kind == bus.KindRemoval {
			f.took++
			delete(f.assets.frames, e.Device.String())
		}
	}
	return nil
}

func TestADeviceIsErasedByREST(t *testing.T) {
	w := newPeople(t, registry.Options{})
	inlet := &removingInlet{assets: w.assets}
	w.options.Inlet = inlet
	compacted, forgotten := 0, ""
	w.options.Erasing = Erasing{
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
	if v["registered"] != false || v["live"] != false || inlet.took != 1 || compacted != 2 || forgotten != "truck-17truck-17" {
		t.Errorf("%v, %d removals, %d compacted", v, inlet.took, compacted)
	}
	w.options.Erasing = Erasing{}
	if v = decoded(t, w.do("POST", "/api/devices/truck-17/erase")); v["compacted"] != false || len(v["remains"].([]any)) != 1 {
		t.Errorf("%v", v)
	}
	w.options.Erasing.Compact = func(context.Context) error { return devices.Errorf(devices.Unavailable, "", "try again") }
	isProblem(t, w.do("POST", "/api/devices/truck-17/erase"), 503, "")
	w.options.Erasing = Erasing{Forget: func(devices.DeviceID) (int, int, error) { return 0, 0, errors.New("a disk") }}
	isProblem(t, w.do("POST", "/api/devices/truck-17/erase"), 500, "")
	isProblem(t, w.do("POST", "/api/devices/a%0Ab/erase"), 404, "")
}

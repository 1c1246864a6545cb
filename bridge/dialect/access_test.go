package dialect

import (
	"slices"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
)

func device(t testing.TB, text string) devices.DeviceID {
	t.Helper()
	id, err := devices.ParseDeviceID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func fleet(t testing.TB, text string) devices.FleetID {
	t.Helper()
	id, err := devices.ParseFleetID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestADevicesTopicsAreFilledFromItsCredential(t *testing.T) {
	router, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		device, fleet string
		up, down      []string
	}{
		{"truck-17", "north", []string{"fleets/north/devices/truck-17/status", "fleets/north/devices/truck-17/telemetry"}, nil},
		{
			"ann:phone", "family",
			[]string{"fleets/family/devices/ann:phone/status", "fleets/family/devices/ann:phone/telemetry", "owntracks/ann/phone", "owntracks/ann/phone/+"},
			[]string{"owntracks/ann/phone/cmd"},
		},
		{":phone", "f", []string{"fleets/f/devices/:phone/status", "fleets/f/devices/:phone/telemetry"}, nil},
	} {
		var up, down []string
		for _, a := range router.AccessTemplates() {
			filter, ok := a.ForDevice(device(t, c.device), fleet(t, c.fleet))
			switch {
			case !ok:
			case a.Down:
				down = append(down, filter)
			default:
				up = append(up, filter)
			}
		}
		slices.Sort(up)
		if !slices.Equal(up, c.up) || !slices.Equal(down, c.down) {
			t.Errorf("%s of %s: up %q, down %q", c.device, c.fleet, up, down)
		}
	}
}

func TestAFleetsTopicsFollowFromTheRuleReadBackwards(t *testing.T) {
	rows := []row{{template: "x/{mode}/{name...}", id: []string{"mode", "name"}, decode: decodeNative}, {template: "list", decode: decodeNative}}
	rule, err := parseFleetRule("hsl-{mode}!")
	if err != nil {
		t.Fatal(err)
	}
	router, err := newRouter([]boundRow{{row: rows[0], fleet: rule}})
	if err != nil {
		t.Fatal(err)
	}
	a := router.AccessTemplates()[0]
	for text, want := range map[string]string{"hsl-bus!": "x/bus/#", "hsl-!": "", "hsl": "", "bus": ""} {
		if got, _ := a.ForFleet(fleet(t, text)); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
	if got, _ := a.ForDevice(device(t, "bus:a:b"), fleet(t, "hsl-bus!")); got != "x/bus/a/b" {
		t.Errorf("device: %q", got)
	}
	if got, _ := a.ForDevice(device(t, "bus:a:b"), fleet(t, "other")); got != "x/bus/a/b" { // the registry's fleet counts
		t.Errorf("device that is registered with another fleet: %q", got)
	}
	if _, err := newRouter([]boundRow{{row: rows[1], fleet: rule}}); err == nil {
		t.Error("a rule names a level that the template does not have")
	}
	list, err := newRouter(bound(t, rows[1:]))
	if err != nil {
		t.Fatal(err)
	}
	a = list.AccessTemplates()[0]
	if _, ok := a.ForDevice(device(t, "d"), fleet(t, "f")); ok || !a.FromPayload {
		t.Error("a device may publish for all of its fleet")
	}
	if got, _ := a.ForFleet(fleet(t, "f")); got != "list" {
		t.Errorf("fleet: %q", got)
	}
}

func TestWrongPresetsAreRefused(t *testing.T) {
	for _, text := range []string{"", "nosuch", "owntracks=", "owntracks=a/b", "owntracks={a}{b}", "owntracks={nosuch}", "owntracks={a", "owntracks={}", "native=a+"} {
		var c PresetChoice
		if err := c.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
	if _, err := New(Options{Presets: []PresetChoice{{Name: "native"}, {Name: "native"}}}); err == nil {
		t.Error("a preset twice is accepted")
	}
	var c PresetChoice
	if err := c.UnmarshalText([]byte("owntracks=of-{user}")); err != nil || c.String() != "owntracks=of-{user}" {
		t.Errorf("%v %v", c, err)
	}
	router, err := New(Options{Presets: []PresetChoice{c}})
	if err != nil {
		t.Fatal(err)
	}
	if route, _ := router.Route("owntracks/ann/phone"); route.Fleet() != fleet(t, "of-ann") {
		t.Errorf("fleet %v", route.Fleet())
	}
}

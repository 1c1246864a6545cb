package rules

import (
	"slices"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
)

// move is a device's change of place at a second.
type move struct {
	second int64
	change func(*devices.Asset)
}

// texts are what the alerts of a rule say along a path.
func texts(t *testing.T, fence Fence, rule Rule, path []move) (said []string) {
	t.Helper()
	w := newWorld(t, []Fence{fence}, rule)
	for _, m := range path {
		m.change(&w.asset)
		for _, a := range w.e.Evaluate(&w.track, &Input{Asset: &w.asset, Cause: ByReading, At: m.second * 1000, Entry: uint64(m.second)}, nil) {
			said = append(said, a.Text)
		}
	}
	return said
}

// People know a fence by its name; its id is what programs know it by.
func TestAnAlertOfAFenceSaysItsName(t *testing.T) {
	named := `{"id":"fence-3f","name":"Central Depot","geometry":{"type":"circle","center":[2.0015,48.001],"radius":100}}`
	inside, outside := place(48.001, 2.0015), place(48.1, 2.0015)
	for on, want := range map[On][]string{
		Enter:   {"entered Central Depot", "left Central Depot"},
		Exit:    {"left Central Depot", "came back to Central Depot"},
		Inside:  {"inside Central Depot", "no longer inside Central Depot"},
		Outside: {"outside Central Depot", "no longer outside Central Depot"},
		Dwell:   {"stayed in Central Depot", "left Central Depot"},
	} {
		path := []move{{0, outside}, {1, inside}, {200, inside}, {201, outside}}
		if !on.wantsInside() {
			path = []move{{0, inside}, {1, outside}, {2, inside}}
		}
		hold := ""
		if on == Dwell {
			hold = `,"for_s":60`
		}
		rule := mustRule(t, `{"id":"r"`+hold+`,"when":{"type":"fence","fence":"fence-3f","on":"`+string(on)+`"}}`)
		if got := texts(t, mustFence(t, named), rule, path); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", on, got, want)
		}
	}
	entered := mustRule(t, `{"id":"r","when":{"type":"fence","fence":"fence-3f","on":"inside"}}`)
	for fleets, want := range map[string]string{`["north"]`: "inside Central Depot", `["south","east"]`: "inside fence-3f"} {
		fence := mustFence(t, strings.Replace(named, "{", `{"fleets":`+fleets+",", 1))
		if got := texts(t, fence, entered, []move{{0, inside}}); !slices.Equal(got, []string{want}) {
			t.Errorf("of a fence of %s a device of north says %q, want %q", fleets, got, want)
		}
	}
	inDepot := mustRule(t, `{"id":"r","when":{"type":"fence","fence":"depot","on":"inside"}}`)
	if got := texts(t, mustFence(t, depot), inDepot, []move{{0, inside}}); !slices.Equal(got, []string{"inside depot"}) {
		t.Errorf("without a name: %q", got)
	}
}

package dialect

import (
	"slices"
	"testing"
)

func TestFiltersMatchWhatTheRouterKnows(t *testing.T) {
	router, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := router.Filters()
	for _, want := range []Filter{
		{"fleets/+/devices/+/telemetry", false}, {"fleets/+/devices/+/status", true}, {"owntracks/+/+", false}, {"owntracks/+/+/+", false},
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%+v is missing in %+v", want, got)
		}
	}
	rest, err := parseTemplate("zigbee2mqtt/{device...}")
	if err != nil {
		t.Fatal(err)
	}
	if got := rest.filter(); got != "zigbee2mqtt/#" {
		t.Errorf("filter %q", got)
	}
}

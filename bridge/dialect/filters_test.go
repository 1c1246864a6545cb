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
	if len(got) != 4 { // what goes down to devices is not read
		t.Errorf("filters %+v", got)
	}
	for text, want := range map[string]string{
		"zigbee2mqtt/{device...}": "zigbee2mqtt/#", "zigbee2mqtt/{device...}/availability": "zigbee2mqtt/#", "/hfp/{a}/{b...}": "/hfp/+/#",
	} {
		rest, err := parseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := rest.filterWith(nil); got != want {
			t.Errorf("%s: filter %q", text, got)
		}
	}
}

func TestNoFilterCoversAnother(t *testing.T) {
	got := withoutCovered([]Filter{{Topic: "z/+/x"}, {Topic: "z/#"}, {Topic: "z/a", Status: true}, {Topic: "z/#"}, {Topic: "a/+"}, {Topic: "a/b"}, {Topic: "a/#"}, {Topic: "b/+/#"}, {Topic: "b/+/c"}})
	want := []Filter{{Topic: "z/#"}, {Topic: "z/a", Status: true}, {Topic: "a/#"}, {Topic: "b/+/#"}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

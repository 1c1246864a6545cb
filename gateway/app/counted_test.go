package app

import (
	"maps"
	"testing"
)

// What operators look for first and did not find: what each format brings, how far partitions came, what viewers took.
func TestStatsSayWhichFormatsAndHowFar(t *testing.T) {
	g := startGateway(t)
	g.publish("-t", "fleets/north/devices/truck-17/telemetry", "-m", `{"lat":48.9,"lon":2.3}`)
	g.publish("-t", "fleets/north/devices/truck-17/telemetry", "-m", `{`)
	g.publish("-t", "owntracks/ann/phone", "-m", `{"_type":"location","lat":48.9,"lon":2.3,"tst":1795353543}`)
	g.waitAsset("truck-17", has("lat", 48.9))
	g.waitAsset("ann:phone", has("lat", 48.9))
	s := g.stats()
	want := map[string]uint64{"native": 2, "owntracks": 1}
	got := maps.Clone(s.MQTT.Dialects)
	maps.DeleteFunc(got, func(dialect string, n uint64) bool { return n == 0 && want[dialect] == 0 })
	if !maps.Equal(got, want) {
		t.Errorf("formats took %v, want %v", got, want)
	}
	if s.Hub.Offsets["0"] == 0 || s.Hub.Offsets["0"] > s.Bridge.Offsets["0"] {
		t.Errorf("the edge is at %v, the owner at %v", s.Hub.Offsets, s.Bridge.Offsets)
	}
	if s.Commands == nil {
		t.Error("there are no counters of commands")
	}
}

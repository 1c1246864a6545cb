package dialect

import (
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
)

func TestTopicsOfOursNameFleetAndDevice(t *testing.T) {
	router, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		topic, fleet, device string
		want                 Reason
	}{
		{"fleets/north/devices/truck-17/telemetry", "north", "truck-17", None},
		{"fleets/Linie 4 €/devices/../status", "Linie 4 €", "..", None}, // levels are text: nothing is a path
		{"fleets/%2e/devices/🚚/telemetry", "%2e", "🚚", None},
		{"owntracks/ann/phone", "owntracks", "ann:phone", None},
		{"owntracks/home/AA:BB:CC", "owntracks", "home:AA:BB:CC", None},
		{"owntracks/ann/phone/event", "owntracks", "ann:phone", None},
		{"owntracks/a:b/phone", "", "", BadName},
		{"owntracks//phone", "", "", BadName},
		{"owntracks/ann", "", "", UnknownTopic},
		{"owntracks/ann/phone/event/x", "", "", UnknownTopic},
		{"fleets//devices/d/telemetry", "", "", BadName},
		{"fleets/n/devices/a\u0085b/telemetry", "", "", BadName},
		{"fleets/n/devices/" + strings.Repeat("d", devices.MaxIDBytes+1) + "/telemetry", "", "", BadName},
		{"/fleets/n/devices/d/telemetry", "", "", UnknownTopic},
		{"fleets/n/devices/d/telemetry/", "", "", UnknownTopic},
		{"fleets/n/devices/d", "", "", UnknownTopic},
		{"Fleets/n/devices/d/telemetry", "", "", UnknownTopic},
		{"", "", "", BadTopic},
		{strings.Repeat("x/", MaxTopicLevels), "", "", BadTopic},
		{strings.Repeat("x", MaxTopicBytes+1), "", "", BadTopic},
	} {
		route, reason := router.Route(c.topic)
		if reason != c.want {
			t.Errorf("%.60q: %v, want %v", c.topic, reason, c.want)
			continue
		}
		if reason == None && (route.Fleet().String() != c.fleet || route.Device().String() != c.device) {
			t.Errorf("%q: %v of %v", c.topic, route.Device(), route.Fleet())
		}
	}
}

func TestOwnTracksFleetIsConfigured(t *testing.T) {
	fleet, err := devices.ParseFleetID("phones")
	if err != nil {
		t.Fatal(err)
	}
	router, err := New(Options{OwnTracksFleet: fleet})
	if err != nil {
		t.Fatal(err)
	}
	if route, _ := router.Route("owntracks/ann/phone"); route.Fleet() != fleet {
		t.Errorf("fleet %v", route.Fleet())
	}
}

func TestTheMostSpecificTemplateIsAskedFirstAndMayDecline(t *testing.T) {
	taken := func(kind Kind) decoder {
		return func(_ *input, out *Result) bool { out.Kind = kind; return true }
	}
	declines := func(_ *input, out *Result) bool { return out.decline(BadStatus) }
	router, err := newRouter(bound(t, []row{
		{template: "{device}/{rest...}", decode: taken(Opaque)},
		{template: "{device}/x/{a}", decode: taken(Region)},
		{template: "{device}/x/state", decode: declines},
		{template: "{device}/{a}/state", decode: taken(Event)},
		{template: "only/{device}", decode: declines},
	}))
	if err != nil {
		t.Fatal(err)
	}
	for topic, want := range map[string]Kind{
		"d/x/state": Region, "d/x/y": Region, "d/y/state": Event, "d/y": Opaque, "d/a/b/c/d": Opaque, "only/d": Opaque,
	} {
		route, reason := router.Route(topic)
		if reason != None {
			t.Fatalf("%s: %v", topic, reason)
		}
		out := new(Result)
		if route.Decode(nil, out); out.Kind != want {
			t.Errorf("%s: %v, want %v", topic, out.Kind, want)
		}
	}
	router, err = newRouter(bound(t, []row{{template: "only/{device}", decode: declines}}))
	if err != nil {
		t.Fatal(err)
	}
	route, _ := router.Route("only/d")
	out := new(Result)
	if route.Decode(nil, out); out.Kind != Rejected || out.Reason != BadStatus {
		t.Errorf("%v %v", out.Kind, out.Reason)
	}
}

// bound gives rows the fleet f.
func bound(t testing.TB, rows []row) []boundRow {
	t.Helper()
	rule, err := parseFleetRule("f")
	if err != nil {
		t.Fatal(err)
	}
	var out []boundRow
	for _, r := range rows {
		out = append(out, boundRow{row: r, preset: "test", fleet: rule})
	}
	return out
}

func TestARestMayBeFollowedByLiterals(t *testing.T) {
	tmpl, err := parseTemplate("z/{name...}/availability")
	if err != nil {
		t.Fatal(err)
	}
	for topic, want := range map[string]string{"z/a/availability": "a", "z/a/b/availability": "a/b", "z/availability": "", "z/a/b": "", "z//availability": ""} {
		captures, ok := tmpl.match(topic)
		if ok != (want != "") || ok && captures[0] != want {
			t.Errorf("%s: %q %v", topic, captures, ok)
		}
	}
}

func TestBadTemplatesAreErrors(t *testing.T) {
	for _, bad := range []string{"", "a/+/b", "a/#", "{device", "{}/a", "{device}/{device}", "{a...}/{b...}", "a{b}", "{a.b}", strings.Repeat("a/", MaxTopicLevels)} {
		if _, err := parseTemplate(bad); err == nil {
			t.Errorf("template %.40q is accepted", bad)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("fleets/{fleet}/devices/{device}/telemetry", "fleets/north/devices/truck/telemetry")
	f.Add("zigbee2mqtt/{device...}", "zigbee2mqtt/a/b")
	f.Add("{a}/{b...}", "//")
	f.Add("a//{b}", "a//")
	f.Add("z/{name...}/x/{y}", "z/a/b/x/y")
	f.Fuzz(func(t *testing.T, text, topic string) {
		tmpl, err := parseTemplate(text)
		if err != nil {
			return
		}
		captures, ok := tmpl.match(topic)
		if !ok {
			return
		}
		// Put together again, the captures must give the topic.
		var parts []string
		n := 0
		for _, l := range tmpl.levels {
			if l.name == "" {
				parts = append(parts, l.literal)
				continue
			}
			if got, found := tmpl.capture(captures, l.name); !found || got != captures[n] {
				t.Fatalf("capture %q is %q", l.name, got)
			}
			parts = append(parts, captures[n])
			n++
		}
		if got := strings.Join(parts, "/"); got != topic {
			t.Fatalf("%q matches %q as %q", text, topic, got)
		}
	})
}

package dialect

import "testing"

func TestClaimsSayForWhomATopicSpeaks(t *testing.T) {
	r, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for topic, want := range map[string][3]string{
		"fleets/north/devices/truck-1/telemetry": {"truck-1", "north", "named"},
		"owntracks/ann/phone":                    {"ann:phone", "owntracks", ""},
	} {
		route, reason := r.Route(topic)
		if reason != None {
			t.Fatalf("%s: %v", topic, reason)
		}
		c := route.Claims()[0]
		named := ""
		if c.Named {
			named = "named"
		}
		if got := [3]string{c.Device.String(), c.Fleet.String(), named}; got != want {
			t.Errorf("%s claims %v, want %v", topic, got, want)
		}
	}
}

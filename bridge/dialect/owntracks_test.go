package dialect

import (
	"testing"

	"github.com/fleetcast/fleetcast/devices"
)

func TestOwnTracksUnknownIsNotAValue(t *testing.T) {
	out := decode(t, "owntracks/ann/phone", `{"_type":"location","lat":1,"lon":2,"vel":-1,"cog":"-1","_id":"x","lac":"4711","trip":"8441"}`)
	r := out.Messages[0].Reading
	if out.Kind != Position || r.Has != devices.FieldPosition || r.Cleared != devices.FieldSpeed|devices.FieldHeading {
		t.Errorf("%v has %v cleared %v", out.Kind, r.Has, r.Cleared)
	}
	if len(r.Metrics) != 2 || r.Metrics[0].Value != devices.TextValue("4711") || r.Metrics[1].Value != devices.NumberValue(8441) {
		t.Errorf("metrics %v", r.Metrics)
	}
}

func TestOwnTracksSubtopicsAreNamedAndNotErrors(t *testing.T) {
	for _, c := range []struct {
		topic, payload string
		want           Kind
	}{
		{"owntracks/ann/phone/event", `{"_type":"transition","event":"enter","lat":1,"lon":2}`, Event},
		{"owntracks/ann/phone/waypoint", `{"_type":"waypoint","lat":1,"lon":2}`, Region},
		{"owntracks/ann/phone/waypoints", `{"_type":"waypoints","waypoints":[]}`, Region},
		{"owntracks/ann/phone/cmd", `not even json`, Command},
		{"owntracks/ann/phone/info", `{"_type":"card","name":"Ann"}`, Opaque},
		{"owntracks/ann/phone/dump", `{"_type":"configuration"}`, Opaque},
		{"owntracks/ann/phone/status", `{"_type":"status"}`, Opaque},
		{"owntracks/ann/phone/step", `{"_type":"steps","steps":5}`, Opaque},
		{"owntracks/ann/phone", `{"_type":"beacon"}`, Event},
	} {
		out := decode(t, c.topic, c.payload)
		if out.Kind != c.want {
			t.Errorf("%s %s: %v", c.topic, c.payload, out.Kind)
		}
		for i := range out.Messages {
			if kept := out.Messages[i].Keep(); kept != nil && kept.Has != 0 {
				t.Errorf("%s %s: moves the device", c.topic, c.payload)
			}
		}
	}
}

func TestOwnTracksDeclinesWhatIsNotItsOwn(t *testing.T) {
	for payload, want := range map[string]Reason{
		`{"lat":1,"lon":2}`: Declined, `{"_type":5}`: Declined, ``: Empty, `null`: NotObject, `{"_type":"location"`: Truncated,
	} {
		if out := decode(t, "owntracks/ann/phone", payload); out.Kind != Rejected || out.Reason != want {
			t.Errorf("%s: %v %v, want %v", payload, out.Kind, out.Reason, want)
		}
	}
}

func FuzzOwnTracks(f *testing.F) {
	for _, seed := range []string{
		`{"_type":"location","lat":"1.5","lon":2,"vel":"46.5","cog":-1,"tst":"1408810440","batt":99,"inregions":["a"]}`,
		`{"_type":"lwt","tst":"1440363922"}`, `{"_type":"encrypted","data":"x"}`, `X0,542A46AA,k,30365854,7575769,26,4,7,5,872`,
		`{"tst":1505910709000,"_type":"waypoint"}`, `{"_type":"location","_type":null}`,
	} {
		f.Add("", seed)
		f.Add("event", seed)
	}
	router, err := New(Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, kind, payload string) {
		topic := "owntracks/ann/phone"
		if kind != "" {
			topic += "/" + kind
		}
		if route, reason := router.Route(topic); reason == None {
			checkDecoded(t, route, payload)
		}
	})
}

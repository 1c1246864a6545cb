package devices

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestHygieneSettingsAreReadOverTheDefaults(t *testing.T) {
	want := DefaultHygiene()
	want.MaxSpeed, want.TrailFixes, want.BBox, want.Off = 60, 0, &[4]float64{24, 59, 32, 71}, []string{"jump"}
	var got HygieneSettings
	if err := json.Unmarshal([]byte(`{"max_speed":60,"trail_fixes":0,"bbox":[24,59,32,71],"off":["jump"]}`), &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var again HygieneSettings
	if err := json.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(again, want) {
		t.Errorf("%s comes back as %+v, %v", text, again, err)
	}
	if err := json.Unmarshal([]byte(`{"max_sped":60}`), &got); err == nil {
		t.Error("a typing mistake is taken")
	}
}

func TestHygieneSettingsThatAreWrongNameTheirMember(t *testing.T) {
	defaults := DefaultHygiene()
	if err := defaults.Validate(); err != nil {
		t.Fatalf("the defaults: %v", err)
	}
	for text, field := range map[string]string{
		`{"max_speed":-1}`:           "hygiene.max_speed",
		`{"jump_fixes":0}`:           "hygiene.jump_fixes",
		`{"jump_s":0}`:               "hygiene.jump_s",
		`{"max_age_s":-1}`:           "hygiene.max_age_s",
		`{"clock_offset_s":50401}`:   "hygiene.clock_offset_s",
		`{"max_accuracy":2e9}`:       "hygiene.max_accuracy",
		`{"min_distance":-1}`:        "hygiene.min_distance",
		`{"bbox":[0,10,1,-10]}`:      "hygiene.bbox",
		`{"bbox":[0,0,181,1]}`:       "hygiene.bbox",
		`{"off":["everything"]}`:     "hygiene.off",
		`{"trail_fixes":10001}`:      "hygiene.trail_fixes",
		`{"trail_s":604801}`:         "hygiene.trail_s",
		`{"bbox":[170,-20,-170,20]}`: "",
	} {
		var h HygieneSettings
		if err := json.Unmarshal([]byte(text), &h); err != nil {
			t.Fatal(err)
		}
		err := h.Validate()
		if field == "" {
			if err != nil {
				t.Errorf("%s is refused: %v", text, err)
			}
			continue
		}
		if err == nil || KindOf(err) != Invalid || !strings.HasPrefix(err.Error(), field+":") {
			t.Errorf("%s gives %v, want one of %s", text, err, field)
		}
	}
}

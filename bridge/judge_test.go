package bridge

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

func rulesOf(v Verdict) string {
	var rules []string
	for _, f := range v.Findings {
		rules = append(rules, f.Rule)
	}
	return strings.Join(rules, " ")
}

func TestJudgeSaysWhatAnOwnerDoes(t *testing.T) {
	gps1980 := time.Date(1980, 1, 6, 0, 0, 1, 0, time.UTC).UnixMilli()
	fix := func(at int64, lat, lon float64) devices.Reading {
		return devices.Reading{At: at, Measures: devices.Measures{Has: devices.FieldPosition, Lat: lat, Lon: lon}}
	}
	first := fix(noon-10*second, 60.17, 24.94)
	for _, c := range []struct {
		name    string
		r       devices.Reading
		outcome Outcome
		at      int64
		rules   string
	}{
		{"a newer fix", fix(noon, 60.171, 24.94), Live, noon, ""},
		{"the same again", first, Dropped, noon - 10*second, "duplicate"},
		{"out of order", fix(noon-hour, 60.1, 24.9), TrailOnly, noon - hour, "older"},
		{"1970", fix(1000, 60.171, 24.94), Live, noon, "clock"},
		{"the GPS epoch", fix(gps1980, 60.171, 24.94), Live, noon, "clock"},
		{"2004", fix(time.Date(2004, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), 60.171, 24.94), Live, noon, "clock"},
		{"2036", fix(time.Date(2036, 2, 7, 0, 0, 0, 0, time.UTC).UnixMilli(), 60.171, 24.94), Live, noon, "clock"},
		{"2038", fix(1<<31*second, 60.171, 24.94), Live, noon, "clock"},
		{"a week that rolled over", fix(noon-1024*7*day-second, 60.171, 24.94), Live, noon - second, "week_rollover"},
		{"a week that was put right twice", fix(noon+1024*7*day-second, 60.171, 24.94), Live, noon - second, "week_rollover"},
		{"an hour ahead", fix(noon+hour-2*second, 60.171, 24.94), Live, noon - 2*second, "zone"},
		{"Nepal's time as UTC", fix(noon+5*hour+45*60*second, 60.171, 24.94), Live, noon, "zone"},
		{"minutes ahead", fix(noon+8*60*second, 60.171, 24.94), Live, noon, "clock_ahead"},
		{"a little ahead", fix(noon+60*second, 60.171, 24.94), Live, noon, ""},
		{"null island", fix(noon, 0, 0), Dropped, noon, "null_island"},
		{"no latitude", fix(noon, 91, 0), Dropped, noon, "out_of_range"},
		{"a jump", fix(noon, 59.33, 18.06), Dropped, noon, "jump"},
		{"telemetry", devices.Reading{At: noon, Metrics: numbers("fuel", 4)}, Telemetry, noon, ""},
		{"nothing", devices.Reading{At: noon}, Dropped, noon, ""},
		{"sent late, newer", historical(fix(noon-second, 60.171, 24.94)), Live, noon - second, ""},
		{"sent late", historical(fix(noon-hour, 60.1, 24.94)), TrailOnly, noon - hour, "older"},
		{"sent late, without a time", historical(fix(0, 60.171, 24.94)), Dropped, 0, "older"},
		{"older than trails", fix(noon-2*day, 60.1, 24.9), Dropped, noon - 2*day, "older trail_old"},
		{"kept by a broker, newer", retained(fix(noon, 60.171, 24.94)), Live, noon, "retained_reading"},
		{"kept by a broker, from last year", retained(fix(noon-365*day, 60.171, 24.94)), Dropped, noon - 365*day, "older retained_reading trail_old"},
		{"kept by a broker, without a time", retained(fix(0, 60.171, 24.94)), Dropped, 0, "older retained_reading"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var past Past
			if v := Judge(&past, &first, strict(), noon-10*second); v.Outcome != Live || len(v.Findings) > 0 {
				t.Fatalf("the first fix is %v", v)
			}
			v := Judge(&past, &c.r, strict(), noon)
			if v.Outcome != c.outcome || v.At != c.at || rulesOf(v) != c.rules {
				t.Errorf("%v at %d, want %s at %d for %q", v, v.At, c.outcome, c.at, c.rules)
			}
		})
	}
}

func retained(r devices.Reading) devices.Reading {
	r.Retained = true
	return r
}

func historical(r devices.Reading) devices.Reading {
	r.Historical = true
	return r
}

func TestAVerdictIsOneJSONObject(t *testing.T) {
	r := devices.Reading{At: noon, Measures: devices.Measures{Has: devices.FieldPosition | devices.FieldBattery, Battery: 67}}
	got, err := json.Marshal(Judge(new(Past), &r, nil, noon))
	want := `{"outcome":"telemetry","at":1780315200000,"findings":[{"rule":"null_island","effect":"0/0 without satellites: the position is dropped, the rest is telemetry"}]}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}

func TestEveryRuleOfHygieneSaysWhatItDoes(t *testing.T) {
	notOfAReadingAlone := []reason{
		reasonReplayed, reasonRemoved, reasonRetained, reasonTakeover, reasonUnknown, reasonFleetConflict, reasonDeviceLimit,
		reasonMetricLimit, reasonAssetBytes, reasonConnLimit, reasonBadEntry, reasonBadRecord, reasonPanic,
		reasonNoAlert, reasonAlertNotes, reasonCommandLimit, reasonCommandUnknown, reasonCommandForeign, reasonCommandOvertaken, reasonCommandLate, reasonCommandRepeated,
	}
	for r := reasonOlder; r < reasonPublishError; r++ {
		if !slices.Contains(notOfAReadingAlone, r) && effects[r] == "" {
			t.Errorf("%v has no effect", r)
		}
	}
}

func TestAReadingThatABrokerHadKeptIsNoSignOfLife(t *testing.T) {
	r := newRigOf(t, nil)
	r.read(retained(devices.Reading{At: noon - day, Measures: at(60, 20), Metrics: numbers("fuel", 4)}))
	want := `{"id":"truck-17","fleet":"north","status":"unknown","at":1780228800000,"received":1780315200000,"lat":60,"lon":20,"metrics":{"fuel":4}}`
	if got := r.frame(); got != want {
		t.Errorf("frame %s, want %s", got, want)
	}
	r.time += day
	r.read(devices.Reading{At: r.time, Measures: at(61, 21)})
	live := r.frame()
	r.time += hour
	for _, late := range []devices.Reading{
		{At: noon, Measures: at(60, 20)},
		{Measures: at(60, 20), Metrics: numbers("fuel", 1)}, // of no time: it cannot be newer
	} {
		r.read(retained(late))
		if got := r.frame(); got != live {
			t.Errorf("frame %s, want %s", got, live)
		}
	}
	r.read(retained(devices.Reading{Metrics: numbers("odometer", 7)})) // but it may fill in what nothing is known of
	if got := r.frame(); !strings.Contains(got, `"odometer":7`) {
		t.Errorf("frame %s", got)
	}
}

func TestReadingsWithTheSameKeyAreOne(t *testing.T) {
	r := newRigOf(t, nil)
	r.read(devices.Reading{Key: 7, At: noon, Measures: at(60, 20), Metrics: numbers("rssi", -70)})
	r.read(devices.Reading{Key: 7, At: noon + 1, Measures: at(60, 20), Metrics: numbers("rssi", -90)})
	r.read(devices.Reading{Key: 8, At: noon + 2, Measures: at(60, 20), Metrics: numbers("rssi", -80)})
	r.wantCounts(t, map[reason]uint64{reasonDuplicate: 1, reasonTrailHad: 1})
	if got := r.frame(); !strings.Contains(got, `"rssi":-80`) {
		t.Errorf("frame %s", got)
	}
}

func TestRulesThatAreSwitchedOff(t *testing.T) {
	h := devices.DefaultHygiene()
	h.Off = devices.SwitchableRules
	if err := h.Validate(); err != nil {
		t.Fatal(err)
	}
	r := newRigOf(t, &h)
	fix := devices.Reading{At: noon, Measures: at(0, 0)}
	r.read(fix)
	r.read(fix)
	r.read(devices.Reading{At: noon + second, Measures: at(60, 20)})
	r.read(retained(devices.Reading{Measures: at(-60, 20)}))
	r.read(devices.Reading{At: noon - 1024*7*day, Measures: at(1, 1)})
	r.read(devices.Reading{At: noon + hour, Measures: at(2, 2)})
	r.wantCounts(t, map[reason]uint64{reasonClock: 1, reasonAhead: 1, reasonTrailHad: 1})
}

func TestAFleetsClockAndAge(t *testing.T) {
	h := devices.DefaultHygiene()
	h.ClockOffsetSeconds, h.MaxAgeSeconds = -5*3600, 60
	var past Past
	if v := Judge(&past, &devices.Reading{At: noon - 5*hour, Measures: at(60, 20)}, &h, noon+second); v.At != noon || v.Outcome != Live {
		t.Errorf("a clock of UTC-5 gives %v at %d", v, v.At)
	}
	if v := Judge(&past, &devices.Reading{At: noon - 5*hour - 61*second, Measures: at(60, 20)}, &h, noon+second); v.Outcome != Dropped || rulesOf(v) != "too_old" {
		t.Errorf("an old one is %v", v)
	}
}

func TestSettingsApplyLiveAndToTheirFleetOnly(t *testing.T) {
	narrow := devices.DefaultHygiene()
	narrow.MaxAccuracy = 10
	of := &settings{fleets: map[string]*devices.HygieneSettings{"north": &narrow}}
	r := newRigOf(t, nil)
	r.opts.Settings = of
	wide := func(seconds int64) *devices.Reading {
		m := at(60+float64(seconds)/1000, 20)
		m.Has, m.Accuracy = m.Has|devices.FieldAccuracy, 30
		return &devices.Reading{At: noon + seconds*second, Measures: m}
	}
	r.refreshRules()
	r.drive(0, 60, 20)
	r.read(*wide(1))
	r.wantPlace(t, 60, 20)
	of.fleets, of.revision = nil, 1
	r.refreshRules()
	r.read(*wide(2))
	r.wantPlace(t, 60.002, 20)
	r.wantCounts(t, map[reason]uint64{reasonInaccurate: 1})
}

func TestABurstOfBufferedFixesShowsOnlyTheNewest(t *testing.T) {
	for _, newestFirst := range []bool{false, true} {
		r := newRigOf(t, nil)
		for i := range int64(500) {
			if newestFirst {
				i = 499 - i
			}
			r.read(devices.Reading{At: noon - 500*second + i*second, Measures: at(60+float64(i)/10_000, 20)})
		}
		f := r.makeFlush(noon)
		if len(f.Changes) != 1 || f.Changes[0].Lat != 60.0499 {
			t.Errorf("newest first %v: %d changes, the last at %v", newestFirst, len(f.Changes), f.Changes[0].Lat)
		}
		if older := r.counters.get(reasonOlder); newestFirst && older != 499 || !newestFirst && older != 0 {
			t.Errorf("newest first %v: %d were out of order", newestFirst, older)
		}
	}
}

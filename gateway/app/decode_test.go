package app

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// sampleRow is a row of an expected.json of bridge/dialect/testdata, and of the mapper's samples here.
type sampleRow struct {
	File    string         `json:"file"`
	Topic   string         `json:"topic"`
	Kind    string         `json:"kind"`
	Device  string         `json:"device"`
	TS      *time.Time     `json:"ts"`
	Lat     *float64       `json:"lat"`
	Lon     *float64       `json:"lon"`
	Speed   *float64       `json:"speed_mps"`
	Heading *float64       `json:"heading_deg"`
	Battery *float64       `json:"battery_pct"`
	Metrics map[string]any `json:"metrics"`
}

// TestEverySampleDecodesAsTheTableSays holds what people are shown to the tables that the decoders are held to, and the
// example of the mapper to the formats that it describes.
func TestEverySampleDecodesAsTheTableSays(t *testing.T) {
	files, err := filepath.Glob("../../bridge/dialect/testdata/*/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, "testdata/mapper/expected.json")
	opts, err := Parse([]string{"--config=../../deploy/examples/mappings.yaml"}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var table []sampleRow
		if err := json.Unmarshal(raw, &table); err != nil {
			t.Fatal(err)
		}
		for _, want := range table {
			rows++
			name := filepath.Join(filepath.Dir(file), want.File)
			t.Run(name, func(t *testing.T) { checkSample(t, &opts, name, &want) })
		}
	}
	if rows < 58 {
		t.Errorf("only %d rows", rows)
	}
}

func checkSample(t *testing.T, opts *Options, file string, want *sampleRow) {
	t.Helper()
	payload, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(file, ".hex") {
		if payload, err = hex.DecodeString(strings.TrimSpace(string(payload))); err != nil {
			t.Fatal(err)
		}
	}
	got, err := opts.Decode(want.Topic, payload, time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Kind != want.Kind || (got.Reason != "") != (got.Kind == "reject") || got.Rule == "" && got.Kind != "reject" {
		t.Fatalf("%+v", got)
	}
	if _, err := json.Marshal(got); err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, r := range got.Readings {
		if r.Device != want.Device || r.Fleet == "" {
			t.Errorf("device %q of %q", r.Device, r.Fleet)
		}
		for name, value := range map[string]*float64{"lat": r.Lat, "lon": r.Lon, "speed": r.Speed, "heading": r.Heading, "battery": r.Battery} {
			if value != nil {
				found[name] = *value
			}
		}
		for name := range r.Metrics {
			delete(want.Metrics, name)
		}
		if want.TS != nil && r.At == want.TS.UnixMilli() {
			want.TS = nil
		}
	}
	for name, value := range map[string]*float64{"lat": want.Lat, "lon": want.Lon, "speed": want.Speed, "heading": want.Heading, "battery": want.Battery} {
		if n, has := found[name]; has != (value != nil) || has && math.Abs(n-*value) > 1e-4 {
			t.Errorf("%s is %v (%v)", name, n, has)
		}
	}
	if len(want.Metrics) > 0 || want.TS != nil {
		t.Errorf("missing: metrics %v, time %v", want.Metrics, want.TS)
	}
}

// TestQueclinkAndIOTMAreNotOurs: they are protocols over TCP of their own, whatever topic their bytes come on.
func TestQueclinkAndIOTMAreNotOurs(t *testing.T) {
	opts := Defaults()
	for _, payload := range []string{
		"+BUFF:GTFRI,8020040200,866314060249032,,12194,10,1,3,0.0,0,20.1,-71.596533,-33.524718,20230926200338,0730,0001,772A,052B253E,02,0,0.0,,,,,0,420000,,,,20230926200340,1549$",
		"\x02\x02\x08\x00\x91\x88\x75\x2d\xe7\x12\x03\x00\x03\x10\x90\x02\x00\x0a\xd5\x90\x03\x00\x30\x96\x35\xf3",
	} {
		d, err := opts.Decode("tracker/866314060249032", []byte(payload), time.Now(), nil)
		if err != nil || d.Kind != "reject" || d.Reason != "unknown_topic" || len(d.Readings) != 0 {
			t.Errorf("%+v, %v", d, err)
		}
	}
}

func TestDecodingSaysWhatTheBridgeWouldDo(t *testing.T) {
	opts := Defaults()
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	d, err := opts.Decode("fleets/north/devices/t/telemetry", []byte(`{"at":"1970-01-01T00:00:05Z","lat":0,"lon":0,"speed":5,"battery":null}`), now, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"rule":"fleets/{fleet}/devices/{device}/telemetry"`, `"dialect":"native"`, `"kind":"position"`, `"device":"t"`, `"fleet":"north"`,
		`"at":5000,"lat":0,"lon":0,"speed":5,"cleared":["battery"]`, `"outcome":"telemetry"`, `"rule":"clock"`, `"rule":"null_island"`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is missing in %s", want, text)
		}
	}
}

// TestTheFleetsOwnRulesJudgeADecoding: what a running gateway answers is what its bridge would do.
func TestTheFleetsOwnRulesJudgeADecoding(t *testing.T) {
	opts := Defaults()
	settings := devices.DefaultHygiene()
	settings.MaxAccuracy = 50
	d, err := opts.Decode("fleets/north/devices/t/telemetry", []byte(`{"lat":1,"lon":2,"accuracy":100,"x":1}`), time.Now(),
		func(fleet devices.FleetID) *devices.HygieneSettings {
			if fleet.String() != "north" {
				t.Errorf("the rules of %v are asked for", fleet)
			}
			return &settings
		})
	if err != nil || len(d.Hygiene) != 1 || d.Hygiene[0].Outcome != "telemetry" || d.Hygiene[0].Findings[0].Rule != "inaccurate" {
		t.Errorf("%+v, %v", d.Hygiene, err)
	}
}

func TestMappingsOfTheSettingsFileAreCheckedThere(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"mappings:\n  - topic: x/{device}\n    speed: {at: /v, unit: parsecs}\n", "gateway.yaml:3: mappings[0].speed.unit: "},
		{"mappings:\n  - topic: x/{device}\n    sped: /v\n", "gateway.yaml:3: mappings[0].sped: there is no such key"},
		{"mappings: 5\n", "gateway.yaml:1: mappings: is not a list"},
		{"mappings:\n  - topic: x/{device}\n    rest:\n", "gateway.yaml:3: mappings: a value is missing"},
		{"a: &a {topic: x}\nmappings: [*a]\n", "gateway.yaml:1: a has no value"},
		{"mappings: [&a {topic: 'x/{device}', rest: true}, *a]\n", "gateway.yaml:1: mappings: aliases"},
		{"mappings: []\nmappings: []\n", "twice"},
		{"preset: [hsl, nosuch]\n", "there is no \"nosuch\""},
		{"mappings: " + strings.Repeat("[", 50) + strings.Repeat("]", 50) + "\n", "nested too deep"},
	} {
		_, err := Parse([]string{"--config", write(t, c.text)}, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
	opts, err := Parse([]string{"--config", write(t, "preset: [hsl, tasmota=home]\nmappings:\n  - {topic: 'x/{device}', rest: true}\n"), "--preset=nmea"}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if len(opts.Dialects.Mappings) != 1 || len(opts.Dialects.Presets) != 1 || opts.Dialects.Presets[0].Name != "nmea" {
		t.Errorf("%+v", opts.Dialects)
	}
}

func TestWhichPresetsAreOn(t *testing.T) {
	names := func(args ...string) string {
		opts, err := Parse(args, &bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, c := range opts.presets() {
			out = append(out, c.String())
		}
		return strings.Join(out, " ")
	}
	for args, want := range map[string]string{
		"": "native owntracks", "--preset=tasmota=home": "tasmota=home native owntracks", "--preset=hsl,owntracks=x": "hsl owntracks=x native",
		"--mqtt-upstream=mqtt://127.0.0.1": "native owntracks", "--mqtt-upstream=mqtt://127.0.0.1 --preset=hsl --preset=nmea": "hsl nmea",
	} {
		if got := names(strings.Fields(args)...); got != want {
			t.Errorf("%s: %s, want %s", args, got, want)
		}
	}
	for _, wrong := range []string{"--preset=nosuch", "--preset=hsl,hsl", "--preset=hsl={nosuch}"} {
		if _, err := Parse([]string{wrong}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "--preset") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

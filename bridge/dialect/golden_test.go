package dialect

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// expected is a row of testdata/*/expected.json: what a payload that a real device or platform publishes must become.
type expected struct {
	File     string         `json:"file"`
	Topic    string         `json:"topic"`
	Kind     string         `json:"kind"`
	Device   string         `json:"device"`
	TS       *time.Time     `json:"ts"`
	Lat      *float64       `json:"lat"`
	Lon      *float64       `json:"lon"`
	Altitude *float64       `json:"altitude_m"`
	Speed    *float64       `json:"speed_mps"`
	Heading  *float64       `json:"heading_deg"`
	Accuracy *float64       `json:"accuracy_m"`
	Battery  *float64       `json:"battery_pct"`
	Metrics  map[string]any `json:"metrics"` // these at least
	Status   string         `json:"status"`
	Readings int            `json:"readings"` // 0: one where the kind has one
}

// fleetOf is the fleet of each folder's devices.
var fleetOf = map[string]string{
	"owntracks": "owntracks", "teltonika": "teltonika", "traccar": "traccar", "home_assistant": "homeassistant", "nmea": "nmea",
	"geojson": "geojson digitraffic", "senml": "senml", "sparkplug_b": "Sparkplug Devices hosts", "the_things_stack": "app1@tenant1",
	"chirpstack": "17c82e96-be03-4f38-aef3-f83d48582d97", "meshtastic": "meshtastic", "aws_shadow": "aws", "hsl_hfp": "hsl",
	"tasmota": "tasmota", "shelly_gen2": "shelly", "zigbee2mqtt": "zigbee2mqtt", "ditto": "ditto", "mapper": "mapper",
}

func TestSamplesMeanWhatTheirSourcesSay(t *testing.T) {
	files, err := filepath.Glob("testdata/*/expected.json")
	if err != nil || len(files) < 17 {
		t.Fatalf("%d folders, %v", len(files), err)
	}
	rows := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var table []expected
		if err := json.Unmarshal(raw, &table); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		folder := filepath.Base(filepath.Dir(file))
		router := everything(t)
		for _, want := range table {
			rows++
			t.Run(folder+"/"+want.File, func(t *testing.T) {
				checkExpected(t, want, decodeWith(t, router, want.Topic, sample(t, folder, want.File)), fleetOf[folder])
			})
		}
	}
	if rows < 55 {
		t.Errorf("only %d rows", rows)
	}
}

// everything understands every format at once, as the command decode does, so that no format takes what is another's.
func everything(t testing.TB) *Router {
	t.Helper()
	router, err := New(Options{Presets: AllPresets(), Anywhere: true})
	if err != nil {
		t.Fatal(err)
	}
	return router
}

func sample(t testing.TB, folder, file string) []byte {
	t.Helper()
	payload, err := os.ReadFile(filepath.Join("testdata", folder, file))
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(file, ".hex") {
		if payload, err = hex.DecodeString(strings.TrimSpace(string(payload))); err != nil {
			t.Fatal(err)
		}
	}
	return payload
}

func checkExpected(t *testing.T, want expected, got *Result, fleets string) {
	t.Helper()
	kind := got.Kind.String()
	if got.Kind == Rejected {
		kind = "reject"
	}
	if kind != want.Kind {
		t.Fatalf("kind %v (reason %v), want %s", got.Kind, got.Reason, want.Kind)
	}
	readings := merged(t, want, got, fleets)
	switch got.Kind {
	case Position, Telemetry, Birth, Event:
	default:
		if want.Lat == nil {
			return
		}
	}
	if n := max(want.Readings, 1); readings.n != n && want.Readings != 0 || readings.n == 0 {
		t.Errorf("%d readings, want %d", readings.n, n)
	}
	checkReading(t, want, &readings.Reading)
}

// merging is what an asset would be that hears of nothing but this payload.
type merging struct {
	devices.Reading
	n int
}

func merged(t *testing.T, want expected, got *Result, fleets string) *merging {
	t.Helper()
	var all merging
	status := ""
	for i := range got.Messages {
		m := &got.Messages[i]
		if m.Device.String() != want.Device || !strings.Contains(fleets, m.Fleet.String()) {
			t.Errorf("device %v of %v, want %s", m.Device, m.Fleet, want.Device)
		}
		if m.Reading == nil {
			status = m.Status.String()
			if want.TS != nil && m.At != want.TS.UnixMilli() {
				t.Errorf("status at %d, want %v", m.At, want.TS)
			}
			continue
		}
		all.n++
		all.add(t, m.Reading)
	}
	if want.Status != "" && status != want.Status {
		t.Errorf("status %q, want %q", status, want.Status)
	}
	return &all
}

func (m *merging) add(t *testing.T, r *devices.Reading) {
	t.Helper()
	if r.At < m.At && r.At != 0 {
		if m.Has.Has(devices.FieldPosition) && r.Has.Has(devices.FieldPosition) {
			t.Errorf("the readings are not in the order of their times: %d after %d", r.At, m.At)
		}
	}
	if r.Has.Has(devices.FieldPosition) || !m.Has.Has(devices.FieldPosition) {
		m.At = r.At
	}
	to := []*float64{&m.Lat, &m.Lon, &m.Altitude, &m.Speed, &m.Heading, &m.Accuracy, &m.Battery}
	from := []float64{r.Lat, r.Lon, r.Altitude, r.Speed, r.Heading, r.Accuracy, r.Battery}
	of := []devices.Fields{devices.FieldPosition, devices.FieldPosition, devices.FieldAltitude, devices.FieldSpeed, devices.FieldHeading, devices.FieldAccuracy, devices.FieldBattery}
	for i := range to {
		if r.Has.Has(of[i]) {
			*to[i] = from[i]
		}
	}
	m.Has |= r.Has
	m.Metrics = append(m.Metrics, r.Metrics...)
}

func checkReading(t *testing.T, want expected, r *devices.Reading) {
	t.Helper()
	if want.TS == nil && r.At != 0 || want.TS != nil && r.At != want.TS.UnixMilli() {
		t.Errorf("at %d, want %v", r.At, want.TS)
	}
	for _, c := range []struct {
		name  string
		field devices.Fields
		got   float64
		want  *float64
	}{
		{"lat", devices.FieldPosition, r.Lat, want.Lat},
		{"lon", devices.FieldPosition, r.Lon, want.Lon},
		{"altitude", devices.FieldAltitude, r.Altitude, want.Altitude},
		{"speed", devices.FieldSpeed, r.Speed, want.Speed},
		{"heading", devices.FieldHeading, r.Heading, want.Heading},
		{"accuracy", devices.FieldAccuracy, r.Accuracy, want.Accuracy},
		{"battery", devices.FieldBattery, r.Battery, want.Battery},
	} {
		if r.Has.Has(c.field) != (c.want != nil) {
			t.Errorf("%s: has %v (%v), want %v", c.name, r.Has.Has(c.field), c.got, c.want)
		} else if c.want != nil && math.Abs(c.got-*c.want) > 1e-4 {
			t.Errorf("%s is %v, want %v", c.name, c.got, *c.want)
		}
	}
	for name, value := range want.Metrics {
		i := slices.IndexFunc(r.Metrics, func(m devices.Metric) bool { return m.Name == name })
		if i < 0 {
			t.Errorf("there is no metric %s in %+v", name, r.Metrics)
			continue
		}
		got := r.Metrics[i].Value
		ok := false
		switch w := value.(type) {
		case float64:
			ok = got.Kind == devices.Number && math.Abs(got.Num-w) < 1e-9
		case string:
			ok = got == devices.TextValue(w)
		case bool:
			ok = got == devices.BoolValue(w)
		}
		if !ok {
			t.Errorf("metric %s is %+v, want %v", name, got, value)
		}
	}
}

func decode(t testing.TB, topic, payload string) *Result {
	t.Helper()
	router, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	return decodeWith(t, router, topic, []byte(payload))
}

func decodeWith(t testing.TB, router *Router, topic string, payload []byte) *Result {
	t.Helper()
	route, reason := router.Route(topic)
	if reason != None {
		t.Fatalf("route of %q: %v", topic, reason)
	}
	out := new(Result)
	route.Decode(payload, out)
	return out
}

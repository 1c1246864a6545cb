package payload

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/simulator/routes"
	"github.com/fleetcast/fleetcast/simulator/tracker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the golden file anew")

var start = time.Date(2026, 11, 22, 12, 0, 0, 250e6, time.UTC)

// world writes what three devices of each format say in a run that is made of a seed and nothing else.
func world(seed uint64) []byte {
	var b bytes.Buffer
	atlas := routes.New(seed)
	o := &tracker.Options{Seed: seed, Noise: 4, Tunnels: true, ColdStart: 5 * time.Second, Policy: tracker.Policy{Every: 20 * time.Second, Distance: 300, Heading: 30}}
	for n, f := range formats {
		for i := 3 * n; i < 3*n+3; i++ {
			v := atlas.Vehicle(i)
			d := f.Device("north", fmt.Sprintf("%s-%d", v.Kind(), i), i)
			tr := tracker.New(v, i, o)
			for s := range 90 {
				for _, fix := range tr.Look(start.Add(time.Duration(s) * time.Second)) {
					fmt.Fprintf(&b, "%s %s %s\n", d.ID, d.Topic, f.Append(nil, &d, &Message{Fix: fix, Stamp: true}))
				}
			}
		}
	}
	return b.Bytes()
}

func TestASeedIsTheSameRunForEver(t *testing.T) {
	const file = "testdata/seed-7.txt"
	got := world(7)
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
		for i := range min(len(g), len(w)) {
			if g[i] != w[i] {
				t.Fatalf("line %d is\n%s\nand was\n%s", i+1, g[i], w[i])
			}
		}
		t.Fatalf("%d lines, were %d", len(g), len(w))
	}
	if bytes.Equal(got, world(8)) {
		t.Error("another seed says the same")
	}
}

func fix() tracker.Fix {
	return tracker.Fix{
		At: start, Valid: true, Lat: 60.156949, Lon: -24.687111, Altitude: 31.4, Speed: 20, Heading: 271.5, Accuracy: 6.2, Satellites: 9,
		Battery: 67, Fuel: 41.5, Odometer: 123456.7, Seq: 12,
	}
}

// find returns the first member of that name, however deep.
func find(v any, name string) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		if x, ok := v[name]; ok {
			return x, true
		}
		for _, inner := range v {
			if x, ok := find(inner, name); ok {
				return x, true
			}
		}
	case []any:
		for _, inner := range v {
			if x, ok := find(inner, name); ok {
				return x, true
			}
		}
	}
	return nil, false
}

func TestUnitsAndClocksAreThoseOfTheFormats(t *testing.T) {
	for name, members := range map[string]map[string]any{
		"native":         {"speed": 20.0, "at": 1795348800250.0, "battery": 67.0, "heading": 271.5, "seq": 12.0},
		"owntracks":      {"vel": 72.0, "tst": 1795348800.0, "batt": 67.0, "cog": 272.0},
		"teltonika":      {"sp": "72", "ts": 1795348800250.0, "113": 67.0, "latlng": "60.1569490,-24.6871110", "sat": "9"},
		"traccar":        {"speed": 38.877, "fixTime": "2026-11-22T12:00:00.250+0000", "batteryLevel": 67.0, "course": 271.5},
		"geojson":        {"speed": 20.0, "time": "2026-11-22T12:00:00.250Z"},
		"homeassistant":  {"gps_accuracy": 6.2, "battery_level": 67.0},
		"aws":            {"spd": 20.0, "SoC": 67.0, "lng": -24.687111},
		"meshtastic":     {"latitude_i": 601569490.0, "ground_speed": 72.0, "ground_track": 27150000.0, "timestamp": 1795348800.0},
		"chirpstack":     {"latitude": 60.156949, "time": "2026-11-22T12:00:00.250000000+00:00", "devEui": "70b3d57ed0000007"},
		"thethingsstack": {"longitude": -24.687111, "device_id": "van-7"},
		"hsl":            {"spd": 20.0, "tst": "2026-11-22T12:00:00.250Z", "long": -24.687111, "acc": 0.0},
	} {
		f, err := ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		d := f.Device("north", "van-7", 7)
		var v any
		text := f.Append(nil, &d, &Message{Fix: fix(), Stamp: true})
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatalf("%s: %v: %s", name, err, text)
		}
		for member, want := range members {
			if got, _ := find(v, member); got != want {
				t.Errorf("%s: %s is %v, want %v", name, member, got, want)
			}
		}
	}
}

func TestNMEAIsReadAsItWasMeant(t *testing.T) {
	f := fix()
	line := string(appendNMEA(nil, nil, &Message{Fix: f}))
	if !strings.HasPrefix(line, "$GPRMC,120000.25,A,6009.41694,N,02441.22666,W,38.88,271.5,221126,,,A*") {
		t.Error(line)
	}
	sum := byte(0)
	for _, c := range []byte(line[1:strings.IndexByte(line, '*')]) {
		sum ^= c
	}
	if !strings.HasSuffix(line, fmt.Sprintf("*%02X", sum)) {
		t.Errorf("%s has another sum than %02X", line, sum)
	}
	f.Lat = 59.99999999999 // which rounds up to a whole degree and not to 60 minutes
	if line := string(appendNMEA(nil, nil, &Message{Fix: f})); !strings.Contains(line, ",6000.00000,N,") {
		t.Error(line)
	}
}

func TestSenMLHoldsAPositionAtOneTime(t *testing.T) {
	format, f := &senML, fix()
	d := format.Device("north", "van-7", 7)
	var records []struct {
		BN string  `json:"bn"`
		BT float64 `json:"bt"`
		U  string  `json:"u"`
		V  float64 `json:"v"`
	}
	if err := json.Unmarshal(format.Append(nil, &d, &Message{Fix: f}), &records); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, r := range records {
		got[r.U] = r.V
	}
	if records[0].BN != d.ID || math.Abs(records[0].BT-1795348800.25) > 1e-6 || got["lat"] != f.Lat || got["m/s"] != 20 || got["%EL"] != 67 {
		t.Errorf("%+v", records)
	}
}

func TestWithoutSatellitesNobodyInventsAPlace(t *testing.T) {
	for _, f := range formats {
		d := f.Device("north", "van-7", 7)
		text := f.Append(nil, &d, &Message{Fix: tracker.Fix{At: start, Battery: 50}})
		if f.Name != "nmea" && !json.Valid(text) {
			t.Errorf("%s: %s", f.Name, text)
		}
		if d.ID == "" || d.Topic == "" || strings.ContainsAny(d.Topic+d.ID, "{}") || strings.Contains(d.ID, "/") {
			t.Errorf("%s: %+v", f.Name, d)
		}
	}
}

func TestABufferedFixHasNoLatency(t *testing.T) {
	f := fix()
	f.Buffered = true
	if text := string(appendNative(nil, nil, &Message{Fix: f, Stamp: true})); !strings.Contains(text, `"seq":null`) {
		t.Error(text)
	}
	if _, err := ByName("morse"); err == nil {
		t.Error("a format that is not there is found")
	}
	if d := native.WithTopic("x/{device}").Device("f", "n", 1); d.Topic != "x/n" || native.Topic == "x/{device}" {
		t.Errorf("%+v", d)
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, f := range formats {
		b.Run(f.Name, func(b *testing.B) {
			d, m, buf := f.Device("north", "van-7", 7), Message{Fix: fix(), Stamp: true}, make([]byte, 0, 2048)
			for b.Loop() {
				buf = f.Append(buf[:0], &d, &m)
			}
		})
	}
}

func TestAMixIsDealtOutByItsWeights(t *testing.T) {
	var m Mix
	if err := m.UnmarshalText([]byte("native=70,owntracks=20, nmea=10%")); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for i := 1000; i < 2000; i++ {
		seen[m.Format(i).Name]++
	}
	if math.Abs(float64(seen["native"]-700)) > 15 || math.Abs(float64(seen["nmea"]-100)) > 15 {
		t.Errorf("%v", seen)
	}
	if text, _ := m.MarshalText(); string(text) != "native=70,owntracks=20,nmea=10" {
		t.Errorf("%s", text)
	}
	if m, err := m.WithTopics(map[string]string{"nmea": "boats/{device}"}); err != nil || m[2].Format.Topic != "boats/{device}" {
		t.Errorf("%v, %v", m, err)
	}
	for _, wrong := range []string{"", "morse", "native=x", "native=-1", "native=0", "native=NaN", "native,,nmea"} {
		if err := new(Mix).UnmarshalText([]byte(wrong)); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
	if Mix(nil).Format(3) != &native {
		t.Error("the empty mix is not native")
	}
}

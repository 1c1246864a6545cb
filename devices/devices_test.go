package devices

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

func mustDevice(t testing.TB, s string) DeviceID {
	t.Helper()
	id, err := ParseDeviceID(s)
	if err != nil {
		t.Fatalf("parse device %q: %v", s, err)
	}
	return id
}

func TestIDsThatCannotStandInTopicsAreRefused(t *testing.T) {
	for _, bad := range []string{"", "a/b", "a+", "#", "a\x00b", "a\nb", "a\rb", "a\u0085b", "\xff", strings.Repeat("x", MaxIDBytes+1)} {
		if _, err := ParseDeviceID(bad); KindOf(err) != Invalid {
			t.Errorf("ParseDeviceID(%q) = %v, want an invalid error", bad, err)
		}
		if _, err := ParseFleetID(bad); KindOf(err) != Invalid {
			t.Errorf("ParseFleetID(%q) = %v, want an invalid error", bad, err)
		}
	}
	for _, good := range []string{"truck-17", "ann:phone", "Linie 4 €", "..", "%2e", "🚚", strings.Repeat("x", MaxIDBytes)} {
		if _, err := ParseDeviceID(good); err != nil {
			t.Errorf("ParseDeviceID(%q): %v", good, err)
		}
	}
	if id, err := JoinDeviceID("ann", "phone"); err != nil || id.String() != "ann:phone" {
		t.Errorf("JoinDeviceID = %v, %v", id, err)
	}
	if _, err := JoinDeviceID("ann", ""); KindOf(err) != Invalid {
		t.Errorf("JoinDeviceID with an empty level: %v", err)
	}
}

// These values are part of the format: positions and partitions in stores that exist depend on them.
func TestHashAndPartitionNeverChange(t *testing.T) {
	if got := mustDevice(t, "truck-17").Hash(); got != 0x4f50298adc67e7ac {
		t.Errorf("Hash() = %#x", got)
	}
	var got []int
	for _, f := range []string{"north", "south", "east", "west"} {
		id, _ := ParseFleetID(f)
		got = append(got, id.Partition(16))
	}
	if fmt.Sprint(got) != "[1 3 10 12]" {
		t.Errorf("partitions of 16: %v", got)
	}
}

func sample(t testing.TB) *Asset {
	fleet, err := ParseFleetID("north")
	if err != nil {
		t.Fatal(err)
	}
	return &Asset{
		ID: mustDevice(t, "truck-17"), Fleet: fleet, Name: "Truck 17", Status: Online, At: 1795353543237, Received: 1795353543301,
		Measures: Measures{
			Has: FieldPosition | FieldAltitude | FieldSpeed | FieldHeading | FieldAccuracy | FieldBattery,
			Lat: 48.85833, Lon: 2.29513, Altitude: 167, Speed: 16.9, Heading: 271, Accuracy: 5, Battery: 67,
		},
		Metrics: []Metric{{"fuel", NumberValue(41.5)}},
	}
}

const golden = `{"id":"truck-17","fleet":"north","name":"Truck 17","status":"online","at":1795353543237,"received":1795353543301,` +
	`"lat":48.85833,"lon":2.29513,"altitude":167,"speed":16.9,"heading":271,"accuracy":5,"battery":67,"metrics":{"fuel":41.5}}`

func TestAssetHasTheDesignsBytes(t *testing.T) {
	if got := string(sample(t).AppendJSON(nil)); got != golden {
		t.Errorf("got  %s\nwant %s", got, golden)
	}
}

func TestAssetOmitsWhatIsUnknown(t *testing.T) {
	fleet, _ := ParseFleetID("f")
	a := Asset{ID: mustDevice(t, "d"), Fleet: fleet, Received: 5}
	if got, want := string(a.AppendJSON(nil)), `{"id":"d","fleet":"f","status":"unknown","received":5}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestHostileTextIsOneLineOfJSON(t *testing.T) {
	for _, s := range []string{"</script>", "a\r\nb\x00c", "\u2028\u2029", "\xff\xfe", `"\`, "\x7f", "é🚚", "&<>"} {
		b := AppendJSONString(nil, s)
		var back string
		if err := json.Unmarshal(b, &back); err != nil {
			t.Errorf("%q became %s: %v", s, b, err)
		} else if want := strings.ToValidUTF8(s, "\ufffd"); back != want && s != "\xff\xfe" {
			t.Errorf("%q came back as %q", s, back)
		}
		if strings.ContainsAny(string(b), "\r\n\x00<>&\u2028\u2029") {
			t.Errorf("%q became unsafe %s", s, b)
		}
	}
}

func TestFixedNumbersRoundAndDropZeros(t *testing.T) {
	for _, c := range []struct {
		n        float64
		decimals int
		want     string
	}{
		{0, 7, "0"},
		{math.Copysign(0, -1), 7, "0"},
		{-0.5, 2, "-0.5"},
		{16.944444, 2, "16.94"},
		{0.005, 2, "0.01"},
		{-33.8688197, 7, "-33.8688197"},
		{180, 7, "180"},
		{0.0000001, 7, "0.0000001"},
		{1e300, 2, "1e+300"},
		{math.NaN(), 2, "null"},
		{math.Inf(1), 2, "null"},
		{99.999, 2, "100"},
	} {
		if got := string(appendFixed(nil, c.n, c.decimals)); got != c.want {
			t.Errorf("appendFixed(%v, %d) = %s, want %s", c.n, c.decimals, got, c.want)
		}
	}
}

func TestProjectionIsACutOfTheFrame(t *testing.T) {
	for _, c := range []struct{ fields, want string }{
		{"lat,lon,speed", `{"id":"truck-17","fleet":"north","status":"online","received":1795353543301,"lat":48.85833,"lon":2.29513,"speed":16.9}`},
		{"metrics", `{"id":"truck-17","fleet":"north","status":"online","received":1795353543301,"metrics":{"fuel":41.5}}`},
		{"id", `{"id":"truck-17","fleet":"north","status":"online","received":1795353543301}`},
		{"", golden},
	} {
		var names []string
		if c.fields != "" {
			names = strings.Split(c.fields, ",")
		}
		p, err := ParseProjection(names)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(p.Append(nil, []byte(golden))); got != c.want {
			t.Errorf("fields=%s gives %s, want %s", c.fields, got, c.want)
		}
	}
	if _, err := ParseProjection([]string{"lat", "Speed"}); KindOf(err) != Invalid {
		t.Errorf("an unknown member gives %v", err)
	}
}

func FuzzProjection(f *testing.F) {
	f.Add("truck", "k", "v", 1.5, uint16(5))
	f.Add(`a"b\`, "x.y", "}{,]\u2028", math.Copysign(0, -1), uint16(0xffff))
	f.Fuzz(func(t *testing.T, name, key, text string, n float64, set uint16) {
		fleet, _ := ParseFleetID("f")
		a := Asset{
			ID: mustDevice(t, "d"), Fleet: fleet, Name: name, At: 1, Received: 2,
			Measures: Measures{Has: FieldPosition | FieldSpeed, Lat: n, Lon: n, Speed: n},
			Metrics:  []Metric{{key, TextValue(text)}, {key + "2", NumberValue(n)}, {key + "3", BoolValue(true)}},
		}
		frame := a.AppendJSON(nil)
		if !json.Valid(frame) {
			t.Fatalf("frame is not JSON: %s", frame)
		}
		var whole, cut map[string]json.RawMessage
		if err := json.Unmarshal(frame, &whole); err != nil {
			t.Fatal(err)
		}
		out := Projection{memberSet(set) & (1<<len(members) - 1)}.Append(nil, frame)
		if err := json.Unmarshal(out, &cut); err != nil {
			t.Fatalf("cut %s: %v", out, err)
		}
		for k, v := range cut {
			if string(whole[k]) != string(v) {
				t.Fatalf("member %s is %s in the cut and %s in the frame", k, v, whole[k])
			}
		}
	})
}

func TestKindsSurviveWrapping(t *testing.T) {
	err := fmt.Errorf("open stream: %w", Errorf(NotFound, "device", "is not known"))
	if KindOf(err) != NotFound || KindOf(errors.New("plain")) != Internal || KindOf(nil) != Internal {
		t.Error("KindOf does not see through wrapping")
	}
}

func TestEncodingAnAssetAllocatesNothing(t *testing.T) {
	a, buf := sample(t), make([]byte, 0, MaxAssetBytes)
	if n := testing.AllocsPerRun(100, func() { buf = a.AppendJSON(buf[:0]) }); n != 0 {
		t.Errorf("AppendJSON allocates %v times", n)
	}
}

func BenchmarkAssetJSON(b *testing.B) {
	a, buf := sample(b), make([]byte, 0, MaxAssetBytes)
	b.ReportAllocs()
	for b.Loop() {
		buf = a.AppendJSON(buf[:0])
	}
}

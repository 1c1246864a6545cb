package dialect

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
)

const telemetry = "fleets/north/devices/truck-17/telemetry"

func native(t testing.TB, payload string) (*Result, *devices.Reading) {
	t.Helper()
	out := decode(t, telemetry, payload)
	if out.Kind == Rejected {
		t.Fatalf("%s is rejected: %v", payload, out.Reason)
	}
	return out, out.Messages[0].Reading
}

func TestNativeDocumentBecomesAReading(t *testing.T) {
	out, r := native(t, `{"at":1795353543237,"lat":48.85833,"lon":2.29513,"altitude":167,"speed":16.9,"heading":271,
		"accuracy":5,"battery":67,"fuel":41.5,"door":{"left":true,"note":"a\u00e9"},"list":[1,{"x":2}],"sat":9,"gone":null}`)
	if out.Kind != Position || out.Messages[0].Device.String() != "truck-17" || out.Messages[0].Fleet.String() != "north" {
		t.Errorf("%v %+v", out.Kind, out.Messages)
	}
	want := devices.Measures{
		Has: devices.FieldPosition | devices.FieldAltitude | devices.FieldSpeed | devices.FieldHeading | devices.FieldAccuracy |
			devices.FieldBattery | devices.FieldSatellites,
		Lat: 48.85833, Lon: 2.29513, Altitude: 167, Speed: 16.9, Heading: 271, Accuracy: 5, Battery: 67,
	}
	if r.Measures != want || r.At != 1795353543237 || r.Satellites != 9 || r.Cleared != 0 {
		t.Errorf("%+v", r)
	}
	metrics := []devices.Metric{
		{Name: "fuel", Value: devices.NumberValue(41.5)},
		{Name: "door.left", Value: devices.BoolValue(true)},
		{Name: "door.note", Value: devices.TextValue("aé")},
		{Name: "sat", Value: devices.NumberValue(9)},
		{Name: "gone"},
	}
	if fmt.Sprint(r.Metrics) != fmt.Sprint(metrics) {
		t.Errorf("got  %v\nwant %v", r.Metrics, metrics)
	}
}

func TestTimeIsUnderstoodInItsForms(t *testing.T) {
	const at = 1795353543000
	for _, c := range []struct {
		doc     string
		want    int64
		dropped int
	}{
		{`{"at":1795353543000}`, at, 0},
		{`{"ts":1795353543}`, at, 0},
		{`{"time":"1795353543"}`, at, 0},
		{`{"time":1795353543.25}`, at + 250, 0},
		{`{"timestamp":"2026-11-22T13:19:03Z"}`, at, 0},
		{`{"timestamp":"2026-11-22T14:19:03.25+01:00"}`, at + 250, 0},
		{`{"at":"2026-11-22T13:19:03"}`, 0, 1}, // no zone, no time
		{`{"at":"now"}`, 0, 1},
		{`{"at":true}`, 0, 1},
		{`{"at":-5}`, 0, 1},
		{`{"at":0}`, 0, 1},
		{`{"at":1e300}`, 0, 1},
		{`{"at":""}`, 0, 1},
		{`{"at":null}`, 0, 0},
		{`{}`, 0, 0},
		{`{"timestamp":5,"at":1795353543,"ts":7}`, at, 0},
		{`{"at":1795353543,"timestamp":5}`, at, 0},
		{`{"at":"soon","ts":1795353543}`, at, 1},
	} {
		out, r := native(t, c.doc)
		if r.At != c.want || out.Dropped != c.dropped {
			t.Errorf("%s: at %d dropped %d, want %d and %d", c.doc, r.At, out.Dropped, c.want, c.dropped)
		}
		if len(r.Metrics) != 0 {
			t.Errorf("%s has metrics %v", c.doc, r.Metrics)
		}
	}
}

func TestNumbersInStringsAreNumbersForTheKnownMembers(t *testing.T) {
	out, r := native(t, `{"lat":"51.4","lon":"-0.02","speed":"51,4","battery":"","heading":"NaN","accuracy":"0x10","altitude":" 7","fuel":"9"}`)
	if r.Has != devices.FieldPosition || r.Lat != 51.4 || r.Lon != -0.02 {
		t.Errorf("%+v", r)
	}
	if out.Dropped != 5 {
		t.Errorf("dropped %d, want 5", out.Dropped)
	}
	if len(r.Metrics) != 1 || r.Metrics[0].Value != devices.TextValue("9") {
		t.Errorf("metrics %v", r.Metrics)
	}
}

func TestAPositionIsWholeOrAbsent(t *testing.T) {
	for _, c := range []struct {
		doc          string
		has, cleared bool
		dropped      int
	}{
		{`{"lat":1,"lon":2}`, true, false, 0},
		{`{"lat":91,"lon":181}`, true, false, 0}, // hygiene's to judge
		{`{"lat":1}`, false, false, 1},
		{`{"lon":1}`, false, false, 1},
		{`{"lat":1,"lon":null}`, false, false, 1},
		{`{"lat":null,"lon":null}`, false, true, 0},
		{`{"lat":null}`, false, true, 0},
		{`{"lat":true,"lon":1}`, false, false, 1},
		{`{"lat":1e999,"lon":1}`, false, false, 1},
		{`{"lat":null,"lat":3,"lon":4}`, true, false, 0},
	} {
		out, r := native(t, c.doc)
		if r.Has.Has(devices.FieldPosition) != c.has || r.Cleared.Has(devices.FieldPosition) != c.cleared || out.Dropped != c.dropped {
			t.Errorf("%s: has %v cleared %v dropped %d", c.doc, r.Has, r.Cleared, out.Dropped)
		}
	}
}

func TestNullClearsAndTheLastDuplicateWins(t *testing.T) {
	_, r := native(t, `{"speed":1,"speed":null,"heading":null,"heading":2,"a":1,"b":2,"a":null,"x":{"y":1},"x.y":"z"}`)
	if r.Cleared != devices.FieldSpeed || r.Has != devices.FieldHeading || r.Heading != 2 {
		t.Errorf("has %v cleared %v", r.Has, r.Cleared)
	}
	want := []devices.Metric{{Name: "a"}, {Name: "b", Value: devices.NumberValue(2)}, {Name: "x.y", Value: devices.TextValue("z")}}
	if fmt.Sprint(r.Metrics) != fmt.Sprint(want) {
		t.Errorf("metrics %v", r.Metrics)
	}
}

func TestWhatIsAboveALimitOfMetricsIsDroppedAndTheRestKept(t *testing.T) {
	long := strings.Repeat("x", devices.MaxMetricTextBytes+1)
	escaped := strings.Repeat(`\n`, maxUnescape+1)
	name := strings.Repeat("k", 40)
	out, r := native(t, `{"lat":1,"lon":2,"":1,"t":"`+long+`","e":"`+escaped+`","`+name+`":{"`+name+`":1},"inf":1e999,"ok":"`+long[1:]+`"}`)
	if out.Kind != Position || out.Dropped != 5 || len(r.Metrics) != 1 || r.Metrics[0].Name != "ok" {
		t.Errorf("%v, dropped %d, metrics %v", out.Kind, out.Dropped, r.Metrics)
	}
}

func TestAResultIsUsedAgainWithoutItsPast(t *testing.T) {
	router, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	route, _ := router.Route(telemetry)
	out := new(Result)
	route.Decode([]byte(`{"lat":1,"lon":2,"speed":3,"a":1,"sat":4,"at":1795353543,"door":null}`), out)
	kept := CloneReading(out.Messages[0].Reading)
	before := fmt.Sprintf("%+v", *kept)
	route.Decode([]byte(`{"b":"c"}`), out)
	r := out.Messages[0].Reading
	if out.Kind != Telemetry || r.Has != 0 || r.At != 0 || len(r.Metrics) != 1 || r.Metrics[0].Name != "b" {
		t.Errorf("%v %+v", out.Kind, r)
	}
	if after := fmt.Sprintf("%+v", *kept); after != before {
		t.Errorf("the clone changed:\n%s\n%s", before, after)
	}
	route.Decode([]byte(`{"b":`), out)
	if out.Kind != Rejected || out.Reason != Truncated || len(out.Messages) != 0 {
		t.Errorf("%v %v %v", out.Kind, out.Reason, out.Messages)
	}
}

func TestAReadingDoesNotShareThePacket(t *testing.T) {
	router, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	route, _ := router.Route(telemetry)
	payload := []byte(`{"name":"value","esc":"a\nb"}`)
	out := new(Result)
	route.Decode(payload, out)
	clear(payload)
	if got := fmt.Sprint(out.Messages[0].Reading.Metrics); got != "[{name {2 0 value}} {esc {2 0 a\nb}}]" {
		t.Errorf("%q", got)
	}
}

func TestStatusIsOnlineOrOffline(t *testing.T) {
	for payload, want := range map[string]devices.Status{
		"online": devices.Online, "Online": devices.Online, "OFFLINE\n": devices.Offline, "offline": devices.Offline,
	} {
		out := decode(t, "fleets/north/devices/truck-17/status", payload)
		if out.Kind != Presence || len(out.Messages) != 1 || out.Messages[0].Status != want || out.Messages[0].Reading != nil {
			t.Errorf("%q: %v %+v", payload, out.Kind, out.Messages)
		}
	}
	for payload, want := range map[string]Reason{"": Empty, " ": Empty, "on": BadStatus, `"online"`: BadStatus, "\xff\xfe": BadStatus} {
		if out := decode(t, "fleets/north/devices/truck-17/status", payload); out.Kind != Rejected || out.Reason != want {
			t.Errorf("%q: %v %v", payload, out.Kind, out.Reason)
		}
	}
}

// doc200 is a typical document of about 200 bytes.
const doc200 = `{"at":1795353543237,"lat":48.858331,"lon":2.295131,"altitude":167.5,"speed":16.94,"heading":271.2,"accuracy":4.5,` +
	`"battery":67,"fuel":41.5,"odometer":182734.2,"engine":{"rpm":1850,"temp":88.5,"on":true},"state":"moving"}`

func TestDecodingIntoAUsedResultAllocatesNothing(t *testing.T) {
	router, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for topic, payload := range map[string]string{
		telemetry:                   doc200,
		"owntracks/ann/phone":       `{"_type":"location","lat":"48.8","lon":"2.2","vel":46.5,"cog":-1,"tst":1514455575,"acc":3,"conn":"w"}`,
		"fleets/n/devices/d/status": "offline",
	} {
		route, _ := router.Route(topic)
		out, body := new(Result), []byte(payload)
		route.Decode(body, out)
		if out.Kind == Rejected {
			t.Fatalf("%s: %v", topic, out.Reason)
		}
		if n := testing.AllocsPerRun(100, func() { route.Decode(body, out) }); n != 0 {
			t.Errorf("%s: %v allocations", topic, n)
		}
	}
}

func BenchmarkNative200Bytes(b *testing.B) {
	router, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	route, _ := router.Route(telemetry)
	out, body := new(Result), []byte(doc200)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		route.Decode(body, out)
	}
}

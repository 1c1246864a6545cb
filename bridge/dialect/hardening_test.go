package dialect

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
)

// sampleTopics are the topics of all samples: every format has at least one.
func sampleTopics(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	topics := []string{"fleets/f/devices/d/telemetry", "fleets/f/devices/d/status", "spBv1.0/g/NDEATH/n", "x/state", "zigbee2mqtt/a/availability"}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var rows []expected
		if err := json.Unmarshal(raw, &rows); err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			topics = append(topics, r.Topic)
		}
	}
	slices.Sort(topics)
	return slices.Compact(topics)
}

// TestMalformedPayloadsOfEveryFormatAreNamed: whatever comes on whatever topic is refused with a reason, or is of a kind
// that is not read. Nothing of it becomes a message.
func TestMalformedPayloadsOfEveryFormatAreNamed(t *testing.T) {
	router, topics := everything(t), sampleTopics(t)
	for name, payload := range map[string]string{
		"empty": "", "white space": " \n", "null": "null", "a number": "5", "truncated": `{"a":`, "trailing": `{"a":1}}`, "BOM": "\xef\xbb\xbf{}",
		"UTF-16": "\xff\xfe{\x00}\x00", "not UTF-8": "{\"a\":\"\xc3\x28\"}", "NaN": `{"latitude":NaN}`, "too large": `{"a":"` + strings.Repeat("x", 10<<20) + `"}`,
		"deep": `{"a":` + strings.Repeat("[", 60_000), "deep objects": strings.Repeat(`{"a":`, 10_000), "many": `{"a":[` + strings.Repeat("1,", 30_000) + `1]}`,
		"many keys": "{" + strings.Repeat(`"k":1,`, 9_000) + `"k":1}`, "an array of arrays": strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000),
	} {
		body := []byte(payload)
		for _, topic := range topics {
			out := decodeWith(t, router, topic, body)
			switch out.Kind {
			case Command, Discovery, Opaque:
				continue
			case Rejected:
			default:
				// A zone is any text, and a document of arrays and unknown keys is one without members for most.
				if !strings.HasSuffix(topic, "/state") && name != "many" && name != "many keys" {
					t.Errorf("%s on %s: %v %+v", name, topic, out.Kind, out.Messages)
				}
				continue
			}
			if out.Reason == None || out.Reason == Panicked || len(out.Messages) != 0 {
				t.Errorf("%s on %s: %v", name, topic, out.Reason)
			}
		}
	}
}

// TestBombsCostLittle: what a sender can make a decoder allocate is bounded by a small multiple of the largest payload.
func TestBombsCostLittle(t *testing.T) {
	const bound = 4 << 20
	fill := func(open, each, end string) []byte {
		return []byte(open + strings.Repeat(each, (MaxPayloadBytes-len(open)-len(end))/len(each)) + end)
	}
	router := everything(t)
	for name, c := range map[string]struct {
		topic   string
		payload []byte
	}{
		"ten million bytes":           {"location/a", make([]byte, 10<<20)},
		"a tree of nulls":             {"location/a", fill(`{"latitude":1,"longitude":2,"a":[`, `0,`, `0]}`)},
		"escapes":                     {"location/a", fill(`{"latitude":1,"longitude":2,"a":"`, `\u0041`, `"}`)},
		"many escaped texts":          {"location/a", fill(`{"latitude":1,"longitude":2,"a":[`, `"\n",`, `1]}`)},
		"features":                    {"geo/a", fill(`{"type":"FeatureCollection","features":[`, `{"type":"Feature"},`, `{}]}`)},
		"senml records":               {"senml/a", fill(`[`, `{"v":1},`, `{"v":1}]`)},
		"cbor that claims 2^31 items": {"senml/a", []byte{0x9a, 0x80, 0, 0, 0}},
		"cbor that claims 2^63 bytes": {"senml/a", []byte{0x81, 0xa1, 0x00, 0x7b, 0x80, 0, 0, 0, 0, 0, 0, 0}},
		"nested cbor":                 {"senml/a", fill("\x81", "\x81", "\x80")},
		"cbor maps":                   {"senml/a", fill("\x9f", "\xa1\x02\x01", "\xff")},
		"metrics of sparkplug":        {"spBv1.0/g/NBIRTH/n", fill("", "\x12\x02\x10\x01", "")},
		"a length of 2^31":            {"spBv1.0/g/NDATA/n", []byte{0x12, 0xff, 0xff, 0xff, 0xff, 0x07}},
		"groups":                      {"spBv1.0/g/NDATA/n", fill("", "\x1b", "")},
		"sentences":                   {"nmea/a", fill("", "$GPGGA,*00\n", "")},
		"a meshtastic payload":        {"msh/EU/2/json/c/!1", fill(`{"from":1,"type":"telemetry","payload":{`, `"a":{"b":1},`, `"c":1}}`)},
		"lists of a shadow":           {"1/batch", fill(`{"gnss":[`, `{"v":{"lat":1},"ts":1},`, `1]}`)},
		"children of a gateway":       {"tele/a/SENSOR", fill(`{`, `"a":{"mac":"1"},`, `"b":1}`)},
		"events of a switch":          {"a/events/rpc", fill(`{"method":"NotifyEvent","params":{"events":[`, `{},`, `{}]}}`)},
	} {
		t.Run(name, func(t *testing.T) {
			route, reason := router.Route(c.topic)
			if reason != None {
				t.Fatal(reason)
			}
			out := new(Result)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			route.Decode(c.payload, out)
			runtime.ReadMemStats(&after)
			if out.Reason == Panicked {
				t.Fatal("a decoder panicked")
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > bound {
				t.Errorf("%d bytes were allocated (%v, %v)", n, out.Kind, out.Reason)
			}
			if len(out.Messages) > MaxReadings {
				t.Errorf("%d messages", len(out.Messages))
			}
			for _, m := range out.Messages {
				if m.Reading != nil && len(m.Reading.Metrics) > maxReadingMetrics {
					t.Errorf("%d metrics", len(m.Reading.Metrics))
				}
			}
		})
	}
}

// TestNothingOfALargePayloadIsKept: the memory that one upload needed must not stay with every goroutine.
func TestNothingOfALargePayloadIsKept(t *testing.T) {
	router := everything(t)
	route, _ := router.Route("1/batch")
	out := new(Result)
	route.Decode(batchOf(900), out)
	if len(out.Messages) != 900 {
		t.Fatalf("%d messages, %v %v", len(out.Messages), out.Kind, out.Reason)
	}
	if cap(out.doc.nodes) > maxKeptNodes || len(out.readings) > maxKeptReadings || out.doc.data != nil || out.in.payload != nil {
		t.Errorf("%d nodes and %d readings are kept", cap(out.doc.nodes), len(out.readings))
	}
}

// batchOf is an upload of n fixes in no order.
func batchOf(n int) []byte {
	var s strings.Builder
	s.WriteString(`{"gnss":[`)
	for i := range n {
		if i > 0 {
			s.WriteByte(',')
		}
		fmt.Fprintf(&s, `{"v":{"lat":1,"lng":%d},"ts":%d}`, i%90, 1_700_000_000_000+(i*7919)%n*1000)
	}
	s.WriteString(`]}`)
	return []byte(s.String())
}

// TestATunnelsWorthOfFixesComesInTheOrderOfTime: row 23.
func TestATunnelsWorthOfFixesComesInTheOrderOfTime(t *testing.T) {
	out := decodeWith(t, everything(t), "352656106111232/batch", batchOf(500))
	if out.Kind != Position || len(out.Messages) != 500 {
		t.Fatalf("%v, %d messages", out.Kind, len(out.Messages))
	}
	for i := 1; i < len(out.Messages); i++ {
		if out.Messages[i-1].Reading.At >= out.Messages[i].Reading.At {
			t.Fatalf("%d: %d after %d", i, out.Messages[i].Reading.At, out.Messages[i-1].Reading.At)
		}
	}
}

// TestSentinelsOfEachFormatAreNoValues: row 19. What is cleared is known not to hold any more; what is neither is left as
// it was.
func TestSentinelsOfEachFormatAreNoValues(t *testing.T) {
	router := everything(t)
	const motion = devices.FieldSpeed | devices.FieldHeading
	for _, c := range []struct {
		topic, payload string
		has, cleared   devices.Fields
	}{
		{"owntracks/a/b", `{"_type":"location","lat":1,"lon":2,"vel":-1,"cog":-1}`, devices.FieldPosition, motion},
		{"vessels/1/locations", `{"geometry":{"type":"Point","coordinates":[1,2]},"properties":{"sog":102.3,"cog":360,"heading":511}}`, devices.FieldPosition, motion},
		{"a/b/teltonika/1/data", `{"state":{"reported":{"latlng":"51.4,5.4","sat":"0","sp":"0","ang":"0","alt":"0"}}}`, devices.FieldSatellites, 0},
		{"traccar/positions", `{"position":{"latitude":1,"longitude":2,"accuracy":0.0},"device":{"uniqueId":"a"}}`, devices.FieldPosition, devices.FieldAccuracy},
		{"traccar/positions", `{"position":{"latitude":1,"longitude":2,"speed":3,"outdated":true},"device":{"uniqueId":"a"}}`, 0, 0},
		{"traccar/positions", `{"position":{"latitude":1,"longitude":2,"speed":3,"valid":false},"device":{"uniqueId":"a"}}`, 0, 0},
		{"msh/EU/2/json/c/!1", `{"from":1,"type":"telemetry","payload":{"battery_level":101}}`, 0, devices.FieldBattery},
		{"msh/EU/2/json/c/!1", `{"from":1,"type":"telemetry","payload":{"battery_level":100}}`, devices.FieldBattery, 0},
		{"/hfp/v2/journey/ongoing/vp/bus/1/2/x", `{"VP":{"lat":null,"long":null,"spd":null,"hdg":null}}`, 0, motion},
		{"v3/a/devices/d/location/solved", `{"location_solved":{"location":{"longitude":5}}}`, devices.FieldPosition, 0},
		{"application/a/device/d/event/status", `{"batteryLevel":0,"batteryLevelUnavailable":true}`, 0, 0},
		{"application/a/device/d/event/status", `{"batteryLevel":50}`, devices.FieldBattery, 0},
		{"nmea/a", withSum("GPRMC,1,V,,,,,,,010126,,"), 0, 0},
		{"nmea/a", withSum("GPGGA,1,,,,,0,00,99.9,,M,,M,,"), devices.FieldSatellites, 0},
		{"nmea/a", withSum("GPRMC,1,A,0001.0,N,00001.0,E,,,010126,,"), devices.FieldPosition, 0},
	} {
		out := decodeWith(t, router, c.topic, []byte(c.payload))
		if len(out.Messages) != 1 {
			t.Errorf("%s %s: %v %v", c.topic, c.payload, out.Kind, out.Reason)
			continue
		}
		if r := out.Messages[0].Reading; r.Has != c.has || r.Cleared != c.cleared {
			t.Errorf("%s %s: has %b cleared %b, want %b %b", c.topic, c.payload, r.Has, r.Cleared, c.has, c.cleared)
		}
	}
}

// withSum makes a sentence of its body.
func withSum(body string) string {
	var sum byte
	for i := range len(body) {
		sum ^= body[i]
	}
	return "$" + body + "*" + strings.ToUpper(hex.EncodeToString([]byte{sum}))
}

// TestNamesInPayloadsAreHeldToTheRulesOfIDs: rows 21 and 25. A name that could not stand in a topic or in a line of the
// stream refuses the message.
func TestNamesInPayloadsAreHeldToTheRulesOfIDs(t *testing.T) {
	router := everything(t)
	for _, bad := range []string{`a\nb`, `a\u0000b`, `a+b`, `#`, ``, `/`, `a//b`, strings.Repeat("x", devices.MaxIDBytes+1), `a\u0085b`} {
		for topic, payload := range map[string]string{
			"traccar/positions": `{"position":{"latitude":1},"device":{"uniqueId":"%s"}}`,
			"senml/gw":          `[{"bn":"%s:","n":"t","v":1}]`,
			"any/thing":         `{"topic":"org.example/%s/things/twin/commands/modify","path":"/attributes/x","value":1}`,
		} {
			out := decodeWith(t, router, topic, fmt.Appendf(nil, payload, bad))
			if topic == "senml/gw" && (bad == "" || bad == "/") { // then the topic names the device
				continue
			}
			if out.Kind != Rejected || len(out.Messages) != 0 {
				t.Errorf("%s with %q: %v %+v", topic, bad, out.Kind, out.Messages)
			}
		}
	}
	out := decodeWith(t, router, "location/a", []byte(`{"latitude":1,"longitude":2,"note":"</script>\r\n\u2028\u0000","</b>":"x"}`))
	want := []devices.Metric{{Name: "note", Value: devices.TextValue("</script>\r\n\u2028\x00")}, {Name: "</b>", Value: devices.TextValue("x")}}
	if r := out.Messages[0].Reading; !slices.Equal(r.Metrics, want) {
		t.Errorf("texts are not as they came: %+v", r.Metrics)
	}
}

// TestNumbersInTextsAreNumbersAndNothingElseIs: row 17.
func TestNumbersInTextsAreNumbersAndNothingElseIs(t *testing.T) {
	router := everything(t)
	for text, want := range map[string]bool{`51.4`: true, `"51.4"`: true, `"51,4"`: false, `"NaN"`: false, `"Infinity"`: false, `"0x33"`: false, `1e999`: false, `true`: false, `""`: false, `[51.4]`: false} {
		out := decodeWith(t, router, "location/a", []byte(`{"latitude":`+text+`,"longitude":5,"x":1}`))
		if len(out.Messages) != 1 || out.Messages[0].Reading.Has.Has(devices.FieldPosition) != want || (out.Dropped > 0) == want {
			t.Errorf("%s: %v, dropped %d", text, out.Kind, out.Dropped)
		}
	}
}

// TestOfDuplicateMembersTheLastCounts: row 16.
func TestOfDuplicateMembersTheLastCounts(t *testing.T) {
	out := decodeWith(t, everything(t), "location/a", []byte(`{"latitude":1,"longitude":2,"x":1,"latitude":3,"x":2}`))
	r := out.Messages[0].Reading
	if r.Lat != 3 || len(r.Metrics) != 1 || r.Metrics[0].Value.Num != 2 {
		t.Errorf("%+v", r)
	}
}

// TestACopyOverAnotherGatewayHasTheSameKey: row 53, the decoders' half.
func TestACopyOverAnotherGatewayHasTheSameKey(t *testing.T) {
	router := everything(t)
	key := func(topic, payload string) uint64 {
		out := decodeWith(t, router, topic, []byte(payload))
		if len(out.Messages) != 1 {
			t.Fatalf("%s: %v %v", topic, out.Kind, out.Reason)
		}
		return out.Messages[0].Reading.Key
	}
	mesh := `{"id":%d,"from":7,"rssi":%d,"sender":"!%d","timestamp":1,"type":"telemetry","payload":{"x":1}}`
	a := key("msh/EU/2/json/c/!1", fmt.Sprintf(mesh, 5, -90, 1))
	if b := key("msh/EU/2/json/c/!2", fmt.Sprintf(mesh, 5, -40, 2)); a == 0 || a != b {
		t.Errorf("two gateways, one packet: %x, %x", a, b)
	}
	if c := key("msh/EU/2/json/c/!1", fmt.Sprintf(mesh, 6, -90, 1)); c == a {
		t.Error("two packets, one key")
	}
	chirp := `{"deduplicationId":"%s","time":"2022-07-18T09:34:15Z","fCnt":%d,"rxInfo":[{"rssi":%d}]}`
	a = key("application/a/device/d/event/up", fmt.Sprintf(chirp, "x", 1, -36))
	if b := key("application/a/device/d/event/up", fmt.Sprintf(chirp, "x", 1, -90)); a == 0 || a != b {
		t.Errorf("%x, %x", a, b)
	}
	if key("location/a", `{"latitude":1,"longitude":2}`) != 0 {
		t.Error("a format without ids has a key")
	}
}

package dialect

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// nodeOf makes a Node of JSON, in which the settings file's YAML is easier to write here. Its lines count from 1.
func nodeOf(t testing.TB, text string) Node {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	n, err := readNode(d, text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return n
}

func readNode(d *json.Decoder, text string) (Node, error) {
	token, err := d.Token()
	if err != nil {
		return Node{}, err
	}
	n := Node{Line: 1 + strings.Count(text[:d.InputOffset()], "\n")}
	switch v := token.(type) {
	case json.Delim:
		if n.Kind = ListNode; v == '{' {
			n.Kind = MapNode
		}
		for d.More() {
			var m Member
			if v == '{' {
				key, _ := d.Token() // what is wrong, the value is told
				m.Key, _ = key.(string)
				m.Line = 1 + strings.Count(text[:d.InputOffset()], "\n")
			}
			if m.Value, err = readNode(d, text); err != nil {
				return n, err
			}
			if v == '{' {
				n.Members = append(n.Members, m)
			} else {
				n.List = append(n.List, m.Value)
			}
		}
		_, err = d.Token()
		return n, err
	case json.Number:
		n.Text = v.String()
	case string:
		n.Text = v
	case bool:
		n.Text = "false"
		if v {
			n.Text = "true"
		}
	}
	return n, nil
}

func mapped(t testing.TB, mapping, topic, payload string) *Result {
	t.Helper()
	mappings, err := ParseMappings(nodeOf(t, "["+mapping+"]"))
	if err != nil {
		t.Fatal(err)
	}
	router, err := New(Options{Mappings: mappings})
	if err != nil {
		t.Fatal(err)
	}
	return decodeWith(t, router, topic, []byte(payload))
}

func TestUnitsAreConvertedByName(t *testing.T) {
	for name, c := range map[string]struct {
		key       string
		raw, want float64
	}{
		"km/h": {"speed", 36, 10}, "knots": {"speed", 10, 5.144444}, "mph": {"speed", 10, 4.4704}, "cm/s": {"speed", 2482, 24.82},
		"m/s": {"speed", 3, 3}, "ft/s": {"speed", 10, 3.048}, "0.1 km/h": {"speed", 360, 10},
		"ft": {"altitude", 100, 30.48}, "km": {"altitude", 1.5, 1500}, "m": {"accuracy", 5, 5},
		"1e-5 degrees": {"heading", 9_000_000, 90}, "radians": {"heading", math.Pi, 180},
		"ratio": {"battery", 0.42, 42}, "%": {"battery", 42, 42}, "permille": {"battery", 420, 42},
	} {
		out := mapped(t, `{"topic":"x/{device}","`+c.key+`":{"at":"/v","unit":"`+name+`"}}`, "x/d", `{"v":`+json.Number(formatted(c.raw)).String()+`}`)
		r := out.Messages[0].Reading
		got := map[string]float64{"speed": r.Speed, "altitude": r.Altitude, "accuracy": r.Accuracy, "heading": r.Heading, "battery": r.Battery}[c.key]
		if math.Abs(got-c.want) > 1e-4 {
			t.Errorf("%v %s is %v, want %v", c.raw, name, got, c.want)
		}
	}
	out := mapped(t, `{"topic":"x/{device}","lat":{"at":"/la","unit":"1e-7 degrees"},"lon":{"at":"/lo","unit":"1e-7 degrees"},
		"metrics":{"t":{"at":"/f","unit":"F"},"v":{"at":"/mv","unit":"mV"},"x":{"at":"/x","scale":0.1,"offset":-40}}}`,
		"x/d", `{"la":374208000,"lo":"-1221981000","f":212,"mv":3700,"x":500}`)
	r := out.Messages[0].Reading
	if out.Kind != Position || math.Abs(r.Lat-37.4208) > 1e-9 || math.Abs(r.Lon+122.1981) > 1e-9 {
		t.Errorf("%v %v", r.Lat, r.Lon)
	}
	for i, want := range []float64{100, 3.7, 10} {
		if got := r.Metrics[i].Value.Num; math.Abs(got-want) > 1e-9 {
			t.Errorf("metric %s is %v, want %v", r.Metrics[i].Name, got, want)
		}
	}
}

func formatted(n float64) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func TestTimesOfMappings(t *testing.T) {
	noon := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC).UnixMilli()
	for _, c := range []struct {
		time, payload string
		want          int64
	}{
		{`"/t"`, `{"t":1782907200}`, noon},
		{`"/t"`, `{"t":"2026-07-01T14:00:00+02:00"}`, noon},
		{`{"at":"/t","format":"unix"}`, `{"t":1782907200}`, noon},
		{`{"at":"/t","format":"unix_ms"}`, `{"t":"1782907200000"}`, noon},
		{`{"at":"/t","format":"unix_us"}`, `{"t":1782907200000000}`, noon},
		{`{"at":"/t","format":"rfc3339"}`, `{"t":"2026-07-01T12:00:00Z"}`, noon},
		{`{"at":"/t","format":"YYYYMMDDhhmmss"}`, `{"t":"20260701120000"}`, noon},
		{`{"at":"/t","format":"YYYYMMDDhhmmss"}`, `{"t":20260701120000}`, noon},
		{`{"at":"/t","format":"DD.MM.YYYY hh:mm:ss","zone":"Europe/Oslo"}`, `{"t":"01.07.2026 14:00:00"}`, noon},
		{`{"at":"/t","format":"DD.MM.YYYY hh:mm:ss","zone":"Europe/Oslo"}`, `{"t":"31.02.2026 14:00:00"}`, 0},
		{`{"at":"/t","format":"YYYY-MM-DDThh:mm:ss.SSSZZ"}`, `{"t":"2026-07-01T14:00:00.000+02:00"}`, noon},
		{`{"at":"/t","format":"unix"}`, `{"t":"yesterday"}`, 0},
		{`{"at":"/t","format":"unix"}`, `{}`, 0},
	} {
		out := mapped(t, `{"topic":"x/{device}","time":`+c.time+`,"rest":true}`, "x/d", c.payload)
		if got := out.Messages[0].Reading.At; got != c.want {
			t.Errorf("%s of %s: %d, want %d", c.time, c.payload, got, c.want)
		}
	}
}

func TestUnknownIsNoValueAndWhatIsNoPlaceIsNoPosition(t *testing.T) {
	const mapping = `{"topic":"x/{device}","lat":{"at":"/la","unknown":[91]},"lon":"/lo","speed":{"at":"/s","unit":"knots","unknown":[102.3]},
		"heading":{"at":"/h","unknown":["n/a",511]},"metrics":{"m":{"at":"/m","unknown":[-999]}}}`
	out := mapped(t, mapping, "x/d", `{"la":91,"lo":2,"s":102.3,"h":"n/a","m":-999}`)
	r := out.Messages[0].Reading
	if out.Kind != Telemetry || r.Has != 0 || r.Cleared != devices.FieldSpeed|devices.FieldHeading || out.Dropped != 1 {
		t.Errorf("%v has %v cleared %v dropped %d", out.Kind, r.Has, r.Cleared, out.Dropped)
	}
	if len(r.Metrics) != 1 || r.Metrics[0].Value.Kind != devices.Null {
		t.Errorf("metrics %+v", r.Metrics)
	}
	out = mapped(t, mapping, "x/d", `{"la":7.49e+247,"lo":2,"s":"fast","h":511}`)
	if r := out.Messages[0].Reading; r.Has != 0 || r.Cleared != devices.FieldHeading || out.Dropped != 2 {
		t.Errorf("has %v cleared %v dropped %d", r.Has, r.Cleared, out.Dropped)
	}
}

func TestAMappingReadsManyReadingsOfManyDevices(t *testing.T) {
	out := mapped(t, `{"topic":"lists/{site}","each":"/list","device":"/id","fleet":"/fleet","time":"/t","lat":"/p/0","lon":"/p/1","metrics":{"from":{"root":"/gw"}},"rest":true}`,
		"lists/a", `{"gw":"g1","fleet":"north","list":[{"id":"b","t":1782907260,"p":[1,2],"x":{"y":5}},{"id":7,"t":1782907200,"p":[3,4],"fleet":"south"}]}`)
	if out.Kind != Position || len(out.Messages) != 2 {
		t.Fatalf("%v %d", out.Kind, len(out.Messages))
	}
	first, second := out.Messages[0], out.Messages[1] // in the order of time
	if first.Device.String() != "7" || first.Fleet.String() != "south" || second.Device.String() != "b" || second.Fleet.String() != "north" {
		t.Errorf("%v of %v, %v of %v", first.Device, first.Fleet, second.Device, second.Fleet)
	}
	want := []devices.Metric{{Name: "from", Value: devices.TextValue("g1")}, {Name: "x.y", Value: devices.NumberValue(5)}}
	if got := second.Reading.Metrics; len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("metrics %+v", got)
	}
	for payload, reason := range map[string]Reason{
		`{"list":[{"t":1}]}`: BadDevice, `{"list":[{"id":"a+b"}]}`: BadDevice, `{"list":5}`: Declined, `{}`: Declined, `[`: Truncated,
		`{"fleet":"#","list":[{"id":"a"}]}`: BadDevice, `{"list":[` + strings.Repeat(`{"id":"a","fleet":"f"},`, MaxReadings+1) + `{}]}`: TooManyMembers,
	} {
		out := mapped(t, `{"topic":"lists/{site}","each":"/list","device":"/id","fleet":"/fleet","lat":"/p/0","lon":"/p/1"}`, "lists/a", payload)
		if out.Kind != Rejected || out.Reason != reason || len(out.Messages) != 0 {
			t.Errorf("%.40s: %v %v", payload, out.Kind, out.Reason)
		}
	}
}

func TestAMappingsDeviceMayBeMadeOfLevels(t *testing.T) {
	for device, want := range map[string]string{`"{a}:{b}"`: "x:y", `"{b}"`: "y", `"bus-{b}"`: "bus-y", `"{a}-{b}"`: "x-y", `"fixed"`: "fixed"} {
		out := mapped(t, `{"topic":"{a}/z/{b}","device":`+device+`,"rest":true}`, "x/z/y", `{"v":1}`)
		if len(out.Messages) != 1 || out.Messages[0].Device.String() != want {
			t.Errorf("%s: %+v", device, out.Messages)
		}
	}
	mappings, err := ParseMappings(nodeOf(t, `[{"topic":"{a}/z/{b}","device":"{a}:{b}","fleet":"f-{a}","rest":true}]`))
	if err != nil {
		t.Fatal(err)
	}
	router, err := New(Options{Mappings: mappings})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range router.AccessTemplates() {
		if a.Preset != mappingDialect {
			continue
		}
		if got, _ := a.ForDevice(device(t, "x:y"), fleet(t, "f")); got != "x/z/y" {
			t.Errorf("a device's topics are %q", got)
		}
		if got, _ := a.ForFleet(fleet(t, "f-x")); got != "x/z/+" {
			t.Errorf("a fleet's topics are %q", got)
		}
	}
}

// TestATopicWhosePayloadNamesTheFleetIsOpenToEveryFleet: which of them a message is about is judged when it is read.
func TestATopicWhosePayloadNamesTheFleetIsOpenToEveryFleet(t *testing.T) {
	mappings, err := ParseMappings(nodeOf(t, `[{"topic":"all","device":"/id","fleet":"/fleet","rest":true}]`))
	if err != nil {
		t.Fatal(err)
	}
	router, err := New(Options{Mappings: mappings})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range router.AccessTemplates() {
		if a.Preset != mappingDialect {
			continue
		}
		if filter, ok := a.ForFleet(fleet(t, "north")); !ok || filter != "all" || !a.FromPayload {
			t.Errorf("%q %v", filter, ok)
		}
		if _, ok := a.ForDevice(device(t, "d"), fleet(t, "north")); ok {
			t.Error("a device may name any other")
		}
	}
}

func TestWordsOfAStatus(t *testing.T) {
	const mapping = `{"topic":"x/{device}","status":{"at":"/s","online":["up",1,true],"offline":"down"}}`
	for payload, want := range map[string]devices.Status{`{"s":"up"}`: devices.Online, `{"s":1}`: devices.Online, `{"s":true}`: devices.Online, `{"s":"down"}`: devices.Offline} {
		if out := mapped(t, mapping, "x/d", payload); out.Kind != Presence || len(out.Messages) != 1 || out.Messages[0].Status != want {
			t.Errorf("%s: %v %+v", payload, out.Kind, out.Messages)
		}
	}
	if out := mapped(t, mapping, "x/d", `{"s":"?"}`); len(out.Messages) != 0 || out.Dropped != 1 {
		t.Errorf("%+v", out.Messages)
	}
	if out := mapped(t, `{"topic":"x/{device}","kind":"opaque"}`, "x/d", "\xff"); out.Kind != Opaque {
		t.Errorf("%v", out.Kind)
	}
	if out := mapped(t, `{"topic":"x/{device}","kind":"event","rest":true}`, "x/d", `{"button":1}`); out.Kind != Event || len(out.Messages) != 1 {
		t.Errorf("%v", out.Kind)
	}
}

// TestAMappingGoesBeforeAPreset: of equal templates a person's own is asked first, and where it declines the preset is.
func TestAMappingGoesBeforeAPreset(t *testing.T) {
	const mapping = `{"name":"mine","topic":"owntracks/{user}/{device}","device":"{user}:{device}","when":{"/mine":true},"rest":true}`
	if out := mapped(t, mapping, "owntracks/ann/phone", `{"mine":true,"v":1}`); out.Rule() != "mine" || out.Dialect() != "mapping" || out.Kind != Telemetry {
		t.Errorf("%q %q %v", out.Rule(), out.Dialect(), out.Kind)
	}
	if out := mapped(t, mapping, "owntracks/ann/phone", `{"_type":"location","lat":1,"lon":2}`); out.Rule() != "owntracks/{user}/{device}" || out.Kind != Position {
		t.Errorf("%q %v", out.Rule(), out.Kind)
	}
}

func TestPointersFollowRFC6901(t *testing.T) {
	const doc = `{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"m~n":8,"x":{"y":{"0":"z"}}}`
	for pointer, want := range map[string]any{
		"/foo/0": "bar", "/foo/1": "baz", "/": 0.0, "/a~1b": 1.0, "/c%d": 2.0, "/m~0n": 8.0, "/x/y/0": "z", // section 5, but for whole values
	} {
		out := mapped(t, `{"topic":"x/{device}","metrics":{"v":"`+pointer+`"}}`, "x/d", doc)
		m := out.Messages[0].Reading.Metrics
		if len(m) != 1 {
			t.Errorf("%s: %+v", pointer, m)
			continue
		}
		if got := m[0].Value; got.Kind == devices.Text && got.Text != want || got.Kind == devices.Number && got.Num != want {
			t.Errorf("%s: %+v", pointer, got)
		}
	}
	for _, pointer := range []string{"/foo/2", "/foo/00", "/foo/-1", "/foo/-", "/foo", "/nosuch", "/x/y", "/foo/0/1"} {
		if out := mapped(t, `{"topic":"x/{device}","metrics":{"v":"`+pointer+`"}}`, "x/d", doc); len(out.Messages[0].Reading.Metrics) != 0 {
			t.Errorf("%s finds something", pointer)
		}
	}
}

func TestErrorsOfMappingsNameTheLineAndTheKey(t *testing.T) {
	for _, c := range []struct {
		mapping, key string
		line         int
		detail       string
	}{
		{"{}", "mappings[0]", 1, "has no topic"},
		{"5", "mappings[0]", 1, "is not a map"},
		{"{\"topic\":\"a\",\n\"rest\":true}", "mappings[0].device", 1, "{device}"},
		{"{\"topic\":\"a/{device}\",\n\"speed\":\n{\"at\":\"/v\",\"unit\":\"parsecs\"}}", "mappings[0].speed.unit", 3, "km/h"},
		{"{\"topic\":\"a/{device}\",\"speed\":\n{\"at\":\"/v\",\n\"unit\":\"m\"}}", "mappings[0].speed.unit", 3, "measures length"},
		{"{\"topic\":\"a/{device}\",\n\"sped\":\"/v\"}", "mappings[0].sped", 2, "no such key"},
		{"{\"topic\":\"a/{device}\",\"lat\":\"/v\"}", "mappings[0]", 1, "without the other"},
		{"{\"topic\":\"a/{device}\"}", "mappings[0]", 1, "says nothing"},
		{"{\"topic\":\"a/+\",\"rest\":true}", "mappings[0].topic", 1, "neither literal nor"},
		{"{\"topic\":\"a/{device}\",\"lat\":\"v\",\"lon\":\"/v\"}", "mappings[0].lat", 1, "JSON pointer"},
		{"{\"topic\":\"a/{device}\",\"lat\":\"/a~2\",\"lon\":\"/v\"}", "mappings[0].lat", 1, "~"},
		{"{\"topic\":\"a/{device}\",\"time\":{\"at\":\"/t\",\n\"format\":\"2006-01-02\"},\"rest\":true}", "mappings[0].time.format", 2, "YYYY"},
		{"{\"topic\":\"a/{device}\",\"time\":{\"at\":\"/t\",\"format\":\"YYYY-MM-DD\",\n\"zone\":\"Mars/Olympus\"},\"rest\":true}", "mappings[0].time.zone", 2, "zone"},
		{"{\"topic\":\"a/{device}\",\"metrics\":{\n\"m\":{\"value\":1,\"at\":\"/x\"}}}", "mappings[0].metrics.m", 2, "one of"},
		{"{\"topic\":\"a/{device}\",\"rest\":\"perhaps\"}", "mappings[0].rest", 1, "true"},
		{"{\"topic\":\"a/{device}\",\"kind\":\"position\"}", "mappings[0].kind", 1, "event"},
		{"{\"topic\":\"a/{device}\",\"fleet\":\"{nosuch}\",\"rest\":true}", "mappings[0].fleet", 1, "nosuch"},
		{"{\"topic\":\"a/{device}\",\"device\":\"{nosuch}\",\"rest\":true}", "mappings[0].device", 1, "nosuch"},
		{"{\"topic\":\"a/{device}\",\"rest\":true,\n\"rest\":true}", "mappings[0].rest", 2, "line 1"},
		{"{\"topic\":\"a/{device}\",\"when\":{\"kind\":\"x\"},\"rest\":true}", "mappings[0].when.kind", 1, "JSON pointer"},
		{"{\"topic\":\"a/{device}\",\"status\":\"/s\"}", "mappings[0].status", 1, "online"},
	} {
		_, err := ParseMappings(nodeOf(t, "["+c.mapping+"]"))
		wrong, ok := errors.AsType[*MappingError](err)
		if !ok {
			t.Errorf("%s: %v", c.mapping, err)
			continue
		}
		if wrong.Key != c.key || wrong.Line != c.line || !strings.Contains(wrong.Detail, c.detail) {
			t.Errorf("%s: line %d, %v", c.mapping, wrong.Line, wrong)
		}
	}
}

func FuzzMapping(f *testing.F) {
	for _, mapping := range []string{
		`{"topic":"x/{device}","lat":"/p/0","lon":{"at":"/p/1","unit":"1e-7 degrees"},"time":{"at":"/t","format":"YYYYMMDD","zone":"Asia/Tokyo"},"rest":true}`,
		`{"topic":"{a...}/{b}","device":"{a}-{b}","each":"/l","speed":{"root":"/s","unknown":[1,"x"],"unit":"knots"},"metrics":{"m":{"value":"c"}}}`,
		`{"topic":"x","device":"/id","fleet":"/f","when":{"/a~1b":[1,"2",true]},"status":{"at":"/s","online":"1","offline":[0]}}`,
	} {
		for _, payload := range []string{`{"p":[1,2],"t":20260101,"x":{"y":null}}`, `{"l":[{"v":1},5],"s":9}`, `{"id":"a/b","f":"f","a/b":1,"s":1}`, `[]`, ``} {
			f.Add(mapping, payload)
		}
	}
	f.Fuzz(func(t *testing.T, mapping, payload string) {
		d := json.NewDecoder(strings.NewReader("[" + mapping + "]"))
		d.UseNumber()
		n, err := readNode(d, "["+mapping+"]")
		if err != nil {
			return
		}
		mappings, err := ParseMappings(n)
		if err != nil {
			if _, ok := errors.AsType[*MappingError](err); !ok {
				t.Fatalf("%v names no key", err)
			}
			return
		}
		router, err := New(Options{Mappings: mappings})
		if err != nil {
			t.Fatalf("a mapping that was taken makes no router: %v", err)
		}
		for _, topic := range []string{"x/d", "x", "a/b/c"} {
			if route, reason := router.Route(topic); reason == None {
				checkDecoded(t, route, payload)
			}
		}
	})
}

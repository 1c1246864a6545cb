package dialect

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestVariantsOfFormats are what the samples do not show.
func TestVariantsOfFormats(t *testing.T) {
	router := everything(t)
	for _, c := range []struct{ topic, payload, want string }{
		{"v3/a/devices/d/up", `{"uplink_message":{"decoded_payload":{"gps_1":{"latitude":1.5,"longitude":2.5,"altitude":3},"temperature_2":5}}}`, "position d@1.5,2.5,temperature_2:5"},
		{"v3/a/devices/d/up", `{"uplink_message":{"decoded_payload":{"lat":1.5,"lng":2.5,"alarm":true}}}`, "position d@1.5,2.5,alarm:1"},
		{"v3/a/devices/d/up", `{"uplink_message":{"locations":{"user":{"latitude":1,"longitude":2,"source":"SOURCE_REGISTRY"}},"f_port":1}}`, "telemetry d,f_port:1"},
		{"v3/a/devices/d/join", `{"received_at":"2026-07-01T12:00:00Z","join_accept":{}}`, "event d,event:join"},
		{"v3/a/devices/d/down/push", `{}`, "command"},
		{"v3/a/devices/d/service/data", `x`, "opaque"},
		{"application/a/device/d/event/up", `{"object":{"temp":21.5},"rxInfo":[{"rssi":-90,"snr":1},{"rssi":-40,"snr":9}]}`, "telemetry d,temp:21.5,rssi:-40,snr:9"},
		{"application/a/device/d/event/log", `{"level":"ERROR","code":"UPLINK_CODEC"}`, "event d,event:log,level:ERROR,code:UPLINK_CODEC"},
		{"vessels-v2/1/location", `{"time":1668075025,"sog":10,"cog":326.6,"heading":325,"lon":20.5,"lat":60.5}`, "position 1@60.5,20.5,heading:325"},
		{"traccar/events", `{"event":{"type":"deviceOffline"},"device":{"uniqueId":"d"}}`, "presence d=offline"},
		{"traccar/events", `{"event":{"type":"alarm","attributes":{"alarm":"sos"}},"device":{"uniqueId":"d"}}`, "event d,event:alarm,alarm:sos"},
		{"msh/EU_868/2/json/LongFast/!00000001", `{"from":-1,"id":5,"type":"position","payload":{"latitude_i":374208000,"longitude_i":-1221981000,"altitude":123,"time":1609459200,"sats_in_view":9}}`, "position !ffffffff@37.4208,-122.1981,sat:9"},
		{"msh/EU/HE/2/json/LongFast/!00000001", `{"from":1,"type":"text","payload":{"text":"hello"}}`, "opaque"},
		{"$aws/things/d/shadow/update/documents", `{"current":{"state":{"reported":{"lat":1.5,"lon":2.5,"x":1}}},"timestamp":1609459200}`, "position d@1.5,2.5,x:1"},
		{"$aws/things/d/shadow/update/delta", `{"state":{"x":1}}`, "command"},
		{"$aws/things/d/shadow/update", `{"state":{"desired":{"x":1}}}`, "command"},
		{"$aws/things/d/shadow/update", `{"state":{"reported":{"temp":5}}}`, "telemetry d,temp:5"},
		{"tele/gw/SENSOR", `{"Time":"2026-07-01T12:00:00","A1":{"mac":"a1b2","Temperature":5,"Battery":90},"X":{"y":1}}`, "telemetry gw,X.y:1 gw:a1b2,Temperature:5"},
		{"stat/plug1/POWER", `ON`, "telemetry plug1,POWER:ON"},
		{"tele/plug1/LWT", `Offline`, "presence plug1=offline"},
		{"s/events/rpc", `{"method":"NotifyEvent","params":{"ts":1609459200.5,"events":[{"component":"input:0","event":"single_push"}]}}`, "event s,event:single_push,component:input:0"},
		{"s/events/rpc", `{"method":"NotifyStatus","params":{"ts":1609459200,"switch:0":{"errors":null}}}`, "telemetry s,switch:0.errors:null"},
		{"s/status/devicepower:0", `{"id":0,"battery":{"V":5.9,"percent":80}}`, "telemetry s,devicepower:0.id:0,devicepower:0.battery.V:5.9"},
		{"zigbee2mqtt/a/b/availability", `{"state":"offline"}`, "presence a:b=offline"},
		{"zigbee2mqtt/a/availability", `online`, "presence a=online"},
		{"zigbee2mqtt/bridge/state", `{"state":"online"}`, "opaque"},
		{"zigbee2mqtt/a/b/set", `{"state":"ON"}`, "command"},
		{"x/y", `{"topic":"ns/t/things/twin/events/merged","path":"/attributes","value":{"location":null,"a":{"b":1},"c":null},"revision":7}`, "telemetry ns:t,a.b:1,c:null"},
		{"x/y", `{"topic":"ns/t/things/twin/events/deleted","path":"/features/f/properties/x"}`, "telemetry ns:t,f.x:null"},
		{"x/y", `{"topic":"ns/t/things/twin/events/modified","path":"/features/f/properties","value":{"x":{"y":2}}}`, "telemetry ns:t,f.x.y:2"},
		{"x/y", `{"topic":"ns/t/things/live/messages/beep","path":"/inbox/messages/beep"}`, "command"},
		{"x/y", `{"topic":"ns/t/things/twin/errors","path":"/","value":{"status":404}}`, "opaque"},
		{"geo/d", `{"type":"FeatureCollection","features":[{"type":"Feature","geometry":{"type":"Point","coordinates":[2,1]},"properties":{"time":1609459260}},{"type":"Feature","geometry":{"type":"Point","coordinates":["4","3"]},"properties":{"time":1609459200,"speed":5}}]}`, "position d@3,4 d@1,2"},
		{"geo/d", `{"type":"Feature","geometry":{"type":"Polygon","coordinates":[[[1,2]]]},"properties":{"a":1}}`, "telemetry d,a:1"},
		{"a/state", `not_home`, "telemetry a,zone:not_home"},
		{"spBv1.0/STATE/h", `OFFLINE`, "presence host:h=offline"},
		{"nmea/b", withSum("GNRMC,120000.00,A,6000.0,N,02400.0,E,10.0,90.0,010726,,,A") + "\n" + withSum("GNGGA,120000.00,6000.0,N,02400.0,E,1,12,0.8,15.0,M,18.0,M,,") + "\n" + withSum("GNGSV,1,1,00"), "position b@60,24,sat:12,hdop:0.8"},
		{"nmea/b", withSum("GNRMC,120000.00,A,6000.0,N,02400.0,E,,,010726,,") + "\n" + withSum("GNRMC,120001.00,A,6000.0,S,02400.0,W,,,010726,,"), "position b@60,24 b@-60,-24"},
	} {
		if got := says(decodeWith(t, router, c.topic, []byte(c.payload))); got != c.want {
			t.Errorf("%s %s:\n%s, want\n%s", c.topic, c.payload, got, c.want)
		}
	}
}

// TestAGatewayThatForwardsIsNoDevice: its connection says nothing about the devices that it speaks for, and it is none.
func TestAGatewayThatForwardsIsNoDevice(t *testing.T) {
	router := everything(t)
	for payload, want := range map[string]string{
		`[{"bn":"urn:dev:a:","n":"t","v":1}]`: "", `[{"n":"t","v":1}]`: "gw", `[{"bn":"gw","n":"t","v":1},{"bn":"urn:dev:a:","n":"t","v":1}]`: "gw",
	} {
		if out := decodeWith(t, router, "senml/gw", []byte(payload)); out.Device.String() != want || len(out.Messages) == 0 {
			t.Errorf("%s: %q", payload, out.Device)
		}
	}
}

// TestRelativeTimesCountFromNow: RFC 8428 section 4.5.3.
func TestRelativeTimesCountFromNow(t *testing.T) {
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	router, err := New(Options{Presets: []PresetChoice{{Name: "senml"}}, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	out := decodeWith(t, router, "senml/gw", []byte(`[{"n":"a","v":1},{"n":"a","v":2,"t":-5},{"n":"b","v":3,"t":1782907200}]`))
	var at []int64
	for _, m := range out.Messages {
		at = append(at, m.Reading.At)
	}
	if want := []int64{0, now.UnixMilli() - 5000, now.UnixMilli()}; !slices.Equal(at, want) {
		t.Errorf("%v, want %v", at, want)
	}
}

// row of the samples, with its folder.
type sampleOf struct {
	folder string
	expected
}

func allSamples(t testing.TB) []sampleOf {
	t.Helper()
	files, err := filepath.Glob("testdata/*/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []sampleOf
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
			all = append(all, sampleOf{filepath.Base(filepath.Dir(file)), r})
		}
	}
	return all
}

// FuzzFormats gives every payload to every format. What a decoder makes of it keeps the bounds of the vocabulary.
func FuzzFormats(f *testing.F) {
	topics := sampleTopics(f)
	for _, s := range allSamples(f) {
		payload := sample(f, s.folder, s.File)
		for i, topic := range topics {
			if topic == s.Topic {
				f.Add(uint8(i), payload)
			}
		}
	}
	router := everything(f)
	f.Fuzz(func(t *testing.T, topic uint8, payload []byte) {
		route, reason := router.Route(topics[int(topic)%len(topics)])
		if reason != None {
			t.Fatal(reason)
		}
		checkDecoded(t, route, string(payload))
	})
}

// FuzzNMEA and FuzzSenML are FuzzFormats for those that are no JSON.
func FuzzNMEA(f *testing.F) {
	for _, name := range []string{"gpgga.txt", "gpgga_quectel.txt", "gprmc_bad_checksum.txt", "gprmc_quectel.txt"} {
		f.Add(string(sample(f, "nmea", name)))
	}
	f.Add(withSum("GNRMC,235959.99,A,9000.0,S,18000.0,W,-1,360,311299,,,A") + "\r\n" + withSum("GNGGA,235959.99,,,,,1,,,,M"))
	router := everything(f)
	route, _ := router.Route("nmea/boat")
	f.Fuzz(func(t *testing.T, body string) {
		checkDecoded(t, route, body)
		var lines strings.Builder
		for line := range strings.Lines(body) { // with right sums, so that what is behind them is reached
			line, _, _ = strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "$"), "*")
			lines.WriteString(withSum(line) + "\n")
		}
		checkDecoded(t, route, lines.String())
	})
}

func FuzzSenML(f *testing.F) {
	for _, name := range []string{"base_fields_current_series.json", "base_fields_current_series.cbor.hex", "lat_lon_moving.json", "mixed_types.json"} {
		f.Add(sample(f, "senml", name))
	}
	f.Add([]byte{0x9f, 0xa2, 0x01, 0x63, 'l', 'a', 't', 0x02, 0xf9, 0x7c, 0x00, 0xff}) // an indefinite array, a half-precision infinity
	f.Add([]byte("\x9f\xa2\x23a0\x02\xf9|0\xff"))                                      // a NaN
	router := everything(f)
	route, _ := router.Route("senml/gw")
	f.Fuzz(func(t *testing.T, payload []byte) { checkDecoded(t, route, string(payload)) })
}

// FuzzDocument holds the tree to encoding/json: what it takes is valid and says the same.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		doc200, `{}`, `[]`, `[{"a":[1,{"c":2}],"d":null},"x\u00e9\ud83d\ude80\n",true,false,-0.5e3]`, `{"":""}`, `{"a":1e400}`, `{"a\u0041":"\"\\\/"}`, `[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]`, `[1,]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var lex scanner
		var d document
		root, reason := d.parse(&lex, bytes.Clone(text))
		if reason != None {
			return
		}
		var want any
		if err := json.Unmarshal(text, &want); err != nil {
			if !strings.Contains(err.Error(), "cannot unmarshal number") { // beyond float64
				t.Fatalf("the tree takes what encoding/json refuses: %v", err)
			}
			return
		}
		if !sameValue(root, want) {
			t.Fatalf("%s", text)
		}
	})
}

func sameValue(v value, want any) bool {
	switch w := want.(type) {
	case nil:
		return v.isNull()
	case bool:
		return v.is(boolNode) && v.isTrue() == w
	case float64:
		n, ok := v.number()
		return v.is(numberNode) && ok && math.Float64bits(n) == math.Float64bits(w)
	case string:
		return v.is(textNode) && string(v.text()) == w
	case []any:
		e := v.first()
		for _, each := range w {
			if !e.exists() || !sameValue(e, each) {
				return false
			}
			e = e.next()
		}
		return v.is(arrayNode) && !e.exists()
	case map[string]any:
		names := map[string]bool{}
		for m := v.first(); m.exists(); m = m.next() {
			names[string(m.key())] = true
		}
		if len(names) != len(w) || !v.is(objectNode) {
			return false
		}
		for name, each := range w {
			if !names[name] || !sameValue(v.get(name), each) {
				return false
			}
		}
		return true
	}
	return false
}

func TestATreesMemoryIsUsedAgain(t *testing.T) {
	router := everything(t)
	for _, name := range []string{"zigbee2mqtt/bulb1", "location/anne", "tele/plug1/SENSOR"} {
		route, _ := router.Route(name)
		out, body := new(Result), []byte(`{"latitude":1.5,"longitude":2.5,"a\u0062":{"x":[1,2],"y":"z"}}`)
		route.Decode(body, out)
		if n := testing.AllocsPerRun(100, func() { route.Decode(body, out) }); n > 4 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// BenchmarkFormats reports what a message of each sample costs.
func BenchmarkFormats(b *testing.B) {
	router := everything(b)
	for _, s := range allSamples(b) {
		payload := sample(b, s.folder, s.File)
		route, reason := router.Route(s.Topic)
		if reason != None {
			b.Fatal(reason)
		}
		b.Run(s.folder+"/"+s.File, func(b *testing.B) {
			out := new(Result)
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			for b.Loop() {
				route.Decode(payload, out)
			}
		})
	}
}

// BenchmarkMapping is a mapping of the size of a tracker's message.
func BenchmarkMapping(b *testing.B) {
	mappings, err := ParseMappings(nodeOf(b, `[{"topic":"x/{device}","time":"/ts","lat":"/location/lat","lon":"/location/lon",
		"speed":{"at":"/spd","unit":"cm/s"},"heading":"/bear","metrics":{"ign":"/ign"}}]`))
	if err != nil {
		b.Fatal(err)
	}
	router, err := New(Options{Mappings: mappings})
	if err != nil {
		b.Fatal(err)
	}
	route, _ := router.Route("x/d")
	payload := []byte(`{"id":"015262001044848","ts":"2023-06-01T03:09:51.362Z","rpt":"hf","location":{"lat":33.91233,"lon":-84.20784},"bear":70,"spd":2482,"ign":"on"}`)
	out := new(Result)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		route.Decode(payload, out)
	}
}

// BenchmarkRoute is what a topic costs that was not seen before. Helsinki's name the next stop and the place, so that
// nearly every message has another.
func BenchmarkRoute(b *testing.B) {
	router := everything(b)
	for _, topic := range []string{telemetry, "/hfp/v2/journey/ongoing/vp/bus/0018/00423/2159/2/Matinkylä (M)/09:32/2442201/3/60;24/16/58/67"} {
		b.Run(topic[:6], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, reason := router.Route(topic); reason != None {
					b.Fatal(reason)
				}
			}
		})
	}
}

// TestTheDocumentListsEveryPreset holds deploy/docs/formats.md to the table.
func TestTheDocumentListsEveryPreset(t *testing.T) {
	text, err := os.ReadFile("../../deploy/docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range Presets() {
		if !strings.Contains(string(text), "\n| `"+p.Name+"` | ") {
			t.Errorf("%s is not there", p.Name)
		}
		if p.Topics == "" || p.About == "" || p.Fleet == "" {
			t.Errorf("%+v", p)
		}
	}
	for name := range units {
		if _, ok := parseUnit("1e-3 " + name); !ok {
			t.Errorf("no multiple of %s", name)
		}
	}
}

// BenchmarkNew is what a decoding of its own costs besides.
func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(Options{Presets: AllPresets(), Anywhere: true}); err != nil {
			b.Fatal(err)
		}
	}
}

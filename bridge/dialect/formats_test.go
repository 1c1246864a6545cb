package dialect

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
				f.Add(uint8(i), payload) //nolint:gosec // there are some sixty
			}
		}
	}
	router := everything(f, "")
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
	router := everything(f, "")
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
	router := everything(f, "")
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
	router := everything(t, "")
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
	router := everything(b, "")
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

package dialect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fleetcast/fleetcast/devices"
)

type recorder struct{ leaves []string }

func (r *recorder) leaf(path []byte, v *leaf) {
	if v.long {
		r.leaves = append(r.leaves, string(path)+"=long")
		return
	}
	r.leaves = append(r.leaves, fmt.Sprintf("%s=%d:%x:%s", path, v.kind, math.Float64bits(v.num), v.text))
}

func TestMalformedDocumentsAreRefusedWithTheirReason(t *testing.T) {
	deep := strings.Repeat(`{"a":`, MaxDepth+1) + "1" + strings.Repeat("}", MaxDepth+1)
	var many strings.Builder
	for i := range MaxLeaves + 1 {
		fmt.Fprintf(&many, `,"k%d":1`, i)
	}
	for _, c := range []struct {
		doc  string
		want Reason
	}{
		{"", Empty},
		{" \n", Empty},
		{"null", NotObject},
		{"[]", NotObject},
		{"5", NotObject},
		{`"x"`, NotObject},
		{"true", NotObject},
		{"nonsense", NotObject},
		{"hello", BadSyntax},
		{"{", Truncated},
		{`{"a`, Truncated},
		{`{"a"`, Truncated},
		{`{"a":`, Truncated},
		{`{"a":1`, Truncated},
		{`{"a":1,`, Truncated},
		{`{"a":tr`, Truncated},
		{`{"a":-`, Truncated},
		{`{"a":1.`, Truncated},
		{`{"a":"\`, Truncated},
		{`{"a":"\u00`, Truncated},
		{`{"a":"\ud83d`, Truncated},
		{`{"a":[1`, Truncated},
		{`{"a":1}x`, Trailing},
		{`{} {}`, Trailing},
		{"{}\x00", Trailing},
		{"\xef\xbb\xbf{}", ByteOrderMark},
		{"\xff\xfe{\x00}\x00", NotUTF8},
		{"{\"a\":\"\xc3\x28\"}", NotUTF8},
		{`{"a":1,}`, BadSyntax},
		{`{,}`, BadSyntax},
		{`{a:1}`, BadSyntax},
		{`{'a':1}`, BadSyntax},
		{`{"a" 1}`, BadSyntax},
		{`{"a":01}`, BadSyntax},
		{`{"a":+1}`, BadSyntax},
		{`{"a":.5}`, BadSyntax},
		{`{"a":1.e5}`, BadSyntax},
		{`{"a":NaN}`, BadSyntax},
		{`{"a":Infinity}`, BadSyntax},
		{`{"a":0x1F}`, BadSyntax},
		{`{"a":1_0}`, BadSyntax},
		{`{"a":tru }`, BadSyntax},
		{`{"a":"\x"}`, BadSyntax},
		{`{"a":"\ud83d"}`, BadSyntax},
		{`{"a":"\ud83dxxxxxx"}`, BadSyntax},
		{`{"a":"\ud83d\ud83d"}`, BadSyntax},
		{`{"a":"\udc00"}`, BadSyntax},
		{"{\"a\":\"\n\"}", BadSyntax},
		{"{\"a\":\"\x00\"}", BadSyntax},
		{`{"a":[1,]}`, BadSyntax},
		{`{"a":[1}`, BadSyntax},
		{`{"a":{]}`, BadSyntax},
		{deep, TooDeep},
		{`{"a":` + strings.Repeat("[", 100000), TooLarge},
		{`{"a":` + strings.Repeat("[", 60000), TooDeep},
		{`{"` + strings.Repeat("k", MaxKeyBytes+1) + `":1}`, LongName},
		{`{"` + strings.Repeat(`\u006b`, MaxKeyBytes+1) + `":1}`, LongName},
		{"{" + many.String()[1:] + "}", TooManyMembers},
		{`{"a":"` + strings.Repeat("x", MaxPayloadBytes) + `"}`, TooLarge},
	} {
		var s scanner
		if got := s.scan([]byte(c.doc), &recorder{}); got != c.want {
			t.Errorf("%.60q: %v, want %v", c.doc, got, c.want)
		}
	}
}

func TestAtTheLimitsADocumentIsTaken(t *testing.T) {
	for _, doc := range []string{
		strings.Repeat(`{"a":`, MaxDepth) + "1" + strings.Repeat("}", MaxDepth),
		`{"` + strings.Repeat("k", MaxKeyBytes) + `":1}`, `{"a":"` + strings.Repeat("x", MaxPayloadBytes-8) + `"}`,
		`{"a":[` + strings.Repeat("1,", 20000) + `1]}`, " {\r\n\t} ", `{"` + strings.Repeat(`\u00e9`, MaxKeyBytes/2) + `":1}`,
	} {
		var s scanner
		if got := s.scan([]byte(doc), &recorder{}); got != None {
			t.Errorf("%.60q: %v", doc, got)
		}
	}
}

// TestNumbersAreReadAsExactlyAsStrconvReadsThem covers the fast path's borders.
func TestNumbersAreReadAsExactlyAsStrconvReadsThem(t *testing.T) {
	for _, s := range []string{
		"0", "-0", "1", "-1", "0.1", "48.85833", "123456789012345", "1234567890123456", "9007199254740993", "0.000000000000001",
		"0.0000000000000000000000001", "123456789.012345", "7.49e+247", "1e22", "1e23", "5e-324", "2.2250738585072014e-308", "1E5", "179.9999999",
	} {
		want, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		got, n := parseNumber([]byte(s + ",x"))
		if n != len(s) || math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("%s: %v (%d bytes), want %v", s, got, n, want)
		}
	}
	for _, s := range []string{"", "-", "+1", "01", "-01", ".1", "1.", "1e", "1e+", "abc"} {
		if _, n := parseNumber([]byte(s)); n != 0 {
			t.Errorf("%q is read as a number of %d bytes", s, n)
		}
	}
}

// FuzzScan holds the scanner to encoding/json: what it takes is valid and flattens to the same leaves in the same order.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		doc200, `{}`, `{"a":{"b":[1,{"c":2}],"d":null},"a":"x\u00e9\ud83d\ude80\n"}`, `{"":""}`, `{"a":1e400,"b":-0.0}`,
		`{"\u0000":"\u2028</script>"}`, `{"a":"\ud800"}`, "\xef\xbb\xbf{}", `{"a":[[[[[[[[[1]]]]]]]]]}`, `{"k":1}garbage`, "{\"a\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var s scanner
		got := &recorder{}
		reason := s.scan(bytes.Clone(doc), got)
		if reason != None {
			if json.Valid(doc) && (reason == BadSyntax || reason == Truncated || reason == Trailing) && !bytes.Contains(doc, []byte(`\u`)) {
				t.Fatalf("valid JSON is refused: %v", reason)
			}
			return
		}
		if !json.Valid(doc) || !utf8.Valid(doc) {
			t.Fatalf("taken, but not valid")
		}
		want := flatten(t, doc)
		if len(got.leaves) != len(want) {
			t.Fatalf("got  %q\nwant %q", got.leaves, want)
		}
		for i := range want {
			if path, isLong := strings.CutSuffix(got.leaves[i], "=long"); isLong { // only its place is reported
				if !strings.HasPrefix(want[i], path+"=") || len(want[i]) < maxUnescape-utf8.UTFMax {
					t.Fatalf("long leaf %q, want %q", path, want[i])
				}
			} else if got.leaves[i] != want[i] {
				t.Fatalf("got  %q\nwant %q", got.leaves[i], want[i])
			}
		}
	})
}

func flatten(t *testing.T, doc []byte) []string {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	want := &recorder{}
	var object func(prefix string, report bool)
	value := func(tok json.Token, path string, report bool) {
		v := leaf{}
		switch x := tok.(type) {
		case json.Number:
			v.kind = devices.Number
			v.num, _ = strconv.ParseFloat(x.String(), 64)
		case string:
			v.kind, v.text = devices.Text, []byte(x)
		case bool:
			if v.kind = devices.Bool; x {
				v.num = 1
			}
		}
		if report {
			want.leaf([]byte(path), &v)
		}
	}
	next := func() json.Token {
		tok, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	var any func(tok json.Token, path string, report bool)
	any = func(tok json.Token, path string, report bool) {
		switch tok {
		case json.Delim('{'):
			object(path, report)
		case json.Delim('['):
			for tok := next(); tok != json.Delim(']'); tok = next() {
				any(tok, path, false)
			}
		default:
			value(tok, path, report)
		}
	}
	object = func(prefix string, report bool) {
		for tok := next(); tok != json.Delim('}'); tok = next() {
			path := tok.(string)
			if prefix != "" {
				path = prefix + "." + path
			}
			any(next(), path, report)
		}
	}
	any(next(), "", true)
	return want.leaves
}

func FuzzNative(f *testing.F) {
	f.Add(doc200)
	f.Add(`{"lat":"51.4","lon":"2","at":"2026-11-22T13:19:03Z","x":{"y":null},"sat":0}`)
	f.Add(`{"lat":7.49e+247,"lon":null,"a":1,"a":2}`)
	f.Add(`[]`)
	router, err := New(Options{})
	if err != nil {
		f.Fatal(err)
	}
	route, _ := router.Route(telemetry)
	f.Fuzz(func(t *testing.T, payload string) { checkDecoded(t, route, payload) })
}

// checkDecoded asserts what holds for every payload and every dialect.
func checkDecoded(t *testing.T, route *Route, payload string) {
	t.Helper()
	out := new(Result)
	route.Decode([]byte(payload), out)
	if out.Reason == Panicked {
		t.Fatal("a decoder panicked")
	}
	if (out.Kind == Rejected) != (out.Reason != None) {
		t.Fatalf("kind %v with reason %v", out.Kind, out.Reason)
	}
	if out.Kind == Rejected && len(out.Messages) != 0 {
		t.Fatal("rejected, but with messages")
	}
	for _, m := range out.Messages {
		if m.Device.IsZero() || m.Fleet.IsZero() {
			t.Fatal("a message of nobody")
		}
		if m.Reading == nil {
			if m.Status == devices.Unknown {
				t.Fatal("a status that says nothing")
			}
			continue
		}
		checkBounds(t, m.Reading)
	}
}

func checkBounds(t *testing.T, r *devices.Reading) {
	t.Helper()
	if r.Has&r.Cleared != 0 {
		t.Fatalf("has and clears %v", r.Has&r.Cleared)
	}
	for _, n := range []float64{r.Lat, r.Lon, r.Altitude, r.Speed, r.Heading, r.Accuracy, r.Battery} {
		if math.IsInf(n, 0) || math.IsNaN(n) {
			t.Fatalf("a measure is %v", n)
		}
	}
	seen := map[string]bool{}
	for _, m := range r.Metrics {
		v := m.Value
		switch {
		case seen[m.Name]:
			t.Fatalf("metric %q twice", m.Name)
		case m.Name == "" || len(m.Name) > devices.MaxMetricNameBytes || !utf8.ValidString(m.Name):
			t.Fatalf("metric named %q", m.Name)
		case len(v.Text) > devices.MaxMetricTextBytes || !utf8.ValidString(v.Text):
			t.Fatalf("metric with text %q", v.Text)
		case math.IsInf(v.Num, 0) || math.IsNaN(v.Num):
			t.Fatalf("metric of %v", v.Num)
		}
		seen[m.Name] = true
	}
}

package dialect

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/fleetcast/fleetcast/devices"
)

// wireMetric writes a metric: its name or alias, and a value.
type wireMetric struct {
	name       string
	alias      uint64 // 0: none
	at         uint64
	datatype   uint64
	value      any // float64, float32, uint64, bool, string; nil is null
	historical bool
}

func (m wireMetric) bytes() []byte {
	var b []byte
	number := func(field protowire.Number, v uint64) {
		b = protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
	}
	if m.name != "" {
		b = protowire.AppendString(protowire.AppendTag(b, metricName, protowire.BytesType), m.name)
	}
	if m.alias != 0 {
		number(metricAlias, m.alias)
	}
	if m.at != 0 {
		number(metricTimestamp, m.at)
	}
	if m.datatype != 0 {
		number(metricDatatype, m.datatype)
	}
	if m.historical {
		number(metricHistorical, 1)
	}
	switch v := m.value.(type) {
	case nil:
		number(metricNull, 1)
	case uint64:
		number(metricLong, v)
	case uint32:
		number(metricInt, uint64(v))
	case bool:
		number(metricBool, protowire.EncodeBool(v))
	case float64:
		b = protowire.AppendFixed64(protowire.AppendTag(b, metricDouble, protowire.Fixed64Type), math.Float64bits(v))
	case string:
		b = protowire.AppendString(protowire.AppendTag(b, metricText, protowire.BytesType), v)
	}
	return b
}

func wirePayload(at, seq uint64, metrics ...wireMetric) []byte {
	b := protowire.AppendVarint(protowire.AppendTag(nil, payloadTimestamp, protowire.VarintType), at)
	for _, m := range metrics {
		b = protowire.AppendBytes(protowire.AppendTag(b, payloadMetric, protowire.BytesType), m.bytes())
	}
	return protowire.AppendVarint(protowire.AppendTag(b, payloadSeq, protowire.VarintType), seq)
}

// sparkWorld is a router with a clock of its own.
type sparkWorld struct {
	t      *testing.T
	router *Router
	now    time.Time
}

func newSparkWorld(t *testing.T) *sparkWorld {
	w := &sparkWorld{t: t, now: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)}
	var err error
	if w.router, err = New(Options{Presets: []PresetChoice{{Name: "sparkplug"}}, Now: func() time.Time { return w.now }}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *sparkWorld) send(topic string, payload []byte) *Result {
	w.t.Helper()
	return decodeWith(w.t, w.router, "spBv1.0/g/"+topic, payload)
}

// says is what the messages come to, for comparison.
func says(out *Result) string {
	var s strings.Builder
	fmt.Fprint(&s, out.Kind)
	for _, m := range out.Messages {
		fmt.Fprintf(&s, " %v", m.Device)
		if m.Reading == nil {
			fmt.Fprintf(&s, "=%v", m.Status)
			continue
		}
		if m.Reading.Historical {
			s.WriteString("(old)")
		}
		if m.Reading.Has.Has(devices.FieldPosition) {
			fmt.Fprintf(&s, "@%v,%v", m.Reading.Lat, m.Reading.Lon)
		}
		for _, metric := range m.Reading.Metrics {
			switch v := metric.Value; v.Kind {
			case devices.Text:
				fmt.Fprintf(&s, ",%s:%s", metric.Name, v.Text)
			case devices.Null:
				fmt.Fprintf(&s, ",%s:null", metric.Name)
			default:
				fmt.Fprintf(&s, ",%s:%v", metric.Name, v.Num)
			}
		}
	}
	return s.String()
}

func TestASparkplugSession(t *testing.T) {
	w := newSparkWorld(t)
	bdSeq := func(n uint64) wireMetric { return wireMetric{name: "bdSeq", datatype: typeInt64, value: n} }
	for _, step := range []struct {
		topic   string
		payload []byte
		want    string
		asks    bool
	}{
		// Before any birth: what has a name is read, and the node is asked, once.
		{"NDATA/n", wirePayload(1e12, 7, wireMetric{name: "a", value: 1.5}, wireMetric{alias: 3, value: true}), "telemetry g:n,a:1.5", true},
		{"NDATA/n", wirePayload(1e12, 8, wireMetric{alias: 3, value: true}), "telemetry g:n", false},
		{"NBIRTH/n", wirePayload(1e12, 0, bdSeq(4), wireMetric{name: "Node Control/Rebirth", value: false}, wireMetric{name: "x", alias: 1, datatype: typeInt32, value: uint32(5)}), "birth g:n,x:5 g:n=online", false},
		{"DBIRTH/n/d", wirePayload(1e12, 1, wireMetric{name: "Position/Latitude", alias: 2, value: 60.5}, wireMetric{name: "Position/Longitude", alias: 3, value: 24.5}, wireMetric{name: "s", alias: 4, value: "up"}), "birth g:n:d@60.5,24.5,s:up g:n:d=online", false},
		// Aliases, with types from the birth; half a position is completed by the half that is known.
		{"NDATA/n", wirePayload(1e12, 2, wireMetric{alias: 1, value: uint32(math.MaxUint32)}), "telemetry g:n,x:-1", false},
		{"DDATA/n/d", wirePayload(1e12, 3, wireMetric{alias: 2, value: 61.5}), "position g:n:d@61.5,24.5", false},
		{"DDATA/n/d", wirePayload(1e12, 4, wireMetric{alias: 4}), "telemetry g:n:d,s:null", false},
		// History apart and first; other times apart.
		{"DDATA/n/d", wirePayload(1e12, 5, wireMetric{alias: 4, value: "new", at: 1e12 + 5}, wireMetric{alias: 4, value: "old", at: 1e12 + 5, historical: true}, wireMetric{alias: 4, value: "first", at: 1e12 + 1}), "telemetry g:n:d,s:first g:n:d(old),s:old g:n:d,s:new", false},
		// An alias of another device is not one's own.
		{"NDATA/n", wirePayload(1e12, 6, wireMetric{alias: 4, value: "x"}), "telemetry g:n", false},
		// A death of another session says nothing; that of this one ends all of it.
		{"NDEATH/n", wirePayload(0, 0, bdSeq(3)), "presence", false},
		{"DDEATH/n/d", wirePayload(1e12, 7), "presence g:n:d=offline", false},
		{"DBIRTH/n/d", wirePayload(1e12, 8, wireMetric{name: "s", alias: 4, value: "up"}), "birth g:n:d,s:up g:n:d=online", false},
		{"NDEATH/n", wirePayload(0, 0, bdSeq(4)), "presence g:n=offline g:n:d=offline", false},
		{"NDATA/n", wirePayload(1e12, 9, wireMetric{alias: 1, value: uint32(5)}), "telemetry g:n", false}, // within the minute
	} {
		out := w.send(step.topic, step.payload)
		if got := says(out); got != step.want || (len(out.Requests) > 0) != step.asks {
			t.Errorf("%s: %s (asks: %v), want %s", step.topic, got, out.Requests, step.want)
		}
	}
	want := SparkplugStats{Nodes: 1, Births: 1, StaleDeaths: 1, UnknownAliases: 4, Rebirths: 1, RebirthsHeld: 6}
	if got := w.router.SparkplugStats(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestANodeIsAskedForItsBirthOnceAMinute(t *testing.T) {
	w := newSparkWorld(t)
	asked := 0
	for range 180 {
		out := w.send("NDATA/my node", wirePayload(1e12, 0, wireMetric{alias: 9, value: true}))
		for _, r := range out.Requests {
			asked++
			if r.Topic != "spBv1.0/g/NCMD/my node" {
				t.Errorf("topic %q", r.Topic)
			}
			var p sparkPayload
			if reason := readSparkplug(r.Payload, &p); reason != None || p.at != w.now.UnixMilli() || len(p.metrics) != 1 {
				t.Fatalf("%v %+v", reason, p)
			}
			if m := p.metrics[0]; string(m.name) != "Node Control/Rebirth" || m.value.kind != devices.Bool || m.value.num != 1 {
				t.Errorf("%+v", m)
			}
		}
		w.now = w.now.Add(time.Second)
	}
	if asked != 3 {
		t.Errorf("asked %d times in three minutes", asked)
	}
}

func TestAGapInTheSequenceAsksForABirth(t *testing.T) {
	w := newSparkWorld(t)
	w.send("NBIRTH/n", wirePayload(1e12, 254, wireMetric{name: "a", value: true}))
	for i, seq := range []uint64{255, 0, 1} {
		if out := w.send("NDATA/n", wirePayload(1e12, seq, wireMetric{name: "a", value: true})); len(out.Requests) != 0 {
			t.Errorf("step %d: asked", i)
		}
	}
	if out := w.send("NDATA/n", wirePayload(1e12, 3, wireMetric{name: "a", value: true})); len(out.Requests) != 1 {
		t.Error("a gap is not noticed")
	}
	if got := w.router.SparkplugStats().SequenceGaps; got != 1 {
		t.Errorf("%d gaps", got)
	}
}

func TestWhatIsRememberedOfSparkplugIsBounded(t *testing.T) {
	w := newSparkWorld(t)
	var metrics []wireMetric
	for i := range uint64(2000) {
		metrics = append(metrics, wireMetric{name: fmt.Sprintf("m%d", i), alias: i + 1, value: true})
	}
	birth := wirePayload(1e12, 0, metrics...)
	for i := range 130 {
		w.send(fmt.Sprintf("NBIRTH/n%d", i), birth)
	}
	if got := w.router.SparkplugStats(); got.Aliases != MaxSparkplugAliases || got.Refused == 0 {
		t.Errorf("%+v", got)
	}
	for i := range 130 { // and given back
		w.send(fmt.Sprintf("NBIRTH/n%d", i), wirePayload(1e12, 0))
	}
	if got := w.router.SparkplugStats().Aliases; got != 0 {
		t.Errorf("%d aliases are held of nobody", got)
	}
	for i := range MaxSparkplugNodes + 100 {
		w.send(fmt.Sprintf("NBIRTH/x%d", i), wirePayload(1e12, 0))
	}
	if got := w.router.SparkplugStats().Nodes; got != MaxSparkplugNodes {
		t.Errorf("%d nodes", got)
	}
	asked := 0
	for range 10 {
		asked += len(w.send("NDATA/stranger", wirePayload(1e12, 0, wireMetric{alias: 1, value: true})).Requests)
	}
	if asked != 0 {
		t.Errorf("a node that cannot be remembered is asked %d times", asked)
	}
	w.send("NDEATH/x1", wirePayload(0, 0, wireMetric{name: "bdSeq", value: uint64(0)}))
	w.send("NBIRTH/n1", wirePayload(1e12, 0))
	for i := range MaxSparkplugDevices + 10 {
		w.send(fmt.Sprintf("DBIRTH/n1/d%d", i), wirePayload(1e12, uint64(i+1)&0xff))
	}
	if got := w.router.SparkplugStats().Refused; got < 10 {
		t.Errorf("refused %d", got)
	}
}

// TestSparkplugSessionsMayBeUsedConcurrently is for the race detector.
func TestSparkplugSessionsMayBeUsedConcurrently(t *testing.T) {
	w := newSparkWorld(t)
	done := make(chan struct{})
	for g := range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			out := new(Result)
			for i := range 200 {
				for _, kind := range []string{"NBIRTH", "NDATA", "NDEATH"} {
					route, _ := w.router.Route(fmt.Sprintf("spBv1.0/g/%s/n%d", kind, (g+i)%3))
					route.Decode(wirePayload(1e12, uint64(i), wireMetric{name: "bdSeq", value: uint64(i)}, wireMetric{alias: 1, name: "a", value: true}), out)
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
	_ = w.router.SparkplugStats()
}

func FuzzSparkplug(f *testing.F) {
	for _, name := range []string{"nbirth.hex", "dbirth.hex", "ndata.hex", "ddata.hex", "ddeath.hex"} {
		f.Add(sample(f, "sparkplug_b", name), sample(f, "sparkplug_b", "ddata.hex"))
	}
	f.Add(wirePayload(1e12, 0, wireMetric{alias: 1, name: "Latitude", value: 1.5}), wirePayload(1e12, 1, wireMetric{alias: 1, value: math.Inf(1), historical: true}))
	f.Fuzz(func(t *testing.T, birth, data []byte) {
		router, err := New(Options{Presets: []PresetChoice{{Name: "sparkplug"}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			topic   string
			payload []byte
		}{{"NBIRTH/n", birth}, {"DBIRTH/n/d", birth}, {"NDATA/n", data}, {"DDATA/n/d", data}, {"DDEATH/n/d", data}, {"NDEATH/n", birth}, {"NDATA/n", data}} {
			route, reason := router.Route("spBv1.0/g/" + step.topic)
			if reason != None {
				t.Fatal(reason)
			}
			checkDecoded(t, route, string(step.payload))
		}
		if n := router.SparkplugStats().Aliases; n != 0 && n < 0 {
			t.Fatalf("%d aliases", n)
		}
	})
}

func TestSparkplugTimesAreGroupsOfReadings(t *testing.T) {
	w := newSparkWorld(t)
	var metrics []wireMetric
	for i := range uint64(1500) {
		metrics = append(metrics, wireMetric{name: "a", at: 1e12 + i%MaxReadings*2, value: true})
	}
	out := w.send("NDATA/n", wirePayload(1e12, 0, metrics...))
	if len(out.Messages) != MaxReadings || !slices.IsSortedFunc(out.Messages, func(a, b Message) int { return int(a.Reading.At - b.Reading.At) }) {
		t.Errorf("%d messages", len(out.Messages))
	}
}

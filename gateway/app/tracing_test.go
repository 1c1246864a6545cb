package app

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// otlp is a collector of OpenTelemetry: it takes spans over HTTP.
type otlp struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*spans.Span
}

func startCollector(t *testing.T) *otlp {
	t.Helper()
	o := &otlp{}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var in collector.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &in) != nil {
			t.Errorf("the collector gets %s, %v", r.URL.Path, err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, r := range in.GetResourceSpans() {
			for _, s := range r.GetScopeSpans() {
				o.spans = append(o.spans, s.GetSpans()...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(o.Close)
	return o
}

func (o *otlp) options(opts *Options) { opts.Trace = TraceOptions{Endpoint: o.URL} }

// chains are the spans of a trace, each as the names from its root, "?" where a parent is not there.
func (o *otlp) chains(trace string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	byID := map[string]*spans.Span{}
	for _, s := range o.spans {
		byID[string(s.GetSpanId())] = s
	}
	var chains []string
	for _, s := range o.spans {
		if hex.EncodeToString(s.GetTraceId()) != trace {
			continue
		}
		chain := s.GetName()
		for at := s; ; {
			parent := at.GetParentSpanId()
			if hex.EncodeToString(parent) == callerSpan {
				break
			}
			if at = byID[string(parent)]; at == nil {
				chain = "? > " + chain
				break
			}
			chain = at.GetName() + " > " + chain
		}
		if s.GetEndTimeUnixNano() < s.GetStartTimeUnixNano() {
			chain += " (ends before it begins)"
		}
		chains = append(chains, chain)
	}
	slices.Sort(chains)
	return slices.Compact(chains)
}

const (
	deviceTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	commandTrace = "0af7651916cd43dd8448eb211c80319c"
	callerSpan   = "00f067aa0ba902b7"
)

func traceparent(trace string) string { return "00-" + trace + "-" + callerSpan + "-01" }

// sayTraced has a device, a viewer and a person do what is traced. It returns what the device was given with the command.
func sayTraced(t *testing.T, door, edge *gateway) (given string) {
	t.Helper()
	s := edge.open("/stream/assets", "")
	s.snapshot()
	door.publish("-V", "5", "-q", "1", "-t", "fleets/north/devices/truck-17/telemetry", "-m", fromTheReadme, "-D", "publish", "user-property", "traceparent", traceparent(deviceTrace))
	door.publish("-q", "1", "-t", "fleets/north/devices/truck-17/telemetry", "-m", `{"speed":3}`) // is not traced
	s.asset("truck-17", has("speed", 3.0))
	device := door.listen(door.Addrs().MQTT.String(), "north", "truck-17", "-V", "5", "-F", "%P %t %R %p")
	c := edge.command("truck-17", `{"name":"reboot"}`, "traceparent", traceparent(commandTrace), "tracestate", "vendor=1")
	_, given, _ = strings.Cut(<-device.commands, "traceparent:")
	given, state, _ := strings.Cut(given, " ")
	if !strings.Contains(state, "tracestate:vendor=1") {
		t.Errorf("the device is not given the tracestate: %s", state)
	}
	edge.became(c.ID, "delivered")
	door.publish("-V", "5", "-q", "1", "-t", "fleets/north/devices/truck-17/replies/"+c.ID, "-m", `{"status":"done"}`, "-D", "publish", "user-property", "traceparent", given)
	edge.became(c.ID, "done")
	return given
}

func checkTraces(t *testing.T, o *otlp, given string) {
	t.Helper()
	want := []string{
		"mqtt receive", "mqtt receive > bridge apply", "mqtt receive > bridge apply > edge update",
		"mqtt receive > bridge apply > edge update > viewer write", "mqtt receive > bus append",
	}
	if got := o.chains(deviceTrace); !slices.Equal(got, want) {
		t.Errorf("the message's trace is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	const sent = "HTTP POST > bridge apply > command send"
	const replied = sent + " > mqtt receive"
	want = []string{
		"HTTP POST", "HTTP POST > bridge apply", "HTTP POST > bridge apply > command delivered", "HTTP POST > bridge apply > command done", sent, replied,
		replied + " > bridge apply", replied + " > bridge apply > edge update", replied + " > bus append", "HTTP POST > bridge apply > command sent",
		"HTTP POST > bridge apply > edge update",
	}
	got := o.chains(commandTrace)
	if i := slices.Index(got, replied+" > bridge apply > edge update > viewer write"); i >= 0 { // the device was heard: its asset may be news
		got = slices.Delete(got, i, i+1)
	}
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("the command's trace is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.ContainsFunc(o.spans, func(s *spans.Span) bool {
		return s.GetName() == "command send" && "00-"+commandTrace+"-"+hex.EncodeToString(s.GetSpanId())+"-01" == given
	}) {
		t.Errorf("the device is given %q, which nobody sent", given)
	}
	for _, s := range o.spans {
		if id := hex.EncodeToString(s.GetTraceId()); id != deviceTrace && id != commandTrace {
			t.Errorf("%s is traced, which nobody asked for", s.GetName())
		}
	}
}

func TestAMessageAndACommandAreOneTraceEach(t *testing.T) {
	t.Parallel()
	t.Run("in one process", func(t *testing.T) {
		t.Parallel()
		o := startCollector(t)
		g := startGateway(t, o.options)
		given := sayTraced(t, g, g)
		if s := g.stats().Traces; s == nil || s.Entered < 3 || s.Spans < 10 {
			t.Errorf("stats are %+v", s)
		}
		g.stop() // sends what waits
		checkTraces(t, o, given)
	})
	t.Run("with roles apart", func(t *testing.T) {
		t.Parallel()
		o, redis := startCollector(t), startRedis(t)
		bridge := startGateway(t, redis.role(RoleBridge), o.options)
		door := startGateway(t, redis.role(RoleBroker), o.options)
		edge := startGateway(t, redis.role(RoleEdge), o.options)
		bridge.waitReady(RoleBridge)
		door.waitReady(RoleBroker)
		edge.waitReady(RoleEdge)
		given := sayTraced(t, door, edge)
		for _, g := range []*gateway{edge, bridge, door} {
			g.stop()
		}
		checkTraces(t, o, given)
	})
}

// A message without a traceparent goes through a door whose tracer would take it as fast as before: see devices/trace for what
// it costs where tracing is off, which is nothing.
func TestTracingIsOffUnlessItIsAskedFor(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	if g.tracer.Tracer != nil || g.stats().Traces != nil {
		t.Error("it is on")
	}
	for _, o := range []TraceOptions{{Ratio: 1.1}, {Ratio: -1}, {Endpoint: "localhost:4318"}, {Endpoint: "http://user:secret@collector:4318"}} {
		opts := testOptions(t)
		opts.Trace = o
		if err := opts.Check(); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

package tracing

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	otel "go.opentelemetry.io/otel/trace"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/trace"
)

// Options of a Collector.
type Options struct {
	// Endpoint is the collector's address, http://host:4318; a path stands for the whole. "": as the OTEL_… variables say.
	Endpoint string
	Version  string // of the program
	Roles    string // of this process
	Logger   *slog.Logger
}

// Collector gathers spans and sends them. It is a trace.Backend. Its methods may be called concurrently.
type Collector struct {
	provider *sdk.TracerProvider
	tracer   otel.Tracer
	most     int64 // spans that wait to be sent

	waiting                   atomic.Int64
	exported, failed, dropped atomic.Uint64
}

// Stats are what a collector holds and counts.
type Stats struct {
	Waiting  int64  `json:"waiting"`  // spans that have ended and are not sent, now
	Exported uint64 `json:"exported"` // that were taken
	Failed   uint64 `json:"failed"`   // that could not be sent
	Dropped  uint64 `json:"dropped"`  // for which there was no room
}

// Wanted tells whether spans are to be kept: an endpoint is set, here or by the standard variables, and they turn nothing off.
func Wanted(endpoint string) bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return false
	}
	return endpoint != "" || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// CheckEndpoint tells what is wrong with an endpoint.
func CheckEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		// Not the text, which may hold a secret.
		return devices.Errorf(devices.Invalid, "otlp-endpoint", "is not http://host:port or https://host:port without a user; headers are set by OTEL_EXPORTER_OTLP_HEADERS")
	}
	return nil
}

// New makes a collector, which begins to send. Stop ends it.
func New(ctx context.Context, o Options) (*Collector, error) {
	if err := CheckEndpoint(o.Endpoint); err != nil {
		return nil, err
	}
	var options []otlptracehttp.Option
	if o.Endpoint != "" {
		options = append(options, otlptracehttp.WithEndpointURL(tracesURL(o.Endpoint)))
	}
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("make exporter of traces: %w", err)
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "fleetcast"), attribute.String("service.version", o.Version),
		attribute.String("service.instance.id", rand.Text()), attribute.String("fleetcast.roles", o.Roles),
	), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("describe this process to traces: %w", err)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Collector{most: sdk.DefaultMaxQueueSize}
	if n, err := strconv.Atoi(os.Getenv("OTEL_BSP_MAX_QUEUE_SIZE")); err == nil && n > 0 {
		c.most = int64(n)
	}
	c.provider = sdk.NewTracerProvider(
		sdk.WithSampler(sdk.AlwaysSample()), // devices/trace has chosen
		sdk.WithResource(about),
		sdk.WithBatcher(&counting{SpanExporter: exporter, of: c, log: o.Logger}, sdk.WithMaxQueueSize(int(c.most))),
	)
	c.tracer = c.provider.Tracer("github.com/fleetcast/fleetcast")
	return c, nil
}

// tracesURL is where the spans of an endpoint go.
func tracesURL(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil || strings.Trim(u.Path, "/") != "" {
		return endpoint
	}
	return u.JoinPath("v1", "traces").String()
}

// Stop sends what waits, within ctx, and ends the collector.
func (c *Collector) Stop(ctx context.Context) error {
	if err := c.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("stop traces: %w", err)
	}
	return nil
}

// Stats reads the counters.
func (c *Collector) Stats() Stats {
	return Stats{Waiting: max(c.waiting.Load(), 0), Exported: c.exported.Load(), Failed: c.failed.Load(), Dropped: c.dropped.Load()}
}

var kinds = map[trace.Kind]otel.SpanKind{
	trace.Internal: otel.SpanKindInternal, trace.Server: otel.SpanKindServer, trace.Producer: otel.SpanKindProducer, trace.Consumer: otel.SpanKindConsumer,
}

// Start implements trace.Backend.
func (c *Collector) Start(name string, kind trace.Kind, parent *trace.Context, at time.Time, attrs []trace.Attr) trace.Ongoing {
	ctx := context.Background()
	if !parent.IsZero() {
		state, _ := otel.ParseTraceState(parent.State) // one that is malformed is none
		ctx = otel.ContextWithRemoteSpanContext(ctx, otel.NewSpanContext(otel.SpanContextConfig{
			TraceID: parent.TraceID, SpanID: parent.SpanID, TraceFlags: otel.TraceFlags(parent.Flags), TraceState: state, Remote: true,
		}))
	}
	_, span := c.tracer.Start(ctx, name, otel.WithSpanKind(kinds[kind]), otel.WithTimestamp(at), otel.WithAttributes(keyValues(attrs)...))
	return &ongoing{span, c}
}

func keyValues(attrs []trace.Attr) []attribute.KeyValue {
	out := make([]attribute.KeyValue, 0, len(attrs))
	for _, a := range attrs {
		if a.IsNumber {
			out = append(out, attribute.Int64(a.Key, a.Number))
		} else {
			out = append(out, attribute.String(a.Key, a.Text))
		}
	}
	return out
}

type ongoing struct {
	span otel.Span
	of   *Collector
}

// Context implements trace.Ongoing.
func (o *ongoing) Context() trace.Context {
	s := o.span.SpanContext()
	return trace.Context{TraceID: s.TraceID(), SpanID: s.SpanID(), Flags: byte(s.TraceFlags()), State: s.TraceState().String()}
}

// End implements trace.Ongoing.
func (o *ongoing) End(at time.Time, failed string, attrs []trace.Attr) {
	if o.of.waiting.Add(1) > o.of.most { // a span that is never ended is never kept
		o.of.waiting.Add(-1)
		o.of.dropped.Add(1)
		return
	}
	o.span.SetAttributes(keyValues(attrs)...)
	if failed != "" {
		o.span.SetStatus(codes.Error, failed)
	}
	o.span.End(otel.WithTimestamp(at))
}

// counting is an exporter that counts, and whose errors end here: they may hold the endpoint's answer.
type counting struct {
	sdk.SpanExporter
	of   *Collector
	log  *slog.Logger
	said atomic.Int64
}

// failureLine is how often failures write a line.
const failureLine = time.Minute

// ExportSpans implements sdk.SpanExporter.
func (e *counting) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	e.of.waiting.Add(-int64(len(spans)))
	if err == nil {
		e.of.exported.Add(uint64(len(spans)))
		return nil
	}
	total := e.of.failed.Add(uint64(len(spans)))
	now, said := time.Now().UnixNano(), e.said.Load()
	if now-said >= int64(failureLine) && e.said.CompareAndSwap(said, now) {
		e.log.Warn("traces could not be sent", "spans", len(spans), "total", total)
	}
	return nil
}

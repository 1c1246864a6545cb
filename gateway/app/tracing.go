package app

import (
	"context"
	"fmt"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/trace"
	"github.com/fleetcast/fleetcast/gateway/tracing"
)

// TraceOptions are what is told of single messages, requests and commands on their way.
type TraceOptions struct {
	Endpoint string  `name:"otlp-endpoint" help:"Collector of OpenTelemetry that spans are sent to, by OTLP over HTTP: http://host:4318. Without it, and without the standard OTEL_EXPORTER_OTLP_ENDPOINT, nothing is traced. The other standard variables (headers, certificates, resource, batches) hold too." placeholder:"URL"`
	Ratio    float64 `name:"trace-ratio" help:"Part that is traced of the messages and requests that do not say by a traceparent whether they are: from 0 to 1. At most 100 a second are." default:"${trace_ratio}"`
}

const defaultTraceRatio = 0.001

func (o *Options) checkTracing() error {
	if r := o.Trace.Ratio; !(r >= 0 && r <= 1) { // NaN too
		return devices.Errorf(devices.Invalid, "trace-ratio", "is %v; it is from 0 to 1", r)
	}
	return tracing.CheckEndpoint(o.Trace.Endpoint)
}

// tracer is what the parts tell of what is traced; the zero value is that nothing is.
type tracer struct {
	*trace.Tracer
	collector *tracing.Collector
}

// TraceStats are those of a process that traces.
type TraceStats struct {
	entering
	leaving
}

type (
	entering = trace.Stats
	leaving  = tracing.Stats
)

// startTracing begins before everything else, and ends last: so it has what the parts tell while they stop.
func (a *App) startTracing(ctx context.Context) error {
	o := &a.opts.Trace
	if !tracing.Wanted(o.Endpoint) {
		return nil
	}
	c, err := tracing.New(context.WithoutCancel(ctx), tracing.Options{
		Endpoint: o.Endpoint, Version: Version(), Roles: a.opts.roles().String(), Logger: a.log.With("part", "tracing"),
	})
	if err != nil {
		return fmt.Errorf("make tracing: %w", err)
	}
	a.stack.push("tracing", traceBound, c.Stop)
	a.tracer = tracer{trace.New(trace.Options{Backend: c, Ratio: o.Ratio}), c}
	return nil
}

func (t *tracer) stats() *TraceStats {
	if t.collector == nil {
		return nil
	}
	return &TraceStats{t.Tracer.Stats(), t.collector.Stats()}
}

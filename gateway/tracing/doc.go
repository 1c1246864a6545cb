// Package tracing keeps spans with OpenTelemetry: it sends them to a collector by OTLP over HTTP.
//
// It owns the SDK, its exporter and the standard variables (OTEL_…) that configure them. It refuses to own what is traced
// and where spans begin and end, which devices/trace and the parts of the program do; none of them knows OpenTelemetry.
//
// In the walk of a message it stands beside it: what the parts tell of a message that is traced is gathered here, and leaves
// in batches. A collector that is away costs spans and nothing else: what waits is bounded, and what is lost is counted.
package tracing

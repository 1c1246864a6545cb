// Package trace is what the parts of the program know of traces: who sent a message on, and spans that say what it cost.
//
// It owns the context that crosses processes (W3C Trace Context), which messages are traced, and how many a second at most.
// It refuses to own where spans go: a Backend does (gateway/tracing, by OpenTelemetry), and without one nothing is made. A
// nil *Tracer is how tracing is off: its methods, and those of the nil *Span that it gives, do nothing and cost a comparison.
//
// In the walk of a message: the door asks Enter of each, and marks the entries of those that are traced; the mark goes over
// the bus with them (bridge/bus), and whoever meets it says with a span what became of it, to the write to a viewer.
package trace

package bridge

import (
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/trace"
)

// tracing is what an owner tells of the entries that are traced: a span of each from when it was applied until its state was
// published, with which the batch goes on, and of a command one for each state that it came to. It belongs to the owner's
// goroutine. Without a tracer it does nothing; the marks of commands stay, for doors that have one.
type tracing struct {
	tracer *trace.Tracer
	open   []tracedEntry // applied and not published, at most bus.MaxTraces
}

type tracedEntry struct {
	device devices.DeviceID
	fleet  devices.FleetID
	span   *trace.Span
}

// take begins the span of an entry that is applied now.
func (t *tracing) take(e *bus.Entry) {
	if e.Trace == nil || t.tracer == nil || len(t.open) >= bus.MaxTraces {
		return
	}
	now := time.Now()
	span := t.tracer.Start("bridge apply", trace.Consumer, e.Trace, now,
		trace.Text("fleetcast.device", e.Device.String()), trace.Text("fleetcast.fleet", e.Fleet.String()),
		trace.Number("fleetcast.inlet_ms", now.UnixMilli()-e.Time))
	t.open = append(t.open, tracedEntry{e.Device, e.Fleet, span})
}

// of is the span with which the entry that was taken last goes on, or the one that it came with.
func (t *tracing) of(e *bus.Entry) *trace.Context {
	if n := len(t.open); e.Trace != nil && n > 0 && t.open[n-1].device == e.Device {
		return t.open[n-1].span.Context()
	}
	return e.Trace
}

// traces appends what a flush goes on with.
func (t *tracing) traces(dst []bus.Traced) []bus.Traced {
	for i := range t.open {
		o := &t.open[i]
		dst = append(dst, bus.Traced{Device: o.device, Fleet: o.fleet, Context: *o.span.Context()})
	}
	return dst
}

// published ends the spans.
func (t *tracing) published(at time.Time) {
	for i := range t.open {
		t.open[i].span.End(at)
	}
	clear(t.open)
	t.open = t.open[:0]
}

// abandon ends what the next owner begins anew.
func (t *tracing) abandon() {
	for i := range t.open {
		t.open[i].span.Fail(time.Now(), "the partition was lost before")
	}
	t.open = nil
}

// reached tells that a command has come to a state, and how long it was in the one before.
func (t *tracing) reached(k *command, to devices.CommandState, at int64) {
	if k.trace == nil || to == devices.CommandAccepted {
		return
	}
	span := t.tracer.Start("command "+to.String(), trace.Internal, k.trace, time.UnixMilli(k.at),
		trace.Text("fleetcast.device", k.device.String()), trace.Text("fleetcast.fleet", k.fleet.String()), trace.Text("fleetcast.command", k.id.String()))
	span.End(time.UnixMilli(at))
}

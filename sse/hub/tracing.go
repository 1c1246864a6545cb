package hub

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/trace"
)

// What of a traced device is told: from the batch, through the tick of a view, to the write to the first few viewers that are
// up to date. What viewers get in passes is not told: a pass has the whole state and no message.
const (
	tracedWrites = 2               // writes that are told of a trace at this edge: a message may go to thousands of viewers
	tracedFor    = 5 * time.Second // after that nobody up to date waits for the batch
	maxTraced    = bus.MaxTraces
)

// tracing holds what is traced while it is on its way to viewers. Its methods may be called concurrently; the zero value
// traces nothing and costs one comparison a view and tick.
type tracing struct {
	tracer *trace.Tracer
	now    atomic.Pointer[tracedSet] // nil while nothing is traced

	mu sync.Mutex // of who changes it
}

// tracedSet is not changed.
type tracedSet struct{ all []*traced }

// traced is what a batch said of a device.
type traced struct {
	device  devices.DeviceID
	fleet   devices.FleetID
	offset  uint64
	came    time.Time
	context *trace.Context
	writes  atomic.Int32
}

// arrived tells of a batch that is in the table: came is when the edge had it.
func (t *tracing) arrived(b *bus.Batch, came time.Time) {
	if t.tracer == nil || len(b.Traces) == 0 {
		return
	}
	now := time.Now()
	var fresh []*traced
	for i := range b.Traces {
		from := &b.Traces[i]
		span := t.tracer.Start("edge update", trace.Consumer, &from.Context, came,
			trace.Text("fleetcast.device", from.Device.String()), trace.Text("fleetcast.fleet", from.Fleet.String()),
			trace.Number("fleetcast.bus_ms", came.UnixMilli()-b.Time))
		span.End(now)
		fresh = append(fresh, &traced{device: from.Device, fleet: from.Fleet, offset: b.Position.Offset, came: now, context: span.Context()})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if before := t.now.Load(); before != nil {
		for _, one := range before.all {
			if now.Sub(one.came) < tracedFor && len(fresh) < maxTraced {
				fresh = append(fresh, one)
			}
		}
	}
	t.now.Store(&tracedSet{fresh})
}

// current is what is on its way; nil for nothing.
func (t *tracing) current() *tracedSet {
	set := t.now.Load()
	if set != nil && time.Since(set.all[0].came) > tracedFor { // the newest stand first
		t.now.CompareAndSwap(set, nil)
		return nil
	}
	return set
}

// of is what is traced of a row as it is now; nil for nothing.
func (s *tracedSet) of(r *row) *traced {
	if s == nil {
		return nil
	}
	for _, one := range s.all {
		if one.device == r.device && one.offset == r.offset && one.fleet == r.fleet.id {
			return one
		}
	}
	return nil
}

// told is what of it is among what was gathered; nil for nothing.
func (g *gathered) told() *tracedSet {
	if len(g.traced) == 0 {
		return nil
	}
	return &tracedSet{g.traced}
}

// wrote tells that a viewer took what a chunk says of those.
func (t *tracing) wrote(chunk *tracedSet, format string, bytes int, took time.Duration) {
	now := time.Now()
	for _, one := range chunk.all {
		if one.writes.Add(1) > tracedWrites {
			continue
		}
		span := t.tracer.Start("viewer write", trace.Producer, one.context, now.Add(-took),
			trace.Text("fleetcast.device", one.device.String()), trace.Text("fleetcast.fleet", one.fleet.String()),
			trace.Text("fleetcast.format", format), trace.Number("fleetcast.bytes", bytes), trace.Number("fleetcast.tick_ms", (now.Sub(one.came)-took).Milliseconds()))
		span.End(now)
	}
}

package mqttin

import (
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/devices/trace"
)

// A message is traced where its user properties say so, as those of MQTT 5 do that carry a W3C trace context, or by the
// tracer's ratio. Its span ends when it is queued; that of the append, when the inlet has it. Nothing here is done, but a
// comparison a message, while tracing is off.

// traced is what a message that is traced came with.
type traced struct {
	from trace.Context
	came time.Time
}

// enter asks whether a message is traced; nil where it is not.
func enter(t *trace.Tracer, parent, state string) *traced {
	from, is := t.Enter(parent, state)
	if !is {
		return nil
	}
	return &traced{from, time.Now()}
}

func enterUser(t *trace.Tracer, user []packets.UserProperty) *traced {
	if t == nil {
		return nil
	}
	var parent, state string
	for i := range user {
		switch user[i].Key {
		case trace.ParentKey:
			parent = user[i].Val
		case trace.StateKey:
			state = user[i].Val
		}
	}
	return enter(t, parent, state)
}

func enterPublish(t *trace.Tracer, p *paho.Publish) *traced {
	switch {
	case t == nil:
		return nil
	case p.Properties == nil:
		return enter(t, "", "")
	}
	return enter(t, p.Properties.User.Get(trace.ParentKey), p.Properties.User.Get(trace.StateKey))
}

// startSpan begins the span of a message.
func (in *intake) startSpan(m *traced) *trace.Span {
	if m == nil {
		return nil
	}
	return in.tracer.Start("mqtt receive", trace.Consumer, &m.from, m.came, trace.Text("messaging.system", "mqtt"))
}

// took ends the span of a message: what it became is queued, or not.
func took(span *trace.Span, result *dialect.Result, d *delivery, queued bool) {
	if span == nil {
		return
	}
	attrs := make([]trace.Attr, 0, 5)
	if result != nil {
		attrs = append(attrs, trace.Text("fleetcast.dialect", result.Dialect()), trace.Text("messaging.destination.template", result.Rule()))
	}
	if n := len(d.entries); n > 0 {
		e := &d.entries[n-1]
		attrs = append(attrs, trace.Text("fleetcast.device", e.Device.String()), trace.Text("fleetcast.fleet", e.Fleet.String()), trace.Number("fleetcast.entries", n))
	}
	if queued {
		span.End(time.Now(), attrs...)
	} else {
		span.Fail(time.Now(), "it was not taken", attrs...)
	}
}

// mark has the entries of a message that is traced go on with its span: not those of its connection.
func (d *delivery) mark() {
	if d.trace == nil {
		return
	}
	for i := range d.entries {
		if e := &d.entries[i]; e.Kind != bus.KindConnection {
			e.Trace = d.trace
		}
	}
}

// appended tells of an append that is kept what is traced in it.
func (c *committer) appended(entries []bus.Entry, began time.Time) {
	if c.tracer == nil {
		return
	}
	var last *trace.Context
	for i := range entries {
		from := entries[i].Trace
		if from == nil || from == last { // a message may be several entries
			continue
		}
		last = from
		span := c.tracer.Start("bus append", trace.Producer, from, began, trace.Number("fleetcast.entries", len(entries)))
		span.End(time.Now())
	}
}

// traceProperties are the user properties by which a device goes on with a trace.
func traceProperties(c *trace.Context) []packets.UserProperty {
	if c == nil {
		return nil
	}
	user := []packets.UserProperty{{Key: trace.ParentKey, Val: c.String()}}
	if c.State != "" {
		user = append(user, packets.UserProperty{Key: trace.StateKey, Val: c.State})
	}
	return user
}

package mqttin

import (
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fleetcast/fleetcast/bridge/dialect"
)

// readWill decodes the last will while it is at hand, as if it had been published. A will that its client may not
// publish refuses the CONNECT: it would be heard when nobody is there to be told.
func (b *Broker) readWill(s *session, pk *packets.Packet) *refusal {
	if !pk.Connect.WillFlag {
		return nil
	}
	r := &topicRoute{topic: strings.Clone(pk.Connect.WillTopic)}
	if strings.ContainsAny(r.topic, "+#") {
		return b.ignoreWill(s)
	}
	r.route, r.reason = b.router.Route(r.topic)
	b.judge(s, r)
	switch {
	case s.who != anonymous && !r.allowed:
		return refusals[WillDenied]
	case !r.allowed, r.route == nil && !b.routing:
		return b.ignoreWill(s)
	}
	if b.routing && r.reason != dialect.BadTopic {
		s.willOut = &routed{from: s, topic: r.topic, payload: append([]byte(nil), pk.Connect.WillPayload...), retain: pk.Connect.WillRetain}
	}
	if r.route == nil {
		return nil
	}
	return b.decodeWill(s, r, pk.Connect.WillPayload)
}

// decodeWill keeps what the will says about devices.
func (b *Broker) decodeWill(s *session, r *topicRoute, payload []byte) *refusal {
	w := b.work.Get().(*workspace)
	defer b.putBack(w)
	result := &w.result
	r.route.Decode(payload, result)
	for i := range result.Messages {
		m := &result.Messages[i]
		if m.Aside {
			continue
		}
		fleet, why, ok := b.fleetOf(s, r, m.Device, m.Fleet)
		switch {
		case ok:
		case why == DeviceUnknownYet:
			return refusals[LoginUnavailable]
		case s.who == anonymous:
			continue
		default:
			return refusals[WillDenied]
		}
		m.Fleet = fleet
		s.lastWill = b.appendMessage(s.lastWill, m, false)
	}
	if len(s.lastWill) == 0 && s.willOut == nil {
		return b.ignoreWill(s)
	}
	return nil
}

func (b *Broker) ignoreWill(s *session) *refusal {
	b.counters.note(WillIgnored, s.conn.remote)
	return nil
}

// will queues the last will, once. It is not heard where the connection was replaced, for it speaks of a device that is
// there, nor where we end it ourselves to stop, nor where its credential was taken away meanwhile. A delay that MQTT 5
// asks for is not kept: presence has a hysteresis of its own.
func (b *Broker) will(s *session) {
	if s.willed {
		return
	}
	s.willed = true
	switch {
	case len(s.lastWill) == 0 && s.willOut == nil:
	case s.overtaken.Load() || b.stopping.Load() || s.revoked.Load():
		b.counters.note(WillOutdated, s.conn.remote)
	default:
		if len(s.lastWill) > 0 {
			b.committer.force(s.lastWill)
		}
		if s.willOut != nil {
			b.route(s.willOut)
		}
	}
	s.lastWill, s.willOut = nil, nil
}

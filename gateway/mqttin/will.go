package mqttin

import (
	"strings"
	"time"

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
	if r.reply = parseReply(r.topic); r.reply == nil {
		r.route, r.reason = b.router.Route(r.topic)
	}
	b.judge(s, r)
	switch {
	case s.who != anonymous && !r.allowed:
		return refusals[WillDenied]
	case !r.allowed, r.route == nil && !b.routing:
		return b.ignoreWill(s)
	}
	if r.reply != nil { // it is no answer, which nobody gives before they are asked, but it may be read by others
		if refused := b.mayLeaveWill(s, r); refused != nil {
			return refused
		}
	}
	if b.routing && r.reason != dialect.BadTopic {
		s.willOut.Store(newLastWill(s, r.topic, pk))
	}
	if r.route == nil {
		return nil
	}
	return b.decodeWill(s, r, pk.Connect.WillPayload)
}

// mayLeaveWill tells whether the client may speak for the device that the topic of its will is about.
func (b *Broker) mayLeaveWill(s *session, r *topicRoute) *refusal {
	device, named := r.subject()
	switch _, why, ok := b.fleetOf(s, r, device, named); {
	case ok, s.who == anonymous:
		return nil
	case why == DeviceUnknownYet:
		return refusals[LoginUnavailable]
	}
	return refusals[WillDenied]
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
		s.lastWill = b.appendMessage(s.lastWill, m, saidAsWill)
	}
	if len(s.lastWill) == 0 && s.willOut.Load() == nil {
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
// asks for is not kept: presence has a hysteresis of its own. What other clients get is another matter: see willRouted.
func (b *Broker) will(s *session) {
	if s.willed {
		return
	}
	s.willed = true
	outdated := b.stopping.Load() || s.revoked.Load() || s.elsewhere.Load()
	switch {
	case len(s.lastWill) == 0 && s.willOut.Load() == nil:
	case s.overtaken.Load() || outdated:
		b.counters.note(WillOutdated, s.conn.remote)
	case len(s.lastWill) > 0:
		b.committer.force(s.lastWill)
	}
	s.lastWill = nil
	switch {
	case outdated:
		s.willOut.Store(nil)
	case s.overtaken.Load(): // it is willOfOlder's
	default:
		b.willRouted(s, time.Now())
	}
}

// lastWill is a will as other clients get it.
type lastWill struct {
	routed
	interval uint32        // of its expiry, which begins when it is sent
	delay    time.Duration // MQTT 5.0 section 3.1.3.2.2
	due      time.Time     // when the delay is over; zero while the client is connected
}

func newLastWill(s *session, topic string, pk *packets.Packet) *lastWill {
	c := &pk.Connect
	w := &lastWill{routed: routed{client: s.client.ID, topic: topic, payload: append([]byte(nil), c.WillPayload...), qos: c.WillQos, retain: c.WillRetain}}
	if pk.ProtocolVersion == 5 {
		p := &c.WillProperties
		w.properties, w.interval, w.delay = appendForwarded(nil, p), p.MessageExpiryInterval, time.Duration(p.WillDelayInterval)*time.Second
	}
	return w
}

// willRouted sends the will to other clients, or leaves it until its delay is over or the session ends.
func (b *Broker) willRouted(s *session, now time.Time) {
	w := s.willOut.Load()
	switch {
	case w == nil:
	case w.delay > 0:
		late := *w
		late.due = now.Add(w.delay)
		s.willOut.CompareAndSwap(w, &late)
	default:
		b.sendWill(s, now)
	}
}

// sendWill sends it, if nobody did.
func (b *Broker) sendWill(s *session, now time.Time) {
	if w := s.willOut.Swap(nil); w != nil {
		out := w.routed
		out.expires = expiresIn(w.interval, now)
		b.route(&out, s.deviceAccount())
	}
}

// willOfOlder deals with the will of a connection that another one replaced, before that one has its CONNACK: what the
// client says then must not be followed by what it left behind. With a delay the will is taken back where the session goes
// on [MQTT-3.1.3-9].
func (b *Broker) willOfOlder(older *session, goesOn bool) {
	w := older.willOut.Load()
	switch {
	case w == nil:
	case goesOn && w.delay > 0, older.revoked.Load():
		older.willOut.Store(nil)
	default:
		b.sendWill(older, time.Now())
	}
}

// willAtTheEnd sends a will whose delay the session did not outlive.
func (b *Broker) willAtTheEnd(s *session) {
	w := s.willOut.Load()
	switch {
	case w == nil || w.due.IsZero():
	case s.revoked.Load() || b.stopping.Load() || s.elsewhere.Load():
		s.willOut.Store(nil)
	default:
		b.sendWill(s, time.Now())
	}
}

// isWillDue tells whether the session has a will whose delay is over.
func (s *session) isWillDue(now time.Time) bool {
	w := s.willOut.Load()
	return w != nil && !w.due.IsZero() && !now.Before(w.due)
}

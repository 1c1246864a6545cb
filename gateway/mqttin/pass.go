package mqttin

import (
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// This file is where a message that a client published goes on to other clients.

// forgetRetained takes an empty payload with the retain flag, which deletes what is retained for the topic and says nothing
// of a device. Who may speak for the topic's device may.
func (b *Broker) forgetRetained(s *session, r *topicRoute, m *message, d *delivery) {
	if device, named := r.subject(); !device.IsZero() {
		if _, why, ok := b.fleetOf(s, r, device, named); !ok {
			b.counters.note(why, s.conn.remote)
			if why == DeviceUnknownYet {
				b.forsake(s, d)
				return
			}
			b.refuse(s, d, codeNotAuthorized)
			return
		}
	}
	if b.offer(s, d) {
		b.pass(s, r, m)
	}
}

// pass gives a message that was taken to the clients that subscribed to its topic.
func (b *Broker) pass(s *session, r *topicRoute, m *message) {
	if !b.routing {
		return
	}
	out := &routed{client: s.client.ID, topic: r.topic, payload: m.payload, qos: m.qos, retain: m.retain}
	if p := m.properties; p != nil {
		out.properties, out.expires = appendForwarded(nil, p), expiresIn(p.MessageExpiryInterval, time.Now())
	}
	b.route(out, s.deviceAccount())
}

// deviceAccount is the account of a device, and "" of anybody else.
func (s *session) deviceAccount() string {
	if s.who.Kind != devices.DevicePrincipal {
		return ""
	}
	return s.who.Account
}

package mqttin

import (
	"context"
	"strings"

	"github.com/eclipse/paho.golang/paho"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fleetcast/fleetcast/bridge/dialect"
)

// Formats may want something sent back: a Sparkplug host asks a node whose birth it has not seen to introduce itself
// again. It goes out at QoS 0 and is not retained; where it is lost, the format asks again later.

// ask sends what a format wants to the client that it came from, if that subscribed to it, or to whoever did where
// messages are routed.
func (b *Broker) ask(s *session, result *dialect.Result) {
	for i := range result.Requests {
		m := &routed{topic: result.Requests[i].Topic, payload: result.Requests[i].Payload, properties: appendForwarded(nil, &packets.Properties{User: downlinkMark()})}
		switch {
		case b.routing:
			b.counters.note(RequestSent, "")
			b.route(m, "")
		case s.wants(m.topic) && s.mailbox().put(outgoing{routed: m}):
			b.counters.note(RequestSent, "")
		default:
			b.counters.note(RequestUnsent, s.conn.remote)
		}
	}
}

// ask publishes what a format wants to the external broker.
func (u *Upstream) ask(l *link, result *dialect.Result) {
	for i := range result.Requests {
		ctx, cancel := context.WithTimeout(context.Background(), u.limits.Write)
		_, err := l.client.Publish(ctx, &paho.Publish{
			Topic: result.Requests[i].Topic, Payload: result.Requests[i].Payload,
			Properties: &paho.PublishProperties{User: paho.UserProperties{{Key: downlinkKey, Value: downlinkValue}}},
		})
		cancel()
		if err != nil { // the connection is gone, or the broker forbids it
			u.counters.note(RequestUnsent, l.conn.host)
			continue
		}
		u.counters.note(RequestSent, "")
	}
}

// isAsked tells whether a format sends requests on topics of the filter, so that it must be known who subscribed.
func (a access) isAsked(filter string) bool {
	for i := range a.templates {
		if t := &a.templates[i]; t.Asked && overlap(t.Filter(), filter) {
			return true
		}
	}
	return false
}

// overlap tells whether there are topics that match both filters.
func overlap(a, b string) bool {
	for {
		levelA, restA, moreA := strings.Cut(a, "/")
		levelB, restB, moreB := strings.Cut(b, "/")
		switch {
		case levelA == "#" || levelB == "#":
			return true
		case levelA != "+" && levelB != "+" && levelA != levelB:
			return false
		case !moreA || !moreB: // "a/#" matches "a" too
			return moreA == moreB || moreA && restA == "#" || moreB && restB == "#"
		}
		a, b = restA, restB
	}
}

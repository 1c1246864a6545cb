package mqttin

import (
	"fmt"
	"testing"
)

// BenchmarkRoute is what --mqtt-route adds to a message, by the number of its subscribers: sessions that are away and whose
// queues are full, for QoS 1, and which hear nothing, for QoS 0. What is written is each subscriber's.
func BenchmarkRoute(b *testing.B) {
	for _, subscribers := range []int{0, 1, 100} {
		for qos := range byte(2) {
			b.Run(fmt.Sprintf("%d subscribers QoS %d", subscribers, qos), func(b *testing.B) {
				broker, cl, _ := unserved(b)
				broker.routing = true
				s := sessionOf(cl)
				for i := range subscribers {
					x := &mailbox{broker: broker, client: fmt.Sprint(i), owner: s}
					x.subscribe(subscription{filter: "fleets/+/devices/+/telemetry", qos: 1})
				}
				r := s.topics.lookup(&broker.intake, topicOne)
				m := message{topic: topicOne, payload: []byte(document), qos: qos}
				b.ReportAllocs()
				for b.Loop() {
					broker.pass(s, r, &m)
				}
			})
		}
	}
}

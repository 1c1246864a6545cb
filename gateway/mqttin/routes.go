package mqttin

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/mochi-mqtt/server/v2/packets"
)

// routes are who subscribed to what, as far as anything is ever sent for it: to commands, and where --mqtt-route asks for
// routing, to what other clients publish. What is routed is delivered at QoS 0, whatever was asked, and the SUBACK says
// so; none is retained. mochi has both, and neither can be used: its packet ids of sent and received messages are one
// space, its quotas leak, a subscriber that does not read stops whoever publishes, and its retained messages are unbounded
// and copied each second. Here a subscriber has a bounded queue and a writer of its own, and loses what does not fit.
type routes struct {
	mu   sync.RWMutex
	root routeNode
}

// routeNode is a level of the filters. A filter ends at a node, which holds its subscribers.
type routeNode struct {
	children map[string]*routeNode
	subs     []subscriber
}

type subscriber struct {
	session *session
	subscription
}

func (r *routes) add(s *session, sub subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := &r.root
	for level := range strings.SplitSeq(sub.filter, "/") {
		if n.children == nil {
			n.children = map[string]*routeNode{}
		}
		child := n.children[level]
		if child == nil {
			child = new(routeNode)
			n.children[level] = child
		}
		n = child
	}
	i := slices.IndexFunc(n.subs, func(o subscriber) bool { return o.session == s && o.group == sub.group })
	if i >= 0 {
		n.subs[i].subscription = sub
		return
	}
	n.subs = append(n.subs, subscriber{s, sub})
}

func (r *routes) remove(s *session, sub subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.root.remove(s, &sub, sub.filter, true)
}

// remove takes a subscriber out below n and tells whether n is empty then.
func (n *routeNode) remove(s *session, sub *subscription, rest string, more bool) (empty bool) {
	if !more {
		n.subs = slices.DeleteFunc(n.subs, func(o subscriber) bool { return o.session == s && o.group == sub.group })
	} else {
		level, after, deeper := strings.Cut(rest, "/")
		if child := n.children[level]; child != nil && child.remove(s, sub, after, deeper) {
			delete(n.children, level)
		}
	}
	return len(n.subs) == 0 && len(n.children) == 0
}

// match returns who subscribed to a topic. Wildcards at the first level do not match topics with '$' [MQTT-4.7.2-1];
// none of those gets here.
func (r *routes) match(topic string) []subscriber {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.root.match(nil, topic, true)
}

func (n *routeNode) match(found []subscriber, rest string, more bool) []subscriber {
	if all := n.children["#"]; all != nil { // at this level and above it: "a/#" matches "a"
		found = append(found, all.subs...)
	}
	if !more {
		return append(found, n.subs...)
	}
	level, after, deeper := strings.Cut(rest, "/")
	if child := n.children[level]; child != nil {
		found = child.match(found, after, deeper)
	}
	if child := n.children["+"]; child != nil {
		found = child.match(found, after, deeper)
	}
	return found
}

// routed is a message on its way to other clients. Its properties are those that a broker hands on (MQTT 5.0 section
// 3.3.2.3).
type routed struct {
	from       *session
	topic      string
	payload    []byte
	retain     bool
	properties packets.Properties
	qos        byte   // of a command
	id         uint16 // of a command with QoS 1
}

// route gives a message to everybody who subscribed to it.
func (b *Broker) route(m *routed) {
	if !b.routing || isReserved(m.topic) {
		return
	}
	var encoded [2][]byte // without identifiers: for MQTT 3.1.1 and 5
	for _, to := range choose(b.routes.match(m.topic), m.from) {
		five := 0
		if to.session.isFive() {
			five = 1
		}
		out := encoded[five]
		if plain := len(to.ids) == 0 && !(to.asIs && m.retain); out == nil || !plain {
			out = m.encode(to, five == 1)
			if plain {
				encoded[five] = out
			}
		}
		b.send(to.session, out)
	}
}

// recipient is a client with all of its subscriptions that a message matches: it gets the message once.
type recipient struct {
	session *session
	ids     []int
	asIs    bool
	qos     byte // the most that it asked for
}

// choose makes recipients of subscribers. Of a shared subscription one that is connected gets the message, by chance:
// the order of a device's messages is not kept within a group.
func choose(subs []subscriber, from *session) []recipient {
	var list []recipient
	byGroup := map[[2]string][]subscriber{}
	for _, sub := range subs {
		switch {
		case sub.session.client.Closed(), sub.noLocal && sub.session == from: // [MQTT-3.8.3-3]
		case sub.group != "":
			key := [2]string{sub.group, sub.filter}
			byGroup[key] = append(byGroup[key], sub)
		default:
			list = addRecipient(list, &sub)
		}
	}
	for _, group := range byGroup {
		list = addRecipient(list, &group[rand.IntN(len(group))])
	}
	return list
}

func addRecipient(list []recipient, sub *subscriber) []recipient {
	i := slices.IndexFunc(list, func(r recipient) bool { return r.session == sub.session })
	if i < 0 {
		i = len(list)
		list = append(list, recipient{session: sub.session})
	}
	if sub.id > 0 {
		list[i].ids = append(list[i].ids, sub.id)
	}
	list[i].asIs = list[i].asIs || sub.asIs
	list[i].qos = max(list[i].qos, sub.qos)
	return list
}

// encode makes the PUBLISH.
func (m *routed) encode(to recipient, five bool) []byte {
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: m.qos, Retain: m.retain && to.asIs}, // [MQTT-3.3.1-12]
		PacketID:    m.id, TopicName: m.topic, Payload: m.payload, ProtocolVersion: 4,
	}
	if five {
		p := &m.properties
		pk.ProtocolVersion = 5
		pk.Properties = packets.Properties{
			PayloadFormat: p.PayloadFormat, PayloadFormatFlag: p.PayloadFormatFlag, MessageExpiryInterval: p.MessageExpiryInterval,
			ContentType: p.ContentType, ResponseTopic: p.ResponseTopic, CorrelationData: p.CorrelationData, User: p.User,
			SubscriptionIdentifier: to.ids,
		}
		pk.Mods.AllowResponseInfo = true
	}
	var buf bytes.Buffer
	if err := pk.PublishEncode(&buf); err != nil {
		return nil
	}
	return buf.Bytes()
}

// Bounds of what waits for one subscriber: what comes when it is full is dropped for it, as QoS 0 allows.
const (
	outboxMessages = 256
	outboxBytes    = 512 << 10
)

// outbox is what waits to be written to a client that others publish to. It is written by a goroutine that exists while
// there is anything, so that a client that does not read holds up nobody.
type outbox struct {
	mu      sync.Mutex
	waiting [][]byte
	bytes   int
	busy    bool
}

// send queues a packet for a client, and tells whether there was room. A client that takes no packets of that size is
// not sent it [MQTT-3.1.2-25].
func (b *Broker) send(s *session, packet []byte) bool {
	if most := s.client.Properties.Props.MaximumPacketSize; packet == nil || most > 0 && uint32(len(packet)) > most {
		b.counters.note(RouteDropped, s.conn.remote)
		return false
	}
	o := s.outgoing()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) >= outboxMessages || o.bytes+len(packet) > outboxBytes && o.bytes > 0 {
		b.counters.note(RouteDropped, s.conn.remote)
		return false
	}
	o.waiting = append(o.waiting, packet)
	o.bytes += len(packet)
	if !o.busy {
		o.busy = true
		b.writers.Go(func() { s.writeOut(o) })
	}
	return true
}

// outgoing is the client's outbox. Nearly no session needs one.
func (s *session) outgoing() *outbox {
	if o := s.out.Load(); o != nil {
		return o
	}
	s.out.CompareAndSwap(nil, new(outbox))
	return s.out.Load()
}

// writeOut writes until nothing waits.
func (s *session) writeOut(o *outbox) {
	for {
		o.mu.Lock()
		waiting := o.waiting
		o.waiting, o.bytes = nil, 0
		o.busy = len(waiting) > 0
		o.mu.Unlock()
		if len(waiting) == 0 {
			return
		}
		s.write(bytes.Join(waiting, nil))
	}
}

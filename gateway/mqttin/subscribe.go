package mqttin

import (
	"strings"
	"sync"

	"github.com/mochi-mqtt/server/v2/packets"
)

// subscription is a filter that was granted.
type subscription struct {
	filter  string // without the group
	group   string // of a shared subscription, or ""
	id      int    // the subscription identifier of MQTT 5, 0 for none
	qos     byte   // granted
	noLocal bool
	asIs    bool // retain as published
}

// subscriptionSet are those of a session. mochi's tree is not used: it takes seconds of a global lock for a filter of
// 30,000 levels, keeps the subscriptions of sessions that are gone, and refuses a SUBSCRIBE whose id happens to be that
// of a message on its way.
type subscriptionSet struct {
	mu    sync.Mutex
	gone  bool
	list  []subscription
	owner *session
}

// Codes of a SUBACK (MQTT 5.0 section 3.9.3). MQTT 3.1.1 knows the last of them only.
const (
	subGranted        byte = 0x00
	subDenied         byte = 0x87
	subInvalid        byte = 0x8f
	subQuota          byte = 0x97
	subNoShared       byte = 0x9e
	subRefused        byte = 0x80
	unsubNone         byte = 0x11 // of an UNSUBACK
	subackByte        byte = 0x90
	unsubackByte      byte = 0xb0
	maxSubscriptions       = 64 // of a session
	subackHeaderBytes      = 8
)

// subscribe answers a SUBSCRIBE. Granted are QoS 0 and, to who may be sent commands, QoS 1: see routes.go.
func (b *Broker) subscribe(s *session, pk *packets.Packet) error {
	if code := pk.SubscribeValidate(); code != packets.CodeSuccess {
		return code
	}
	codes := make([]byte, len(pk.Filters))
	for i := range pk.Filters {
		codes[i] = b.subscribeOne(s, &pk.Filters[i])
		if codes[i] >= subRefused {
			b.counters.note(FilterRefused, s.conn.remote)
			if s.client.Properties.ProtocolVersion < 5 {
				codes[i] = subRefused
			}
		}
	}
	s.answer(subackByte, pk.PacketID, codes)
	for i := range codes {
		if codes[i] < subRefused {
			b.listens(pk.Filters[i].Filter)
		}
	}
	return nil
}

func (b *Broker) subscribeOne(s *session, f *packets.Subscription) byte {
	group, filter, shared := sharedFilter(f.Filter)
	switch {
	case len(f.Filter) > maxFilterBytes || strings.Count(f.Filter, "/") >= maxFilterLevels:
		return subDenied
	case !validFilter(filter), shared && (group == "" || strings.ContainsAny(group, "+#")):
		return subInvalid
	case isReserved(filter):
		return subDenied
	case shared && !b.routing:
		return subNoShared
	case shared && f.NoLocal:
		return subInvalid // [MQTT-3.8.3-4]
	case !b.access.maySubscribe(s.who, filter):
		return subDenied
	}
	if !b.routing && !isCommands(filter) && !b.access.isAsked(filter) { // nothing will ever be sent for it
		return min(f.Qos, b.mostQos(s, filter))
	}
	sub := subscription{
		filter: strings.Clone(filter), group: strings.Clone(group), id: f.Identifier, qos: min(f.Qos, b.mostQos(s, filter)), noLocal: f.NoLocal, asIs: f.RetainAsPublished,
	}
	if !s.subs.add(s, sub, b.routes) {
		return subQuota
	}
	return sub.qos
}

// mostQos is the QoS at which messages for a filter are sent: commands at 1, by a path of their own, and what is routed
// at 0. In open mode nothing is sent without --mqtt-route, and clients that subscribe as a matter of course are told what
// they asked for.
func (b *Broker) mostQos(s *session, filter string) byte {
	switch {
	case isCommands(filter):
		return 1
	case !b.routing && s.who == anonymous:
		return 2
	}
	return 0
}

// unsubscribe answers an UNSUBSCRIBE.
func (b *Broker) unsubscribe(s *session, pk *packets.Packet) error {
	if code := pk.UnsubscribeValidate(); code != packets.CodeSuccess {
		return code
	}
	codes := make([]byte, len(pk.Filters))
	for i := range pk.Filters {
		group, filter, _ := sharedFilter(pk.Filters[i].Filter)
		if !s.subs.drop(filter, group, b.routes) && (b.routing || isCommands(filter)) {
			codes[i] = unsubNone
		}
	}
	if s.client.Properties.ProtocolVersion < 5 {
		codes = nil
	}
	s.answer(unsubackByte, pk.PacketID, codes)
	return nil
}

// answer writes a SUBACK or UNSUBACK.
func (s *session) answer(kind byte, id uint16, codes []byte) {
	out := make([]byte, 0, subackHeaderBytes+len(codes))
	body := 2 + len(codes)
	if s.client.Properties.ProtocolVersion == 5 {
		body++
	}
	out = append(out, kind)
	out = appendLength(out, body)
	out = append(out, byte(id>>8), byte(id))
	if s.client.Properties.ProtocolVersion == 5 {
		out = append(out, 0) // no properties
	}
	s.write(append(out, codes...))
}

// appendLength appends a remaining length (MQTT 5.0 section 1.5.5).
func appendLength(dst []byte, n int) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

// isReserved tells whether a filter or a topic is of those that belong to a broker.
func isReserved(filter string) bool { return strings.HasPrefix(filter, "$") }

// isCommands tells whether a filter is for commands of ours, and of nothing else.
func isCommands(filter string) bool { return covers("fleets/+/devices/+/commands/#", filter) }

// add grants a subscription, or replaces the one with the same filter. It returns false where there are too many.
func (l *subscriptionSet) add(s *session, sub subscription, routes *routes) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owner = s
	if l.gone { // a newer connection has the session
		return true
	}
	for i := range l.list {
		if old := &l.list[i]; old.filter == sub.filter && old.group == sub.group {
			*old = sub
			routes.add(s, sub)
			return true
		}
	}
	if len(l.list) >= maxSubscriptions {
		return false
	}
	l.list = append(l.list, sub)
	routes.add(s, sub)
	return true
}

// drop ends a subscription and tells whether there was one.
func (l *subscriptionSet) drop(filter, group string, routes *routes) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.list {
		if old := &l.list[i]; old.filter == filter && old.group == group {
			routes.remove(l.owner, *old)
			l.list = append(l.list[:i:i], l.list[i+1:]...)
			return true
		}
	}
	return false
}

// take ends all subscriptions of the session, and any that it would add, and returns them.
func (l *subscriptionSet) take(routes *routes) []subscription {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
	list := l.list
	l.list = nil
	for i := range list {
		routes.remove(l.owner, list[i])
	}
	return list
}

// put gives a session the subscriptions of the one before it, as far as its account may still have them.
func (l *subscriptionSet) put(s *session, list []subscription, routes *routes) {
	for _, sub := range list {
		if s.broker.access.maySubscribe(s.who, sub.filter) {
			l.add(s, sub, routes)
		}
	}
}

func (l *subscriptionSet) all() []subscription {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]subscription(nil), l.list...)
}

// wants tells whether the session subscribed to a topic.
func (l *subscriptionSet) wants(topic string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.list {
		if covers(l.list[i].filter, topic) {
			return true
		}
	}
	return false
}

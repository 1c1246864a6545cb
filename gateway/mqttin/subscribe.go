package mqttin

import (
	"slices"
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"
)

// subscription is a filter that was granted. mochi's tree of them is not used: it takes seconds of a global lock for a
// filter of 30,000 levels, keeps the subscriptions of sessions that are gone, and refuses a SUBSCRIBE whose id happens to
// be that of a message on its way.
type subscription struct {
	filter  string // without the group
	group   string // of a shared subscription, or ""
	id      int    // the subscription identifier of MQTT 5, 0 for none
	qos     byte   // granted
	noLocal bool
	asIs    bool // retain as published
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

// subscribe answers a SUBSCRIBE, and then sends what is retained.
func (b *Broker) subscribe(s *session, pk *packets.Packet) error {
	if code := pk.SubscribeValidate(); code != packets.CodeSuccess {
		return code
	}
	codes := make([]byte, len(pk.Filters))
	var owed []subscription
	for i := range pk.Filters {
		codes[i] = b.subscribeOne(s, &pk.Filters[i], &owed)
		if codes[i] >= subRefused {
			b.counters.note(FilterRefused, s.conn.remote)
			if s.client.Properties.ProtocolVersion < 5 {
				codes[i] = subRefused
			}
		}
	}
	s.answer(subackByte, pk.PacketID, codes)
	for i := range owed {
		b.retained.owe(s.mailbox(), &owed[i])
	}
	for i := range codes {
		if codes[i] < subRefused {
			b.listens(pk.Filters[i].Filter)
		}
	}
	return nil
}

// subscribeOne grants or refuses a filter. It adds to owed those for which retained messages are due.
func (b *Broker) subscribeOne(s *session, f *packets.Subscription, owed *[]subscription) byte {
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
	qos := min(f.Qos, b.mostQos(s, filter))
	if !b.routing && !isCommands(filter) && !b.access.isAsked(filter) { // nothing will ever be sent for it
		return qos
	}
	sub := subscription{
		filter: strings.Clone(filter), group: strings.Clone(group), id: f.Identifier, qos: qos, noLocal: f.NoLocal, asIs: f.RetainAsPublished,
	}
	isNew, ok := s.mailbox().subscribe(sub)
	if !ok {
		return subQuota
	}
	if b.routing && !shared && (f.RetainHandling == 0 || f.RetainHandling == 1 && isNew) { // MQTT 5.0 section 3.8.3.1
		*owed = append(*owed, sub)
	}
	return qos
}

// mostQos is the QoS at which messages for a filter are sent at most: without --mqtt-route commands, at 1. In open mode
// nothing else is sent then, and clients that subscribe as a matter of course are told what they asked for.
func (b *Broker) mostQos(s *session, filter string) byte {
	switch {
	case b.routing:
		return 2
	case isCommands(filter):
		return 1
	case s.who == anonymous:
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
		if !s.unsubscribe(filter, group) && (b.routing || isCommands(filter)) {
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

// subscribe grants a subscription, or replaces the one with the same filter, and tells which. ok is false where there are
// too many.
func (x *mailbox) subscribe(sub subscription) (isNew, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.gone { // a newer connection ended the session
		return false, true
	}
	i := slices.IndexFunc(x.subs, func(o subscription) bool { return o.filter == sub.filter && o.group == sub.group })
	switch {
	case i >= 0:
		x.subs[i] = sub
	case len(x.subs) >= maxSubscriptions:
		return false, false
	default:
		x.subs = append(x.subs, sub)
	}
	x.broker.routes.add(x, sub)
	return i < 0, true
}

// unsubscribe ends a subscription and tells whether there was one.
func (s *session) unsubscribe(filter, group string) bool {
	x := s.box.Load()
	if x == nil {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	i := slices.IndexFunc(x.subs, func(o subscription) bool { return o.filter == filter && o.group == group })
	if i < 0 {
		return false
	}
	x.broker.routes.remove(x, x.subs[i])
	x.subs = slices.Delete(x.subs, i, i+1)
	return true
}

// restrict ends the subscriptions that the session's account may not have any more.
func (x *mailbox) restrict(allowed func(filter string) bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.subs = slices.DeleteFunc(x.subs, func(sub subscription) bool {
		if allowed(sub.filter) {
			return false
		}
		x.broker.routes.remove(x, sub)
		return true
	})
}

// subscriptions are those of the session.
func (s *session) subscriptions() []subscription {
	x := s.box.Load()
	if x == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.subs)
}

// wants tells whether the session subscribed to a topic.
func (s *session) wants(topic string) bool {
	return slices.ContainsFunc(s.subscriptions(), func(sub subscription) bool { return covers(sub.filter, topic) })
}

package mqttin

import (
	"slices"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/devices"
)

// outcome is what OnPublish may return, and nothing else may: mochi acknowledges and routes a message whose hook
// returns an ordinary error, and a wrapped reason code kills the process.
//
//	QoS 0    "ignore": nothing is owed, nothing is routed, nothing is retained
//	QoS 1, 2 "reject": the same, and the acknowledgement is ours
func outcome(qos byte) error {
	if qos == 0 {
		return ignoreOutcome
	}
	return rejectOutcome
}

// Made once: a code becomes an error by an allocation.
var (
	ignoreOutcome error = packets.CodeSuccessIgnore
	rejectOutcome error = packets.ErrRejectPacket
)

// message is a PUBLISH, as far as we look at it. topic and payload lie in the packet.
type message struct {
	topic       string
	payload     []byte
	alias       uint16 // 0: none
	id          uint16
	qos         byte
	retain      bool
	looped      bool // we sent it ourselves: see loop.go
	correlation []byte
	traced      *traced // nil: it is not
	// properties are those of MQTT 5, where messages are routed; else nil.
	properties *packets.Properties
}

// publish takes a PUBLISH of QoS 0 or 1 from a client that has no QoS 2 exchange open. It does what mochi does before it
// asks our hook, and nothing of the rest, which is to acknowledge, keep and route: a packet of 800 bytes by value through
// four calls was a tenth of the processor time of a message and a quarter of what it allocates.
func (b *Broker) publish(s *session, pk *packets.Packet) error {
	if code := pk.PublishValidate(topicAliases); code != packets.CodeSuccess {
		return code
	}
	if alias := pk.Properties.TopicAlias; pk.Properties.TopicAliasFlag && alias > 0 { // [MQTT-3.3.2-11]
		pk.TopicName = s.client.State.TopicAliases.Inbound.Set(alias, pk.TopicName)
	}
	b.receive(s, b.messageOf(pk))
	return nil
}

func (b *Broker) messageOf(pk *packets.Packet) message {
	m := message{topic: pk.TopicName, payload: pk.Payload, id: pk.PacketID, qos: pk.FixedHeader.Qos, retain: pk.FixedHeader.Retain}
	m.looped = isDownlink(pk.Properties.User)
	m.correlation = correlationOf(pk)
	m.traced = enterUser(b.tracer, pk.Properties.User)
	if b.routing {
		properties := pk.Properties
		m.properties = &properties
	}
	if pk.Properties.TopicAliasFlag {
		m.alias = pk.Properties.TopicAlias
	}
	return m
}

// receive does with a message what has to be done before the next one of its connection is read.
func (b *Broker) receive(s *session, m message) {
	if m.topic == "" { // an alias that was never set: mochi would go on with no topic
		b.counters.note(AliasUnknown, s.conn.remote)
		s.kick(packets.ErrTopicAliasInvalid)
		return
	}
	r := s.topics.lookup(&b.intake, m.topic)
	if m.alias > 0 {
		// mochi's table has a topic that pins its packet, of up to Limits.PacketBytes; give it our copy, or what stands
		// for a topic that was not worth one.
		s.client.State.TopicAliases.Inbound.Set(m.alias, keepable(r))
	}
	d := delivery{bytes: len(m.payload), ticket: ticket{id: m.id, kind: ackByte(m.qos)}}
	if m.qos == 2 && !b.beginFlow(s, &d) {
		return
	}
	if d.ticket.flow == nil && m.qos == 2 { // recorded before: only the PUBREC is due once more
		s.expectRelease(m.id) // mochi does not know the id, or it would have answered itself
		d.bytes = 0
		b.offer(s, &d)
		return
	}
	b.judge(s, r)
	switch {
	case m.looped && !isReply(r.topic):
		b.counters.note(Looped, s.conn.remote)
		d.bytes = 0
		b.offer(s, &d)
	case !r.allowed:
		b.counters.messages[dialect.Rejected].Add(1)
		b.counters.note(TopicDenied, s.conn.remote)
		b.refuse(s, &d, codeNotAuthorized)
	case b.routing && m.retain && len(m.payload) == 0 && !isReserved(r.topic) && r.reason != dialect.BadTopic:
		b.forgetRetained(s, r, &m, &d)
	case r.reply != nil:
		b.takeReply(s, r, &m, &d)
	case r.route != nil:
		b.understand(s, r, &m, &d)
	case r.reason == dialect.UnknownTopic && b.routing && !isReserved(r.topic):
		if b.offer(s, &d) { // nothing for the inlet; the acknowledgement keeps its turn
			b.pass(s, r, &m)
		}
	default:
		b.rejectTopic(r.reason, m.topic, m.payload, s.sender())
		b.refuse(s, &d, codeTopicInvalid)
	}
}

// judge says whether the connection may publish to a topic. It is asked once a topic, and again when something was
// changed about who may do what.
func (b *Broker) judge(s *session, r *topicRoute) {
	now := b.generation.Load()
	if r.generation == now {
		return
	}
	r.generation, r.device = now, devices.DeviceID{}
	r.allowed = b.access.mayPublish(s.who, r.topic)
}

func (s *session) sender() sender { return sender{client: s.client.ID, account: s.who.Account} }

// understand takes a message on a topic that has a route.
func (b *Broker) understand(s *session, r *topicRoute, m *message, d *delivery) {
	w := b.work.Get().(*workspace)
	defer b.putBack(w)
	span := b.startSpan(m.traced)
	if !b.decode(r, m.payload, w, s.sender()) {
		took(span, &w.result, d, false)
		b.refuse(s, d, codePayloadInvalid)
		return
	}
	d.entries, d.trace = w.entries[:0], span.Context()
	ok := b.deliver(s, r, &w.result, d)
	took(span, &w.result, d, ok)
	if ok {
		b.pass(s, r, m)
		b.ask(s, &w.result)
	}
	w.entries = d.entries
}

func keepable(r *topicRoute) string {
	if r.topic == "" {
		return reservedTopic
	}
	return r.topic
}

func ackByte(qos byte) byte {
	switch qos {
	case 0:
		return 0
	case 1:
		return pubackByte
	}
	return pubrecByte
}

// beginFlow enters a QoS 2 message into its session's flow. It returns false where nothing more is to be done.
func (b *Broker) beginFlow(s *session, d *delivery) bool {
	f := s.flow.Load()
	before, ok := f.begin(d.ticket.id, b.limits.Unacked)
	switch {
	case !ok:
		// Waiting would not help: the PUBRELs that make room are behind this message.
		b.counters.note(ReceiveMaximumExceeded, s.conn.remote)
		s.kick(packets.ErrReceiveMaximum)
		return false
	case before == pending: // the PUBREC of the first covers this one
		b.counters.note(DuplicateJoined, s.conn.remote)
		return false
	case before == recorded:
		b.counters.note(DuplicateJoined, s.conn.remote)
		return true
	}
	d.ticket.flow = f
	return true
}

// refuse acknowledges a message that will never be understood, in its turn.
func (b *Broker) refuse(s *session, d *delivery, code byte) {
	if d.ticket.kind == 0 {
		return
	}
	d.ticket.code = code
	d.bytes = 0
	if f := d.ticket.flow; f != nil && s.client.Properties.ProtocolVersion == 5 {
		// MQTT 5.0 section 4.3.3: a PUBREC with an error ends the exchange, no PUBREL follows.
		f.release(d.ticket.id)
		d.ticket.flow = nil
	}
	b.offer(s, d)
}

// deliver makes entries of what was decoded and queues them. It tells whether the message was taken.
func (b *Broker) deliver(s *session, r *topicRoute, result *dialect.Result, d *delivery) bool {
	taken, refused, later := 0, 0, false
	var last devices.DeviceID
	speak := func(device devices.DeviceID, fleet devices.FleetID) (devices.FleetID, bool) {
		fleet, why, ok := b.fleetOf(s, r, device, fleet)
		if !ok {
			b.counters.note(why, s.conn.remote)
			refused++
			later = later || why == DeviceUnknownYet
			return fleet, false
		}
		if taken++; device != last {
			last = device
			d.entries = s.appendUp(d.entries, device, fleet)
		}
		return fleet, true
	}
	if !result.Device.IsZero() && result.Kind != dialect.Command && result.Kind != dialect.Discovery {
		speak(result.Device, result.Fleet)
	}
	for i := range result.Messages {
		m := &result.Messages[i]
		if m.Aside {
			continue
		}
		if fleet, ok := speak(m.Device, m.Fleet); ok {
			m.Fleet = fleet
			d.entries = b.appendMessage(d.entries, m, saidLive)
		}
	}
	if later {
		b.forsake(s, d)
		return false
	}
	if refused > 0 && taken == 0 {
		b.refuse(s, d, codeNotAuthorized)
		return false
	}
	if len(d.entries) == 0 && d.ticket.kind == 0 {
		return true
	}
	d.mark()
	if !b.offer(s, d) {
		return false
	}
	s.track(d.entries)
	return true
}

// forsake ends the connection over a message that cannot be judged now: it is not acknowledged, and comes again.
func (b *Broker) forsake(s *session, d *delivery) {
	if f := d.ticket.flow; f != nil {
		f.release(d.ticket.id)
	}
	s.kick(packets.ErrServerUnavailable)
}

// fleetOf returns the fleet of a device for which the connection wants to speak, or why it may not. named is the fleet
// that the topic or its preset names.
func (b *Broker) fleetOf(s *session, r *topicRoute, device devices.DeviceID, named devices.FleetID) (devices.FleetID, Reason, bool) {
	if r.device == device && r.named == named && !device.IsZero() {
		return r.fleet, 0, true
	}
	fleet := named
	switch {
	case s.who.Kind == devices.DevicePrincipal:
		fleet = s.who.Fleet // its credential is the registry's word
	case b.auth != nil:
		admitted, err := b.auth.Admit(s.who, device, named)
		switch {
		case err == nil:
			fleet = admitted
		case devices.KindOf(err) != devices.Unavailable:
			return fleet, DeviceRefused, false
		case s.who == anonymous: // the owner decides while the registry is not loaded
			return named, 0, true
		default:
			return fleet, DeviceUnknownYet, false
		}
	}
	if !inScope(s.who, device, fleet, named) {
		return fleet, DeviceDenied, false
	}
	r.device, r.named, r.fleet = device, named, fleet
	return fleet, 0, true
}

// appendUp appends the event that the connection speaks for the device, if it does so for the first time, or now in
// another fleet. A gateway's connection is its own and proves none of its devices: their silence is what tells.
func (s *session) appendUp(dst []bus.Entry, device devices.DeviceID, fleet devices.FleetID) []bus.Entry {
	if device.IsZero() || s.who.Kind == devices.GatewayPrincipal {
		return dst
	}
	before, known := s.tracked.fleetOf(device)
	switch {
	case known && before == fleet, saysUp(dst, device):
		return dst
	case known:
		dst = append(dst, connectionEntry(device, before, s.event(false)))
	case s.tracked.len() >= s.broker.limits.DevicesPerConnection:
		s.broker.counters.note(DeviceNotTracked, s.conn.remote)
		return dst
	}
	return append(dst, connectionEntry(device, fleet, s.event(true)))
}

// announce says that a device is connected before it says anything itself: one that waits for commands may be silent for
// hours. Only a credential of its own tells here which device it is. Where the queue has no room it is said with the next
// ping or message.
func (b *Broker) announce(s *session) {
	if s.who.Kind != devices.DevicePrincipal || s.tracked.len() > 0 {
		return
	}
	var room [1]bus.Entry
	d := delivery{entries: s.appendUp(room[:0], s.who.Device, s.who.Fleet)}
	if b.committer.take(s, &d, 0) == taken {
		s.track(d.entries)
	}
}

// saysUp tells whether the event of a device is among the entries of its message already.
func saysUp(entries []bus.Entry, device devices.DeviceID) bool {
	return slices.ContainsFunc(entries, func(e bus.Entry) bool { return e.Kind == bus.KindConnection && e.Device == device && e.Connection.Up })
}

// track notes for whom connection events were queued, so that their end will be told.
func (s *session) track(entries []bus.Entry) {
	for i := range entries {
		if e := &entries[i]; e.Kind == bus.KindConnection && e.Connection.Up {
			s.tracked.add(e.Device, e.Fleet)
		}
	}
}

// offer queues a delivery, and ends the connection where that cannot be done. It tells whether the delivery was taken.
func (b *Broker) offer(s *session, d *delivery) bool {
	patience := time.Duration(s.client.State.Keepalive) * time.Second
	d.others = s.conn.worker != nil
	v := b.committer.take(s, d, patience)
	if v == taken {
		return true
	}
	if f := d.ticket.flow; f != nil {
		f.release(d.ticket.id)
	}
	switch v {
	case taken, keptNewest:
	case dropped:
		b.counters.note(QueueFull, s.conn.remote)
	case stalled:
		b.counters.note(BackPressure, s.conn.remote)
		s.kick(packets.ErrServerBusy)
	case refusing:
		b.counters.note(Stopping, s.conn.remote)
		if d.ticket.kind != 0 { // it will never be acknowledged: let the device keep it and come again
			s.kick(packets.ErrServerShuttingDown)
		}
	}
	return false
}

// kick ends the connection, with the reason where the protocol has a place for one. The reader of the connection then
// sees an error, as with any loss, so that the last will is heard; mochi's own way to stop a client hides it.
func (s *session) kick(code packets.Code) {
	if s.client.Properties.ProtocolVersion == 5 {
		s.write([]byte{0xe0, 2, code.Code, 0}) // MQTT 5.0 section 3.14
	}
	_ = s.conn.Close()
}

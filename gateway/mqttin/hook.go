package mqttin

import (
	"strings"
	"sync/atomic"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fleetcast/fleetcast/bridge/dialect"
)

// hook is the one hook of the broker. mochi joins the answers of several hooks by OR, so a second one could only open
// what this one closes. Its methods run in the goroutine that reads the connection unless they say otherwise.
type hook struct {
	mqtt.HookBase
	broker *Broker
}

// ID names the hook.
func (h *hook) ID() string { return "fleetcast" }

// Provides names the methods below.
func (h *hook) Provides(b byte) bool {
	switch b {
	case mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnSessionEstablish, mqtt.OnSessionEstablished,
		mqtt.OnPacketRead, mqtt.OnPacketEncode, mqtt.OnPublish, mqtt.OnSubscribe, mqtt.OnUnsubscribe, mqtt.OnWill,
		mqtt.OnQosComplete, mqtt.OnQosDropped, mqtt.OnClientExpired:
		return true
	}
	return false
}

func connOf(cl *mqtt.Client) *conn {
	c, _ := cl.Net.Conn.(*conn)
	return c
}

func sessionOf(cl *mqtt.Client) *session {
	if c := connOf(cl); c != nil {
		return c.session
	}
	return nil
}

// OnConnect runs when the CONNECT was parsed and before it is answered. An error ends the connection.
func (h *hook) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	b, c := h.broker, connOf(cl)
	if c == nil {
		return packets.ErrImplementationSpecificError
	}
	if pk.FixedHeader.Remaining > maxConnectBytes || len(cl.ID) > maxClientIDBytes {
		b.counters.note(ConnectTooLarge, c.remote)
		return packets.ErrClientIdentifierTooLong
	}
	s := &session{broker: b, conn: c, client: cl, settled: make(chan struct{}), topics: topicCache{limit: routesPerSession}}
	s.clean = cl.Properties.ProtocolVersion < 5 && cl.Properties.Clean
	s.flow.Store(&flow{owner: s})
	b.readWill(s, &pk)
	unpin(cl)
	b.boundSession(s)
	asked := cl.State.Keepalive
	cl.State.Keepalive = b.limits.keepAlive(asked)
	cl.State.ServerKeepalive = cl.State.Keepalive != asked // MQTT 5 tells the client; one of 3.1.1 finds out
	c.session = s
	return nil
}

// unpin replaces what lies in the CONNECT packet, password included, and would keep it alive as long as the connection.
func unpin(cl *mqtt.Client) {
	cl.ID = strings.Clone(cl.ID)
	p := &cl.Properties
	p.Username = nil // open mode has no use for it
	if p.Props.AssignedClientID != "" {
		p.Props.AssignedClientID = cl.ID
	}
	p.Props.User, p.Props.AuthenticationData, p.Props.CorrelationData = nil, nil, nil
	p.Props.AuthenticationMethod, p.Props.ContentType, p.Props.ResponseTopic = "", "", ""
	p.Props.ResponseInfo, p.Props.ServerReference, p.Props.ReasonString = "", "", ""
	if p.Will.Flag != 0 {
		p.Will = mqtt.Will{Flag: 1} // mochi asks OnWill, which has the rest; without a delay, for there is nothing to send
	}
}

// boundSession makes the session end with its connection where too many are kept already. A session of ours holds the
// packet ids of QoS 2 and nothing else, so that only costs a message that is stored twice, which the owner finds.
func (b *Broker) boundSession(s *session) {
	kept := b.server.Clients.Len() - int(atomic.LoadInt64(&b.server.Info.ClientsConnected))
	if kept < b.limits.KeptSessions {
		return
	}
	p := &s.client.Properties
	switch {
	case p.ProtocolVersion < 5 && !p.Clean:
		p.Clean = true
	case p.ProtocolVersion == 5 && p.Props.SessionExpiryInterval > 0:
		p.Props.SessionExpiryInterval = 0
		s.expires = true
	default:
		return
	}
	b.counters.note(SessionNotKept, s.conn.remote)
}

// OnConnectAuthenticate lets everybody in: open mode.
func (h *hook) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

// OnACLCheck allows publishing, for OnPublish sees the resolved topic and refuses in order (mochi would disconnect a
// 3.1.1 client with a packet that 3.1.1 does not have), and of filters only what OnSubscribe put in their place.
func (h *hook) OnACLCheck(_ *mqtt.Client, topic string, write bool) bool {
	return write || topic == parkedFilter
}

// OnSessionEstablish runs before mochi looks for an older connection with the same client id. When several come at once
// mochi lets them pass each other: two stay, or each ends the other. So each waits here until the one before it has its
// CONNACK. A write bounds that wait.
func (h *hook) OnSessionEstablish(cl *mqtt.Client, _ packets.Packet) {
	s := sessionOf(cl)
	if s == nil {
		return
	}
	h.broker.guard.identify(s.conn)
	s.older = h.broker.registry.enter(s)
	if s.older != nil {
		<-s.older.settled
		if !s.older.client.Closed() {
			h.broker.counters.note(TakenOver, s.conn.remote)
		}
		s.older.flow.Load().detach()
	}
}

// OnSessionEstablished runs when the CONNACK is out and the older connection is gone. mochi may have lost sight of that
// one, so it is closed here again.
func (h *hook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	s := sessionOf(cl)
	if s == nil {
		return
	}
	defer s.settle()
	if s.older == nil {
		return
	}
	older := s.older
	s.older = nil
	_ = older.conn.Close()
	if !s.present { // the client was told that it begins anew
		return
	}
	f := older.flow.Load()
	s.flow.Store(f)
	f.adopt(s)
}

// reservedTopic stands for topics that are the broker's own. No template matches it, so that the message is refused in
// its turn; mochi drops it without an acknowledgement, and a QoS 1 client waits for ever.
const reservedTopic = "$fleetcast/reserved"

// OnPacketRead runs before a packet is validated. It may change it; the only error that counts ends the connection.
func (h *hook) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	switch pk.FixedHeader.Type {
	case packets.Publish:
		if isSysTopic(pk.TopicName) {
			h.broker.counters.note(ReservedTopic, cl.Net.Remote)
			pk.TopicName = reservedTopic
		}
	case packets.Subscribe, packets.Unsubscribe:
		if len(pk.Filters) > h.broker.limits.Filters {
			h.broker.counters.note(TooManyFilters, cl.Net.Remote)
			return pk, packets.ErrRejectPacket
		}
	case packets.Disconnect:
		// MQTT 5 lets a client set the expiry of its session once more here, and mochi does not bound it.
		most := h.broker.server.Options.Capabilities.MaximumSessionExpiryInterval
		pk.Properties.SessionExpiryInterval = min(pk.Properties.SessionExpiryInterval, most)
	}
	return pk, nil
}

func isSysTopic(topic string) bool {
	return len(topic) >= len(mqtt.SysPrefix) && strings.EqualFold(topic[:len(mqtt.SysPrefix)], mqtt.SysPrefix)
}

// OnPacketEncode runs before mochi writes a packet, in any goroutine. It must never panic: some of them are mochi's own.
func (h *hook) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	switch pk.FixedHeader.Type {
	case packets.Connack:
		h.completeConnack(cl, &pk)
	case packets.Pubrec:
		if pk.ReasonCode == packets.ErrPacketIdentifierInUse.Code {
			// mochi answers a repeated QoS 2 message so, and an MQTT 5 client takes it for a failure. It is stored:
			// [MQTT-4.3.3-10] wants a plain PUBREC again.
			h.broker.counters.note(DuplicateJoined, cl.Net.Remote)
			pk.ReasonCode, pk.Properties.ReasonString = 0, ""
		}
	}
	return pk
}

// completeConnack announces the limits that mochi holds clients to without telling them (MQTT 5.0 section 3.2.2.3).
func (h *hook) completeConnack(cl *mqtt.Client, pk *packets.Packet) {
	s := sessionOf(cl)
	if s == nil || pk.ReasonCode >= packets.ErrUnspecifiedError.Code {
		return
	}
	s.present = pk.SessionPresent
	p := &pk.Properties
	p.MaximumPacketSize = uint32(h.broker.limits.PacketBytes)
	p.TopicAliasMaximum = topicAliases
	p.SharedSubAvailable, p.SharedSubAvailableFlag = 0, true
	if s.expires {
		p.SessionExpiryInterval, p.SessionExpiryIntervalFlag = 0, true
	}
}

// OnPublish takes a message. See outcome for what it returns.
func (h *hook) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if s := sessionOf(cl); s != nil {
		m := message{topic: pk.TopicName, payload: pk.Payload, id: pk.PacketID, qos: pk.FixedHeader.Qos}
		if pk.Properties.TopicAliasFlag {
			m.alias = pk.Properties.TopicAlias
		}
		h.broker.receive(s, m)
	}
	return pk, outcome(pk.FixedHeader.Qos)
}

// OnQosComplete runs when the client released a QoS 2 message.
func (h *hook) OnQosComplete(cl *mqtt.Client, pk packets.Packet) {
	if s := sessionOf(cl); s != nil {
		s.flow.Load().release(pk.PacketID)
	}
}

// OnQosDropped runs when mochi forgets a packet id: the client never released it, or its session ended. It runs in
// mochi's housekeeping, and in the goroutine of a connection that takes this one over.
func (h *hook) OnQosDropped(cl *mqtt.Client, pk packets.Packet) {
	if s := sessionOf(cl); s != nil {
		s.flow.Load().drop(pk.PacketID, s)
	}
}

// OnClientExpired runs in mochi's housekeeping when a kept session ends. mochi itself forgets the client and keeps its
// subscriptions for ever.
func (h *hook) OnClientExpired(cl *mqtt.Client) {
	h.broker.server.UnsubscribeClient(cl)
	cl.ClearInflights()
	h.broker.registry.remove(cl)
}

// OnWill runs when a connection ended without a DISCONNECT. The will it returns is empty: mochi would publish and
// retain whatever stands in it, past every check.
func (h *hook) OnWill(cl *mqtt.Client, _ mqtt.Will) (mqtt.Will, error) {
	if s := sessionOf(cl); s != nil {
		h.broker.will(s)
	}
	return mqtt.Will{}, nil
}

// readWill decodes the last will while it is at hand, as if it had been published.
func (b *Broker) readWill(s *session, pk *packets.Packet) {
	if !pk.Connect.WillFlag {
		return
	}
	route, reason := b.router.Route(strings.Clone(pk.Connect.WillTopic))
	if reason != dialect.None || strings.ContainsAny(pk.Connect.WillTopic, "+#") {
		b.counters.note(WillIgnored, s.conn.remote)
		return
	}
	w := b.work.Get().(*workspace)
	defer b.putBack(w)
	result := &w.result
	route.Decode(pk.Connect.WillPayload, result)
	for i := range result.Messages {
		s.lastWill = b.appendMessage(s.lastWill, &result.Messages[i], false)
	}
	if len(s.lastWill) == 0 {
		b.counters.note(WillIgnored, s.conn.remote)
	}
}

// will queues the last will, once. It is not heard where the connection was replaced, for it speaks of a device that is
// there, nor where we end it ourselves to stop.
func (b *Broker) will(s *session) {
	if s.willed {
		return
	}
	s.willed = true
	switch {
	case len(s.lastWill) == 0:
	case s.overtaken.Load() || b.stopping.Load():
		b.counters.note(WillOutdated, s.conn.remote)
	default:
		b.committer.force(s.lastWill)
	}
	s.lastWill = nil
}

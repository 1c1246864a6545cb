package mqttin

import (
	"strings"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
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
	case mqtt.OnACLCheck, mqtt.OnPacketRead, mqtt.OnPacketEncode, mqtt.OnPublish, mqtt.OnQosComplete, mqtt.OnQosDropped:
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

// OnACLCheck allows publishing, for OnPublish sees the resolved topic and refuses in order: here an alias is not
// resolved yet, and mochi would disconnect a 3.1.1 client with a packet that 3.1.1 does not have. Reading is not mochi's.
func (h *hook) OnACLCheck(_ *mqtt.Client, _ string, write bool) bool { return write }

// reservedTopic stands for topics that are the broker's own. No template matches it, so that the message is refused in
// its turn; mochi drops it without an acknowledgement, and a QoS 1 client waits for ever.
const reservedTopic = "$fleetcast/reserved"

// OnPacketRead runs before a packet is validated. It may change it; the only error that counts ends the connection.
func (h *hook) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	switch pk.FixedHeader.Type {
	case packets.Publish:
		h.broker.hideReserved(cl.Net.Remote, &pk)
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

// hideReserved gives a message on a topic of the broker's own another one, which nobody may publish to.
func (b *Broker) hideReserved(remote string, pk *packets.Packet) {
	if isSysTopic(pk.TopicName) {
		b.counters.note(ReservedTopic, remote)
		pk.TopicName = reservedTopic
	}
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
	p := &pk.Properties
	p.MaximumPacketSize = uint32(h.broker.limits.PacketBytes)
	p.TopicAliasMaximum = topicAliases
	if !h.broker.routing {
		p.SharedSubAvailable, p.SharedSubAvailableFlag = 0, true
	}
	if s.expires {
		p.SessionExpiryInterval, p.SessionExpiryIntervalFlag = 0, true
	}
}

// OnPublish takes a message that went mochi's way. See outcome for what it returns.
func (h *hook) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if s := sessionOf(cl); s != nil {
		h.broker.receive(s, h.broker.messageOf(&pk))
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

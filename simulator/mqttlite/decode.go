package mqttlite

import "time"

// Message is an application message. A received one aliases the client's buffer and is valid until the callback returns.
type Message struct {
	Topic   string
	Payload []byte
	QoS     byte
	Retain  bool
	// ResponseTopic and CorrelationData are of received messages of MQTT 5 only.
	ResponseTopic   string
	CorrelationData []byte
}

// Connack is what the broker answered to CONNECT.
type Connack struct {
	SessionPresent bool
	// Code is the reason code of MQTT 5 or the return code of 3.1.1; 0 is success in both.
	Code byte
	// ReceiveMaximum, MaximumPacket and MaximumQoS are the broker's limits, 0 and 2 where it named none.
	ReceiveMaximum uint16
	MaximumPacket  uint32
	MaximumQoS     byte
	// RetainRefused tells that the broker refuses retained messages.
	RetainRefused bool
	// KeepAlive is the broker's own choice; negative where it made none.
	KeepAlive time.Duration
}

// packet is one packet from the broker. Its slices alias the body that it was decoded from.
type packet struct {
	kind    byte
	id      uint16
	code    byte
	codes   []byte
	connack Connack
	message Message
}

// decode reads the body of a packet; header is its first byte. Flags that must have one value are checked, since a
// wrong one means that the stream is out of step.
func decode(v Version, header byte, body []byte) (packet, error) {
	p := packet{kind: header >> 4}
	if p.kind != typePublish && header&0x0f != 0 {
		return p, malformed("reserved flags")
	}
	c := cursor{b: body}
	switch p.kind {
	case typeConnack:
		return p, p.decodeConnack(v, &c)
	case typePublish:
		return p, p.decodePublish(v, header, &c)
	case typePuback:
		return p, p.decodePuback(v, &c)
	case typeSuback:
		return p, p.decodeSuback(v, &c)
	case typePingresp:
		if len(body) != 0 {
			return p, malformed("PINGRESP with a body")
		}
		return p, nil
	case typeDisconnect:
		if v == V311 {
			return p, malformed("DISCONNECT from a server of MQTT 3.1.1")
		}
		if len(body) > 0 {
			p.code = c.uint8()
		}
		return p, nil
	}
	return p, malformed("a packet that a server does not send")
}

func (p *packet) decodeConnack(v Version, c *cursor) error {
	flags := c.uint8()
	a := Connack{SessionPresent: flags&1 != 0, Code: c.uint8(), MaximumQoS: 2, KeepAlive: -1}
	if c.failed || flags&^1 != 0 {
		return malformed("CONNACK")
	}
	if v == V5 && len(c.b) > 0 { // some brokers refuse a version with a CONNACK of 3.1.1
		if err := c.properties(a.set); err != nil {
			return err
		}
	}
	if len(c.b) > 0 {
		return malformed("bytes after CONNACK")
	}
	p.connack = a
	return nil
}

func (a *Connack) set(p property) {
	switch p.id {
	case propReceiveMaximum:
		a.ReceiveMaximum = uint16(p.number)
	case propMaximumPacket:
		a.MaximumPacket = p.number
	case propMaximumQoS:
		a.MaximumQoS = byte(p.number)
	case propRetainAvailable:
		a.RetainRefused = p.number == 0
	case propServerKeepAlive:
		a.KeepAlive = time.Duration(p.number) * time.Second
	}
}

func (p *packet) decodePublish(v Version, header byte, c *cursor) error {
	m := Message{QoS: header >> 1 & 3, Retain: header&1 != 0}
	if m.QoS > 1 { // the client never asks for QoS 2
		return malformed("PUBLISH of QoS 2 or 3")
	}
	topic := c.bytes()
	if m.QoS > 0 {
		if p.id = c.uint16(); p.id == 0 {
			return malformed("PUBLISH without a packet id")
		}
	}
	if v == V5 {
		if err := c.properties(m.set); err != nil {
			return err
		}
	}
	if c.failed {
		return malformed("PUBLISH cut short")
	}
	if len(topic) == 0 { // an empty one would be a topic alias, and we announced none
		return malformed("PUBLISH without a topic")
	}
	m.Topic, m.Payload = string(topic), c.b
	p.message = m
	return nil
}

func (m *Message) set(p property) {
	switch p.id {
	case propResponseTopic:
		m.ResponseTopic = string(p.data)
	case propCorrelationData:
		m.CorrelationData = p.data
	}
}

func (p *packet) decodePuback(v Version, c *cursor) error {
	p.id = c.uint16()
	if v == V5 && len(c.b) > 0 {
		p.code = c.uint8()
		if len(c.b) > 0 {
			if err := c.properties(func(property) {}); err != nil {
				return err
			}
		}
	}
	if c.failed || p.id == 0 || len(c.b) > 0 {
		return malformed("PUBACK")
	}
	return nil
}

func (p *packet) decodeSuback(v Version, c *cursor) error {
	p.id = c.uint16()
	if v == V5 {
		if err := c.properties(func(property) {}); err != nil {
			return err
		}
	}
	if c.failed || p.id == 0 || len(c.b) == 0 {
		return malformed("SUBACK")
	}
	p.codes = c.b
	return nil
}

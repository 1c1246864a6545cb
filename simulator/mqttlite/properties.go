package mqttlite

// Properties of MQTT 5 (section 2.2.2.2) that the client acts on. The others are read over.
const (
	propResponseTopic   = 0x08
	propCorrelationData = 0x09
	propSessionExpiry   = 0x11
	propServerKeepAlive = 0x13
	propReceiveMaximum  = 0x21
	propMaximumQoS      = 0x24
	propRetainAvailable = 0x25
	propMaximumPacket   = 0x27
)

// property is one property: number for the numeric kinds, data for text and binary, which alias the packet.
type property struct {
	id     byte
	number uint32
	data   []byte
}

// properties reads the property block at the cursor and calls visit for each.
func (c *cursor) properties(visit func(property)) error {
	block := cursor{b: c.take(c.varint())}
	if c.failed {
		return malformed("properties longer than the packet")
	}
	for len(block.b) > 0 {
		p, err := block.property()
		if err != nil {
			return err
		}
		visit(p)
	}
	return nil
}

func (c *cursor) property() (property, error) {
	p := property{id: c.uint8()}
	switch p.id {
	case 0x01, 0x17, 0x19, propMaximumQoS, propRetainAvailable, 0x28, 0x29, 0x2a:
		p.number = uint32(c.uint8())
	case propServerKeepAlive, propReceiveMaximum, 0x22, 0x23:
		p.number = uint32(c.uint16())
	case 0x02, propSessionExpiry, 0x18, propMaximumPacket:
		p.number = c.uint32()
	case 0x0b:
		p.number = uint32(c.varint())
	case 0x03, propResponseTopic, propCorrelationData, 0x12, 0x15, 0x16, 0x1a, 0x1c, 0x1f:
		p.data = c.bytes()
	case 0x26: // a user property is two strings
		c.bytes()
		p.data = c.bytes()
	default:
		return p, malformed("unknown property")
	}
	if c.failed {
		return p, malformed("property cut short")
	}
	return p, nil
}

package mqttin

import (
	"encoding/binary"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// routed is a message on its way to clients. It is shared by all that get it, and not changed.
type routed struct {
	client  string // the client id of who published it; "" for ours
	topic   string
	payload []byte
	// properties are those of MQTT 5 that a broker hands on (section 3.3.2.3), encoded, without the expiry.
	properties []byte
	expires    time.Time // zero: never
	qos        byte
	retain     bool // as it was published
}

// size is what the message costs while it waits, about.
func (m *routed) size() int {
	return len(m.topic) + len(m.payload) + len(m.properties) + routedOverhead
}

const routedOverhead = 128

func (m *routed) hasExpired(now time.Time) bool { return !m.expires.IsZero() && !now.Before(m.expires) }

// expiresIn is the time after an interval of MQTT 5 in seconds; 0: never.
func expiresIn(seconds uint32, now time.Time) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return now.Add(time.Duration(seconds) * time.Second)
}

// Properties of a PUBLISH (MQTT 5.0 section 2.2.2.2).
const (
	propFormat         byte = 0x01
	propExpiry         byte = 0x02
	propContentType    byte = 0x03
	propResponseTopic  byte = 0x08
	propCorrelation    byte = 0x09
	propSubscription   byte = 0x0b
	propUser           byte = 0x26
	maxPublishTextSize      = 65_535
)

// appendForwarded encodes what of a message's properties is handed on unchanged.
func appendForwarded(dst []byte, p *packets.Properties) []byte {
	if p.PayloadFormatFlag {
		dst = append(dst, propFormat, p.PayloadFormat)
	}
	dst = appendTextProperty(dst, propContentType, p.ContentType)
	dst = appendTextProperty(dst, propResponseTopic, p.ResponseTopic)
	if n := len(p.CorrelationData); n > 0 && n <= maxPublishTextSize {
		dst = append(binary.BigEndian.AppendUint16(append(dst, propCorrelation), uint16(n)), p.CorrelationData...)
	}
	for _, u := range p.User { // in their order [MQTT-3.3.2-18]
		if len(u.Key) <= maxPublishTextSize && len(u.Val) <= maxPublishTextSize {
			dst = appendText(appendText(append(dst, propUser), u.Key), u.Val)
		}
	}
	return dst
}

func appendTextProperty(dst []byte, id byte, text string) []byte {
	if text == "" || len(text) > maxPublishTextSize {
		return dst
	}
	return appendText(append(dst, id), text)
}

func appendText(dst []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(text))), text...)
}

// outgoing is a message for one client.
type outgoing struct {
	*routed
	acked  func() // of a command; else nil
	ids    []int  // subscription identifiers
	qos    byte
	retain bool // the flag that this client sees
}

// appendPublish encodes the PUBLISH (MQTT 5.0 section 3.3, which has the properties that 3.1.1 has not).
func (o *outgoing) appendPublish(dst []byte, id uint16, again, five bool, now time.Time) []byte {
	first := byte(packets.Publish)<<4 | o.qos<<1
	if o.retain {
		first |= 1
	}
	if again {
		first |= 1 << 3
	}
	body := 2 + len(o.topic) + len(o.payload)
	if o.qos > 0 {
		body += 2
	}
	properties := 0
	if five {
		properties = len(o.properties)
		if !o.expires.IsZero() {
			properties += 5
		}
		for _, each := range o.ids {
			properties += 1 + lengthBytes(each)
		}
		body += lengthBytes(properties) + properties
	}
	dst = appendText(appendLength(append(dst, first), body), o.topic)
	if o.qos > 0 {
		dst = binary.BigEndian.AppendUint16(dst, id)
	}
	if five {
		dst = append(appendLength(dst, properties), o.properties...)
		if !o.expires.IsZero() { // what is left of it [MQTT-3.3.2-6]
			left := max(o.expires.Sub(now)+time.Second-1, 0) / time.Second
			dst = binary.BigEndian.AppendUint32(append(dst, propExpiry), uint32(left))
		}
		for _, each := range o.ids {
			dst = appendLength(append(dst, propSubscription), each)
		}
	}
	return append(dst, o.payload...)
}

// lengthBytes is how many bytes appendLength appends.
func lengthBytes(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	}
	return 4
}

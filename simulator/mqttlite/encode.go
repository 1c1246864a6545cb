package mqttlite

import (
	"encoding/binary"
	"time"
)

// Will is the message that the broker publishes when the connection ends without a DISCONNECT.
type Will struct {
	Topic   string
	Payload []byte
	QoS     byte
	Retain  bool
}

// appendConnect writes CONNECT (MQTT 3.1.1, section 3.1; MQTT 5, section 3.1).
func appendConnect(dst []byte, o *Options) ([]byte, error) {
	if err := fits(len(o.ClientID), len(o.Username), len(o.Password)); err != nil {
		return dst, err
	}
	body := appendString(nil, "MQTT")
	body = append(body, byte(o.Version), connectFlags(o))
	body = binary.BigEndian.AppendUint16(body, keepAliveSeconds(o.KeepAlive))
	if o.Version == V5 {
		body = appendSessionExpiry(body, o.SessionExpiry)
	}
	body = appendString(body, o.ClientID)
	if o.Will != nil {
		if err := fits(len(o.Will.Topic), len(o.Will.Payload)); err != nil {
			return dst, err
		}
		if o.Version == V5 {
			body = append(body, 0) // no will properties
		}
		body = appendString(body, o.Will.Topic)
		body = appendString(body, o.Will.Payload)
	}
	if o.Username != "" {
		body = appendString(body, o.Username)
	}
	if o.Password != nil {
		body = appendString(body, o.Password)
	}
	dst = appendVarint(append(dst, typeConnect<<4), len(body))
	return append(dst, body...), nil
}

func connectFlags(o *Options) byte {
	var flags byte
	if o.CleanStart {
		flags |= 1 << 1
	}
	if w := o.Will; w != nil {
		flags |= 1<<2 | w.QoS<<3
		if w.Retain {
			flags |= 1 << 5
		}
	}
	if o.Password != nil {
		flags |= 1 << 6
	}
	if o.Username != "" {
		flags |= 1 << 7
	}
	return flags
}

func keepAliveSeconds(d time.Duration) uint16 {
	seconds := (d + time.Second - 1) / time.Second
	return uint16(min(max(seconds, 0), 65535))
}

func appendSessionExpiry(dst []byte, d time.Duration) []byte {
	if d <= 0 {
		return append(dst, 0)
	}
	dst = append(dst, 5, propSessionExpiry)
	return binary.BigEndian.AppendUint32(dst, uint32(min(int64(d/time.Second), 0xffffffff)))
}

// appendPublish writes PUBLISH (MQTT 5, section 3.3); id is not written at QoS 0. The topic's length was checked.
func appendPublish(dst []byte, v Version, m *Message, id uint16) []byte {
	header := byte(typePublish<<4) | m.QoS<<1
	if m.Retain {
		header |= 1
	}
	length := 2 + len(m.Topic) + len(m.Payload)
	if m.QoS > 0 {
		length += 2
	}
	if v == V5 {
		length++
	}
	dst = appendVarint(append(dst, header), length)
	dst = appendString(dst, m.Topic)
	if m.QoS > 0 {
		dst = binary.BigEndian.AppendUint16(dst, id)
	}
	if v == V5 {
		dst = append(dst, 0) // no properties
	}
	return append(dst, m.Payload...)
}

// appendPuback writes a PUBACK of success in its short form, which both versions share (MQTT 5, section 3.4.2.1).
func appendPuback(dst []byte, id uint16) []byte {
	return append(dst, typePuback<<4, 2, byte(id>>8), byte(id))
}

// appendSubscribe writes SUBSCRIBE for one filter (MQTT 5, section 3.8).
func appendSubscribe(dst []byte, v Version, id uint16, filter string, qos byte) []byte {
	length := 2 + 2 + len(filter) + 1
	if v == V5 {
		length++
	}
	dst = appendVarint(append(dst, typeSubscribe<<4|2), length)
	dst = binary.BigEndian.AppendUint16(dst, id)
	if v == V5 {
		dst = append(dst, 0)
	}
	return append(appendString(dst, filter), qos)
}

var (
	pingreq = []byte{typePingreq << 4, 0}
	// The two-byte form is a normal disconnection in both versions (MQTT 5, section 3.14.2.1).
	disconnect = []byte{typeDisconnect << 4, 0}
)

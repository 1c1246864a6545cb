package mqttin

import (
	"encoding/binary"
	"testing"
)

// message is a PUBLISH that a client got.
type gotMessage struct {
	topic, payload  string
	id              uint16
	qos             byte
	dup, retain     bool
	ids             []int
	expiry          uint32
	user            string // the values of user properties, joined
	response        string
	contentType     string
	correlation     string
	formatIndicator int
}

// message reads the next packet, which must be a PUBLISH.
func (r *raw) message() gotMessage {
	r.t.Helper()
	first, body := r.read()
	if first>>4 != 3 {
		r.t.Fatalf("got %#x % x instead of a PUBLISH", first, body)
	}
	m := gotMessage{qos: first >> 1 & 3, dup: first&8 != 0, retain: first&1 != 0}
	m.topic, body = text(body)
	if m.qos > 0 {
		m.id, body = binary.BigEndian.Uint16(body), body[2:]
	}
	if r.version == 5 {
		n, size := binary.Uvarint(body)
		r.properties(&m, body[size:size+int(n)])
		body = body[size+int(n):]
	}
	m.payload = string(body)
	return m
}

func text(b []byte) (string, []byte) {
	n := int(binary.BigEndian.Uint16(b))
	return string(b[2 : 2+n]), b[2+n:]
}

func (r *raw) properties(m *gotMessage, b []byte) {
	r.t.Helper()
	for len(b) > 0 {
		id := b[0]
		b = b[1:]
		switch id {
		case propFormat:
			m.formatIndicator, b = int(b[0]), b[1:]
		case propExpiry:
			m.expiry, b = binary.BigEndian.Uint32(b), b[4:]
		case propContentType:
			m.contentType, b = text(b)
		case propResponseTopic:
			m.response, b = text(b)
		case propCorrelation:
			m.correlation, b = text(b)
		case propSubscription:
			n, size := binary.Uvarint(b)
			m.ids, b = append(m.ids, int(n)), b[size:]
		case propUser:
			var key, value string
			key, b = text(b)
			value, b = text(b)
			m.user += key + "=" + value + ";"
		default:
			r.t.Fatalf("a PUBLISH with property %#x", id)
		}
	}
}

// confirm acknowledges a message to its end.
func (r *raw) confirm(m gotMessage) {
	r.t.Helper()
	switch m.qos {
	case 1:
		r.ack(m.id)
	case 2:
		r.pubrec(m.id)
		r.expect(0x62, m.id)
		r.pubcomp(m.id)
	}
}

func (r *raw) pubrec(id uint16)  { r.send([]byte{0x50, 2, byte(id >> 8), byte(id)}) }
func (r *raw) pubcomp(id uint16) { r.send([]byte{0x70, 2, byte(id >> 8), byte(id)}) }

// Options of a subscription (MQTT 5.0 section 3.8.3.1).
const (
	optNoLocal      byte = 1 << 2
	optAsPublished  byte = 1 << 3
	optOnlyNew      byte = 1 << 4
	optNoneRetained byte = 2 << 4
)

// subscribe subscribes with options, in MQTT 5 with a subscription identifier where it is not 0, and returns the code.
func (r *raw) subscribe(filter string, options byte, identifier byte) byte {
	r.t.Helper()
	body := []byte{0, 9}
	if r.version == 5 {
		if identifier > 0 {
			body = append(body, 2, propSubscription, identifier)
		} else {
			body = append(body, 0)
		}
	}
	r.send(frame(0x82, append(append(body, str(filter)...), options)))
	got := r.expect(0x90, 9)
	return got[len(got)-1]
}

// say publishes to the end: when it returns the message has been routed.
func (r *raw) say(topic, payload string, qos byte, retain bool, properties ...byte) {
	r.t.Helper()
	body := str(topic)
	if qos > 0 {
		body = append(body, 0, 5)
	}
	if r.version == 5 {
		body = append(append(body, byte(len(properties))), properties...)
	}
	first := 0x30 | qos<<1
	if retain {
		first |= 1
	}
	r.send(frame(first, append(body, payload...)))
	switch qos {
	case 1:
		r.expect(0x40, 5)
	case 2:
		r.expect(0x50, 5)
		r.send([]byte{0x62, 2, 0, 5})
		r.expect(0x70, 5)
	}
	r.ping() // the acknowledgement is the committer's, and may come a moment before
}

// hears asserts that the next messages have these payloads, and confirms them.
func (r *raw) hears(payloads ...string) {
	r.t.Helper()
	for _, want := range payloads {
		m := r.message()
		if m.payload != want {
			r.t.Fatalf("got %+v, want %q", m, want)
		}
		r.confirm(m)
	}
}

// away closes a connection as if the network had, and waits until the broker knows.
func (h *harness) away(t testing.TB, r *raw) {
	t.Helper()
	_ = r.Close()
	eventually(t, "the end of "+r.id, func() bool {
		s := h.sessionOf(r.id)
		if s == nil {
			return true
		}
		h.registry.mu.Lock()
		defer h.registry.mu.Unlock()
		return s.isKept
	})
}

func client(t testing.TB, h *harness, version byte, id string) *raw {
	t.Helper()
	r, _ := connect(t, h, connectOptions{version: version, id: id})
	return r
}

// lasting connects with a session that outlives the connection, and tells whether there was one.
func lasting(t testing.TB, h *harness, version byte, id string) (r *raw, present bool) {
	t.Helper()
	o := connectOptions{version: version, id: id, keep: true}
	if version == 5 {
		o.expiry = 600
	}
	r, connack := connect(t, h, o)
	return r, connack[0]&1 == 1
}

package mqttin

import "sync"

// MQTT control packets that we write ourselves (MQTT 5.0 sections 3.4 and 3.5; 3.1.1 has the same without the code).
const (
	pubackByte byte = 0x40
	pubrecByte byte = 0x50
)

// Reason codes in a PUBACK or PUBREC of MQTT 5 (section 2.4). MQTT 3.1.1 has no negative acknowledgement: there the
// plain one is sent, for a message that will never be understood must not come again and again.
const (
	codeSuccess        byte = 0x00
	codeUnspecified    byte = 0x80
	codeNotAuthorized  byte = 0x87
	codeTopicInvalid   byte = 0x90
	codePayloadInvalid byte = 0x99
)

// acks are the acknowledgements that are due to a connection, in order of arrival. The committer writes them where there is
// room in the socket, and else a goroutine that exists while there are any: whoever does not read holds up its own writer
// and nobody else, until its write deadline. A message counts against Limits.Unacked until its acknowledgement is written,
// which is the bound of all this.
type acks struct {
	mu      sync.Mutex
	due     []byte
	own     int    // how many in due are for messages that this connection took
	writing []byte // the writer's, for use again
	busy    bool   // a writer runs
}

// add appends an acknowledgement and tells whether a writer must be started. own says that the message came on this
// connection, and not on one that it replaced.
func (a *acks) add(t *ticket, version byte, own bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t.code == codeSuccess || version < 5 {
		a.due = append(a.due, t.kind, 2, byte(t.id>>8), byte(t.id))
	} else {
		a.due = append(a.due, t.kind, 3, byte(t.id>>8), byte(t.id), t.code)
	}
	if own {
		a.own++
	}
	start := !a.busy
	a.busy = true
	return start
}

// take returns what is due and how much of it this connection took, or nil when the writer may end.
func (a *acks) take() (b []byte, own int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.due) == 0 {
		a.busy = false
		return nil, 0
	}
	a.due, a.writing = a.writing[:0], a.due
	own, a.own = a.own, 0
	return a.writing, own
}

// rest notes that the committer wrote all that was due: only it adds.
func (a *acks) rest() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.busy = false
}

// acknowledge puts an acknowledgement among those that are due to the connection, or to the one that has its QoS 2
// session by now.
func (s *session) acknowledge(t *ticket) origin {
	target, version := s, s.client.Properties.ProtocolVersion
	switch {
	case t.flow == nil:
	case t.code != codeSuccess && version == 5:
		// MQTT 5.0 section 4.3.3: a PUBREC with an error ends the exchange, no PUBREL follows.
		target = t.flow.refuse(t.id)
	default:
		target = t.flow.record(t.id)
	}
	if target != s {
		s.broker.committer.settle(s, 1) // its own connection is gone
	}
	if target == nil || !target.acks.add(t, target.client.Properties.ProtocolVersion, target == s) {
		return nil
	}
	return target
}

// writeAcks writes what is due. It runs in the committer's goroutine: to wake one for each connection and four bytes cost
// as much as the write. So it does not wait, and what would goes elsewhere, with the client's lock where a part of an
// acknowledgement is out.
func (s *session) writeAcks(elsewhere func(func())) {
	if !s.client.TryLock() { // somebody writes, and may be waiting
		elsewhere(s.writeAllAcks)
		return
	}
	b, own := s.acks.take()
	if n := s.conn.writeNow(&s.broker.committer.direct, b); n < len(b) {
		elsewhere(func() {
			_, _ = s.conn.Write(b[n:]) // see write
			s.client.Unlock()
			s.broker.committer.settle(s, own)
			s.writeAllAcks()
		})
		return
	}
	s.client.Unlock()
	s.broker.committer.settle(s, own)
	s.acks.rest()
}

// writeAllAcks writes until nothing is due.
func (s *session) writeAllAcks() {
	for b, own := s.acks.take(); b != nil; b, own = s.acks.take() {
		s.write(b)
		s.broker.committer.settle(s, own)
	}
}

// write takes the client's own lock, as mochi does when it writes.
func (s *session) write(b []byte) {
	s.client.Lock()
	defer s.client.Unlock()
	_, _ = s.conn.Write(b) // a failed write closes the connection, and its reader sees that
}

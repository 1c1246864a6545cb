package mqttin

import (
	"encoding/binary"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// This file is how what waits in a mailbox comes to the client.

// atOnce is how much is written at a time: one system call for many small messages.
const atOnce = 32 << 10

// wake has what waits written, where something may be. It needs x.mu.
func (x *mailbox) wake() {
	s := x.at
	if s == nil || x.busy || !x.maySend() {
		return
	}
	x.busy = true
	x.broker.writers.Go(func() { x.pump(s) })
}

// maySend tells whether something may be sent now. It needs x.mu.
func (x *mailbox) maySend() bool {
	room := x.here < x.window()
	switch {
	case len(x.again) > 0:
		return room || x.sent[x.again[0]] == nil || x.sent[x.again[0]].released
	case x.commands.len() > 0 && room:
		return true
	case x.waiting.len() > 0:
		return room || x.waiting.first().qos == 0
	}
	return len(x.retained) > 0
}

// pump writes until there is nothing that may be sent. The goroutine exists that long.
func (x *mailbox) pump(s *session) {
	var buf []byte
	for {
		some, lookUp := x.next(s, buf[:0])
		switch {
		case len(some) > 0:
			s.write(some)
			buf = some
		case len(lookUp) > 0:
			x.broker.retained.give(x, lookUp)
		default:
			return
		}
	}
}

// next returns the packets to be written next, or retained messages that are to be looked up first, or neither.
func (x *mailbox) next(s *session, buf []byte) (packets []byte, lookUp []retainedFor) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.at != s { // another goroutine writes to the connection that came after it
		return nil, nil
	}
	now, window := time.Now(), x.window()
	for len(buf) < atOnce {
		n, more := len(buf), false
		if buf, more = x.nextOne(buf, window, now); !more && len(buf) == n {
			break
		}
	}
	if len(buf) > 0 {
		return buf, nil
	}
	if n := min(len(x.retained), retainedAtOnce); n > 0 && x.waiting.len() == 0 {
		lookUp, x.retained = x.retained[:n:n], x.retained[n:]
		if len(x.retained) == 0 {
			x.retained = nil
		}
		x.charge(-n * retainedForBytes)
		return nil, lookUp
	}
	x.busy = false
	return nil, nil
}

// nextOne appends the next packet. more says that there may be another even if nothing was appended. It needs x.mu.
func (x *mailbox) nextOne(buf []byte, window int, now time.Time) (_ []byte, more bool) {
	switch {
	case len(x.again) > 0:
		return x.sendAgain(buf, window, now)
	case x.commands.len() > 0 && x.here < window:
		return x.send(buf, x.commands.pop(), now), true
	case x.waiting.len() > 0 && (x.here < window || x.waiting.first().qos == 0):
		return x.send(buf, x.waiting.pop(), now), true
	}
	return buf, false
}

// sendAgain appends what the connection before did not acknowledge: the message, or that it is released (MQTT 5.0 section
// 4.4). It needs x.mu.
func (x *mailbox) sendAgain(buf []byte, window int, now time.Time) (_ []byte, more bool) {
	id := x.again[0]
	f := x.sent[id]
	switch {
	case f == nil: // acknowledged meanwhile
	case f.released:
		buf = appendPubrel(buf, id, 0)
	case x.here >= window:
		return buf, false
	default:
		f.here = true
		x.here++
		buf = f.appendPublish(buf, id, true, x.at.isFive(), now)
		x.broker.counters.note(RouteRepeated, "")
	}
	if x.again = x.again[1:]; len(x.again) == 0 {
		x.again = nil
	}
	return buf, true
}

// send appends a message, unless it has expired or the client takes none so large [MQTT-3.1.2-25]. It needs x.mu.
func (x *mailbox) send(buf []byte, o outgoing, now time.Time) []byte {
	if o.hasExpired(now) {
		x.broker.counters.note(RouteExpired, "")
		x.charge(-o.size())
		return buf
	}
	id := uint16(0)
	if o.qos > 0 {
		id = x.newID()
	}
	before := len(buf)
	buf = o.appendPublish(buf, id, false, x.at.isFive(), now)
	if most := int64(x.at.client.Properties.Props.MaximumPacketSize); most > 0 && int64(len(buf)-before) > most {
		x.broker.counters.note(RouteTooLarge, "")
		x.charge(-o.size())
		return buf[:before]
	}
	if o.qos == 0 {
		x.charge(-o.size())
		return buf
	}
	x.seq++
	x.sent[id] = &inflight{outgoing: o, seq: x.seq, here: true}
	x.here++
	return buf
}

// newID returns a packet id that is not in use. The window is smaller than their number. It needs x.mu.
func (x *mailbox) newID() uint16 {
	if x.sent == nil {
		x.sent = map[uint16]*inflight{}
	}
	for {
		x.last++
		if _, used := x.sent[x.last]; x.last != 0 && !used {
			return x.last
		}
	}
}

// appendPubrel appends a PUBREL. 3.1.1 has no code, and MQTT 5 leaves out the one for success.
func appendPubrel(dst []byte, id uint16, code byte) []byte {
	first := byte(packets.Pubrel)<<4 | 1<<1 // [MQTT-3.6.1-1]
	if code == 0 {
		return binary.BigEndian.AppendUint16(append(dst, first, 2), id)
	}
	return append(binary.BigEndian.AppendUint16(append(dst, first, 3), id), code)
}

const codeNoPacketID byte = 0x92

// acknowledged hears a PUBACK.
func (b *Broker) acknowledged(s *session, pk *packets.Packet) {
	x := s.box.Load()
	if x == nil {
		return
	}
	if acked := x.puback(pk.PacketID); acked != nil {
		b.counters.note(CommandAcked, s.conn.remote)
		if pk.ReasonCode < subRefused {
			acked()
		}
	}
}

// received hears a PUBREC and releases the message: also one that is not known, for the client waits for it.
func (b *Broker) received(s *session, pk *packets.Packet) {
	x, refused := s.box.Load(), pk.ReasonCode >= subRefused
	switch {
	case x != nil && x.pubrec(pk.PacketID, refused):
		s.write(appendPubrel(nil, pk.PacketID, 0))
	case refused:
	case s.isFive():
		s.write(appendPubrel(nil, pk.PacketID, codeNoPacketID))
	default:
		s.write(appendPubrel(nil, pk.PacketID, 0))
	}
}

// completed hears a PUBCOMP.
func (b *Broker) completed(s *session, pk *packets.Packet) {
	if x := s.box.Load(); x != nil {
		x.pubcomp(pk.PacketID)
	}
}

func (s *session) isFive() bool { return s.client.Properties.ProtocolVersion == 5 }

package mqttin

import (
	"fmt"
	"io"
	"sync"

	"github.com/mochi-mqtt/server/v2/packets"
)

// This file reads a connection packet by packet, ahead of mochi, which is shown those that are its own, one at a time. Nearly
// all packets are a PUBLISH, and mochi's way for it is to copy the body twice and to hand 800 bytes on by value through
// four calls. That was a tenth of a message's processor time, and a stack of 16 KiB a connection, which each collection
// shrank and the next message grew again; past it a message needs 4.

// mostHead is the size of the largest fixed header (MQTT 5.0 section 2.1.4).
const mostHead = 5

// head waits for the fixed header of the next packet and returns what it says, and how many bytes it has: 0 where it is
// malformed, which mochi is to find out and to say.
func (c *conn) head(h *packets.FixedHeader) (size int, err error) {
	*h = packets.FixedHeader{}
	var b []byte
	for size = 2; ; size++ {
		if b, err = c.in.Peek(size); err != nil {
			return 0, err
		}
		if b[size-1]&0x80 == 0 {
			break
		}
		if size == mostHead {
			return 0, nil
		}
	}
	if h.Decode(b[0]) != nil {
		return 0, nil //nolint:nilerr // see above: mochi says it
	}
	for i := size - 1; i > 0; i-- {
		h.Remaining = h.Remaining<<7 | int(b[i]&0x7f)
	}
	return size, nil
}

// body reads a packet whose head has size bytes, and returns the rest of it.
func (c *conn) body(size, remaining int) ([]byte, error) {
	if _, err := c.in.Discard(size); err != nil {
		return nil, fmt.Errorf("read packet: %w", err)
	}
	b := make([]byte, remaining)
	if _, err := io.ReadFull(c.in, b); err != nil {
		return nil, fmt.Errorf("read packet: %w", err)
	}
	return b, nil
}

// allow shows mochi the next packet and nothing behind it.
func (c *conn) allow(h *packets.FixedHeader, size int) {
	c.allowed = size + h.Remaining
	if size == 0 {
		c.allowed = mostHead
	}
}

// Read is mochi's, which reads no more than it was allowed to. Only a length that does not end makes it try.
func (c *conn) Read(p []byte) (int, error) {
	if c.allowed == 0 {
		return 0, packets.ErrMalformedVariableByteInteger
	}
	n, err := c.in.Read(p[:min(len(p), c.allowed)])
	c.allowed -= n
	return n, err
}

// isOurs tells whether a packet goes past mochi. A PUBLISH does where the client has no QoS 2 exchange open, which would
// bind mochi's tables to it.
func (s *session) isOurs(header *packets.FixedHeader) bool {
	switch header.Type {
	case packets.Publish:
		return header.Qos < 2 && s.client.State.Inflight.Len() == 0
	case packets.Puback, packets.Pingreq:
		return true
	}
	return false
}

// unpacked are packets to be used again: each has 800 bytes.
var unpacked = sync.Pool{New: func() any { return new(packets.Packet) }}

// takeOurs takes a packet past mochi: see frames.go.
func (b *Broker) takeOurs(s *session, header *packets.FixedHeader, size int) error {
	body, err := s.conn.body(size, header.Remaining)
	if err != nil {
		return err
	}
	if err = b.slow(s, header.Remaining); err != nil {
		return err
	}
	pk := unpacked.Get().(*packets.Packet)
	defer func() {
		*pk = packets.Packet{}
		unpacked.Put(pk)
	}()
	pk.FixedHeader, pk.ProtocolVersion = *header, s.client.Properties.ProtocolVersion
	switch header.Type {
	case packets.Publish:
		if err = pk.PublishDecode(body); err == nil {
			b.hideReserved(s.client.Net.Remote, pk)
			err = b.publish(s, pk)
		}
	case packets.Puback: // all that mochi could be owed is ours
		if err = pk.PubackDecode(body); err == nil {
			b.acknowledged(s, pk)
		}
	case packets.Pingreq:
		b.announce(s)
		s.write([]byte{0xd0, 0}) // MQTT 5.0 section 3.13
	}
	return err
}

package mqttlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Version is the protocol level of CONNECT.
type Version byte

// The versions that a client speaks. MQTT 3.1 (level 3) is not among them.
const (
	V311 Version = 4
	V5   Version = 5
)

// Control packet types (MQTT 5, section 2.1.2).
const (
	typeConnect    = 1
	typeConnack    = 2
	typePublish    = 3
	typePuback     = 4
	typeSubscribe  = 8
	typeSuback     = 9
	typePingreq    = 12
	typePingresp   = 13
	typeDisconnect = 14
)

// MaxRemainingLength is the largest length that the wire can say (MQTT 5, section 1.5.5).
const MaxRemainingLength = 268435455

// Errors of the wire. They come wrapped.
var (
	ErrMalformed = errors.New("malformed packet")
	ErrTooLarge  = errors.New("packet larger than the limit")
	ErrTooLong   = errors.New("string longer than 65535 bytes")
)

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }

func appendVarint(dst []byte, n int) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

// varint reads a variable byte integer; size 0 means that b ends within it, an error that no more bytes can help.
func varint(b []byte) (value, size int, err error) {
	for i := 0; i < len(b) && i < 4; i++ {
		value |= int(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			return value, i + 1, nil
		}
	}
	if len(b) >= 4 {
		return 0, 0, malformed("length of more than four bytes")
	}
	return 0, 0, nil
}

func appendString[T string | []byte](dst []byte, s T) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}

func fits(strings ...int) error {
	for _, n := range strings {
		if n > math.MaxUint16 {
			return ErrTooLong
		}
	}
	return nil
}

// cursor reads a packet's body. After a read beyond the end it is failed and every further read gives zero.
type cursor struct {
	b      []byte
	failed bool
}

func (c *cursor) take(n int) []byte {
	if n > len(c.b) {
		c.failed, c.b = true, nil
		return nil
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) uint8() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uint16() uint16 {
	if b := c.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) uint32() uint32 {
	if b := c.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) bytes() []byte { return c.take(int(c.uint16())) }

func (c *cursor) varint() int {
	value, size, err := varint(c.b)
	if err != nil || size == 0 {
		c.failed, c.b = true, nil
		return 0
	}
	c.b = c.b[size:]
	return value
}

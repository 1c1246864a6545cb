package mqttlite

import (
	"fmt"
	"io"
)

// bufferBytes is the read buffer of a client. A tracker receives little besides PUBACKs of four bytes; a larger packet
// gets memory of its own for as long as it is handled.
const bufferBytes = 256

// DefaultMaxPacket bounds a received packet where the options do not: a broken or hostile broker could otherwise ask for
// 256 MB a client with five bytes.
const DefaultMaxPacket = 64 << 10

// packetReader cuts a stream into packets. It is for one goroutine.
type packetReader struct {
	src     io.Reader
	version Version
	max     int
	r, w    int
	buf     [bufferBytes]byte
}

// next returns the next packet, which is valid until the call after. io.EOF is returned bare between packets only.
func (p *packetReader) next() (packet, error) {
	length, size, err := p.header()
	if err != nil {
		return packet{}, err
	}
	header := p.buf[p.r]
	if length > p.max {
		return packet{}, fmt.Errorf("%w: %d bytes, %d allowed", ErrTooLarge, length, p.max)
	}
	p.r += 1 + size
	body, err := p.body(length)
	if err != nil {
		return packet{}, err
	}
	return decode(p.version, header, body)
}

// header makes sure that the fixed header is in the buffer and returns the remaining length and its size on the wire.
func (p *packetReader) header() (length, size int, err error) {
	for {
		if p.w > p.r+1 {
			length, size, err = varint(p.buf[p.r+1 : p.w])
			if err != nil || size > 0 {
				return length, size, err
			}
		}
		if err := p.fill(); err != nil {
			if err == io.EOF && p.w > p.r { //nolint:errorlint // a bare EOF is the contract of io.Reader
				err = io.ErrUnexpectedEOF
			}
			return 0, 0, err
		}
	}
}

func (p *packetReader) body(length int) ([]byte, error) {
	if length > len(p.buf) {
		big := make([]byte, length)
		n := copy(big, p.buf[p.r:p.w])
		p.r += n
		if _, err := io.ReadFull(p.src, big[n:]); err != nil {
			return nil, unexpected(err)
		}
		return big, nil
	}
	for p.w-p.r < length {
		if err := p.fill(); err != nil {
			return nil, unexpected(err)
		}
	}
	body := p.buf[p.r : p.r+length : p.r+length]
	p.r += length
	return body, nil
}

// fill reads at least a byte more into the buffer, which never is full when it is called: a header has five bytes, and
// bodies that do not fit are read elsewhere.
func (p *packetReader) fill() error {
	if p.r > 0 {
		p.w = copy(p.buf[:], p.buf[p.r:p.w])
		p.r = 0
	}
	for range 100 { // as bufio: a reader that returns nothing again and again is broken
		n, err := p.src.Read(p.buf[p.w:])
		p.w += n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

func unexpected(err error) error {
	if err == io.EOF { //nolint:errorlint // a bare EOF is the contract of io.Reader
		return io.ErrUnexpectedEOF
	}
	return err
}

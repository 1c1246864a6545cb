package diskbus

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// A file is a sequence of frames, and a frame is what one write put there: 12 bytes of header and the payload. All
// numbers are little-endian.
//
//	0  length of the payload
//	4  CRC-32C of the payload
//	8  CRC-32C of the eight bytes before: a length can be believed before what it spans is there
//
// So a frame that was cut (its header is good, or less than a header is left) differs from one that was damaged.
const frameHeader = 12

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errTorn    = errors.New("the last frame is cut")
	errDamaged = errors.New("a frame is damaged")
)

// openFrame begins a frame in a buffer that is used again.
func openFrame(buf []byte) []byte { return append(buf[:0], make([]byte, frameHeader)...) }

// sealFrame fills in the header of a frame that openFrame began.
func sealFrame(buf []byte) []byte {
	payload := buf[frameHeader:]
	binary.LittleEndian.PutUint32(buf, uint32(len(payload)))
	binary.LittleEndian.PutUint32(buf[4:], crc32.Checksum(payload, castagnoli))
	binary.LittleEndian.PutUint32(buf[8:], crc32.Checksum(buf[:8], castagnoli))
	return buf
}

// frameLength returns the length of the payload that a header promises, and false where it is damaged.
func frameLength(header []byte) (int64, bool) {
	if crc32.Checksum(header[:8], castagnoli) != binary.LittleEndian.Uint32(header[8:]) {
		return 0, false
	}
	return int64(binary.LittleEndian.Uint32(header)), true
}

// frameReader takes frames off a file.
type frameReader struct {
	r   *bufio.Reader
	at  int64 // where the next frame begins
	end int64
	buf []byte
}

func newFrameReader(r io.Reader, size int64) *frameReader {
	return &frameReader{r: bufio.NewReaderSize(io.LimitReader(r, size), 256<<10), end: size}
}

// next returns the next payload, which the next call overwrites. It returns io.EOF after the last, errTorn where the
// file ends within a frame, and errDamaged where a frame is all there and is wrong.
func (f *frameReader) next() ([]byte, error) {
	if f.at == f.end {
		return nil, io.EOF
	}
	if f.end-f.at < frameHeader {
		return nil, errTorn
	}
	var header [frameHeader]byte
	if _, err := io.ReadFull(f.r, header[:]); err != nil {
		return nil, err
	}
	n, ok := frameLength(header[:])
	if !ok {
		return nil, errDamaged
	}
	if n > f.end-f.at-frameHeader { // looked at before memory is taken for it
		return nil, errTorn
	}
	if int64(cap(f.buf)) < n {
		f.buf = make([]byte, n)
	}
	payload := f.buf[:n]
	if _, err := io.ReadFull(f.r, payload); err != nil {
		return nil, err
	}
	if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(header[4:]) {
		return nil, errDamaged
	}
	f.at += frameHeader + n
	return payload, nil
}

// holdsFrame tells whether a good frame begins anywhere in b. Only a recovery after a loss of power asks.
func holdsFrame(b []byte) bool {
	for at := 0; at+frameHeader <= len(b); at++ {
		n, ok := frameLength(b[at:])
		if !ok || n == 0 || n > int64(len(b)-at-frameHeader) {
			continue
		}
		payload := b[at+frameHeader : at+frameHeader+int(n)]
		if crc32.Checksum(payload, castagnoli) == binary.LittleEndian.Uint32(b[at+4:]) {
			return true
		}
	}
	return false
}

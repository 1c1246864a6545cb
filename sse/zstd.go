package sse

import (
	"encoding/binary"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// A zstd stream may be made of frames (RFC 8878 section 3), so each piece of the hub is one, and there is no header of a
// viewer's own. Browsers ask for it where a page came by https or from this machine. It is not the default: against gzip it
// saves a fifth to a third of the bytes and costs half as much processor time again, and what reads only the first frame
// of a stream would hear nothing more. Chromium and curl read them all.

// zstdCoded is the coding of clients that take zstd, where it is switched on.
var zstdCoded = newCoding("zstd", nil, packZstd)

const (
	// zstdStoreBelow is the size below which a piece is not worth compressing, as storeBelow; it also fits the size of
	// a frame into its one byte.
	zstdStoreBelow = 256
	// zstdWindow is what an encoder looks back over, and bounds its memory; RFC 9659 lets a browser refuse above 8 MB.
	zstdWindow = 256 << 10
)

// zstdEncoder is shared: it keeps as many states as there are cores, and makes them when they are wanted.
var zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false), zstd.WithWindowSize(zstdWindow))
	if err != nil {
		panic(err) // constants: the tests cannot pass
	}
	return e
})

// packZstd makes a frame of a piece.
func packZstd(piece []byte) []byte {
	if len(piece) < zstdStoreBelow {
		return storedFrame(piece)
	}
	return zstdEncoder().EncodeAll(piece, make([]byte, 0, len(piece)/4+64))
}

// storedFrame is a frame that holds p, less than 256 bytes, as it is (RFC 8878 section 3.1.1).
func storedFrame(p []byte) []byte {
	dst := make([]byte, 0, len(p)+9)
	dst = append(dst, 0x28, 0xb5, 0x2f, 0xfd) // the magic number
	dst = append(dst, 0x20, byte(len(p)))     // a single segment, whose size is a byte; no checksum, no dictionary
	header := uint32(len(p))<<3 | 1           // the last block; type 0 is raw
	dst = binary.LittleEndian.AppendUint32(dst, header)[:len(dst)+3]
	return append(dst, p...)
}

package redisbus

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// A chunk is consecutive entries of one Append as one value of the inlet's stream: a stream entry costs Redis about as
// much as a hundred of ours cost inside one. It is a row of entries in the bus's bytes, each after its length (uvarint).
// Its id in the stream is that of its last entry.
type chunk struct {
	entries int
	bytes   []byte
}

// errMalformed is what is wrong with bytes that the store holds and we cannot have written.
var errMalformed = errors.New("malformed")

// appendChunks encodes entries as chunks within the bounds of one.
func appendChunks(entries []bus.Entry) []chunk {
	chunks := make([]chunk, 0, 1+len(entries)/maxChunkEntries)
	var c chunk
	var scratch []byte
	for i := range entries {
		scratch = bus.AppendEntry(scratch[:0], &entries[i])
		if c.entries == maxChunkEntries || c.entries > 0 && len(c.bytes)+len(scratch) > maxChunkBytes {
			chunks = append(chunks, c)
			c = chunk{}
		}
		c.bytes = append(binary.AppendUvarint(c.bytes, uint64(len(scratch))), scratch...)
		c.entries++
	}
	return append(chunks, c)
}

// decodeChunk reads n entries, of which the last has the id last. The entries share no memory with b.
func decodeChunk(b []byte, n int, last bus.EntryID, time int64) ([]bus.Entry, error) {
	if n < 1 || n > len(b) || uint64(n) > uint64(last) {
		return nil, fmt.Errorf("decode chunk of %d entries: %w", n, errMalformed)
	}
	entries := make([]bus.Entry, 0, n)
	for i := range n {
		length, size := binary.Uvarint(b)
		if size <= 0 || length > uint64(len(b)-size) {
			return nil, fmt.Errorf("decode chunk: entry %d is cut: %w", i, errMalformed)
		}
		b = b[size:]
		e, err := bus.DecodeEntry(b[:length])
		if err != nil {
			return nil, fmt.Errorf("decode chunk: %w", err)
		}
		b = b[length:]
		e.ID, e.Time = last-bus.EntryID(n-1-i), time
		entries = append(entries, e)
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("decode chunk: trailing bytes: %w", errMalformed)
	}
	return entries, nil
}

package bus

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"testing"
)

// allocated is how many bytes f takes.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Abuse: a few bytes that claim a large number, to make the reader take memory for it.
func TestDecodingTakesNoMoreMemoryThanASmallFactorOfTheInput(t *testing.T) {
	head := func(tag byte) []byte { return append([]byte{tag, 0}, make([]byte, 8+5)...) }
	claims := binary.AppendUvarint(head(0x21), 1<<18)
	densest := binary.AppendUvarint(head(0x21), 10_000)
	densest = append(densest, 0x01, 1, 'a', 1, 'f')
	densest = append(densest, bytes.Repeat([]byte{0x05, 1, 'a'}, 9_999)...)
	densest = append(densest, 0)
	broken := append([]byte(nil), densest...)
	broken[len(broken)/2] = 0xff
	metrics := append([]byte{0x11, 1, 1, 'a', 1, 'f', 0, 0, 0}, binary.AppendUvarint(nil, 1<<18)...)

	if b, err := DecodeBatch(densest); err != nil || len(b.Changes) != 10_000 {
		t.Fatalf("the densest batch is %d changes, %v", len(b.Changes), err)
	}
	for name, b := range map[string][]byte{"claims": claims, "densest": densest, "broken": broken, "metrics": metrics} {
		const fixed = 64 << 10 // errors, the runtime's own
		if got := allocated(func() {
			_, _ = DecodeBatch(b)
			_, _ = DecodeEntry(b)
		}); got > uint64(len(b))*50+fixed {
			t.Errorf("%s: decoding %d bytes takes %d", name, len(b), got)
		}
	}
}

package trail

import (
	"slices"

	"github.com/fleetcast/fleetcast/devices"
)

// BlockFixes is how many fixes make a block. More would make records longer, of which half a block is a part on average;
// fewer would make more blocks.
const BlockFixes = 16

// Tail is the block of a device that is still open. The zero value is empty. It is for one goroutine.
type Tail struct {
	data  []byte
	last  point // of data; as decoding leaves it
	fixes int
}

// Add puts a fix in its place by time and tells whether it is new. A late one costs as much as the whole block. The fix is
// one that hygiene believes: on the globe, its measures within their bounds, and after 1970.
func (t *Tail) Add(f *devices.Fix) bool {
	p := pointOf(f)
	if t.fixes > 0 && p.at < t.last.at {
		return t.insert(&p)
	}
	if t.fixes > 0 && p.isAt(&t.last) {
		return false
	}
	t.data = p.appendAfter(&t.last, t.data)
	t.fixes++
	return true
}

func (t *Tail) insert(p *point) bool {
	var room [BlockFixes + 1]point
	points, err := decode(room[:0], t.data)
	if err != nil { // it is what Add wrote or Load has read
		return false
	}
	i := len(points)
	for i > 0 && points[i-1].at > p.at {
		i--
	}
	for j := i; j > 0 && points[j-1].at == p.at; j-- {
		if points[j-1].isAt(p) {
			return false
		}
	}
	points = slices.Insert(points, i, *p)
	t.Reset()
	for i := range points {
		t.data = points[i].appendAfter(&t.last, t.data)
	}
	t.fixes = len(points)
	return true
}

// IsFull tells whether the block is to be closed.
func (t *Tail) IsFull() bool { return t.fixes >= BlockFixes }

// IsEmpty tells whether there is no fix in it.
func (t *Tail) IsEmpty() bool { return t.fixes == 0 }

// Bytes are the block, valid until the next Add or Reset.
func (t *Tail) Bytes() []byte { return t.data }

// Close returns the block, whose bytes are the caller's, and begins another one.
func (t *Tail) Close() []byte {
	block := append(make([]byte, 0, len(t.data)), t.data...)
	t.Reset()
	return block
}

// Reset empties the tail and keeps its memory.
func (t *Tail) Reset() { t.data, t.last, t.fixes = t.data[:0], point{}, 0 }

// Load makes the tail what Bytes of another one gave. It keeps nothing of data.
func (t *Tail) Load(data []byte) error {
	t.Reset()
	for left := data; len(left) > 0; t.fixes++ {
		var err error
		if left, err = t.last.readAfter(&t.last, left); err != nil || t.fixes == BlockFixes {
			t.Reset()
			return errBlock
		}
	}
	t.data = append(t.data, data...)
	return nil
}

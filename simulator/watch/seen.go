package watch

import (
	"bytes"
	"hash/maphash"
	"sync/atomic"
)

// seenSlots is how many messages are remembered: the last of each of ten thousand devices. One that comes to another's slot takes it.
const seenSlots = 1 << 14

// seenViewers is from how many viewers on messages are remembered: fewer read what nobody else reads.
const seenViewers = 8

// seen remembers what messages said. Viewers of one stream are sent the same bytes, so all but the first of them need not
// take a message apart, which was half of a load generator's processor time: what they find is a pure function of the
// bytes, and those are compared.
type seen struct {
	seed  maphash.Seed
	slots []atomic.Pointer[seenMessage]
}

// seenMessage is immutable.
type seenMessage struct {
	data []byte
	update
}

func newSeen(viewers int) *seen {
	if viewers < seenViewers {
		return nil
	}
	return &seen{seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[seenMessage], seenSlots)}
}

// scan is the scan of the same name, without taking apart what another viewer took apart before.
func (s *seen) scan(data []byte) (update, error) {
	if s == nil {
		return scan(data)
	}
	slot := &s.slots[maphash.Bytes(s.seed, data)%seenSlots]
	if m := slot.Load(); m != nil && bytes.Equal(m.data, data) {
		return m.update, nil
	}
	m := &seenMessage{data: bytes.Clone(data)}
	var err error
	if m.update, err = scan(m.data); err == nil {
		slot.Store(m)
	}
	return m.update, err
}

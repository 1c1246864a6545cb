package dialect

import (
	"hash/maphash"
	"sync/atomic"
)

// Limits of the tables of strings that a router keeps.
const (
	internSlots    = 4096 // per table; a fleet uses some dozens of names of metrics
	maxInternBytes = 32   // longer texts are hardly ever repeated
)

// interner gives strings that do not pin the packet they were read from, without an allocation for those that were
// seen lately. It is a cache and not a map: a device that sends ever new names only replaces slots, it cannot make the
// table grow. All methods may be called concurrently.
type interner struct {
	seed  maphash.Seed
	slots [internSlots]atomic.Pointer[string]
}

func newInterner() *interner { return &interner{seed: maphash.MakeSeed()} }

func (t *interner) get(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	h := maphash.Bytes(t.seed, b)
	first, second := &t.slots[h%internSlots], &t.slots[h>>32%internSlots]
	if p := first.Load(); p != nil && *p == string(b) {
		return *p
	}
	if p := second.Load(); p != nil && *p == string(b) {
		return *p
	}
	s := string(b)
	if h>>60&1 == 0 {
		first.Store(&s)
	} else {
		second.Store(&s)
	}
	return s
}

package watch

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// interner gives each text a small number. All viewers share it, so that what a viewer holds of a device is an entry of a
// slice instead of an entry of a map. A known text is found without a lock and without an allocation.
type interner struct {
	seed  maphash.Seed
	table atomic.Pointer[internTable]
	mu    sync.Mutex // guards adding
}

// internTable is an open-addressed hash table. Entries are only ever added; one that has to grow is replaced.
type internTable struct {
	slots []atomic.Pointer[interned] // a power of two of them, at most half in use
	count int                        // guarded by the interner's mu
}

type interned struct {
	text string
	hash uint64
	id   int32
}

func newInterner() *interner {
	i := &interner{seed: maphash.MakeSeed()}
	i.table.Store(&internTable{slots: make([]atomic.Pointer[interned], 64)})
	return i
}

// find returns the number of text, or -1.
func (i *interner) find(text []byte) int32 {
	if e := i.table.Load().find(text, maphash.Bytes(i.seed, text)); e != nil {
		return e.id
	}
	return -1
}

// number returns the number of text, a new one where it has none. Numbers count from 0.
func (i *interner) number(text []byte) int32 {
	hash := maphash.Bytes(i.seed, text)
	if e := i.table.Load().find(text, hash); e != nil {
		return e.id
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	t := i.table.Load()
	if e := t.find(text, hash); e != nil { // another viewer was quicker
		return e.id
	}
	if (t.count+1)*2 > len(t.slots) {
		t = t.grown()
		defer i.table.Store(t)
	}
	e := &interned{text: string(text), hash: hash, id: int32(t.count)}
	t.add(e)
	return e.id
}

// count is how many texts have a number.
func (i *interner) count() int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return int64(i.table.Load().count)
}

func (t *internTable) find(text []byte, hash uint64) *interned {
	mask := uint64(len(t.slots) - 1)
	for at := hash & mask; ; at = (at + 1) & mask {
		e := t.slots[at].Load()
		if e == nil || (e.hash == hash && e.text == string(text)) {
			return e
		}
	}
}

func (t *internTable) add(e *interned) {
	mask := uint64(len(t.slots) - 1)
	at := e.hash & mask
	for t.slots[at].Load() != nil {
		at = (at + 1) & mask
	}
	t.slots[at].Store(e)
	t.count++
}

func (t *internTable) grown() *internTable {
	bigger := &internTable{slots: make([]atomic.Pointer[interned], 2*len(t.slots))}
	for i := range t.slots {
		if e := t.slots[i].Load(); e != nil {
			bigger.add(e)
		}
	}
	return bigger
}

package store

import (
	"bytes"
	"context"
	"slices"
	"sync"
)

// MemoryOptions are the bounds of a store in memory; 0 stands for the default.
type MemoryOptions struct {
	MaxRecords int // DefaultMaxRecords
}

// Memory is a store that forgets all when the process ends: of a gateway that keeps nothing, and of tests.
type Memory struct {
	max    int
	fanout *Fanout

	mu       sync.Mutex // guards what follows
	kinds    map[Kind]*memoryKind
	count    int
	revision Revision
	closed   bool
}

// memoryKind has the records of a kind by id, and the ids in order, which is what List needs.
type memoryKind struct {
	records map[string]Record
	ids     []string
	sorted  bool
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory(o MemoryOptions) *Memory {
	m := &Memory{max: o.MaxRecords, kinds: make(map[Kind]*memoryKind)}
	if m.max <= 0 {
		m.max = DefaultMaxRecords
	}
	m.fanout = NewFanout(m.snapshot)
	return m
}

// Commit implements Store. It never waits.
func (m *Memory) Commit(ctx context.Context, ops []Op) (Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := CheckOps(ops); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return 0, ErrClosed
	}
	if err := m.admit(ops); err != nil {
		return 0, err
	}
	m.revision++
	told := make([]Record, len(ops))
	for i := range ops {
		told[i] = m.apply(&ops[i])
	}
	m.fanout.Offer(m.revision, told) // under the lock, so that feeds hear in the order of revisions
	return m.revision, nil
}

func (m *Memory) admit(ops []Op) error {
	grows := 0
	for i := range ops {
		op := &ops[i]
		var has Revision
		if k := m.kinds[op.Kind]; k != nil {
			has = k.records[op.ID].Revision
		}
		if !op.If.Holds(has) {
			return op.Conflict()
		}
		switch {
		case op.Value == nil && has != 0:
			grows--
		case op.Value != nil && has == 0:
			grows++
		}
	}
	if grows > 0 && m.count+grows > m.max {
		return ErrFull
	}
	m.count += grows
	return nil
}

func (m *Memory) apply(op *Op) Record {
	k := m.kinds[op.Kind]
	if k == nil {
		k = &memoryKind{records: make(map[string]Record)}
		m.kinds[op.Kind] = k
	}
	r := Record{Kind: op.Kind, ID: op.ID, Revision: m.revision, Value: bytes.Clone(op.Value)}
	_, held := k.records[op.ID]
	switch {
	case op.Value == nil && held:
		delete(k.records, op.ID)
		k.sorted = false
	case op.Value != nil:
		k.records[op.ID] = r
		k.sorted = k.sorted && held
	}
	return r
}

// Get implements Store.
func (m *Memory) Get(ctx context.Context, kind Kind, id string) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	if err := CheckKey(kind, id); err != nil {
		return Record{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return Record{}, ErrClosed
	}
	if k := m.kinds[kind]; k != nil {
		if r, held := k.records[id]; held {
			return r, nil
		}
	}
	return Record{}, ErrNotFound
}

// List implements Store.
func (m *Memory) List(ctx context.Context, kind Kind, after string, limit int) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	limit, err := CheckList(kind, limit)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	k := m.kinds[kind]
	if k == nil {
		return nil, nil
	}
	ids := k.inOrder()
	from, held := slices.BinarySearch(ids, after)
	if held {
		from++
	}
	var out []Record
	for _, id := range ids[from:min(from+limit, len(ids))] {
		out = append(out, k.records[id])
	}
	return out, nil
}

// inOrder sorts where something came or went since it did so last: there are many more reads of a page than that.
func (k *memoryKind) inOrder() []string {
	if !k.sorted {
		k.ids = k.ids[:0]
		for id := range k.records {
			k.ids = append(k.ids, id)
		}
		slices.Sort(k.ids)
		k.sorted = true
	}
	return k.ids
}

// Watch implements Store.
func (m *Memory) Watch(ctx context.Context, kinds ...Kind) (Feed, error) {
	return m.fanout.Watch(ctx, kinds)
}

func (m *Memory) snapshot(_ context.Context, kinds []Kind) (Update, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return Update{}, ErrClosed
	}
	u := Update{Revision: m.revision}
	for _, kind := range kinds {
		if k := m.kinds[kind]; k != nil {
			for _, r := range k.records {
				u.Records = append(u.Records, r)
			}
		}
	}
	return u, nil
}

// Close implements Store. It does not wait, since nothing runs.
func (m *Memory) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.fanout.Close()
	return nil
}

// Stats are what a store holds now and has counted since it began. A store has those that it can know cheaply.
type Stats struct {
	Records  int      `json:"records"`  // now
	Revision Revision `json:"revision"` // now
	Feeds    int      `json:"feeds"`    // now
	Behind   uint64   `json:"feeds_behind"`
}

// Stats returns the numbers of now.
func (m *Memory) Stats() Stats {
	m.mu.Lock()
	s := Stats{Records: m.count, Revision: m.revision}
	m.mu.Unlock()
	s.Feeds, s.Behind = m.fanout.Stats()
	return s
}

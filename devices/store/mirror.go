package store

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// Mirror is a copy of some kinds in memory that follows the store: what is read at the rate of messages and written at
// the rate of people. Its methods may be called concurrently. It holds the records as they are; who needs them decoded
// takes a Follower and keeps what it makes of them.
type Mirror struct {
	follower *Follower

	mu      sync.RWMutex // guards what follows
	records map[Kind]map[string]Record
}

// NewMirror returns a mirror that is empty until it runs.
func NewMirror(s Store, kinds ...Kind) *Mirror {
	m := &Mirror{records: make(map[Kind]map[string]Record)}
	m.follower = NewFollower(s, m.apply, kinds...)
	return m
}

func (m *Mirror) apply(u Update) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if u.Snapshot {
		m.records = make(map[Kind]map[string]Record)
	}
	for _, r := range u.Records {
		of := m.records[r.Kind]
		switch {
		case r.Value == nil:
			delete(of, r.ID)
			continue
		case of == nil:
			of = make(map[string]Record)
			m.records[r.Kind] = of
		}
		of[r.ID] = r
	}
}

// Run follows the store until ctx ends or the store is closed; see Follower.Run.
func (m *Mirror) Run(ctx context.Context) error { return m.follower.Run(ctx) }

// Ready tells whether the mirror has had its first snapshot.
func (m *Mirror) Ready() bool { return m.follower.Ready() }

// Revision is how far the mirror is.
func (m *Mirror) Revision() (at Revision, ready bool) { return m.follower.Revision() }

// Wait waits until the mirror has all up to a revision.
func (m *Mirror) Wait(ctx context.Context, at Revision) error { return m.follower.Wait(ctx, at) }

// Get returns a record of now, and whether there is one.
func (m *Mirror) Get(kind Kind, id string) (Record, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, held := m.records[kind][id]
	return r, held
}

// Len is the number of records of a kind.
func (m *Mirror) Len(kind Kind) int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.records[kind])
}

// All returns the records of a kind, in no order.
func (m *Mirror) All(kind Kind) []Record {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Collect(maps.Values(m.records[kind]))
}

package rulebook

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/fleetcast/fleetcast/devices/store"
)

// Kept is something with when it was made and changed.
type Kept[T any] struct {
	Value   T     `json:"value"`
	Created int64 `json:"created"` // unix ms
	Updated int64 `json:"updated"` // unix ms

	Revision store.Revision `json:"-"` // of the record: its entity tag
}

// collection is the records of one kind in memory.
type collection[T any] struct {
	mu   *sync.RWMutex // guards what follows
	held map[string]*Kept[T]
	ids  []string // sorted; nil where it must be made anew
	bad  *atomic.Uint64
}

func newCollection[T any]() collection[T] {
	return collection[T]{mu: new(sync.RWMutex), held: map[string]*Kept[T]{}, bad: new(atomic.Uint64)}
}

func decode[T any](r *store.Record) (*Kept[T], error) {
	v := new(Kept[T])
	if err := json.Unmarshal(r.Value, v); err != nil {
		return nil, fmt.Errorf("decode %s: %w", r.Kind, err)
	}
	v.Revision = r.Revision
	return v, nil
}

func (c *collection[T]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.held)
	c.ids = nil
}

func (c *collection[T]) apply(r *store.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids = nil
	if r.Value == nil {
		delete(c.held, r.ID)
		return
	}
	v, err := decode[T](r)
	if err != nil { // as good as none
		c.bad.Add(1)
		delete(c.held, r.ID)
		return
	}
	c.held[r.ID] = v
}

func (c *collection[T]) len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.held)
}

func (c *collection[T]) get(id string) (*Kept[T], bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	v, ok := c.held[id]
	return v, ok
}

func (c *collection[T]) values() []T {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := make([]T, 0, len(c.held))
	for _, v := range c.held {
		out = append(out, v.Value)
	}
	return out
}

// page returns at most limit things behind after that are seen, by id, and the after of the next page.
func (c *collection[T]) page(after string, limit int, sees func(*T) bool) (found []*Kept[T], next string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ids == nil {
		for id := range c.held {
			c.ids = append(c.ids, id)
		}
		slices.Sort(c.ids)
	}
	i, exact := slices.BinarySearch(c.ids, after)
	if exact {
		i++
	}
	last := ""
	for ; i < len(c.ids); i++ {
		v := c.held[c.ids[i]]
		if sees != nil && !sees(&v.Value) {
			continue
		}
		if len(found) == limit {
			return found, last
		}
		found, last = append(found, v), c.ids[i]
	}
	return found, ""
}

package hub

import (
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A pass is how a viewer catches up: a sweep over the devices of one partition in the fixed order of their hashes, with
// bounds that are fixed when it starts: from the viewer's offset, to the head's. It sends the present frame of each
// device whose last change is after from; then the viewer stands at to. What changed after to is the next pass's, so
// every device's turn comes however fast others change, which a sweep by time of change cannot promise.
//
// A pass is cut into slices, each with an id that says where it stands. Slices are made on demand, from the table as it
// is then, and shared by viewers that stand at the same place. A slice also begins with an id, since it may be cut before
// its end: it says where the pass ends, without which a device that is removed meanwhile would stay for ever on the page
// that got it from the cut slice, and how new the frames are, so that they do not step back at an edge that lags.

// Bounds of a slice. A viewer gets about what it took in sliceTime lately, so that what waits in its connection is never
// old, but at least MinSliceBytes, so that it makes progress, and at most MaxSliceBytes. All of them count bytes before
// they are packed: what is known while a slice is gathered.
const (
	MinSliceBytes = 1 << 10
	MaxSliceBytes = 64 << 10
	sliceTime     = 500 * time.Millisecond
)

// maxSliceVisits bounds the devices that one slice looks at, and so how long it holds the table's lock for reading. A
// slice that ends there may be empty; the viewer goes on at once.
const maxSliceVisits = 20_000

// sliceKey is the place at which a viewer stands: all that decides the bytes of its next slice but the table's state.
type sliceKey struct {
	mark  string // of the viewer
	part  int
	to    uint64
	limit int
	fresh bool // it has been given nothing of the partition
}

// age is how old a slice may be that is given to another viewer.
func (k *sliceKey) age() time.Duration {
	if k.fresh {
		return maxSnapshotAge
	}
	return maxSliceAge
}

// slice is a piece of a pass.
type slice struct {
	bytes []byte
	plain int    // the size of bytes before they were packed: what limits count
	next  *mark  // where a viewer stands after it
	built uint64 // the table's offset when it was made: frames may be as new as that
}

// build makes the slice at c for a viewer that is at m. At the start of a pass all that changed may fit one slice.
func (v *view) build(m *mark, c cursor, limit int) slice {
	var g gathered
	var next cursor
	t, from := v.tables[c.part], m.parts[c.part].since()
	t.mu.RLock()
	if t.position.Epoch != m.parts[c.part].at.Epoch { // it was loaded anew a moment ago: the next step resets
		t.mu.RUnlock()
		return slice{next: m}
	}
	built := t.position.Offset
	if m.cursor.active {
		next = v.walk(t, from, c, limit, &g)
	} else {
		v.eventsBetween(t, from, c.to, &g)
		events := g.bytes
		if !v.changes(t, from, events+limit, &g) {
			g.frames, g.removed, g.bytes = g.frames[:0], g.removed[:0], events
			next = v.walk(t, from, cursor{part: c.part, to: c.to}, events+limit, &g)
		}
	}
	t.mu.RUnlock()
	s := slice{next: m.after(c, next, built), built: built}
	if !g.empty() {
		plain := v.encode(&g, m.opening(c, built), s.next.text)
		s.bytes, s.plain = v.pack(plain), len(plain)
	}
	return s
}

// walk gathers rows in the order of hashes, behind the cursor, until the limit, and returns where it stopped.
func (v *view) walk(t *table, from since, c cursor, limit int, g *gathered) cursor {
	return v.sweep(t, from, c, limit, g, func(r *row) { v.pick(t, r, from, g) })
}

// sweep visits the rows that the view may have to be told of since from, in the order of hashes, behind the cursor, until
// the limit, and returns where it stopped. It never stops between equal hashes. A cursor that is not active begins.
func (v *view) sweep(t *table, from since, c cursor, limit int, g *gathered, visit func(*row)) cursor {
	visits, last := 0, uint64(0)
	for hash, r := range v.rows(t, from, c) {
		if visits > 0 && (g.bytes >= limit || visits >= maxSliceVisits) && last != hash {
			return cursor{active: true, part: c.part, to: c.to, hash: last}
		}
		for ; r != nil; r = r.older {
			visit(r)
			if v.byHash == nil {
				break
			}
		}
		visits, last = visits+1, hash
	}
	return cursor{}
}

// rows yields the hashes of what sweep visits: of a list of devices, each device's rows at once, the live one and the
// tombstones that it left in other fleets.
func (v *view) rows(t *table, from since, c cursor) iter.Seq2[uint64, *row] {
	return func(yield func(uint64, *row) bool) {
		if v.byHash != nil {
			for _, w := range v.byHash {
				if !(c.active && w.hash <= c.hash) && !yield(w.hash, t.devices[w.id]) {
					return
				}
			}
			return
		}
		for r := range v.ordered(t, from, c.hash, c.active) {
			if !yield(r.hash, r) {
				return
			}
		}
	}
}

// ordered yields, in the order of hashes behind the cursor, the rows that the view may have to be told of: those of its
// fleets or around its box rather than of the whole partition, where they are known.
func (v *view) ordered(t *table, from since, hash uint64, begun bool) iter.Seq[*row] {
	switch box := v.query.BBox; {
	case !box.IsZero() && !t.grid.wide(box):
		return v.around(t, from, hash, begun)
	case len(v.fleets) > 0:
		lists := make([][]*row, 0, len(v.fleets))
		for id := range v.fleets {
			if f := t.fleets[id]; f != nil {
				lists = append(lists, f.rows.from(hash, begun))
			}
		}
		return merged(lists)
	}
	return slices.Values(t.rows.from(hash, begun))
}

// around are the members of the view's box and those that left it.
func (v *view) around(t *table, from since, hash uint64, begun bool) iter.Seq[*row] {
	var rows []*row
	for r := range v.members(t) {
		if from.wants(r) && !(begun && r.hash <= hash) {
			rows = append(rows, r)
		}
	}
	for r, offset := range v.interest(t).left {
		if !from.fresh && offset > from.offset && !(begun && r.hash <= hash) {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, byHash)
	return slices.Values(rows)
}

// Bounds of what a view keeps of slices for viewers that come by the same way: a storm of returning viewers is served
// from there, and costs no memory per viewer.
const (
	maxCachedSliceBytes = 32 << 20
	maxCachedSlices     = 1024
	maxSliceAge         = time.Second
	// maxSnapshotAge is for slices of passes from nothing: what changes meanwhile is in the next pass. A crowd that takes
	// longer than this to read a snapshot takes as many of them as this goes into that time.
	maxSnapshotAge = 5 * time.Second
	// maxKeptSliceBytes bounds what all views keep together: anybody makes a view of the whole fleet by asking for
	// another every=. Where it is reached slices are made for one viewer only.
	maxKeptSliceBytes = 64 << 20
)

// sliceCache keeps the slices made lately, oldest first out. Guarded by the view's mu.
type sliceCache struct {
	byKey map[sliceKey]*cachedSlice
	fifo  []*cachedSlice
	bytes int
	all   *atomic.Int64 // bytes of all views
	ended bool
}

// cachedSlice is a slice that was made, or is being made by the first who wanted it.
type cachedSlice struct {
	once sync.Once
	slice
	key    sliceKey
	wanted time.Time
	weight int // bytes that the cache counts for it
	kept   bool
}

// entry is the slice for a key: the one that is kept, unless it is old or anew says that it will not do, else a new one.
func (c *sliceCache) entry(k sliceKey, anew bool, now time.Time) *cachedSlice {
	if e := c.byKey[k]; e != nil && !anew && now.Sub(e.wanted) <= k.age() {
		return e
	}
	e := &cachedSlice{key: k, wanted: now}
	if c.ended || c.all.Load() > maxKeptSliceBytes-MaxSliceBytes {
		return e
	}
	if c.byKey == nil {
		c.byKey = map[sliceKey]*cachedSlice{}
	}
	c.byKey[k], e.kept = e, true
	c.fifo = append(c.fifo, e)
	c.expire(now)
	return e
}

// weigh counts the bytes of a slice that was made.
func (c *sliceCache) weigh(e *cachedSlice, now time.Time) {
	if e.kept {
		e.weight = len(e.bytes)
		c.grow(e.weight)
		c.expire(now)
	}
}

func (c *sliceCache) grow(n int) {
	c.bytes += n
	c.all.Add(int64(n))
}

// end drops everything for good: the view's last viewer has left, though it may still be making a slice.
func (c *sliceCache) end() {
	c.grow(-c.bytes)
	for _, e := range c.fifo {
		e.kept = false
	}
	c.byKey, c.fifo, c.ended = nil, nil, true
}

// expire drops what is old or too much.
func (c *sliceCache) expire(now time.Time) {
	n := 0
	for ; n < len(c.fifo); n++ {
		e := c.fifo[n]
		if now.Sub(e.wanted) <= e.key.age() && c.bytes <= maxCachedSliceBytes && len(c.fifo)-n <= maxCachedSlices {
			break
		}
		c.grow(-e.weight)
		e.kept = false
		if c.byKey[e.key] == e {
			delete(c.byKey, e.key)
		}
		c.fifo[n] = nil
	}
	c.fifo = c.fifo[n:]
	if len(c.fifo) == 0 {
		c.fifo = nil
	}
}

package hub

import (
	"cmp"
	"container/heap"
	"iter"
	"slices"
)

// touch moves r to the head of the recency list.
func (f *fleetRows) touch(r *row) {
	if f.newest == r {
		return
	}
	f.unlink(r)
	r.before = f.newest
	if f.newest != nil {
		f.newest.after = r
	}
	f.newest = r
}

func (f *fleetRows) unlink(r *row) {
	if r.after != nil {
		r.after.before = r.before
	} else if f.newest == r {
		f.newest = r.before
	}
	if r.before != nil {
		r.before.after = r.after
	}
	r.after, r.before = nil, nil
}

// touch moves f to the head of the list of fleets.
func (t *table) touch(f *fleetRows, offset uint64) {
	f.changed = offset
	if t.newest == f {
		return
	}
	t.unlink(f)
	f.before = t.newest
	if t.newest != nil {
		t.newest.after = f
	}
	t.newest = f
}

func (t *table) unlink(f *fleetRows) {
	if f.after != nil {
		f.after.before = f.before
	} else if t.newest == f {
		t.newest = f.before
	}
	if f.before != nil {
		f.before.after = f.after
	}
	f.after, f.before = nil, nil
}

// changedFleets yields the fleets that have rows after from.
func (t *table) changedFleets(from since) iter.Seq[*fleetRows] {
	return func(yield func(*fleetRows) bool) {
		for f := t.newest; f != nil && (from.fresh || f.changed > from.offset); f = f.before {
			if !yield(f) {
				return
			}
		}
	}
}

// changedAtMost tells whether no more than n rows of all fleets changed after from. It looks at no more than that.
func (t *table) changedAtMost(n int, from since) bool {
	for f := range t.changedFleets(from) {
		for r := f.newest; r != nil && (from.fresh || r.offset > from.offset); r = r.before {
			if n--; n < 0 {
				return false
			}
		}
	}
	return true
}

// ordered holds rows in an order that its owner settles them by: by hash, equal hashes by nothing in particular as a slice
// never ends between them, or by name.
type ordered struct {
	sorted []*row
	fresh  []*row // added since the last settle
	dead   int
}

func (o *ordered) add(r *row) { o.fresh = append(o.fresh, r) }

func (o *ordered) len() int { return len(o.sorted) + len(o.fresh) - o.dead }

func byHash(a, b *row) int { return cmp.Compare(a.hash, b.hash) }

func byName(a, b *row) int { return cmp.Compare(a.device.String(), b.device.String()) }

// settle merges the fresh rows in: one walk over the rows per batch that brought new devices, none for the others.
func (o *ordered) settle(by func(a, b *row) int) {
	if o.dead > 0 {
		o.sorted = slices.DeleteFunc(o.sorted, func(r *row) bool { return r.dead })
		o.fresh = slices.DeleteFunc(o.fresh, func(r *row) bool { return r.dead })
		o.dead = 0
	}
	if len(o.fresh) == 0 {
		return
	}
	slices.SortFunc(o.fresh, by)
	n, m := len(o.sorted), len(o.fresh)
	o.sorted = append(o.sorted, o.fresh...)
	for i, at := n-1, len(o.sorted)-1; m > 0; at-- { // merge from the back, in place
		if i >= 0 && by(o.sorted[i], o.fresh[m-1]) > 0 {
			o.sorted[at] = o.sorted[i]
			i--
		} else {
			o.sorted[at] = o.fresh[m-1]
			m--
		}
	}
	o.fresh = nil
}

// from returns the rows whose hash is above hash, or all where begun is false.
func (o *ordered) from(hash uint64, begun bool) []*row {
	if !begun {
		return o.sorted
	}
	i, _ := slices.BinarySearchFunc(o.sorted, hash, func(r *row, h uint64) int {
		if r.hash <= h {
			return -1
		}
		return 1
	})
	return o.sorted[i:]
}

// merged yields the rows of several lists, each in the order of hashes, in that order.
func merged(lists [][]*row) iter.Seq[*row] {
	lists = slices.DeleteFunc(lists, func(l []*row) bool { return len(l) == 0 })
	switch len(lists) {
	case 0:
		return func(func(*row) bool) {}
	case 1:
		return slices.Values(lists[0])
	}
	return func(yield func(*row) bool) {
		h := mergeHeap(lists)
		heap.Init(&h)
		for len(h) > 0 {
			if !yield(h[0][0]) {
				return
			}
			if h[0] = h[0][1:]; len(h[0]) == 0 {
				heap.Pop(&h)
			} else {
				heap.Fix(&h, 0)
			}
		}
	}
}

// mergeHeap is a heap of lists that are not empty, by their first row.
type mergeHeap [][]*row

func (h mergeHeap) Len() int           { return len(h) }
func (h mergeHeap) Less(i, j int) bool { return h[i][0].hash < h[j][0].hash }
func (h mergeHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface; nothing is ever pushed.
func (h *mergeHeap) Push(any) {}

// Pop implements heap.Interface.
func (h *mergeHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

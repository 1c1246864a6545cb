package bridge

import "container/heap"

// dueHeap has the devices of which time alone may say something, the soonest first.
type dueHeap []*device

// Len implements heap.Interface.
func (h dueHeap) Len() int { return len(h) }

// Less implements heap.Interface. Those that are due at once go in the order of their ids, as every owner has them.
func (h dueHeap) Less(i, j int) bool {
	if a, b := h[i].alerts.due, h[j].alerts.due; a != b {
		return a < b
	}
	return h[i].asset.ID.String() < h[j].asset.ID.String()
}

// Swap implements heap.Interface.
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].alerts.place, h[j].alerts.place = i, j
}

// Push implements heap.Interface.
func (h *dueHeap) Push(x any) {
	d := x.(*device) //nolint:forcetypeassert // the heap holds nothing else
	d.alerts.place = len(*h)
	*h = append(*h, d)
}

// Pop implements heap.Interface.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	d.alerts.place = -1
	return d
}

// set moves a device to where it is due; 0 takes it out.
func (h *dueHeap) set(d *device, due int64) {
	w := d.alerts
	switch {
	case due == w.due:
	case due == 0:
		heap.Remove(h, w.place)
		w.due = 0
	case w.place < 0:
		w.due = due
		heap.Push(h, d)
	default:
		w.due = due
		heap.Fix(h, w.place)
	}
}

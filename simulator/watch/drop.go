package watch

import (
	"time"

	"github.com/fleetcast/fleetcast/simulator/measure"
)

// Drop ends all connections as a network does that fails, and every viewer comes back at once: with its last id, or
// without where forget is set. Returned tells how long it took them. It is called when the drop before is over.
func (w *Watch) Drop(forget bool) {
	w.returned.Reset()
	now := time.Now().UnixNano()
	for i := range w.viewers {
		w.viewers[i].count.droppedAt.Store(now)
	}
	for i := range w.viewers {
		w.viewers[i].client.Drop(forget)
	}
}

// Away is how many viewers were dropped and are not back: past ready, so that they show all that there is.
func (w *Watch) Away() int {
	n := 0
	for i := range w.viewers {
		if w.viewers[i].count.droppedAt.Load() != 0 {
			n++
		}
	}
	return n
}

// MarkLive marks the viewers that are live now; seen has an entry for each.
func (w *Watch) MarkLive(seen []bool) {
	for i := range w.viewers {
		seen[i] = seen[i] || w.viewers[i].count.isLive.Load()
	}
}

// Returned are the times from the last Drop to each viewer's ready.
func (w *Watch) Returned() measure.Percentiles { return measure.Sum(w.returned) }

// back notes that a viewer that was dropped is past ready again. A ready that was read before the connection ended is
// not one of the new: the viewer is live then.
func (v *viewer) back(arrived time.Time) {
	at := v.count.droppedAt.Load()
	if at == 0 || v.live || arrived.UnixNano() < at {
		return
	}
	v.count.droppedAt.Store(0) // nobody else does, as long as Drop waits for the drop before
	v.watch.returned.Record(time.Duration(arrived.UnixNano() - at))
}

// BytesOfEach is what each viewer has read so far.
func (w *Watch) BytesOfEach() []int64 {
	all := make([]int64, len(w.viewers))
	for i := range w.viewers {
		all[i] = w.viewers[i].client.Bytes()
	}
	return all
}

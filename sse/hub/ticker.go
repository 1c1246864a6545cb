package hub

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// tick is the hub's one clockwork: it has the views ticked that changed, each at its own pace, and tells heartbeats.
func (h *Hub) tick(ctx context.Context) {
	heartbeat := time.NewTicker(h.options.Heartbeat)
	defer heartbeat.Stop()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var waiting []*view // dirty, not due yet
	beats := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-heartbeat.C:
			beats++
			h.beat(beats)
			continue
		case <-h.nudge:
			h.gather(ctx)
		case <-timer.C:
		}
		waiting = h.tickDue(h.takeDirty(waiting), time.Now())
		timer.Reset(h.untilDue(waiting))
	}
}

// gather waits a little for the other partitions' batches.
func (h *Hub) gather(ctx context.Context) {
	if len(h.tables) == 1 {
		return
	}
	timer := time.NewTimer(min(gatherWait, h.options.Window/5))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (h *Hub) takeDirty(waiting []*view) []*view {
	h.dirtyMu.Lock()
	defer h.dirtyMu.Unlock()
	waiting = append(waiting, h.dirty...)
	clear(h.dirty)
	h.dirty = h.dirty[:0]
	return waiting
}

// tickDue ticks the views whose time has come and returns the others.
func (h *Hub) tickDue(views []*view, now time.Time) []*view {
	rest, due := views[:0], h.due[:0]
	for _, v := range views {
		if v.due.After(now.Add(h.options.Window/tickSlack)) && !v.hurry.Load() {
			rest = append(rest, v)
			continue
		}
		v.due = nextDue(v.due, now, v.query.Every)
		v.hurry.Store(false) // both before the tick looks at the tables: a change from now on makes it dirty again
		v.dirty.Store(false)
		due = append(due, v)
	}
	h.stats.ticks.Add(uint64(len(due)))
	h.each(due, func(v *view, found *gathered) { v.tick(beat{}, found) })
	clear(due)
	clear(views[len(rest):])
	h.due = due[:0]
	return rest
}

// each does f to every view, on all cores: views of different filters have nothing in common but the tables, which they
// only read, and a view that is packed takes as long as its bytes. found is scratch of f. It returns when all is done, so
// no view is ever in two hands.
func (h *Hub) each(views []*view, f func(v *view, found *gathered)) {
	var next atomic.Int64
	traces := h.traces.current()
	work := func(found *gathered) {
		found.traces = traces
		for {
			i := int(next.Add(1)) - 1
			if i >= len(views) {
				return
			}
			f(views[i], found)
		}
	}
	var helpers sync.WaitGroup
	for i := 1; i < min(len(h.scratch), len(views)); i++ {
		helpers.Go(func() { work(&h.scratch[i]) })
	}
	work(&h.scratch[0])
	helpers.Wait()
}

// tickSlack is the part of a window by which a tick may come before it is due. Without it a view whose first batch was
// late would wait for ever a little after each batch; with it the phase is found again within four ticks.
const tickSlack = 4

// nextDue is a tick after the last one's due time, not after the moment at which it came: a batch that was late once
// must not make every later one late.
func nextDue(due, now time.Time, every time.Duration) time.Time {
	next := due.Add(every)
	if next.After(now) && next.Before(now.Add(every)) {
		return next
	}
	return now.Add(every)
}

func (h *Hub) untilDue(waiting []*view) time.Duration {
	if len(waiting) == 0 {
		return time.Hour
	}
	first := waiting[0].due
	for _, v := range waiting[1:] {
		if v.due.Before(first) {
			first = v.due
		}
	}
	return max(time.Until(first)-h.options.Window/tickSlack, 0)
}

// beat tells every viewer that its stream lives, and how late its data may be.
func (h *Hub) beat(number uint64) {
	h.mu.Lock()
	views := make([]*view, 0, len(h.views))
	for _, v := range h.views {
		views = append(views, v)
	}
	h.mu.Unlock()
	now := time.Now()
	h.each(views, func(v *view, found *gathered) {
		b := beat{number: number, data: heartbeatData(now, v.lag(now))}
		b.bytes = v.event("heartbeat", b.data, "")
		if v.dirty.Load() { // its tick will come: the heartbeat must not make it come early
			s := *v.state.Load()
			s.beat = b
			v.publish(&s)
		} else {
			v.tick(b, found)
		}
	})
}

func heartbeatData(now time.Time, lag time.Duration) []byte {
	data := strconv.AppendInt([]byte(`{"now":`), now.UnixMilli(), 10)
	data = strconv.AppendInt(append(data, `,"lag_ms":`...), lag.Milliseconds(), 10)
	return append(data, '}')
}

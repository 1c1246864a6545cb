package hub

import (
	"context"
	"math/bits"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// Viewer is one connection: a position, and no queue. What it has not seen is worked out from the position when it asks
// for more, so it costs the same whether it is a tick or a week behind. Its methods are for one goroutine, but Close may
// be called from any.
type Viewer struct {
	hub    *Hub
	view   *view // changed by the goroutine that calls Next, under the hub's mu
	format Format
	id     string
	wake   chan struct{} // capacity one: told is told

	closed atomic.Bool
	next   atomic.Pointer[change] // the view to go to; nil for none. It holds the view
	old    *view                  // that it leaves, with a hold; guarded by the hub's mu

	index int   // in view.viewers; guarded by view.mu; -1 when closed
	place place // among those who catch up

	// The rest belongs to the goroutine that calls Next.

	at     *vector        // the head at which it stands while it is up to date
	behind *mark          // where it stands otherwise; shared and immutable. nil while at counts
	seen   []uint64       // while up to date: offsets of frames it was given that are newer than at; nil for none
	turn   int            // the partition whose pass comes next
	limit  int            // of the next slice
	plain  int            // the size of the piece that it was given last, before it was packed; 0 where that does not matter
	traced *tracedSet     // in the piece that it was given last
	beats  uint64         // the last heartbeat that it was given
	blank  bool           // it came without an id and was not reset: whatever it is given is the first that it sees
	ready  bool           // ready was said since the last reset
	owed   []bus.Position // until then: how far the tables were when it began
	reset  reason         // to be said
	until  *mark          // before that this edge must have come up to it; nil for at once
	ahead  time.Time
	begun  bool    // it was given its turn to catch up
	moving *moving // on its way from another view; nil while it is not
}

// ID is the stream's id, as `ready` tells it.
func (v *Viewer) ID() string { return v.id }

// Next waits for the next bytes to write and returns them; they are shared and must not be changed. After an error the
// viewer is of no more use: ctx's, or ErrClosed when the hub has stopped or the viewer was closed.
func (v *Viewer) Next(ctx context.Context) ([]byte, error) {
	for {
		if v.closed.Load() {
			return nil, ErrClosed
		}
		if b := v.inTurn(); b != nil {
			return b, nil
		}
		if err := v.wait(ctx); err != nil {
			return nil, err
		}
	}
}

// inTurn returns the next bytes, or nil where there are none now. A viewer that must catch up waits for its turn, in which
// it is told no more than that its stream lives.
func (v *Viewer) inTurn() []byte {
	if !v.ready && !v.begun {
		if !v.hub.turns.ask(v) {
			return v.heartbeat(v.view.state.Load())
		}
		v.begun = true
	}
	b := v.poll()
	if b == nil && !v.ready { // nothing can be given to it now
		v.begun = false
		v.hub.turns.leave(v, false)
	}
	return b
}

func (v *Viewer) wait(ctx context.Context) error {
	var late <-chan time.Time // only a viewer that is ahead of its edge needs a timer
	if !v.ahead.IsZero() {
		// It looks at every window: the edge may come up by a batch in which nothing is of this view, which wakes nobody.
		timer := time.NewTimer(min(time.Until(v.ahead), v.hub.options.Window))
		defer timer.Stop()
		late = timer.C
	}
	if late == nil && ctx.Done() == nil { // a connection that was taken over: a plain receive is half of a select
		<-v.wake
		return nil
	}
	select {
	case <-v.wake:
	case <-late:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// poll returns the next bytes, or nil where there are none now.
func (v *Viewer) poll() []byte {
	v.plain, v.traced = 0, nil
	if v.next.Load() != nil {
		if b := v.turnTo(); b != nil {
			return b
		}
	}
	s := v.view.state.Load()
	if v.moving != nil {
		if b := v.move(s); b != nil {
			return b
		}
	}
	if v.behind == nil {
		if v.at == s.chunk.from && s.chunk.covers(v.seen) { // everybody who is up to date comes here
			v.at, v.seen, v.plain, v.traced = s.chunk.to, nil, s.chunk.plain, s.chunk.traced
			if s.chunk.beats != 0 {
				v.beats = s.chunk.beats
			}
			if s.chunk.bytes != nil { // else only the head moved, and there may be a heartbeat
				return s.chunk.bytes
			}
		}
		if v.at == s.head {
			return v.heartbeat(s)
		}
		v.fall()
	}
	return v.catchUp(s)
}

// covers tells whether the chunk is as new as all that was seen: else a device could step back in time.
func (c *chunk) covers(seen []uint64) bool {
	for i, offset := range seen {
		if c.to.at[i].Offset < offset {
			return false
		}
	}
	return true
}

func (v *Viewer) heartbeat(s *viewState) []byte {
	if s.beat.number == v.beats {
		return nil
	}
	v.beats = s.beat.number
	return s.beat.bytes
}

// fall makes an up-to-date viewer one that is behind: the view's head has moved on without it.
func (v *Viewer) fall() {
	v.hub.stats.conflated.Add(1)
	parts := make([]markPart, len(v.at.at))
	for i, p := range v.at.at {
		parts[i] = markPart{partition: v.view.tables[i].partition, at: p}
		if v.seen != nil {
			parts[i].ahead = v.seen[i] - min(v.seen[i], p.Offset)
		}
	}
	v.behind, v.at, v.seen = newMark(parts, cursor{}, v.view.filter), nil, nil
}

// enter puts a new viewer where its id says it is, else at nothing.
func (v *Viewer) enter(lastEventID string) {
	v.beats = v.view.state.Load().beat.number
	v.behind = v.view.freshMark()
	v.blank = lastEventID == ""
	m, ok := decodeMark(lastEventID)
	if !ok {
		return
	}
	if m.filter != v.view.filter || !m.fits(v.view) {
		v.reset, v.until = resetFilter, m
		return
	}
	if m.cursor.active {
		v.behind = m
	} else {
		v.behind = m.coarse(v.view)
	}
}

// fits tells whether the mark speaks of the partitions that the view reads.
func (m *mark) fits(v *view) bool {
	return slices.EqualFunc(m.parts, v.tables, func(p markPart, t *table) bool { return p.partition == t.partition })
}

// Took tells the viewer how long its transport needed to write n bytes, the whole last piece; it sizes the next slices
// by it. What was packed counts as what it was before: a connection takes so much more of it in the same time.
func (v *Viewer) Took(n int, d time.Duration) {
	if v.traced != nil {
		v.hub.traces.wrote(v.traced, v.format.Name(), n, d)
		v.traced = nil
	}
	limit := MaxSliceBytes
	n = max(n, v.plain)
	if d > 0 && n > 0 {
		if fits := float64(n) * float64(sliceTime) / float64(d); fits < MaxSliceBytes {
			limit = 1 << (bits.Len(uint(fits)|1) - 1) // a power of two, so that viewers of a speed share slices
		}
	}
	v.limit = max(limit, MinSliceBytes)
}

// Close takes the viewer out of its view, and a Next that waits returns. It may be called twice, and must be called on
// every path.
func (v *Viewer) Close() {
	v.end()
	v.hub.turns.leave(v, true)
	v.hub.detach(v)
}

// end makes Next return.
func (v *Viewer) end() {
	v.closed.Store(true)
	v.tell()
}

// tell has the viewer look at what there is.
func (v *Viewer) tell() {
	select {
	case v.wake <- struct{}{}:
	default: // it has been told something already, and will look
	}
}

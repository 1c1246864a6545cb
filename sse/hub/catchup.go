package hub

import (
	"strconv"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// reason is why a viewer must drop everything.
type reason string

// The reasons that a reset names.
const (
	noReset      reason = ""
	resetEpoch   reason = "epoch"   // the position's history is over
	resetExpired reason = "expired" // removals or events since are no longer held
	resetFilter  reason = "filter"  // the position was another filter's, or of a store with other partitions
	resetAhead   reason = "ahead"   // this edge does not come up to the position
)

// AheadWait is how long a viewer whose position is newer than this edge's state waits for the edge.
const AheadWait = 5 * time.Second

// catchUp gives a viewer that is behind its next slice. One that has come up to the head is put among the others.
func (v *Viewer) catchUp(s *viewState) []byte {
	for {
		if b := v.heartbeat(s); b != nil {
			return b
		}
		v.owe()
		c, step := v.step(s)
		if step != stepReset && v.hasAllThatItAskedFor() {
			return v.readyEvent(v.behind.text) // it may be behind again, or ahead of a view that is slow to tick
		}
		switch step {
		case stepReset:
			return v.resetEvent()
		case stepWait:
			return nil
		case stepArrived:
			if v.ready || v.owed != nil { // else a table was loaded anew meanwhile
				v.arrive(s)
				return nil
			}
		case stepSlice:
			if b := v.take(c, s.head.at[c.part].Epoch); b != nil {
				return b
			}
		}
		s = v.view.state.Load()
	}
}

// owe notes, once, how far the tables are when a viewer begins to catch up: it is ready when it has all of that. The view's
// head is not enough: where a tick is due the tables are further, and other viewers may have been shown it already, by
// slices, by another view or before a cut.
func (v *Viewer) owe() {
	if v.ready || v.owed != nil {
		return
	}
	owed := make([]bus.Position, len(v.view.tables))
	for i, t := range v.view.tables {
		t.mu.RLock()
		owed[i] = t.position
		t.mu.RUnlock()
		if owed[i].Epoch == 0 { // being loaded: it waits
			return
		}
	}
	v.owed = owed
}

// hasAllThatItAskedFor tells, until it is told ready, that a viewer has been given all that there was when it began to
// catch up. It may be behind again by then, and a viewer that is slower than its stream always is: it is ready all the same.
func (v *Viewer) hasAllThatItAskedFor() bool {
	if v.ready || v.owed == nil || v.behind.cursor.active || !v.ahead.IsZero() {
		return false
	}
	for i := range v.behind.parts {
		p := &v.behind.parts[i]
		switch {
		case p.fresh:
			return false
		case p.at.Epoch != v.owed[i].Epoch: // a table was loaded anew before anything of it was given
			v.owed = nil
			return false
		case p.at.Offset < v.owed[i].Offset:
			return false
		}
	}
	return true
}

// target is how far a pass over a partition goes: to the head, or to what the viewer is owed where that is further.
func (v *Viewer) target(i int, head bus.Position) bus.Position {
	if v.owed != nil && v.owed[i].Epoch == head.Epoch {
		head.Offset = max(head.Offset, v.owed[i].Offset)
	}
	return head
}

// step is what a viewer that is behind does next.
type step uint8

const (
	stepReset   step = iota // tell it why it must begin anew
	stepWait                // until this edge, or the view, has come up to it
	stepSlice               // take a slice
	stepArrived             // it stands at the head
)

// step decides. The cursor, for a slice, is the place in the pass that is open, else the start of the next one. The next
// one is of a partition of which nothing was given yet, else the partitions take turns: a viewer that is slower than its
// stream is behind in all of them, and would never leave the first.
func (v *Viewer) step(s *viewState) (cursor, step) {
	if v.reset != noReset {
		return cursor{}, v.resetStep()
	}
	next, parts := v.behind.cursor, v.behind.parts
	var lags, early, expired bool
	for n := range parts {
		i := (v.turn + n) % len(parts)
		p, head := &parts[i], s.head.at[i]
		now, oldest, why := v.view.tables[i].answers(v.view, p, v.behind.cursor.toIn(i))
		switch {
		case why == resetExpired:
			expired, lags = true, lags || p.seen() > now.Offset
		case why != noReset:
			v.reset = why
			return cursor{}, stepReset
		case head.Epoch != now.Epoch || head.Epoch == 0: // being loaded: a tick will bring the head up
			return cursor{}, stepWait
		case p.seen() > now.Offset:
			lags = true
			if next.part == i {
				next.active = false
			}
		case p.fresh && head.Offset < oldest && v.behind.cursor.toIn(i) == 0:
			early = true // a pass that ends at the head would end in a reset
		case !v.behind.cursor.active && (!next.active && p.at.Offset < v.target(i, head).Offset || p.fresh && !(next.active && parts[next.part].fresh)):
			next = cursor{active: true, part: i, to: v.view.passTo(i, p, v.target(i, head), oldest)}
		case p.at.Offset > head.Offset:
			early = true
		}
	}
	switch {
	case v.waitedEnough(lags):
		v.reset = resetAhead
		return cursor{}, stepReset
	case expired && lags: // a snapshot now would show devices as they were before what the viewer has seen
		return cursor{}, stepWait
	case expired:
		v.reset = resetExpired
		return cursor{}, stepReset
	case next.active:
		return next, stepSlice
	case lags:
		return cursor{}, stepWait
	case early:
		v.view.wantTick()
		return cursor{}, stepWait
	}
	return cursor{}, stepArrived
}

// resetStep is what a viewer does that must be reset. One that comes with another filter's id waits for this edge to come
// up to it, as any: the snapshot would show devices as they were before what it has seen.
func (v *Viewer) resetStep() step {
	if v.until == nil {
		return stepReset
	}
	lags, other := v.hub.lags(v.until)
	switch {
	case other:
		v.reset = resetEpoch
	case v.waitedEnough(lags):
		v.reset = resetAhead
	case lags:
		return stepWait
	}
	v.until = nil
	return stepReset
}

// lags tells whether the tables have not come up to a mark of any filter, and whether they have another history.
func (h *Hub) lags(m *mark) (lags, other bool) {
	for i := range m.parts {
		p := &m.parts[i]
		if p.at.Epoch == 0 || p.partition >= len(h.tables) {
			continue
		}
		t := h.tables[p.partition]
		t.mu.RLock()
		at := t.position
		t.mu.RUnlock()
		lags = lags || at.Epoch == 0 || at.Offset < p.seen()
		other = other || at.Epoch != 0 && at.Epoch != p.at.Epoch
	}
	return lags, other
}

// waitedEnough tells whether this edge had AheadWait to come up to the viewer's position. The time runs while the viewer
// is given what other partitions have: else a busy one would put off for ever the reset that another one needs.
func (v *Viewer) waitedEnough(lags bool) bool {
	switch {
	case !lags:
		v.ahead = time.Time{}
	case v.ahead.IsZero():
		v.ahead = time.Now().Add(AheadWait)
	default:
		return !time.Now().Before(v.ahead)
	}
	return false
}

// answers tells the table's position, the oldest offset since which it can tell the view what changed, and why it cannot
// say it of p; to is the end of a pass in progress.
func (t *table) answers(v *view, p *markPart, to uint64) (now bus.Position, oldest uint64, why reason) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	now, oldest = t.position, t.oldest(v)
	switch {
	case now.Epoch == 0 || p.fresh && p.at.Epoch == 0:
		return now, oldest, noReset
	case p.at.Epoch != now.Epoch:
		return now, oldest, resetEpoch
	case !p.fresh && p.at.Offset < oldest, p.fresh && to != 0 && to < oldest:
		return now, oldest, resetExpired
	}
	return now, oldest, noReset
}

// toIn is the end of the pass that the cursor is in, where it is in partition i.
func (c cursor) toIn(i int) uint64 {
	if c.active && c.part == i {
		return c.to
	}
	return 0
}

// take gives the slice at c, from those that others took already where one will do.
// epoch is the one in which the end of the pass means something.
func (v *Viewer) take(c cursor, epoch bus.Epoch) []byte {
	m := v.behind
	if m.parts[c.part].at.Epoch == 0 { // a fresh viewer learns which history it is in
		m = m.join(c.part, epoch)
	}
	s := v.slice(m, c)
	v.behind, v.plain = s.next, s.plain
	if !s.next.cursor.active {
		v.turn = (c.part + 1) % len(s.next.parts)
	}
	return s.bytes
}

// slice is the piece at c: one that another viewer made, or makes just now, where it is not older than what this one has
// seen, nor than when it asked, unless it came without an id and so with nothing: a page that was cut in the middle of a piece
// was shown more than its id says. In a storm of returning viewers each is made once, and the others wait for it.
func (v *Viewer) slice(m *mark, c cursor) *slice {
	key, seen := sliceKey{mark: m.text, part: c.part, to: c.to, limit: v.limit, fresh: m.parts[c.part].fresh}, m.parts[c.part].seen()
	if v.owed != nil && !v.blank {
		seen = max(seen, v.owed[c.part].Offset)
	}
	for anew := false; ; anew = true {
		v.view.mu.Lock()
		e := v.view.slices.entry(key, anew, time.Now())
		v.view.mu.Unlock()
		made := false
		e.once.Do(func() {
			e.slice, made = v.view.build(m, c, v.limit), true
		})
		switch {
		case made:
			v.hub.stats.slices.Add(1)
			v.view.mu.Lock()
			v.view.slices.weigh(e, time.Now())
			v.view.mu.Unlock()
			return &e.slice
		case e.next != nil && e.built >= seen: // nil: who made it panicked
			v.hub.stats.shared.Add(1)
			return &e.slice
		}
	}
}

// arrive puts the viewer among those that are up to date.
func (v *Viewer) arrive(s *viewState) {
	v.at, v.seen = s.head, nil
	for i := range v.behind.parts {
		if p := &v.behind.parts[i]; p.ahead > 0 {
			if v.seen == nil {
				v.seen = make([]uint64, len(v.behind.parts))
			}
			v.seen[i] = p.seen()
		}
	}
	v.behind = nil
}

// readyEvent says that all is there, and how late it may be, so that a page need not wait for the next heartbeat to know;
// nothing where that was said since the last reset. The id is of the mark that arrived, and not of the head: frames may
// be newer than the head, and only the mark says so.
func (v *Viewer) readyEvent(id string) []byte {
	if v.ready {
		return nil
	}
	v.ready, v.owed = true, nil
	v.hub.turns.leave(v, false)
	data := devices.AppendJSONString([]byte(`{"sid":`), v.id)
	data = strconv.AppendInt(append(data, `,"assets":`...), int64(v.view.size()), 10)
	data = devices.AppendJSONString(append(data, `,"position":`...), id)
	b := v.view.format.AppendEvent(nil, "ready", append(data, '}'), id)
	now := time.Now()
	return v.view.pack(v.view.format.AppendEvent(b, "heartbeat", heartbeatData(now, v.view.lag(now)), ""))
}

// resetEvent tells the viewer to drop everything, and lets it begin anew. It carries the id of a viewer that has nothing:
// with its old one a client that is cut now could go on at an edge that has not heard of the new epoch yet, and would
// never get what it dropped.
func (v *Viewer) resetEvent() []byte {
	data := devices.AppendJSONString([]byte(`{"reason":`), string(v.reset))
	v.hub.stats.reset(v.reset)
	v.behind = v.view.freshMark()
	v.until = nil
	v.reset, v.ready, v.begun, v.owed, v.ahead, v.blank = noReset, false, false, nil, time.Time{}, false
	return v.view.event("reset", append(data, '}'), v.behind.text)
}

// freshMark is the place of a viewer that was given nothing.
func (v *view) freshMark() *mark {
	parts := make([]markPart, len(v.tables))
	for i, t := range v.tables {
		parts[i] = markPart{partition: t.partition, fresh: true}
	}
	return newMark(parts, cursor{}, v.filter)
}

// passTo is the end of a pass that starts now from p: the head, or the end of a pass that another viewer started lately, so that
// a crowd that comes back shares the slices of this pass and stands at one place after it. Passes from nothing share
// their end for longer, for they are long. The end is not below oldest, since which the table can say what changed, and always
// beyond p: a viewer that stands where the others were going is the one that goes on to the head.
func (v *view) passTo(part int, p *markPart, head bus.Position, oldest uint64) uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ends == nil {
		v.ends = make([]passEnds, len(v.tables))
	}
	end, age, least := &v.ends[part].later, maxSliceAge, p.at.Offset+1
	if p.fresh {
		end, age, least = &v.ends[part].fresh, maxSnapshotAge, oldest
	}
	if now := time.Now(); end.to.Epoch != head.Epoch || end.to.Offset < least || end.to.Offset > head.Offset || now.Sub(end.started) > age {
		*end = passEnd{to: head, started: now}
	}
	return end.to.Offset
}

// passEnds are the ends that passes of a partition share.
type passEnds struct{ fresh, later passEnd }

// passEnd is the end of a pass, and when it was started.
type passEnd struct {
	to      bus.Position
	started time.Time
}

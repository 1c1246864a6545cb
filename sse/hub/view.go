package hub

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// view is a filter, a format and a tick that any number of viewers share. At each tick it makes one chunk: the bytes of
// all that changed since its head. Viewers that stand at the head take the chunk as it is; the others go by passes.
type view struct {
	key    viewKey
	query  Query
	format Format
	filter [filterBytes]byte
	tables []*table // that it reads, by partition
	byHash []wanted // the query's devices in the order of passes; nil where it names none
	fleets map[devices.FleetID]bool

	interests []*interest  // by partition; nil for views of whole fleets
	margin    devices.BBox // the query's box and what is near it
	holds     int          // viewers that are in it, come to it or leave it; guarded by the hub's mu

	state  atomic.Pointer[viewState] // what viewers look at without a lock; written by the ticker
	dirty  atomic.Bool               // it is in the hub's list of views to tick
	moved  atomic.Bool               // a viewer waits for the head to move, even if nothing changed
	hurry  atomic.Bool               // a table was loaded: the tick does not wait for due
	due    time.Time                 // ticker's: not before
	enlist func(*view)

	allLeft *atomic.Int64 // entries of interest.left of all views
	sized   atomic.Pointer[viewSize]

	mu      sync.Mutex
	viewers []*Viewer
	slices  sliceCache
	ends    []passEnds // by partition
}

// wanted is a device that a view names.
type wanted struct {
	id   devices.DeviceID
	hash uint64
}

// viewState is immutable: a tick puts a new one in its place.
type viewState struct {
	head  *vector
	chunk chunk
	beat  beat
}

// vector is the position in each of the view's partitions, in the order of view.tables. It is never changed once it is
// in a viewState, and viewers that are up to date hold the very same one: equal pointers are the fast path.
type vector struct{ at []bus.Position }

// chunk brings a viewer from one head to the next; bytes may be a heartbeat alone.
type chunk struct {
	from, to *vector
	bytes    []byte
	plain    int        // the size of bytes before they were packed
	traced   *tracedSet // nearly always nil
	beats    uint64     // the number of the heartbeat that it ends with, or 0
}

// beat is a heartbeat: its data, and its bytes without an id for viewers that cannot take it in a chunk.
type beat struct {
	number uint64 // 0: none
	data   []byte
	bytes  []byte
}

func newView(q Query, f Format, tables []*table) *view {
	v := &view{query: q, format: f, tables: tables, margin: q.BBox.Grow(hysteresis), allLeft: new(atomic.Int64)}
	hash := q.hash()
	v.key = viewKey{filter: hash, every: q.Every, format: f.Name()}
	copy(v.filter[:], hash[:])
	if len(q.Fleets) > 0 {
		v.fleets = make(map[devices.FleetID]bool, len(q.Fleets))
		for _, id := range q.Fleets {
			v.fleets[id] = true
		}
	}
	for _, id := range q.Devices {
		v.byHash = append(v.byHash, wanted{id, id.Hash()})
	}
	slices.SortFunc(v.byHash, func(a, b wanted) int { return cmp.Compare(a.hash, b.hash) })
	if v.byHash != nil || !q.BBox.IsZero() {
		v.interests = make([]*interest, tables[0].partitions)
		for _, t := range tables {
			v.interests[t.partition] = &interest{view: v}
		}
	}
	return v
}

// interest is what the view has in a table, or nil.
func (v *view) interest(t *table) *interest {
	if v.interests == nil {
		return nil
	}
	return v.interests[t.partition]
}

// takeHead gives a new view its first state. A batch may hand the view to the ticker as soon as it is in one index, so
// it has a state before it is in any.
func (v *view) takeHead() {
	head := &vector{at: make([]bus.Position, len(v.tables))}
	for i, t := range v.tables {
		t.mu.RLock()
		head.at[i] = t.position
		t.mu.RUnlock()
	}
	v.state.Store(&viewState{head: head})
}

// register enters the view in its tables' indexes. A batch that came after takeHead did not find the view there, so a
// tick must look for it.
func (v *view) register() {
	head, missed := v.state.Load().head, false
	if v.byHash != nil {
		v.tables[0].names.add(v)
	}
	for i, t := range v.tables {
		t.mu.Lock()
		switch in := v.interest(t); {
		case in != nil:
			in.loads, in.floor, in.lost = t.loads, t.position.Offset, head.at[i] != t.position
			if !v.query.BBox.IsZero() {
				t.boxed = append(t.boxed, in)
			}
			if v.byHash == nil {
				t.boxes.add(in)
			}
		case v.fleets != nil:
			for _, id := range v.query.Fleets {
				if id.Partition(t.partitions) == t.partition {
					f := t.fleet(id)
					f.views = append(f.views, v)
				}
			}
		default:
			t.views = append(t.views, v)
		}
		missed = missed || head.at[i] != t.position
		t.mu.Unlock()
	}
	if missed {
		v.enlist(v)
	}
}

func (v *view) unregister() {
	if v.byHash != nil {
		v.tables[0].names.remove(v)
	}
	for _, t := range v.tables {
		t.mu.Lock()
		if i := v.interest(t); i != nil {
			i.raise(math.MaxUint64)
			t.boxed = without(t.boxed, i)
			if v.byHash == nil {
				t.boxes.remove(i)
			}
		}
		for _, id := range v.query.Fleets {
			if f := t.fleets[id]; f != nil {
				f.views = without(f.views, v)
				t.dropIfEmpty(f)
			}
		}
		t.views = without(t.views, v)
		t.mu.Unlock()
	}
}

func without[T comparable](list []T, one T) []T {
	return slices.DeleteFunc(list, func(other T) bool { return other == one })
}

// markDirty appends the view to dirty unless it is waiting for its tick already.
func (v *view) markDirty(dirty []*view) []*view {
	if v.dirty.CompareAndSwap(false, true) {
		return append(dirty, v)
	}
	return dirty
}

// reads tells whether a row that the view names, if it names any, is of its fleets and a member of its box now. The table
// is locked.
func (v *view) reads(t *table, r *row) bool {
	return v.readsFleet(r) && (v.query.BBox.IsZero() || v.interest(t).has(r))
}

// namesRow tells whether the view reads every device, or this one by its name.
func (v *view) namesRow(r *row) bool { return v.byHash == nil || v.names(r.hash, r.device) }

func (v *view) readsFleet(r *row) bool { return v.fleets == nil || v.fleets[r.fleet.id] }

func (v *view) names(hash uint64, id devices.DeviceID) bool {
	i, _ := slices.BinarySearchFunc(v.byHash, hash, func(w wanted, h uint64) int { return cmp.Compare(w.hash, h) })
	for ; i < len(v.byHash) && v.byHash[i].hash == hash; i++ {
		if v.byHash[i].id == id {
			return true
		}
	}
	return false
}

func (v *view) matchesEvent(e *bus.Event) bool {
	if v.fleets != nil && !v.fleets[e.Fleet] {
		return false
	}
	return v.byHash == nil || v.names(e.Device.Hash(), e.Device)
}

// MaxChunkBytes bounds what is made in one piece for viewers that are up to date. What is more reaches them in slices,
// so that no tick holds a table's lock, or one viewer's connection, for the bytes of a whole fleet.
const MaxChunkBytes = 1 << 20

// tick makes the chunk of all that changed since the head, and wakes the viewers. With a heartbeat to tell it does so
// even where nothing changed: the chunk is then the heartbeat, whose id moves quiet viewers on. found is scratch.
func (v *view) tick(b beat, found *gathered) {
	old := v.state.Load()
	next := &viewState{head: &vector{at: make([]bus.Position, len(v.tables))}, beat: old.beat}
	if b.number != 0 {
		next.beat = b
	}
	found.reset()
	whole := true
	for i, t := range v.tables {
		t.mu.RLock()
		next.head.at[i] = t.position
		all := v.advance(t, old.head.at[i], found) // of every table: it takes the news
		whole = whole && all
		t.mu.RUnlock()
	}
	if !v.moved.Swap(false) && whole && found.empty() && b.number == 0 {
		return
	}
	if whole { // else viewers see that they are behind the new head, and go by passes
		id := v.id(next.head)
		next.chunk = chunk{from: old.head, to: next.head}
		switch {
		case !found.empty():
			plain := v.encode(found, "", id)
			next.chunk.bytes, next.chunk.plain, next.chunk.traced = v.pack(plain), len(plain), found.told()
		case b.number != 0:
			next.chunk.bytes, next.chunk.beats = v.event("heartbeat", b.data, id), b.number
		}
	}
	v.publish(next)
}

// advance gathers what changed in a locked table since from, and tells whether that is all that viewers need.
func (v *view) advance(t *table, from bus.Position, found *gathered) bool {
	i := v.interest(t)
	answers := from.Epoch == t.position.Epoch && from.Offset >= t.oldest(v)
	if i != nil {
		whole := i.take(t, found)
		return from == t.position || answers && whole
	}
	if from == t.position || !answers {
		return from == t.position
	}
	start := since{offset: from.Offset}
	v.eventsBetween(t, start, t.position.Offset, found)
	return v.changes(t, start, MaxChunkBytes, found)
}

// oldest is the offset since which a locked table can tell a view what changed: before, tombstones or events may be gone,
// or who left the view's box.
func (t *table) oldest(v *view) uint64 {
	oldest := max(t.floor.Tombstones, t.floor.Events)
	if i := v.interest(t); i != nil && !v.query.BBox.IsZero() {
		oldest = max(oldest, i.floor)
	}
	return oldest
}

// join puts a viewer among the view's.
func (v *view) join(w *Viewer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	w.index = len(v.viewers)
	v.viewers = append(v.viewers, w)
}

// part takes a viewer out, and tells whether it was there.
func (v *view) part(w *Viewer) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if w.index < 0 {
		return false
	}
	last := len(v.viewers) - 1
	v.viewers[w.index] = v.viewers[last]
	v.viewers[w.index].index = w.index
	v.viewers[last] = nil
	v.viewers = v.viewers[:last]
	w.index = -1
	return true
}

// publish shows the state to the viewers. It never waits for one: a viewer that was told already is told once.
func (v *view) publish(s *viewState) {
	v.state.Store(s)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.slices.expire(time.Now())
	for _, w := range v.viewers {
		w.tell()
	}
}

// wantTick has the head moved although nothing of the view changed: a viewer came with a later position of the same
// state, from another edge or a faster view.
func (v *view) wantTick() {
	v.moved.Store(true)
	v.enlist(v)
}

// pack makes of a complete piece what the viewers are given.
func (v *view) pack(piece []byte) []byte {
	if p, ok := v.format.(Packer); ok && len(piece) > 0 {
		return p.Pack(piece)
	}
	return piece
}

// event is a piece of one event.
func (v *view) event(name string, data []byte, id string) []byte {
	return v.pack(v.format.AppendEvent(nil, name, data, id))
}

// id encodes a head.
func (v *view) id(head *vector) string {
	m := mark{parts: make([]markPart, len(head.at)), filter: v.filter}
	for i, p := range head.at {
		m.parts[i] = markPart{partition: v.tables[i].partition, at: p}
	}
	return m.encode()
}

// lag is how late the view's data may be: for each partition the time since its owner was heard and the age of what
// the owner had not read then; the largest of them.
func (v *view) lag(now time.Time) time.Duration {
	var lag time.Duration
	for _, t := range v.tables {
		lag = max(lag, t.lateness(now))
	}
	return lag
}

func (t *table) epoch() bus.Epoch {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.position.Epoch
}

func (t *table) lateness(now time.Time) time.Duration {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.position.Epoch == 0 {
		return 0
	}
	return now.Sub(t.heard) + t.lag
}

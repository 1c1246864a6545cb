package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/trace"
)

// The defaults and bounds of Options.
const (
	DefaultWindow     = 100 * time.Millisecond
	DefaultHeartbeat  = 10 * time.Second
	DefaultMaxViewers = 20_000
	DefaultMaxViews   = 10_000 // filters in use at once; each costs an index entry per fleet or device that it names

	// gatherWait is how long a tick waits for the batches of other partitions, which are flushed at the same multiples
	// of the window, so that a viewer of several gets one write.
	gatherWait = 20 * time.Millisecond
	// watchRetry is how long the follower of a partition waits before it asks the bus again after an error.
	watchRetry = 500 * time.Millisecond
)

// sidMark stands in a stream's id between the edge that has it and its name there.
const sidMark = "."

// ErrClosed is what viewers get when the hub has stopped.
var ErrClosed = errors.New("hub: closed")

// Options of a Hub. Bus and Partitions must be set; a zero value elsewhere means the default.
type Options struct {
	Bus        bus.Watcher
	Partitions int
	Window     time.Duration // a view is not ticked more often
	Heartbeat  time.Duration // at most 15 s, which the stream promises
	MaxViewers int
	MaxViews   int
	// Edge names this edge in the ids of its streams; zero takes a name of its own.
	Edge bus.EdgeID
	// Tracer tells what becomes of batches that are traced; nil: nothing does.
	Tracer *trace.Tracer
	Logger *slog.Logger
}

// Hub keeps the tables of all partitions and gives viewers what they have not seen.
//
// Locks, in the order in which they are taken: mu, then a view's mu or a table's mu, never both of these, then that of
// names, or that of turns. No lock is held while a viewer's connection is written or a bus is waited for.
type Hub struct {
	options Options
	tables  []*table
	log     *slog.Logger
	stats   stats
	traces  tracing

	erasures erasures

	turns *turns
	nudge chan struct{} // capacity one: there are dirty views
	ran   atomic.Bool

	mu      sync.Mutex
	closed  bool
	views   map[viewKey]*view
	viewers int

	dirtyMu sync.Mutex
	dirty   []*view

	// The ticker's.
	due     []*view
	scratch []gathered // one for each goroutine that ticks

	sliceBytes atomic.Int64 // that all views keep
	left       atomic.Int64 // devices that left a box, of all views
}

// New checks the options and makes a hub. It starts nothing.
func New(o Options) (*Hub, error) {
	if o.Bus == nil || o.Partitions < 1 {
		return nil, errors.New("make hub: a bus and its number of partitions are needed")
	}
	if o.Window < 0 || o.Heartbeat < 0 || o.Heartbeat > 15*time.Second {
		return nil, errors.New("make hub: the window must not be negative and the heartbeat must be at most 15s")
	}
	h := &Hub{
		options: o, log: o.Logger, views: map[viewKey]*view{},
		nudge: make(chan struct{}, 1), scratch: make([]gathered, runtime.GOMAXPROCS(0)),
	}
	h.turns = newTurns(turnsPerCore*runtime.GOMAXPROCS(0), &h.stats.queued)
	h.options.Window = orDefault(o.Window, DefaultWindow)
	h.options.Heartbeat = orDefault(o.Heartbeat, DefaultHeartbeat)
	h.options.MaxViewers = orDefault(o.MaxViewers, DefaultMaxViewers)
	h.options.MaxViews = orDefault(o.MaxViews, DefaultMaxViews)
	if h.options.Edge == 0 {
		h.options.Edge = bus.NewEdgeID()
	}
	h.traces.tracer = o.Tracer
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	for p := range o.Partitions {
		h.tables = append(h.tables, newTable(p, o.Partitions))
		h.tables[p].names = h.tables[0].names
	}
	return h, nil
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// Run follows the bus and ticks the views until ctx ends; then every viewer's Next returns ErrClosed. It is called once.
func (h *Hub) Run(ctx context.Context) error {
	if !h.ran.CompareAndSwap(false, true) {
		return errors.New("run hub: it ran before")
	}
	var wg sync.WaitGroup
	for _, t := range h.tables {
		wg.Go(func() { h.follow(ctx, t) })
	}
	wg.Go(func() { h.tick(ctx) })
	<-ctx.Done()
	h.endAll()
	wg.Wait()
	return nil
}

// endAll ends every viewer, and lets no more come.
func (h *Hub) endAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, v := range h.views {
		v.mu.Lock()
		for _, w := range v.viewers {
			w.end()
		}
		v.mu.Unlock()
	}
}

// follow brings one partition's updates into its table for ever. A bus that fails or breaks its word is asked anew.
func (h *Hub) follow(ctx context.Context, t *table) {
	for ctx.Err() == nil {
		err := h.watch(ctx, t)
		if ctx.Err() != nil {
			return
		}
		h.log.Warn("watching a partition failed; trying again", "partition", t.partition, "error", err)
		h.stats.watchFailures.Add(1)
		select {
		case <-time.After(watchRetry):
		case <-ctx.Done():
		}
	}
}

func (h *Hub) watch(ctx context.Context, t *table) error {
	feed, err := h.options.Bus.Watch(ctx, t.partition)
	if err != nil {
		return err
	}
	defer feed.Close()
	var dirty []*view
	for {
		u, err := feed.Next(ctx)
		if err != nil {
			return err
		}
		if dirty, err = h.bring(t, u, dirty[:0]); err != nil {
			return err
		}
		h.enlist(dirty...)
	}
}

// bring puts an update into the table and returns the views that it touched, appended to dirty.
func (h *Hub) bring(t *table, u bus.Update, dirty []*view) ([]*view, error) {
	if u.Snapshot != nil {
		if err := t.load(u.Snapshot); err != nil {
			return dirty, err
		}
		h.stats.snapshots.Add(1)
		return h.viewsOf(t, dirty), nil
	}
	came := time.Now()
	dirty, err := t.apply(u.Batch, dirty)
	if err == nil && !u.Batch.IsBeat() {
		h.erasures.told(t.partition, u.Batch.Erased)
		h.traces.arrived(u.Batch, came)
		h.stats.batches.Add(1)
		h.stats.changes.Add(uint64(len(u.Batch.Changes)))
		h.stats.came(u.Batch)
	}
	return dirty, err
}

// viewsOf marks every view that reads a table that was loaded. Their viewers may have an empty page, so none of them
// waits for its time.
func (h *Hub) viewsOf(t *table, dirty []*view) []*view {
	h.mu.Lock()
	for _, v := range h.views {
		if slices.Contains(v.tables, t) {
			v.hurry.Store(true)
			dirty = v.markDirty(dirty)
		}
	}
	h.mu.Unlock()
	h.nudgeTicker() // even where all of them were dirty before, and wait
	return dirty
}

// enlist hands dirty views to the ticker.
func (h *Hub) enlist(views ...*view) {
	if len(views) == 0 {
		return
	}
	h.dirtyMu.Lock()
	h.dirty = append(h.dirty, views...)
	h.dirtyMu.Unlock()
	h.nudgeTicker()
}

func (h *Hub) nudgeTicker() {
	select {
	case h.nudge <- struct{}{}:
	default:
	}
}

// Attach makes a viewer of what the query reads, in the format's bytes. lastEventID is what the client says it has; what
// cannot be read as an id of ours means that it has nothing. It may be called before Run: the viewer then waits.
//
// Errors are devices.Errors: Exhausted at MaxViewers and MaxViews, Unavailable when the hub has stopped.
func (h *Hub) Attach(q Query, f Format, lastEventID string) (*Viewer, error) {
	q = q.normalise(h.options.Window)
	v := newView(q, f, h.tablesOf(q)) // hashes every name that the query has: not under the lock
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return nil, devices.Errorf(devices.Unavailable, "", "the server is stopping")
	case h.viewers >= h.options.MaxViewers:
		h.stats.refusedViewers.Add(1)
		return nil, devices.Errorf(devices.Exhausted, "", "there are %d viewers, which is the limit", h.viewers)
	}
	v, err := h.hold(v)
	if err != nil {
		return nil, err
	}
	w := &Viewer{hub: h, view: v, format: f, id: h.options.Edge.String() + sidMark + rand.Text(), wake: make(chan struct{}, 1), limit: MaxSliceBytes}
	w.enter(lastEventID)
	v.join(w)
	h.viewers++
	return w, nil
}

// hold is the view of v's key, v itself where it is new, with one hold more on it. h.mu is held.
func (h *Hub) hold(v *view) (*view, error) {
	if shared := h.views[v.key]; shared != nil {
		shared.holds++
		return shared, nil
	}
	if len(h.views) >= h.options.MaxViews {
		h.stats.refusedViews.Add(1)
		return nil, devices.Errorf(devices.Exhausted, "", "there are %d different filters in use, which is the limit", len(h.views))
	}
	v.enlist = func(v *view) { h.enlist(v.markDirty(nil)...) }
	v.slices.all, v.allLeft, v.holds = &h.sliceBytes, &h.left, 1
	h.views[v.key] = v
	v.takeHead()
	v.register()
	return v, nil
}

// release takes a hold off a view, and the view with its last one. h.mu is held.
func (h *Hub) release(v *view) {
	if v.holds--; v.holds > 0 {
		return
	}
	v.mu.Lock()
	v.slices.end()
	v.mu.Unlock()
	delete(h.views, v.key)
	v.unregister()
}

// tablesOf are the partitions that a query reads: those of its fleets, or all.
func (h *Hub) tablesOf(q Query) []*table {
	if len(q.Fleets) == 0 {
		return h.tables
	}
	var tables []*table
	for _, id := range q.Fleets {
		if t := h.tables[id.Partition(len(h.tables))]; !slices.Contains(tables, t) {
			tables = append(tables, t)
		}
	}
	slices.SortFunc(tables, func(a, b *table) int { return a.partition - b.partition })
	return tables
}

// detach takes a viewer out, and its view with the last one.
func (h *Hub) detach(w *Viewer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !w.view.part(w) {
		return
	}
	h.viewers--
	h.release(w.view)
	if w.old != nil {
		h.release(w.old)
		w.old = nil
	}
	if c := w.next.Swap(nil); c != nil {
		h.release(c.view)
	}
}

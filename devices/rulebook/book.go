package rulebook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/bridge/rules"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// The kinds of records.
const (
	KindRule         store.Kind = "rule"
	KindFence        store.Kind = "fence"
	KindWebhook      store.Kind = "webhook"
	KindWebhookState store.Kind = "webhookstate"
)

// Bounds of an installation.
const (
	MaxRules    = 1_000
	MaxFences   = 5_000
	MaxWebhooks = 100

	// visibleWithin bounds how long a change that was committed is waited for to show in this process.
	visibleWithin = 2 * time.Second
	// gather is how long changes are gathered before rules are compiled again: an import is many.
	gather = 20 * time.Millisecond
)

// Options of a Book. Store is needed.
type Options struct {
	Store  store.Store
	Now    func() time.Time
	Logger *slog.Logger
}

// Book is the rules, fences and webhooks of an installation as this process sees them. Its methods may be called
// concurrently. What it returns is shared and not to be changed.
type Book struct {
	o        Options
	follower *store.Follower
	rules    collection[rules.Rule]
	fences   collection[rules.Fence]
	hooks    collection[Webhook]
	states   collection[WebhookState]
	changed  chan struct{} // a token where hooks may have changed; see Changed

	mu         sync.Mutex // guards what follows
	at         store.Revision
	compiledAt store.Revision
	ready      bool
	compiled   chan struct{} // closed and replaced when compiledAt changes
	dirty      chan struct{} // a token where something is to be compiled

	set      atomic.Pointer[rules.Set]
	faults   atomic.Pointer[map[string]error]
	compiles atomic.Uint64
	refused  atomic.Uint64
}

// New checks the options and wires a book. It starts nothing.
func New(o Options) (*Book, error) {
	if o.Store == nil {
		return nil, devices.Errorf(devices.Invalid, "store", "is missing")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	b := &Book{
		o: o, rules: newCollection[rules.Rule](), fences: newCollection[rules.Fence](),
		hooks: newCollection[Webhook](), states: newCollection[WebhookState](),
		compiled: make(chan struct{}), dirty: make(chan struct{}, 1), changed: make(chan struct{}, 1),
	}
	b.faults.Store(&map[string]error{})
	b.follower = store.NewFollower(o.Store, b.apply, KindRule, KindFence, KindWebhook, KindWebhookState)
	return b, nil
}

// Run follows the store and compiles the rules until ctx ends. It returns an error only where the store was closed under
// it.
func (b *Book) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { b.compileWhenChanged(ctx) })
	err := b.follower.Run(ctx)
	cancel()
	wg.Wait()
	if err != nil {
		return fmt.Errorf("follow store: %w", err)
	}
	return nil
}

// apply takes an update of the store's change log.
func (b *Book) apply(u store.Update) {
	if u.Snapshot {
		b.rules.clear()
		b.fences.clear()
		b.hooks.clear()
		b.states.clear()
	}
	dirty, hooks := u.Snapshot, u.Snapshot
	for i := range u.Records {
		switch r := &u.Records[i]; r.Kind {
		case KindRule:
			b.rules.apply(r)
			dirty = true
		case KindFence:
			b.fences.apply(r)
			dirty = true
		case KindWebhook:
			b.hooks.apply(r)
			hooks = true
		case KindWebhookState:
			b.states.apply(r)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	upToDate := b.ready && b.compiledAt == b.at
	b.at, b.ready = u.Revision, true
	if !dirty && upToDate {
		b.reach(u.Revision)
	} else {
		token(b.dirty)
	}
	if hooks {
		token(b.changed)
	}
}

func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // there is one already
	}
}

// reach says how far the compiled set is. The lock is held.
func (b *Book) reach(at store.Revision) {
	b.compiledAt = at
	close(b.compiled)
	b.compiled = make(chan struct{})
}

func (b *Book) compileWhenChanged(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-b.dirty:
		case <-ctx.Done():
			return
		}
		timer.Reset(gather)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		b.compile()
	}
}

// compile makes the set of what there is now.
func (b *Book) compile() {
	b.mu.Lock()
	at := b.at // what is read below is at least as new
	b.mu.Unlock()
	set, found := rules.Compile(b.rules.values(), b.fences.values())
	faults := make(map[string]error, len(found))
	for _, f := range found {
		faults[f.Rule] = f.Err
	}
	b.set.Store(set)
	b.faults.Store(&faults)
	b.compiles.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reach(at)
}

// Rules is the set that owners ask; nil until the rules are loaded, for no rules are not the same as none that are known.
func (b *Book) Rules() *rules.Set { return b.set.Load() }

// Fault is what is wrong with a rule that is kept, or nil.
func (b *Book) Fault(rule string) error { return (*b.faults.Load())[rule] }

// Changed has a token where the webhooks may have changed. It is for one reader.
func (b *Book) Changed() <-chan struct{} { return b.changed }

// Revision is how far the set follows the store, and whether it was loaded.
func (b *Book) Revision() (store.Revision, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.compiledAt, b.compiledAt > 0 || b.compiles.Load() > 0
}

// Ready tells whether the rules have been loaded. It stays so while the store is away.
func (b *Book) Ready() bool {
	_, ready := b.Revision()
	return ready
}

// Wait waits until the set has all up to a revision of the store; with 0, until it is loaded.
func (b *Book) Wait(ctx context.Context, at store.Revision) error {
	for {
		b.mu.Lock()
		reached, compiled := b.compiledAt, b.compiled
		b.mu.Unlock()
		if reached >= at && (at > 0 || b.Ready()) {
			return nil
		}
		select {
		case <-compiled:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// commit writes and waits, for a bounded time, until this process sees what it wrote.
func (b *Book) commit(ctx context.Context, op store.Op) (store.Revision, error) {
	at, err := b.o.Store.Commit(ctx, []store.Op{op})
	if err != nil {
		return 0, err
	}
	visible, cancel := context.WithTimeout(ctx, visibleWithin)
	defer cancel()
	_ = b.Wait(visible, at) // it is committed; that it does not show yet is no failure
	return at, nil
}

// ErrStale is returned where a record is not as the caller thinks.
var ErrStale = devices.Errorf(devices.Conflict, "", "it was changed meanwhile: read it again")

// create writes a record that there is not.
func create[T any](ctx context.Context, b *Book, c *collection[T], kind store.Kind, id string, v *Kept[T], most int) (*Kept[T], error) {
	if c.len() >= most {
		b.refused.Add(1)
		return nil, devices.Errorf(devices.Exhausted, "", "there are %d already, as many as there may be", most)
	}
	v.Created = b.o.Now().UnixMilli()
	return put(ctx, b, kind, id, v, store.Condition{Absent: true})
}

// replace writes over a record that was read at a revision.
func replace[T any](ctx context.Context, b *Book, kind store.Kind, id string, v *Kept[T], at store.Revision) (*Kept[T], error) {
	return put(ctx, b, kind, id, v, store.Condition{Revision: at})
}

func put[T any](ctx context.Context, b *Book, kind store.Kind, id string, v *Kept[T], condition store.Condition) (*Kept[T], error) {
	v.Updated = b.o.Now().UnixMilli()
	value, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", kind, err)
	}
	v.Revision, err = b.commit(ctx, store.Op{Kind: kind, ID: id, Value: value, If: condition})
	switch {
	case devices.KindOf(err) == devices.Conflict && condition.Absent:
		return nil, devices.Errorf(devices.Conflict, "id", "is there already")
	case devices.KindOf(err) == devices.Conflict:
		return nil, ErrStale
	case err != nil:
		return nil, err
	}
	return v, nil
}

func remove(ctx context.Context, b *Book, kind store.Kind, id string, at store.Revision) error {
	_, err := b.commit(ctx, store.Op{Kind: kind, ID: id, If: store.Condition{Revision: at}})
	if devices.KindOf(err) == devices.Conflict {
		return ErrStale
	}
	return err
}

// read returns a record as the store has it, which may be newer than what this process has.
func read[T any](ctx context.Context, b *Book, kind store.Kind, id string) (*Kept[T], error) {
	r, err := b.o.Store.Get(ctx, kind, id)
	switch {
	case errors.Is(err, store.ErrNotFound), devices.KindOf(err) == devices.NotFound, devices.KindOf(err) == devices.Invalid:
		return nil, devices.Errorf(devices.NotFound, "", "there is no such %s", kind)
	case err != nil:
		return nil, err
	}
	return decode[T](&r)
}

// Stats are the numbers of a book.
type Stats struct {
	Rules      int    `json:"rules"`
	Fences     int    `json:"fences"`
	Webhooks   int    `json:"webhooks"`
	Faults     int    `json:"faults"`     // rules that cannot be asked, or not of every device
	Compiles   uint64 `json:"compiles"`   // how often the rules were compiled
	Refused    uint64 `json:"refused"`    // changes refused because there are as many as there may be
	Unreadable uint64 `json:"unreadable"` // records that could not be read
}

// Stats returns the numbers of now.
func (b *Book) Stats() Stats {
	return Stats{
		Rules: b.rules.len(), Fences: b.fences.len(), Webhooks: b.hooks.len(), Faults: len(*b.faults.Load()),
		Compiles: b.compiles.Load(), Refused: b.refused.Load(),
		Unreadable: b.rules.bad.Load() + b.fences.bad.Load() + b.hooks.bad.Load() + b.states.bad.Load(),
	}
}

package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// Follower hands the updates of some kinds to a function and knows how far it is. Doors, owners and edges each run one
// for what they need; a Mirror is one that keeps the records as they are.
type Follower struct {
	store Store
	kinds []Kind
	apply func(Update)

	mu      sync.Mutex // guards what follows
	at      Revision
	ready   bool          // the first snapshot was applied
	changed chan struct{} // closed when at or ready changes; made where somebody waits
}

// NewFollower returns a follower that does nothing until it runs. apply is called for one update after the other, never
// two at a time; a Snapshot replaces all that was told before. What it returns from is seen by all who waited for it.
func NewFollower(s Store, apply func(Update), kinds ...Kind) *Follower {
	return &Follower{store: s, kinds: kinds, apply: apply}
}

// The pauses before a store that failed is asked again.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// Run follows until ctx ends, which is no error, or the store is closed, which is ErrClosed. A store that is away is
// waited for: meanwhile what was told stays as it is. It may be run again.
func (f *Follower) Run(ctx context.Context) error {
	feed, err := f.store.Watch(ctx, f.kinds...)
	if err != nil {
		return endOf(ctx, err)
	}
	defer feed.Close()
	var pause time.Duration
	for {
		u, err := feed.Next(ctx)
		switch {
		case err == nil:
			f.apply(u)
			f.advance(u.Revision)
			pause = 0
		case ctx.Err() != nil || errors.Is(err, ErrClosed):
			return endOf(ctx, err)
		default:
			pause = min(max(2*pause, firstPause), lastPause)
			wait(ctx, pause/2+rand.N(pause/2))
		}
	}
}

// endOf leaves out what only says that the follower was told to end.
func endOf(ctx context.Context, err error) error {
	select {
	case <-ctx.Done():
		return nil
	default:
		return err
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (f *Follower) advance(at Revision) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.ready = at, true
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// Ready tells whether the first snapshot was applied. A follower that was ready stays so while the store is away.
func (f *Follower) Ready() bool {
	_, ready := f.Revision()
	return ready
}

// Revision is how far the updates are applied, and whether any is. It goes back where the store did.
func (f *Follower) Revision() (at Revision, ready bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at, f.ready
}

// Wait waits until all up to a revision is applied; with 0, until the first snapshot is. Who committed waits for what
// Commit returned and then reads its own write; who takes over waits for what was applied before it. It returns ctx's
// error when ctx ends first: a store that lost commits may never come to a revision that it has given out, so the wait
// must have a bound, and what follows must be right, if stale, without it.
func (f *Follower) Wait(ctx context.Context, at Revision) error {
	for {
		f.mu.Lock()
		if f.ready && f.at >= at {
			f.mu.Unlock()
			return nil
		}
		if f.changed == nil {
			f.changed = make(chan struct{})
		}
		changed := f.changed
		f.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

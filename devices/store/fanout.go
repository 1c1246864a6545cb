package store

import (
	"context"
	"slices"
	"sync"
)

// A Fanout gives the commits of a store to its feeds: the part of the change log that all stores share. Each feed holds a
// bounded number of updates that are shared with the others; one that is further behind drops them and takes a snapshot
// when it reads again. A new feed begins as one that is behind, so that there is one way to a snapshot and not two.
type Fanout struct {
	snapshot Snapshot
	buffer   int

	mu     sync.Mutex // guards what follows, in the feeds too
	feeds  map[*fanoutFeed]struct{}
	closed bool
	behind uint64 // times that a feed lost its updates
}

// Snapshot returns the records of some kinds and a revision with every commit in it that was offered before the call.
// Commits that are offered while it runs may be in it or not: its revision tells.
type Snapshot func(ctx context.Context, kinds []Kind) (Update, error)

// feedBuffer is how many updates a feed may be behind. A commit is at most MaxCommitBytes, mostly some hundred bytes.
const feedBuffer = 64

// NewFanout returns one without feeds.
func NewFanout(snapshot Snapshot) *Fanout {
	return &Fanout{snapshot: snapshot, buffer: feedBuffer, feeds: make(map[*fanoutFeed]struct{})}
}

// Offer tells the feeds of a commit, in the order of revisions. It never waits and keeps the records.
func (x *Fanout) Offer(at Revision, records []Record) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for f := range x.feeds {
		f.offer(at, records)
	}
}

// Break tells the feeds that commits may have been missed: each takes a snapshot.
func (x *Fanout) Break() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for f := range x.feeds {
		f.fallBehind()
	}
}

// Watch returns a feed of the kinds.
func (x *Fanout) Watch(ctx context.Context, kinds []Kind) (Feed, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := CheckKinds(kinds); err != nil {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, ErrClosed
	}
	f := &fanoutFeed{x: x, kinds: slices.Clone(kinds), wake: make(chan struct{}, 1), ended: make(chan struct{}), behind: true}
	x.feeds[f] = struct{}{}
	return f, nil
}

// Close ends every feed. It may be called twice.
func (x *Fanout) Close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
	for f := range x.feeds {
		f.end()
	}
}

// Stats are the feeds now, and how often one lost its updates and took a snapshot in their place.
func (x *Fanout) Stats() (feeds int, behind uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.feeds), x.behind
}

type fanoutFeed struct {
	x     *Fanout
	kinds []Kind
	wake  chan struct{} // a token where there may be something new for Next
	ended chan struct{} // closed when it ends

	queue  []Update
	behind bool     // the next update is a snapshot
	at     Revision // of the snapshot that was taken last: what is not above it is in it
	cancel func()   // of the snapshot that is being taken, or nil
}

var _ Feed = (*fanoutFeed)(nil)

// offer is called with the lock held.
func (f *fanoutFeed) offer(at Revision, records []Record) {
	if f.behind {
		return // the snapshot that it will take has the commit
	}
	u := Update{Revision: at, Records: f.filter(records)}
	last := len(f.queue) - 1
	switch {
	case len(u.Records) == 0 && last >= 0 && len(f.queue[last].Records) == 0:
		f.queue[last] = u // says all that the one before said
	case len(f.queue) >= f.x.buffer:
		f.x.behind++
		f.fallBehind()
	default:
		f.queue = append(f.queue, u)
	}
	f.token()
}

// filter shares the slice where all of it is wanted, which is the rule.
func (f *fanoutFeed) filter(records []Record) []Record {
	foreign := func(r Record) bool { return !slices.Contains(f.kinds, r.Kind) }
	if !slices.ContainsFunc(records, foreign) {
		return records
	}
	return slices.DeleteFunc(slices.Clone(records), foreign)
}

// fallBehind is called with the lock held.
func (f *fanoutFeed) fallBehind() {
	f.queue, f.behind = nil, true
	f.token()
}

func (f *fanoutFeed) token() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Next implements Feed.
func (f *fanoutFeed) Next(ctx context.Context) (Update, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Update{}, err
		}
		u, what := f.take()
		switch what {
		case tookEnd:
			return Update{}, ErrClosed
		case tookUpdate:
			return u, nil
		case tookBehind:
			return f.begin(ctx)
		case tookNothing:
		}
		select {
		case <-f.wake:
		case <-f.ended:
		case <-ctx.Done():
		}
	}
}

type took uint8

const (
	tookNothing took = iota
	tookUpdate
	tookBehind
	tookEnd
)

func (f *fanoutFeed) take() (Update, took) {
	f.x.mu.Lock()
	defer f.x.mu.Unlock()
	if f.hasEnded() {
		return Update{}, tookEnd
	}
	if f.behind {
		f.behind = false // from now on it is told, so that nothing falls between the snapshot and what follows
		return Update{}, tookBehind
	}
	for len(f.queue) > 0 {
		u := f.queue[0]
		f.queue = f.queue[1:]
		if u.Revision > f.at {
			return u, tookUpdate
		}
	}
	f.queue = nil
	return Update{}, tookNothing
}

// begin takes a snapshot, with no lock held.
func (f *fanoutFeed) begin(ctx context.Context) (Update, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f.x.mu.Lock()
	f.cancel = cancel // for Close, which may come while a store that is away is waited for
	if f.hasEnded() {
		cancel()
	}
	f.x.mu.Unlock()
	u, err := f.x.snapshot(ctx, f.kinds)
	f.x.mu.Lock()
	defer f.x.mu.Unlock()
	f.cancel = nil
	if f.hasEnded() {
		return Update{}, ErrClosed
	}
	if err != nil {
		f.fallBehind()
		return Update{}, err
	}
	u.Snapshot = true
	f.at = u.Revision
	return u, nil
}

// Close implements Feed.
func (f *fanoutFeed) Close() {
	f.x.mu.Lock()
	defer f.x.mu.Unlock()
	f.end()
}

// end is called with the lock held.
func (f *fanoutFeed) end() {
	if f.hasEnded() {
		return
	}
	close(f.ended)
	if f.cancel != nil {
		f.cancel()
	}
	f.queue = nil
	delete(f.x.feeds, f)
}

func (f *fanoutFeed) hasEnded() bool {
	select {
	case <-f.ended:
		return true
	default:
		return false
	}
}

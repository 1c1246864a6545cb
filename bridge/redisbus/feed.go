package redisbus

import (
	"context"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// feed is one reader of a partition's batches, a bounded number of them behind: then it drops them all and takes a
// snapshot of the present state when it reads again. It begins like that, too.
type feed struct {
	b    *Bus
	s    *sub
	wake chan struct{} // a token where there may be something new

	// guarded by s.mu
	ring   []*bus.Batch
	first  int
	length int
	behind bool
	after  shown // the snapshot has this, unless the state was loaded since
	ended  bool
}

var _ bus.Feed = (*feed)(nil)

func (f *feed) notify() {
	select {
	case f.wake <- struct{}{}:
	default: // there is a token already
	}
}

// offer adds a batch, or gives all up where there is no room: then it returns false. The sub's lock is held.
func (f *feed) offer(b *bus.Batch) bool {
	if f.behind {
		f.notify()  // it may wait for the one publish that it must have
		return true // the snapshot that it will take has the batch
	}
	f.notify()
	if f.length == len(f.ring) {
		f.reset()
		return false
	}
	f.ring[(f.first+f.length)%len(f.ring)] = b
	f.length++
	return true
}

// reset makes the next update a snapshot. The sub's lock is held.
func (f *feed) reset() {
	clear(f.ring)
	f.first, f.length, f.behind = 0, 0, true
	f.notify()
}

// Next implements bus.Feed. While the store is away it waits; what it gave stays the newest that is known.
func (f *feed) Next(ctx context.Context) (bus.Update, error) {
	for {
		if err := ctx.Err(); err != nil {
			return bus.Update{}, err
		}
		if u, ok, err := f.take(); err != nil || ok {
			return u, err
		}
		select {
		case <-f.wake:
		case <-ctx.Done():
		}
	}
}

func (f *feed) take() (u bus.Update, ok bool, err error) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	switch {
	case f.ended:
		return u, false, bus.ErrClosed
	case f.behind:
		t := f.s.table
		if t == nil || t.position.Epoch == f.after.epoch && t.n < f.after.n {
			return u, false, nil
		}
		f.behind = false
		return bus.Update{Snapshot: f.s.table.snapshot(f.s.partition)}, true, nil
	case f.length == 0:
		return u, false, nil
	}
	u.Batch = f.ring[f.first]
	f.ring[f.first] = nil
	f.first = (f.first + 1) % len(f.ring)
	f.length--
	return u, true, nil
}

// Close implements bus.Feed. The last feed of a partition ends its subscription.
func (f *feed) Close() {
	f.b.mu.Lock()
	defer f.b.mu.Unlock()
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.end()
	delete(f.s.feeds, f)
	if len(f.s.feeds) == 0 && !f.s.ended {
		f.s.ended = true
		f.s.stop()
		if f.b.subs[f.s.partition] == f.s {
			delete(f.b.subs, f.s.partition)
		}
	}
}

// end is called with the sub's lock held.
func (f *feed) end() {
	f.ended = true
	clear(f.ring)
	f.length = 0
	f.notify()
}

// Watch implements bus.Watcher. The first feed of a partition in this process subscribes and loads; others share what it
// keeps. Watch does not wait for the store: Next does.
func (b *Bus) Watch(ctx context.Context, partition int) (bus.Feed, error) {
	if err := b.check(ctx, partition); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return nil, bus.ErrClosed
	}
	s := b.subs[partition]
	if s == nil {
		running, stop := context.WithCancel(context.WithoutCancel(ctx))
		s = &sub{b: b, partition: partition, feeds: make(map[*feed]struct{}), stop: stop}
		b.subs[partition] = s
		b.running.Go(func() { s.run(running) })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &feed{b: b, s: s, wake: make(chan struct{}, 1), ring: make([]*bus.Batch, b.opts.FeedBuffer), behind: true}
	f.after = b.shown[partition]
	s.feeds[f] = struct{}{}
	return f, nil
}

package bus

import "context"

// memoryFeed is one reader of a partition's batches. It holds pointers to batches that all feeds share, a bounded number
// of them; one that is too far behind drops them all and takes a snapshot of the present state when it reads again. A new
// feed begins as one that is behind, so that there is one way to a snapshot and not two.
type memoryFeed struct {
	p    *partition
	wake chan struct{} // a token where there may be something new for Next

	// guarded by p.mu
	ring   []*Batch
	first  int
	len    int
	behind bool
	ended  bool
}

var _ Feed = (*memoryFeed)(nil)

func newMemoryFeed(p *partition, buffer int) *memoryFeed {
	return &memoryFeed{p: p, wake: make(chan struct{}, 1), ring: make([]*Batch, buffer), behind: true}
}

// offer adds a batch, or gives all up where there is no room: then it returns false. The lock is held.
func (f *memoryFeed) offer(b *Batch) bool {
	if f.behind {
		return true // the snapshot that it will take has the batch
	}
	wake(f.wake)
	if f.len == len(f.ring) {
		f.drop()
		f.behind = true
		return false
	}
	f.ring[(f.first+f.len)%len(f.ring)] = b
	f.len++
	return true
}

func (f *memoryFeed) drop() {
	clear(f.ring)
	f.first, f.len = 0, 0
}

// Next implements Feed.
func (f *memoryFeed) Next(ctx context.Context) (Update, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Update{}, err
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

func (f *memoryFeed) take() (u Update, ok bool, err error) {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	switch {
	case f.ended:
		return Update{}, false, ErrClosed
	case f.behind:
		f.behind = false
		return Update{Snapshot: f.p.snapshot()}, true, nil
	case f.len == 0:
		return Update{}, false, nil
	}
	u.Batch = f.ring[f.first]
	f.ring[f.first] = nil
	f.first = (f.first + 1) % len(f.ring)
	f.len--
	return u, true, nil
}

// Close implements Feed.
func (f *memoryFeed) Close() {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	f.end()
}

// end is called with the lock held.
func (f *memoryFeed) end() {
	f.ended = true
	f.drop()
	delete(f.p.feeds, f)
	wake(f.wake)
}

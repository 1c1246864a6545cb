package redisbus

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// lease is the ownership of a partition: a random name in a key with a time to live. What it is believed by is not the
// key's time, which no clock of ours measures well enough, but the publishing script, which compares the name; so an
// owner that was cut off goes on where nobody took its place.
type lease struct {
	b         *Bus
	partition int
	holder    string
	ended     chan struct{} // closed when the lease is over, see why
	wanted    chan struct{} // closed when another bridge is to have the partition
	taken     atomic.Bool   // the owner took the state
	published atomic.Bool   // and published at least once: it can go on with what it found

	records []bus.Record // until State
	config  uint64       // as of Own

	commands map[devices.CommandID]bus.CommandRow // until Commands

	// Publish's own.
	at       standing // as of the last publish that is known
	doubt    *doubt   // the last publish, where it got no answer
	checked  time.Time
	places   map[devices.FleetID]bool
	encoding encoding

	mu       sync.Mutex // guards what follows: Read runs beside Publish
	why      error
	unread   []bus.Entry // of the chunk that was read last
	read     bus.EntryID // the last that Read returned
	fetched  bus.EntryID // the last that came from the store
	chunks   []chunkMark // fetched and not consumed
	released bool
}

// chunkMark names a chunk that was read.
type chunkMark struct {
	last bus.EntryID
	mark string
}

var _ bus.Lease = (*lease)(nil)

func newLease(b *Bus, partition int, holder string, at standing) *lease {
	return &lease{
		b: b, partition: partition, holder: holder, at: at, ended: make(chan struct{}), wanted: make(chan struct{}), config: at.config,
		read: at.consumed, fetched: at.consumed, places: make(map[devices.FleetID]bool),
	}
}

// end makes the lease useless; the first reason stays.
func (l *lease) end(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.why == nil {
		l.why = why
		close(l.ended)
	}
}

func (l *lease) lost() error {
	l.b.counters.add(countLost)
	l.end(bus.ErrLost)
	l.forget()
	return bus.ErrLost
}

// forget takes the lease off the bus's list and wakes those of this process who wait for the partition.
func (l *lease) forget() {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	delete(l.b.leases, l)
	if !l.b.ended {
		close(l.b.handed[l.partition])
		l.b.handed[l.partition] = make(chan struct{})
	}
}

func (l *lease) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.why
}

// renew keeps the lease until it ends. A renewal that fails is no loss: it is tried again, soon.
func (l *lease) renew(ctx context.Context) {
	k := &l.b.keys[l.partition]
	every := l.b.opts.LeaseTTL / renewalsOfLease
	for wait := every; pause(ctx, l.ended, wait); {
		var answer any
		err := l.b.attempt(ctx, func(ctx context.Context) (err error) {
			ctx, cancel := context.WithTimeout(ctx, every)
			defer cancel()
			answer, err = l.b.run(ctx, renewScript, []string{k.lease, k.meta}, l.holder, l.b.opts.LeaseTTL.Milliseconds())
			return err
		})
		wait = every
		switch {
		case err != nil:
			wait = every / 4
		case answer != int64(1) && l.err() == nil:
			_ = l.lost()
		}
	}
}

// give asks the owner to give the lease back. It returns false where it was asked before.
func (l *lease) give() bool {
	select {
	case <-l.wanted:
		return false
	default:
		close(l.wanted)
		return true
	}
}

// Wanted implements bus.Lease.
func (l *lease) Wanted() <-chan struct{} { return l.wanted }

// Events implements bus.Lease.
func (l *lease) Events(ctx context.Context) ([]bus.VersionedEvent, bus.Position, error) {
	if err := l.err(); err != nil {
		return nil, bus.Position{}, err
	}
	h, err := l.b.head(ctx, l.partition, 0, true)
	if err != nil {
		return nil, bus.Position{}, err
	}
	return h.events, h.position, nil
}

// State implements bus.Lease. The records were read by Own; they are let go as they are given.
func (l *lease) State() iter.Seq[bus.Record] {
	return func(yield func(bus.Record) bool) {
		l.taken.Store(true)
		records := l.records
		l.records = nil
		for i := range records {
			if l.err() != nil || !yield(records[i]) {
				return
			}
			records[i] = bus.Record{}
		}
	}
}

// Commands implements bus.Lease. The rows were read by Own; they are let go as they are given.
func (l *lease) Commands() []bus.CommandRow {
	if l.err() != nil {
		return nil
	}
	rows := slices.Collect(maps.Values(l.commands))
	l.commands = nil
	return rows
}

// Config implements bus.Lease.
func (l *lease) Config() uint64 { return l.config }

// Read implements bus.Lease. It returns an error, and may be called again, where the store does not answer.
func (l *lease) Read(ctx context.Context, limit int) ([]bus.Entry, error) {
	if limit < 1 {
		return nil, devices.Errorf(devices.Invalid, "max", "is below 1")
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		entries, after, err := l.take(limit)
		if err != nil || len(entries) > 0 {
			return entries, err
		}
		chunks, err := l.b.readInlet(ctx, l.partition, after, l.ended)
		if why := l.err(); why != nil {
			return nil, why
		}
		if err != nil {
			return nil, l.readError(ctx, err)
		}
		if !l.keep(chunks) {
			return nil, l.stray()
		}
	}
}

// take returns what was fetched before and not returned.
func (l *lease) take(limit int) ([]bus.Entry, bus.EntryID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.why != nil {
		return nil, 0, l.why
	}
	n := min(limit, len(l.unread))
	entries := l.unread[:n:n]
	l.unread = l.unread[n:]
	if n > 0 {
		l.read = entries[n-1].ID
	}
	return entries, l.fetched, nil
}

// keep adds what was fetched. It returns false where the inlet is not the one that was read before: it has a hole.
func (l *lease) keep(chunks []storedChunk) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range chunks {
		c := &chunks[i]
		if c.entries[0].ID > l.fetched+1 || c.last() <= l.fetched {
			return false
		}
		l.unread = append(l.unread, c.entries[l.fetched+1-c.entries[0].ID:]...)
		l.fetched = c.last()
		l.chunks = append(l.chunks, chunkMark{last: c.last(), mark: c.mark})
	}
	return true
}

// stray gives the partition up: the next lease begins with what the store has.
func (l *lease) stray() error {
	l.b.counters.add(countInletStray)
	l.b.opts.Logger.Warn("the inlet is not the one that was read; the partition is loaded again", "partition", l.partition)
	return l.lost()
}

func (l *lease) readError(ctx context.Context, err error) error {
	switch {
	case l.b.isClosed():
		return bus.ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, bus.ErrWireVersion), errors.Is(err, bus.ErrWireKind), errors.Is(err, errMalformed):
		return err // not ours to skip: it would lose what a device was promised
	}
	return &devices.Error{Kind: devices.Unavailable, Detail: "the store does not answer", Err: err}
}

// consumes returns the chunk that an entry belongs to, for the store to compare. It refuses what was not read.
func (l *lease) consumes(id bus.EntryID) (chunkMark, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.why != nil {
		return chunkMark{}, l.why
	}
	if id > l.read {
		return chunkMark{}, devices.Errorf(devices.Invalid, "consumed", "is beyond what the owner has read")
	}
	for _, c := range l.chunks {
		if id <= c.last {
			return c, nil
		}
	}
	return chunkMark{}, nil // consumed before
}

// consumed forgets the chunks of which nothing is left.
func (l *lease) consumed(id bus.EntryID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(l.chunks) && l.chunks[n].last <= id {
		n++
	}
	l.chunks = append(l.chunks[:0], l.chunks[n:]...)
}

// Release implements bus.Lease. Where the store does not answer, the lease lapses by itself.
func (l *lease) Release(ctx context.Context) error {
	l.mu.Lock()
	done := l.released || l.why != nil
	l.released = true
	l.mu.Unlock()
	if done {
		return nil
	}
	l.end(bus.ErrLost)
	defer l.forget()
	select {
	case <-l.wanted:
	default:
		if l.taken.Load() && !l.published.Load() {
			l.b.share.failed()
		}
		l.b.share.leave(ctx)
	}
	known := l.at.call
	if l.doubt != nil {
		known = ""
	}
	k := &l.b.keys[l.partition]
	err := l.b.call(ctx, "release", func(ctx context.Context) error {
		_, err := l.b.run(ctx, releaseScript, []string{k.lease, k.meta}, l.holder, known)
		return err
	})
	if errors.Is(err, bus.ErrClosed) {
		return nil
	}
	return err
}

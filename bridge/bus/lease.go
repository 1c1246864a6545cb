package bus

import (
	"context"
	"iter"

	"github.com/fleetcast/fleetcast/devices"
)

// memoryLease is the ownership of a partition of the in-memory bus. It is never taken away: it ends by Release and by
// the bus's Close.
type memoryLease struct {
	p    *partition
	wake chan struct{} // a token where there may be something new for Read

	config uint64 // as of Own

	// guarded by p.mu
	read  EntryID // the last that Read returned
	ended error   // why the lease is no more, or nil
}

var _ Lease = (*memoryLease)(nil)

// State implements Lease. It copies what it yields first, since no lock is held while the caller works.
func (l *memoryLease) State() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for _, r := range l.records() {
			if !yield(r) {
				return
			}
		}
	}
}

func (l *memoryLease) records() []Record {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if l.ended != nil {
		return nil
	}
	return l.p.state.records()
}

// Events implements Lease.
func (l *memoryLease) Events(ctx context.Context) ([]VersionedEvent, Position, error) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, Position{}, err
	}
	if l.ended != nil {
		return nil, Position{}, l.ended
	}
	return append([]VersionedEvent(nil), l.p.state.events...), l.p.state.position, nil
}

// Commands implements Lease.
func (l *memoryLease) Commands() []CommandRow {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if l.ended != nil {
		return nil
	}
	return l.p.state.commands.all()
}

// Config implements Lease.
func (l *memoryLease) Config() uint64 { return l.config }

// Wanted implements Lease. There is no other process.
func (l *memoryLease) Wanted() <-chan struct{} { return nil }

// Read implements Lease.
func (l *memoryLease) Read(ctx context.Context, limit int) ([]Entry, error) {
	if limit < 1 {
		return nil, devices.Errorf(devices.Invalid, "max", "is below 1")
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if entries, err := l.next(limit); err != nil || len(entries) > 0 {
			return entries, err
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
		}
	}
}

func (l *memoryLease) next(limit int) ([]Entry, error) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if l.ended != nil {
		return nil, l.ended
	}
	entries := l.p.inlet.after(l.read, limit)
	l.read += EntryID(len(entries))
	return entries, nil
}

// Publish implements Lease. Without a log it never waits.
func (l *memoryLease) Publish(ctx context.Context, f *Flush) (Position, error) {
	if err := ctx.Err(); err != nil {
		return Position{}, err
	}
	if l.p.log != nil {
		return l.p.publishLogged(ctx, l, f)
	}
	return l.p.publish(l, f)
}

// Release implements Lease.
func (l *memoryLease) Release(context.Context) error {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if l.ended != nil {
		return nil
	}
	l.end(ErrLost)
	l.p.owner = nil
	l.p.free <- struct{}{} // never waits: the token that the lease took is out
	return nil
}

// end is called with the lock held.
func (l *memoryLease) end(why error) {
	l.ended = why
	wake(l.wake)
}

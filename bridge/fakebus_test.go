package bridge

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

var errBroken = errors.New("the store is away")

// fakeBus is a bus of which a test may break each step. It keeps what was published, in order.
type fakeBus struct {
	mu         sync.Mutex
	partitions []*fakePartition
}

type fakePartition struct {
	bus      *fakeBus
	owner    *fakeLease
	changed  chan struct{} // closed and replaced on every change
	inlet    []bus.Entry   // all there ever were; ids are index+1
	config   uint64
	commands map[devices.CommandID]bus.CommandRow
	consumed bus.EntryID
	state    map[deviceKey]bus.Record
	frames   map[deviceKey]string
	flushes  []published
	events   []bus.Event
	tries    []time.Time // of publishes, failed ones too
	owned    int
	released int

	failPublish int  // how many of the next publishes fail
	commitLost  bool // and whether they are committed all the same
	failRead    int
	failOwn     int
	hang        bool // publish and release wait for their context
}

type published struct {
	at       time.Time
	consumed bus.EntryID
	changes  int
}

func newFakeBus(partitions int) *fakeBus {
	b := &fakeBus{}
	for range partitions {
		b.partitions = append(b.partitions, &fakePartition{
			bus: b, changed: make(chan struct{}),
			state: make(map[deviceKey]bus.Record), frames: make(map[deviceKey]string), commands: make(map[devices.CommandID]bus.CommandRow),
		})
	}
	return b
}

func (b *fakeBus) Partitions() int { return len(b.partitions) }

// append adds entries to their partitions with the time of now.
func (b *fakeBus) append(entries ...bus.Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range entries {
		p := b.partitions[e.Fleet.Partition(len(b.partitions))]
		e.ID = bus.EntryID(len(p.inlet) + 1)
		if e.Time == 0 {
			e.Time = time.Now().UnixMilli()
		}
		p.inlet = append(p.inlet, e)
		p.notify()
	}
}

func (p *fakePartition) notify() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// do looks at or changes a partition under the lock.
func (b *fakeBus) do(partition int, f func(p *fakePartition)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(b.partitions[partition])
	b.partitions[partition].notify()
}

// steal takes the lease away.
func (b *fakeBus) steal(partition int) { b.do(partition, func(p *fakePartition) { p.owner = nil }) }

func (b *fakeBus) Own(ctx context.Context, partition int) (bus.Lease, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.partitions[partition]
	if p.failOwn > 0 {
		p.failOwn--
		return nil, errBroken
	}
	for p.owner != nil {
		if err := b.wait(ctx, p); err != nil {
			return nil, err
		}
	}
	p.owner = &fakeLease{p: p, read: p.consumed, config: p.config, wanted: make(chan struct{})}
	p.owned++
	return p.owner, nil
}

// wait lets go of the lock until the partition changes.
func (b *fakeBus) wait(ctx context.Context, p *fakePartition) error {
	changed := p.changed
	b.mu.Unlock()
	defer b.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type fakeLease struct {
	p      *fakePartition
	read   bus.EntryID
	config uint64
	wanted chan struct{}
}

func (l *fakeLease) Config() uint64 { return l.config }

func (l *fakeLease) Wanted() <-chan struct{} { return l.wanted }

func (l *fakeLease) Events(context.Context) ([]bus.VersionedEvent, bus.Position, error) {
	return nil, bus.Position{}, nil
}

func (l *fakeLease) Commands() []bus.CommandRow {
	l.p.bus.mu.Lock()
	defer l.p.bus.mu.Unlock()
	return slices.Collect(maps.Values(l.p.commands))
}

func (l *fakeLease) State() iter.Seq[bus.Record] {
	l.p.bus.mu.Lock()
	defer l.p.bus.mu.Unlock()
	var records []bus.Record
	for _, r := range l.p.state { // in no order, as the contract has it
		records = append(records, r)
	}
	return slices.Values(records)
}

func (l *fakeLease) Read(ctx context.Context, limit int) ([]bus.Entry, error) {
	b := l.p.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		switch {
		case l.p.owner != l:
			return nil, bus.ErrLost
		case l.p.failRead > 0:
			l.p.failRead--
			return nil, errBroken
		case int(l.read) < len(l.p.inlet):
			end := min(int(l.read)+limit, len(l.p.inlet))
			out := slices.Clone(l.p.inlet[l.read:end])
			l.read = bus.EntryID(end)
			return out, nil
		}
		if err := b.wait(ctx, l.p); err != nil {
			return nil, err
		}
	}
}

func (l *fakeLease) Publish(ctx context.Context, f *bus.Flush) (bus.Position, error) {
	b := l.p.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	p := l.p
	p.tries = append(p.tries, time.Now())
	for p.hang && p.owner == l {
		if err := b.wait(ctx, p); err != nil {
			return bus.Position{}, err
		}
	}
	if p.owner != l {
		return bus.Position{}, bus.ErrLost
	}
	if p.failPublish > 0 {
		p.failPublish--
		if !p.commitLost {
			return bus.Position{}, errBroken
		}
		p.commit(f)
		return bus.Position{}, errBroken
	}
	p.commit(f)
	return bus.Position{}, nil
}

func (p *fakePartition) commit(f *bus.Flush) {
	p.consumed, p.config = max(p.consumed, f.Consumed), max(p.config, f.Config)
	p.flushes = append(p.flushes, published{time.Now(), f.Consumed, len(f.Changes)})
	for i := range f.Changes {
		c := &f.Changes[i]
		key := deviceKey{c.Fleet, c.Device}
		p.state[key] = bus.Record{Device: c.Device, Fleet: c.Fleet, Data: c.Record, Removed: c.Removed()}
		p.frames[key] = string(c.Frame)
	}
	p.events = append(p.events, f.Events...)
	for _, r := range f.Commands {
		if r.Data == nil {
			delete(p.commands, r.ID)
		} else {
			p.commands[r.ID] = r
		}
	}
	p.notify()
}

func (l *fakeLease) Release(ctx context.Context) error {
	b := l.p.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	for l.p.hang && l.p.owner == l {
		if err := b.wait(ctx, l.p); err != nil {
			return err
		}
	}
	if l.p.owner == l {
		l.p.owner = nil
		l.p.released++
		l.p.notify()
	}
	return nil
}

// Append takes entries in as a door's. It does not know what was repeated.
func (b *fakeBus) Append(_ context.Context, a bus.Append) error {
	b.append(a.Entries...)
	return nil
}

// LiveDoors are none that anybody keeps.
func (b *fakeBus) LiveDoors(context.Context) ([]bus.DoorLease, error) { return nil, errBroken }

package bustest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openMemory(t *testing.T, o Options) bus.Bus {
	t.Helper()
	m, err := bus.NewMemory(bus.MemoryOptions{
		Partitions: o.Partitions, MaxInletEntries: o.InletEntries, FeedBuffer: o.FeedBatches,
		MaxTombstones: o.Tombstones, MaxEvents: o.Events, MaxTrailBytes: o.TrailBytes,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// fault is a bus that keeps the contract but for what its functions change.
type fault struct {
	bus.Bus
	append func(context.Context, bus.Append) error
	own    func(context.Context, int) (bus.Lease, error)
	lease  func(bus.Lease) bus.Lease
	// filter makes the function through which a feed's updates go; false drops one. A batch is shared: copy it.
	filter func() func(bus.Update) (bus.Update, bool)
	close  func() error
}

func (f *fault) Append(ctx context.Context, a bus.Append) error {
	if f.append != nil {
		return f.append(ctx, a)
	}
	return f.Bus.Append(ctx, a)
}

func (f *fault) Own(ctx context.Context, p int) (bus.Lease, error) {
	own := f.Bus.Own
	if f.own != nil {
		own = f.own
	}
	l, err := own(ctx, p)
	if err == nil && f.lease != nil {
		l = f.lease(l)
	}
	return l, err
}

func (f *fault) Watch(ctx context.Context, p int) (bus.Feed, error) {
	feed, err := f.Bus.Watch(ctx, p)
	if err == nil && f.filter != nil {
		feed = &faultyFeed{feed, f.filter()}
	}
	return feed, err
}

func (f *fault) Close() error {
	if f.close != nil {
		return f.close()
	}
	return f.Bus.Close()
}

type faultyFeed struct {
	bus.Feed
	filter func(bus.Update) (bus.Update, bool)
}

func (f *faultyFeed) Next(ctx context.Context) (bus.Update, error) {
	for {
		u, err := f.Feed.Next(ctx)
		if err != nil {
			return u, err
		}
		if u, ok := f.filter(u); ok {
			return u, nil
		}
	}
}

// faultyLease changes what its functions say.
type faultyLease struct {
	bus.Lease
	read    func([]bus.Entry) []bus.Entry
	publish func(context.Context, *bus.Flush) (bus.Position, error)
	release func(context.Context) error
	state   func(iter.Seq[bus.Record]) iter.Seq[bus.Record]
}

func (l *faultyLease) Read(ctx context.Context, limit int) ([]bus.Entry, error) {
	got, err := l.Lease.Read(ctx, limit)
	if l.read != nil {
		got = l.read(got)
	}
	return got, err
}

func (l *faultyLease) Publish(ctx context.Context, f *bus.Flush) (bus.Position, error) {
	if l.publish != nil {
		return l.publish(ctx, f)
	}
	return l.Lease.Publish(ctx, f)
}

func (l *faultyLease) Release(ctx context.Context) error {
	if l.release != nil {
		return l.release(ctx)
	}
	return l.Lease.Release(ctx)
}

func (l *faultyLease) State() iter.Seq[bus.Record] {
	if l.state != nil {
		return l.state(l.Lease.State())
	}
	return l.Lease.State()
}

// onBatches changes a copy of every batch.
func onBatches(change func(*bus.Batch)) func(*fault) {
	return func(f *fault) {
		f.filter = func() func(bus.Update) (bus.Update, bool) {
			return func(u bus.Update) (bus.Update, bool) {
				if u.Batch != nil {
					b := *u.Batch
					b.Changes = slices.Clone(b.Changes)
					change(&b)
					u.Batch = &b
				}
				return u, true
			}
		}
	}
}

// dropping drops the updates that the function names; it is made anew for each feed.
func dropping(drop func() func(bus.Update) bool) func(*fault) {
	return func(f *fault) {
		f.filter = func() func(bus.Update) (bus.Update, bool) {
			d := drop()
			return func(u bus.Update) (bus.Update, bool) { return u, !d(u) }
		}
	}
}

func onLeases(change func(*faultyLease)) func(*fault) {
	return func(f *fault) {
		f.lease = func(l bus.Lease) bus.Lease {
			out := &faultyLease{Lease: l}
			change(out)
			return out
		}
	}
}

// faults are buses that lie, each with the check that must find it.
var faults = []struct {
	name  string
	check string
	make  func(*fault)
}{
	{"changes a snapshot that it gave", "an update stays as it was given", func(f *fault) {
		var given *bus.Snapshot
		f.filter = func() func(bus.Update) (bus.Update, bool) {
			return func(u bus.Update) (bus.Update, bool) {
				if u.Snapshot != nil {
					given = u.Snapshot
				}
				return u, true
			}
		}
		f.lease = func(l bus.Lease) bus.Lease {
			return &faultyLease{Lease: l, publish: func(ctx context.Context, flush *bus.Flush) (bus.Position, error) {
				if given != nil {
					clear(given.Events)
				}
				return l.Publish(ctx, flush)
			}}
		}
	}},
	{"drops the third batch silently", "batches have every offset once and beats repeat it", dropping(func() func(bus.Update) bool {
		n := 0
		return func(u bus.Update) bool { n++; return n == 4 }
	})},
	{"drops a batch silently while publishes race", "a snapshot is consistent with its position while publishes race", dropping(func() func(bus.Update) bool {
		return func(u bus.Update) bool { return u.Batch != nil && u.Batch.Position.Offset%50 == 0 }
	})},
	{"gives a lagging feed no snapshot", "a feed that does not read misses nothing without being told", dropping(func() func(bus.Update) bool {
		n := 0
		return func(u bus.Update) bool { n++; return n > 1 && u.Snapshot != nil }
	})},
	{"swallows beats", "batches have every offset once and beats repeat it", dropping(func() func(bus.Update) bool {
		return func(u bus.Update) bool { return u.Batch != nil && u.Batch.IsBeat() }
	})},
	{"counts beats", "batches have every offset once and beats repeat it", onBatches(func(b *bus.Batch) {
		if b.IsBeat() {
			b.Position.Offset++
		}
	})},
	{"shows records", "a batch says what was published", onBatches(func(b *bus.Batch) {
		for i := range b.Changes {
			b.Changes[i].Record = []byte("secret")
		}
	})},
	{"repeats events", "a snapshot is consistent with its position while publishes race", onBatches(func(b *bus.Batch) {
		b.Events = append(slices.Clone(b.Events), b.Events...)
	})},
	{"has a snapshot that is one behind", "a snapshot is consistent with its position while publishes race", oneBehind},
	{"has a snapshot that is one behind, quietly", "the slices of a flush stay the owner's", oneBehind},
	{"never raises its floors", "the floor rises over the tombstones that are pruned", noFloor},
	{"never raises its floor of events", "the floor rises over the events that are pruned", noFloor},
	{"forgets what it has seen of a door", "an append that is repeated is kept once", func(f *fault) {
		f.append = func(ctx context.Context, a bus.Append) error {
			a.Door = bus.NewDoorID()
			return f.Bus.Append(ctx, a)
		}
	}},
	{"takes a passed number for a repeated one", "an append that is repeated is kept once", func(f *fault) {
		f.append = func(ctx context.Context, a bus.Append) error {
			err := f.Bus.Append(ctx, a)
			if err != nil && devices.KindOf(err) == devices.Conflict {
				return nil
			}
			return err
		}
	}},
	{"keeps a part of a refused append", "a full inlet refuses and recovers", func(f *fault) {
		f.append = func(ctx context.Context, a bus.Append) error {
			for i := range a.Entries {
				one := bus.Append{Door: a.Door, Seq: a.Seq*100 + uint64(i), Entries: a.Entries[i : i+1]}
				if err := f.Bus.Append(ctx, one); err != nil {
					return err
				}
			}
			return nil
		}
	}},
	{"reads backwards", "entries reach their fleet's partition in order", onLeases(func(l *faultyLease) {
		l.read = func(e []bus.Entry) []bus.Entry { slices.Reverse(e); return e }
	})},
	{"loses an entry at every read", "doors that append together each keep their order", onLeases(func(l *faultyLease) {
		l.read = func(e []bus.Entry) []bus.Entry { return e[:max(0, len(e)-1)] }
	})},
	{"consumes what was only read", "the next owner reads what was read and not published", onLeases(func(l *faultyLease) {
		var last bus.EntryID
		l.read = func(e []bus.Entry) []bus.Entry {
			if len(e) > 0 {
				last = e[len(e)-1].ID
			}
			return e
		}
		l.release = func(ctx context.Context) error {
			_, err := l.Lease.Publish(ctx, &bus.Flush{Time: 1, Consumed: last})
			return errors.Join(err, l.Lease.Release(ctx))
		}
	})},
	{"forgets the consumed position", "consumed position and publish are one step", onLeases(func(l *faultyLease) {
		l.publish = func(ctx context.Context, f *bus.Flush) (bus.Position, error) {
			flush := *f
			flush.Consumed = 0
			return l.Lease.Publish(ctx, &flush)
		}
	})},
	{"publishes twice", "entries, publishes and handovers race without loss", onLeases(func(l *faultyLease) {
		l.read = func(e []bus.Entry) []bus.Entry { return append(slices.Clone(e), e...) }
	})},
	{"lets a released lease publish", "a released lease can do nothing", onLeases(func(l *faultyLease) {
		l.publish = func(ctx context.Context, f *bus.Flush) (bus.Position, error) {
			p, err := l.Lease.Publish(ctx, f)
			if errors.Is(err, bus.ErrLost) {
				err = nil
			}
			return p, err
		}
	})},
	{"forgets what an owner had applied", "an owner hears what the owners before it had applied of what people configure", onLeases(func(l *faultyLease) {
		l.publish = func(ctx context.Context, f *bus.Flush) (bus.Position, error) {
			forgetful := *f
			forgetful.Config = 0
			return l.Lease.Publish(ctx, &forgetful)
		}
	})},
	{"forgets the tombstones of the state", "the state is exactly the last records", onLeases(func(l *faultyLease) {
		l.state = func(all iter.Seq[bus.Record]) iter.Seq[bus.Record] {
			return func(yield func(bus.Record) bool) {
				for r := range all {
					if !r.Removed && !yield(r) {
						return
					}
				}
			}
		}
	})},
	{"keeps every block of a trail", "a trail is the last blocks and the record", onTrails(func(b *bus.TrailBlock) { b.Keep = 100 })},
	{"forgets a trail at each flush", "a trail outlives its owner and ends with its device", onTrails(func(b *bus.TrailBlock) { b.Keep = 1 })},
	{"loses a block of a large flush", "a large trail comes with one flush", onLeases(func(l *faultyLease) {
		l.publish = func(ctx context.Context, f *bus.Flush) (bus.Position, error) {
			flush := *f
			flush.Trails = f.Trails[1:]
			return l.Lease.Publish(ctx, &flush)
		}
	})},
	{"lets trails grow without bound", "trails keep their bound of bytes", onTrails(func(b *bus.TrailBlock) { b.Data = b.Data[:1] })},
	{"has two owners", "a partition has one owner at a time", twoOwners},
	{"does not close", "close ends every wait", func(f *fault) { f.close = func() error { return nil } }},
}

// onTrails changes the blocks of a flush.
func onTrails(change func(*bus.TrailBlock)) func(*fault) {
	return onLeases(func(l *faultyLease) {
		l.publish = func(ctx context.Context, f *bus.Flush) (bus.Position, error) {
			flush := *f
			flush.Trails = slices.Clone(f.Trails)
			for i := range flush.Trails {
				change(&flush.Trails[i])
			}
			return l.Lease.Publish(ctx, &flush)
		}
	})
}

func oneBehind(f *fault) {
	f.filter = func() func(bus.Update) (bus.Update, bool) {
		return func(u bus.Update) (bus.Update, bool) {
			if s := u.Snapshot; s != nil {
				s.Devices = slices.DeleteFunc(s.Devices, func(v bus.Versioned) bool { return v.Offset == s.Position.Offset })
			}
			return u, true
		}
	}
}

func noFloor(f *fault) {
	f.filter = func() func(bus.Update) (bus.Update, bool) {
		return func(u bus.Update) (bus.Update, bool) {
			if u.Snapshot != nil {
				u.Snapshot.Floor = bus.Floor{}
			}
			return u, true
		}
	}
}

func twoOwners(f *fault) {
	var mu sync.Mutex
	given := map[int]bus.Lease{}
	f.own = func(ctx context.Context, p int) (bus.Lease, error) {
		mu.Lock()
		defer mu.Unlock()
		if l := given[p]; l != nil {
			return l, nil
		}
		l, err := f.Bus.Own(ctx, p)
		given[p] = l
		return l, err
	}
}

func TestTheSuiteFindsBusesThatBreakTheContract(t *testing.T) {
	const short = time.Second // for faults that show only as something that never comes
	for _, broken := range faults {
		for _, partitions := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s/partitions=%d", broken.name, partitions), func(t *testing.T) {
				t.Parallel()
				i := slices.IndexFunc(checks(), func(c check) bool { return c.name == broken.check })
				if i < 0 {
					t.Fatalf("there is no check %q", broken.check)
				}
				err := runCheck(t, checks()[i], func(t *testing.T, o Options) bus.Bus {
					f := &fault{Bus: openMemory(t, o)}
					broken.make(f)
					t.Cleanup(func() { _ = f.Bus.Close() })
					return f
				}, partitions, short)
				if err == nil {
					t.Error("the check passes")
				} else {
					t.Log(err)
				}
			})
		}
	}
}

func TestTheSuitePassesABusWithoutFaults(t *testing.T) {
	Run(t, func(t *testing.T, o Options) bus.Bus { return &fault{Bus: openMemory(t, o)} })
}

package bustest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

var raceChecks = []check{
	{"a snapshot is consistent with its position while publishes race", snapshotsRace},
	{"entries, publishes and handovers race without loss", handoverRace},
}

// script is a list of flushes that is the same for the same seed, so that a watcher knows what every offset means.
func (s *site) script(partition, flushes int, seed uint64) []bus.Flush {
	const fleets, trackers = 2, 12
	random := rand.New(rand.NewPCG(seed, seed))
	var out []bus.Flush
	for n := range flushes {
		f := bus.Flush{Time: int64(n)}
		for range random.IntN(4) {
			fleet, d := s.fleet(partition, random.IntN(fleets)), random.IntN(trackers)
			if random.IntN(4) == 0 {
				f.Changes = append(f.Changes, removed(fleet, d, n))
			} else {
				f.Changes = append(f.Changes, live(fleet, d, n))
			}
		}
		if random.IntN(4) == 0 {
			f.Events = []bus.Event{{Name: "alert", Device: device(n), Fleet: s.fleet(partition, 0), Data: fmt.Appendf(nil, `{"id":%d}`, n)}}
		}
		if random.IntN(8) == 0 {
			f.Erased = []devices.DeviceID{device(random.IntN(flushes))}
		}
		out = append(out, f)
	}
	return out
}

// worlds returns what must be known at every offset of a script.
func worlds(script []bus.Flush) []world {
	now := newWorld()
	out := []world{now.above(bus.Floor{})}
	for i := range script {
		if f := &script[i]; f.HasContent() {
			now.erase(f.Erased)
			now.apply(f.Changes, f.Events, uint64(len(out)))
			out = append(out, now.above(bus.Floor{}))
		}
	}
	return out
}

// pace lets a publisher wait for those who watch, so that they read batches and not only the snapshot at the end.
type pace struct {
	mu    sync.Mutex
	at    map[int]uint64 // the offset of each watcher that has begun
	moved chan struct{}
}

func (p *pace) reached(watcher int, offset uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at[watcher] = offset
	select {
	case p.moved <- struct{}{}:
	default:
	}
}

func (p *pace) behind(offset uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.at {
		if at < offset {
			return true
		}
	}
	return false
}

func (p *pace) wait(ctx context.Context, offset uint64) error {
	for p.behind(offset) {
		select {
		case <-p.moved:
		case <-ctx.Done():
			return fmt.Errorf("watchers do not reach offset %d: %w", offset, ctx.Err())
		}
	}
	return nil
}

// snapshotsRace starts watchers at random moments of a publisher's run. The publisher goes in bursts, some of them longer
// than what a feed may be behind. Each watcher compares its snapshots, and what it made of them and of the batches, with
// what was published up to that offset.
func snapshotsRace(ctx context.Context, s *site) error {
	const flushes, watchers, longest = 400, 16, 12
	b, p := s.open(Options{FeedBatches: 8, Tombstones: 6, Events: 10}), s.partitions-1
	script := s.script(p, flushes, 42)
	race := &racers{site: s, bus: b, partition: p, at: worlds(script), pace: pace{at: map[int]uint64{}, moved: make(chan struct{}, 1)}}
	random := rand.New(rand.NewPCG(7, 7))
	begin := map[int]func(){} // by the number of the flush
	var runs []func(context.Context) error
	for n := range watchers {
		start := make(chan struct{})
		begin[n*flushes/watchers+random.IntN(flushes/watchers)] = func() {
			race.pace.reached(n, 0) // from here on it is waited for
			close(start)
		}
		runs = append(runs, func(ctx context.Context) error {
			select {
			case <-start:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := race.watch(ctx, n); err != nil {
				return fmt.Errorf("watcher %d: %w", n, err)
			}
			return nil
		})
	}
	return together(ctx, append(runs, func(ctx context.Context) error {
		l, err := b.Own(ctx, p)
		if err != nil {
			return err
		}
		for i, burst := 0, random.IntN(longest); i < flushes; i, burst = i+1, burst-1 {
			if start := begin[i]; start != nil {
				start()
			}
			at, err := l.Publish(ctx, &script[i])
			if err != nil {
				return err
			}
			if burst > 0 {
				continue
			}
			burst = random.IntN(longest)
			if err := race.pace.wait(ctx, at.Offset); err != nil {
				return err
			}
		}
		return nil
	})...)
}

// racers are the watchers of snapshotsRace.
type racers struct {
	site      *site
	bus       bus.Watcher
	partition int
	at        []world // by offset
	pace      pace
}

// watch follows the partition to the last offset and looks at every step. Every other watcher leaves after a few steps
// and comes back at once, so that snapshots are taken all the time and each is followed by the batches after it.
func (r *racers) watch(ctx context.Context, n int) error {
	comesBack := n%2 == 1
	for done := false; !done; {
		w, err := r.site.follow(ctx, r.bus, r.partition)
		if err != nil {
			return err
		}
		done, err = r.compare(ctx, w, n, comesBack)
		w.feed.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// compare returns true at the last offset, and false where the watcher should come back.
func (r *racers) compare(ctx context.Context, w *follower, n int, comesBack bool) (done bool, err error) {
	last := uint64(len(r.at) - 1)
	for steps := 1; ; steps++ {
		if w.position.Offset > last {
			return false, fmt.Errorf("offset %d was never published", w.position.Offset)
		}
		if err := same(&w.world, &r.at[w.position.Offset], w.floor); err != nil {
			return false, fmt.Errorf("at offset %d, after %d snapshots: %w", w.position.Offset, w.snapshots, err)
		}
		r.pace.reached(n, w.position.Offset)
		if w.position.Offset == last {
			return true, nil
		}
		if comesBack && steps == 3 {
			return false, nil
		}
		if err := w.next(ctx); err != nil {
			return false, err
		}
	}
}

// handoverEntries is how many entries go through handoverRace.
const handoverEntries = 300

// handoverRace is the whole path: doors append to small inlets and try again where they are full, owners read, publish
// what they read as the frame of its device and give up at random, and at the end every entry was seen in its order by
// somebody whose publish counted.
func handoverRace(ctx context.Context, s *site) error {
	b, p := s.open(Options{InletEntries: 16}), s.partitions-1
	f := s.fleet(p, 0)
	done, finish := context.WithCancel(ctx)
	defer finish()
	var applied []int // by the lease's holder only: a lease hands it over
	owner := func(seed uint64) func(context.Context) error {
		return func(context.Context) error {
			random := rand.New(rand.NewPCG(seed, seed))
			for {
				l, err := b.Own(done, p)
				if err != nil {
					return unlessDone(done, ctx, err)
				}
				err = ownForAWhile(done, l, random, &applied)
				if len(applied) >= handoverEntries {
					finish()
				}
				if err := errors.Join(unlessDone(done, ctx, err), l.Release(ctx)); err != nil {
					return err
				}
			}
		}
	}
	writer := func(ctx context.Context) error {
		d := newDoor(b)
		for n := 0; n < handoverEntries; n += 3 {
			err := d.append(ctx, marks(f, n, n+3)...)
			for errors.Is(err, bus.ErrInletFull) {
				err = d.repeat(ctx, marks(f, n, n+3)...)
			}
			if err := errors.Join(err, d.repeat(ctx, marks(f, n, n+3)...)); err != nil {
				return err
			}
		}
		return nil
	}
	stop := func(run func(context.Context) error) func(context.Context) error {
		return func(ctx context.Context) error {
			err := run(ctx)
			if err != nil {
				finish()
			}
			return err
		}
	}
	if err := together(ctx, stop(writer), stop(owner(1)), stop(owner(2)), stop(owner(3))); err != nil {
		return err
	}
	if fmt.Sprint(applied) != fmt.Sprint(upTo(handoverEntries)) {
		return fmt.Errorf("applied are %v, want each of %d once, in order", applied, handoverEntries)
	}
	return nil
}

// ownForAWhile reads and publishes a few times, and ends with something that it read and did not publish.
func ownForAWhile(ctx context.Context, l bus.Lease, random *rand.Rand, applied *[]int) error {
	for range 1 + random.IntN(4) {
		got, err := l.Read(ctx, 1+random.IntN(8))
		if err != nil {
			return err
		}
		flush := bus.Flush{Time: 1, Consumed: got[len(got)-1].ID}
		for i := range got {
			flush.Changes = append(flush.Changes, live(got[i].Fleet, int(got[i].Connection.Conn), 0))
		}
		if random.IntN(4) == 0 {
			return nil
		}
		if _, err := l.Publish(ctx, &flush); err != nil {
			return err
		}
		for i := range got {
			*applied = append(*applied, int(got[i].Connection.Conn))
		}
		if len(*applied) >= handoverEntries {
			return nil
		}
	}
	return nil
}

// unlessDone forgives what a context that was ended on purpose makes of a wait.
func unlessDone(done, outer context.Context, err error) error {
	if done.Err() != nil && outer.Err() == nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

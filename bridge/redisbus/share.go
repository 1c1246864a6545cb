package redisbus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices/redisconn"
)

// share deals the partitions among the bridges that live. One goroutine of a bridge looks for all partitions that it
// waits for at once: who has them, and so how many each bridge has. What is free goes to the bridge that has the least, and
// a bridge that has two more than the least gives one up at a time. Nobody decides for others: each acts on what it sees,
// and the lease alone says who owns.
type share struct {
	b    *Bus
	name bus.DoorID // of this bridge, in its leases and among those that live
	wake chan struct{}

	beatAt time.Time // when it was last said that this bridge lives; the looker's own

	mu      sync.Mutex // guards what follows
	runs    bool
	away    bool // it gave its leases back and asks for none
	wishes  map[*wish]struct{}
	taking  int       // tries that are under way
	unable  time.Time // until when this bridge, which could not go on with what it took, leaves what is free to others
	live    map[bus.DoorID]bool
	settled time.Time // since when the same bridges live
	moved   int       // the partition that was given up last
	movedAt time.Time // when that was
}

// wish is an Own that waits.
type wish struct {
	partition int
	turn      chan struct{} // holds a token where it is worth to try

	// Guarded by the share's lock.
	trying bool
	held   time.Time // when somebody was last seen to have the partition, or nothing was seen
	free   time.Time // since when nobody has; zero: somebody does
}

func newShare(b *Bus) *share {
	return &share{
		b: b, name: bus.NewDoorID(), wake: make(chan struct{}, 1),
		wishes: map[*wish]struct{}{}, live: map[bus.DoorID]bool{},
	}
}

// holder is a name for a lease that tells which bridge has it. A bridge of an earlier release has no name in it.
func (s *share) holder() string { return fmt.Sprintf("%016x.%s", uint64(s.name), randomName()) }

func bridgeOf(holder string) (bus.DoorID, bool) {
	name, _, found := strings.Cut(holder, ".")
	id, err := strconv.ParseUint(name, 16, 64)
	return bus.DoorID(id), found && err == nil && len(name) == 16
}

// want has the looker look for a partition too, until the wish is dropped.
func (s *share) want(partition int) (*wish, error) {
	w := &wish{partition: partition, turn: make(chan struct{}, 1)}
	s.mu.Lock()
	s.wishes[w] = struct{}{}
	s.away = false
	start := !s.runs
	s.runs = true
	s.mu.Unlock()
	if start && !s.b.spawn(s.run) {
		return nil, bus.ErrClosed
	}
	if start {
		s.b.opts.Logger.Info("partitions are shared with the bridges of this Redis", "bridge", fmt.Sprintf("%016x", uint64(s.name)))
	}
	s.look()
	return w, nil
}

func (s *share) drop(w *wish) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.wishes, w)
	if w.trying {
		s.taking--
	}
}

// tried says that a try is over.
func (s *share) tried(w *wish) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.trying {
		w.trying = false
		s.taking--
	}
}

// heldAt is when somebody was last seen to have the partition, or nothing could be seen.
func (s *share) heldAt(w *wish) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return w.held
}

// look has the looker look now.
func (s *share) look() {
	select {
	case s.wake <- struct{}{}:
	default: // it will
	}
}

// leave tells the other bridges, before a lease is given back, that this one wants none any more: else they would leave
// what is free to it for a moment.
func (s *share) leave(ctx context.Context) {
	s.mu.Lock()
	known := s.away || !s.runs || len(s.wishes) > 0
	s.away = s.away || !known
	s.mu.Unlock()
	if known {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, redisconn.AttemptTimeout)
	defer cancel()
	_, _ = s.b.run(ctx, doorsScript, []string{bridgesKey(s.b.opts.Prefix)}, "leave", fmt.Sprintf("%016x", uint64(s.name))) // else it lapses
}

// failed says that this bridge took a partition and could not go on with it.
func (s *share) failed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unable = time.Now().Add(unableFor)
}

// known is how many bridges live, as far as this one has heard.
func (s *share) known() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live)
}

// bridgesKey is of no partition. It is kept as that of the doors is.
func bridgesKey(prefix string) string { return prefix + ":{bridges}:live" }

// run looks until the bus is closed.
func (s *share) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.b.closed:
			return
		case <-s.wake:
		case <-timer.C:
		}
		timer.Reset(s.once(context.Background())) // closing the bus cuts its connections
	}
}

// once looks, and returns when to look again.
func (s *share) once(ctx context.Context) time.Duration {
	beat := s.b.opts.LeaseTTL / renewalsOfLease
	s.mu.Lock()
	partitions := make([]int, 0, len(s.wishes))
	for w := range s.wishes {
		partitions = append(partitions, w.partition)
	}
	away := s.away
	s.mu.Unlock()
	if away || len(partitions) == 0 && s.owned() == 0 {
		return beat
	}
	seen, err := s.see(ctx, partitions, time.Since(s.beatAt) >= beat)
	if err != nil {
		s.hope(time.Now())
	} else if s.settle(seen, time.Now()) { // something is free and not ours to take, unless a bridge has just gone
		if seen, err = s.see(ctx, partitions, true); err == nil {
			s.settle(seen, time.Now())
		}
	}
	if len(partitions) == 0 {
		return beat
	}
	return ownPoll/2 + rand.N(ownPoll/2)
}

// sight is what was seen of the store.
type sight struct {
	holders map[int]string      // by partition that was asked about; "" where nobody has it
	live    map[bus.DoorID]bool // whether they can own, by bridge; nil: not asked
}

// see asks who has partitions and, on a beat, says that this bridge lives and asks who else does.
func (s *share) see(ctx context.Context, partitions []int, beat bool) (*sight, error) {
	out := &sight{holders: map[int]string{}}
	err := s.b.attempt(ctx, func(ctx context.Context) error {
		if beat {
			if err := s.beat(ctx, out); err != nil {
				return err
			}
		}
		if len(partitions) == 0 {
			return nil
		}
		answers := make([]*redis.StringCmd, len(partitions))
		_, err := s.b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, partition := range partitions {
				answers[i] = p.Get(ctx, s.b.keys[partition].lease)
			}
			return nil
		})
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		for i, partition := range partitions {
			holder, err := answers[i].Result()
			if err != nil && !errors.Is(err, redis.Nil) {
				return err
			}
			out.holders[partition] = holder
		}
		return nil
	})
	return out, err
}

func (s *share) beat(ctx context.Context, out *sight) error {
	s.mu.Lock()
	able, not := doorHears, doorDeaf
	if time.Now().Before(s.unable) {
		able, not = not, able
	}
	s.mu.Unlock()
	name, key := fmt.Sprintf("%016x", uint64(s.name)), []string{bridgesKey(s.b.opts.Prefix)}
	kept, err := s.b.run(ctx, doorsScript, key, "keep", name+able, name+not, s.b.opts.LeaseTTL.Milliseconds(), bus.MaxLiveDoors)
	if err != nil {
		return err
	}
	if kept == int64(1) { // it takes what others leave, and they do not give it anything
		s.b.counters.add(countBridgesOver)
	}
	answer, err := s.b.run(ctx, doorsScript, key, "list")
	if err != nil {
		return err
	}
	leases, err := parseDoors(answer)
	if err != nil {
		return err
	}
	s.beatAt = time.Now()
	out.live = map[bus.DoorID]bool{}
	for _, l := range leases {
		out.live[l.Door] = l.Hears
	}
	return nil
}

// owned is how many partitions this bridge has, those that are being given up among them.
func (s *share) owned() int {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	return len(s.b.leases)
}

// hope lets everybody try where nothing can be seen: their calls say what is wrong.
func (s *share) hope(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.wishes {
		w.held, w.free = now, time.Time{}
		s.give(w)
	}
}

// give tells a wish to try. It is called with the lock.
func (s *share) give(w *wish) {
	if w.trying {
		return
	}
	w.trying = true
	s.taking++
	w.turn <- struct{}{} // there is room: the last token was taken, and told by tried
}

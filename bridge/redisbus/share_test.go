package redisbus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// deal is a share without a store, which sees what the test says.
type deal struct {
	*share

	now     time.Time
	holders map[int]string
	live    map[bus.DoorID]bool
}

func newDeal(t *testing.T, partitions int) *deal {
	t.Helper()
	var o Options
	o.setDefaults()
	b := &Bus{opts: o, leases: map[*lease]struct{}{}}
	s := &deal{share: newShare(b), now: time.Now(), holders: map[int]string{}, live: map[bus.DoorID]bool{}}
	b.share = s.share
	s.live[s.name] = true
	for p := range partitions {
		s.wish(p)
	}
	return s
}

func (s *deal) wish(partition int) *wish {
	w := &wish{partition: partition, turn: make(chan struct{}, 1)}
	s.wishes[w] = struct{}{}
	s.holders[partition] = ""
	return w
}

// others says what bridges own, the partitions from a number on.
func (s *deal) others(from int, counts map[bus.DoorID]int) {
	for _, id := range slices.Sorted(maps.Keys(counts)) {
		s.live[id] = true
		for range counts[id] {
			s.holders[from] = fmt.Sprintf("%016x.%s", uint64(id), randomName())
			from++
		}
	}
}

// own makes a partition one of ours, that is published.
func (s *deal) own(partition int) *lease {
	for w := range s.wishes {
		if w.partition == partition {
			s.drop(w)
		}
	}
	delete(s.holders, partition)
	l := newLease(s.b, partition, s.holder(), standing{})
	l.published.Store(true)
	s.b.leases[l] = struct{}{}
	return l
}

// see lets a time pass and returns the partitions that are tried, in order.
func (s *deal) see(after time.Duration) (tries []int) {
	s.now = s.now.Add(after)
	s.settle(&sight{holders: s.holders, live: maps.Clone(s.live)}, s.now)
	for w := range s.wishes {
		select {
		case <-w.turn:
			tries = append(tries, w.partition)
			s.tried(w)
		default:
		}
	}
	slices.Sort(tries)
	return tries
}

func (s *deal) given() (partitions []int) {
	for l := range s.b.leases {
		select {
		case <-l.wanted:
			partitions = append(partitions, l.partition)
		default:
		}
	}
	return partitions
}

func TestWhatIsFreeGoesToWhoHasTheLeast(t *testing.T) {
	t.Run("alone", func(t *testing.T) {
		s := newDeal(t, 3)
		if got := s.see(0); !slices.Equal(got, []int{0, 1, 2}) {
			t.Errorf("a bridge that is alone tries %v", got)
		}
	})
	t.Run("beside one that has less", func(t *testing.T) {
		s := newDeal(t, 6)
		s.own(0)
		s.own(1)
		s.others(2, map[bus.DoorID]int{7: 1, 8: 3})
		s.holders[5] = "" // of 8's
		if got := s.see(0); got != nil {
			t.Errorf("tries %v", got)
		}
		if got := s.see(leaveFor); !slices.Equal(got, []int{5}) {
			t.Errorf("what nobody took for a second: %v", got)
		}
		s.live[7] = false // it could not go on with what it took
		s.others(2, map[bus.DoorID]int{8: 2})
		s.holders[4], s.holders[5] = "", ""
		if got := s.see(0); len(got) == 0 {
			t.Error("what is free is left to a bridge that cannot own")
		}
	})
	t.Run("beside one of an earlier release", func(t *testing.T) {
		s := newDeal(t, 2)
		s.holders[0] = "0123456789abcdef01234567" // which is in no list
		if got := s.see(0); !slices.Equal(got, []int{1}) {
			t.Errorf("tries %v", got)
		}
	})
	t.Run("of one that could not go on", func(t *testing.T) {
		s := newDeal(t, 1)
		s.others(5, map[bus.DoorID]int{7: 1})
		s.failed()
		if got := s.see(leaveFor); len(got) != 0 {
			t.Errorf("tries %v at once", got)
		}
		if got := s.see(2 * s.b.opts.LeaseTTL); len(got) != 1 {
			t.Error("what nobody else takes is not tried")
		}
	})
}

func TestABridgeGivesUpOneAfterTheOtherUntilNobodyHasTwoMore(t *testing.T) {
	s := newDeal(t, 0)
	for p := range 5 {
		s.own(p)
	}
	s.see(0)
	s.live[7] = true
	s.see(time.Second)
	if got := s.see(s.b.opts.MoveAfter - time.Second); got != nil || s.given() != nil {
		t.Errorf("gives %v before the other has lived for a while", s.given())
	}
	give := func(after time.Duration, want ...int) {
		t.Helper()
		s.see(after)
		got := s.given()
		if !slices.Equal(got, want) {
			t.Fatalf("gives %v, want %v", got, want)
		}
		for l := range s.b.leases {
			if slices.Contains(got, l.partition) {
				delete(s.b.leases, l)
				s.wish(l.partition)
			}
		}
	}
	give(time.Second, 4)
	give(10 * time.Second) // nobody took it
	s.others(4, map[bus.DoorID]int{7: 1})
	give(time.Second, 3)
	s.others(3, map[bus.DoorID]int{7: 2})
	give(time.Second)
	give(time.Hour) // three and two
}

func TestAPartitionThatWasGivenInVainIsGivenAgainLater(t *testing.T) {
	s := newDeal(t, 0)
	for p := range 4 {
		s.own(p)
	}
	s.live[7] = true
	s.see(0)
	s.see(s.b.opts.MoveAfter)
	for l := range s.b.leases {
		if slices.Contains(s.given(), l.partition) {
			delete(s.b.leases, l)
			s.own(l.partition) // it came back
		}
	}
	if s.see(30 * time.Second); s.given() != nil {
		t.Errorf("gives %v at once again", s.given())
	}
	if s.see(unableFor); len(s.given()) != 1 {
		t.Error("it is never given again")
	}
}

// crew is bridges that own what they get, publish, and give back what they are asked for.
type crew struct {
	t          *testing.T
	url        string
	partitions int

	mu     sync.Mutex
	owners map[int]string       // who has a partition
	at     map[int]bus.Position // of its last publish
}

// member is one of them.
type member struct {
	crew    *crew
	name    string
	bus     *Bus
	stop    context.CancelFunc
	running sync.WaitGroup
}

func (c *crew) join(name string) *member {
	c.t.Helper()
	b := open(c.t, c.url, func(o *Options) {
		o.Prefix, o.Partitions, o.LeaseTTL, o.MoveEvery, o.MoveAfter = "crew", c.partitions, 600*time.Millisecond, minTime, 200*time.Millisecond
	})
	ctx, stop := context.WithCancel(c.t.Context())
	m := &member{crew: c, name: name, bus: b, stop: stop}
	for p := range c.partitions {
		m.running.Go(func() {
			for ctx.Err() == nil {
				m.hold(ctx, p)
			}
		})
	}
	c.t.Cleanup(func() {
		stop()
		m.running.Wait()
	})
	return m
}

// hold owns a partition once.
func (m *member) hold(ctx context.Context, p int) {
	l, err := m.bus.Own(ctx, p)
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, bus.ErrClosed) {
			m.crew.t.Errorf("%s: %v", m.name, err)
		}
		return
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for more := true; more; {
		at, err := l.Publish(context.WithoutCancel(ctx), &bus.Flush{Time: 1, Changes: []bus.Change{change(fleetIn(p, m.crew.partitions), 1, m.name)}})
		if err != nil {
			break // it was killed
		}
		m.crew.published(p, m.name, at)
		select {
		case <-tick.C:
		case <-l.Wanted():
			more = false
		case <-ctx.Done():
			more = false
		}
	}
	m.crew.gone(p, m.name)
	if err := l.Release(context.WithoutCancel(ctx)); err != nil && !m.bus.isClosed() {
		m.crew.t.Errorf("%s: release: %v", m.name, err)
	}
}

func (c *crew) published(p int, name string, at bus.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if before, ok := c.at[p]; ok && (before.Epoch != at.Epoch || before.Offset >= at.Offset) {
		c.t.Errorf("partition %d went from %+v to %+v", p, before, at)
	}
	c.at[p], c.owners[p] = at, name
}

func (c *crew) gone(p int, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owners[p] == name {
		delete(c.owners, p)
	}
}

// until waits until the members have so many partitions.
func (c *crew) until(want map[string]int) {
	c.t.Helper()
	var got map[string]int
	eventually(c.t, fmt.Sprint(want), func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		got = map[string]int{}
		for _, name := range c.owners {
			got[name]++
		}
		if !maps.Equal(got, want) {
			return fmt.Errorf("they have %v", got)
		}
		return nil
	})
}

func TestBridgesShareThePartitionsAsTheyComeAndGo(t *testing.T) {
	c := &crew{t: t, url: startServer(t).url(), partitions: 6, owners: map[int]string{}, at: map[int]bus.Position{}}
	one := c.join("one")
	c.until(map[string]int{"one": 6})
	c.join("two")
	c.until(map[string]int{"one": 3, "two": 3})
	three := c.join("three")
	c.until(map[string]int{"one": 2, "two": 2, "three": 2})
	one.stop()
	one.running.Wait()
	c.until(map[string]int{"two": 3, "three": 3})
	if err := three.bus.Close(); err != nil { // as if it were killed: nothing is given back
		t.Error(err)
	}
	c.until(map[string]int{"two": 6})
}

func TestOnlyWhoTookAStateAndCouldNotGoOnIsPassedOver(t *testing.T) {
	s := startServer(t)
	b := open(t, s.url())
	unable := func() bool {
		b.share.mu.Lock()
		defer b.share.mu.Unlock()
		return !b.share.unable.IsZero()
	}
	for _, c := range []struct {
		what string
		do   func(l bus.Lease)
		want bool
	}{
		{"a lease that nobody used", func(bus.Lease) {}, false},
		{"one that was published", func(l bus.Lease) {
			for range l.State() { // there may be some
			}
			publish(t, l, change(fleetIn(0, 1), 1, "a"))
		}, false},
		{"a state that was taken and not gone on with", func(l bus.Lease) {
			for range l.State() {
			}
		}, true},
	} {
		l := own(t, b, 0)
		c.do(l)
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if unable() != c.want {
			t.Errorf("after %s the bridge is passed over: %v", c.what, unable())
		}
	}
}

package redisbus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/redisconn"
)

// Bus is a bus in Redis. Its methods may be called concurrently.
type Bus struct {
	opts     Options
	client   redis.UniversalClient // for calls that come back
	blocking redis.UniversalClient // for reads that wait, which would starve the others of connections
	keys     []keys
	inlets   []inletWaiter // one a partition
	counters counters
	share    *share

	verified atomic.Bool   // the store's number of partitions is ours
	classic  atomic.Bool   // the server knows no sharded channels, which edges use
	asking   chan struct{} // questions to other edges that are under way
	closed   chan struct{}
	closing  sync.Once
	running  sync.WaitGroup // everything that Close waits for

	mu      sync.Mutex // guards what follows; a sub's lock may be taken under it
	ended   bool
	subs    map[int]*sub
	leases  map[*lease]struct{}
	handed  []chan struct{} // by partition; closed where a lease of this process was released
	shown   []shown         // by partition
	health  error
	checked time.Time
}

var _ bus.Bus = (*Bus)(nil)

// shown is the last publish of this process in a partition. A feed that begins after it begins with it or later, though
// the message is still on its way.
type shown struct {
	epoch bus.Epoch
	n     uint64
}

// Open connects to a store. Where it does not answer within two seconds, Open succeeds all the same: the process can
// start and say in Healthy what is wrong, every operation tries again within its bounds, and Watch and Own wait. Then
// the number of partitions is taken for Options.Partitions, or 16; a store that turns out to have another number fails
// every operation with a Conflict error until the process is started again.
//
// An error is final: the options are wrong, or contradict what the store holds.
func Open(ctx context.Context, o Options) (*Bus, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("open redis bus: %w", err)
	}
	at, err := redisconn.ParseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("open redis bus: %w", err)
	}
	o.URL = "" // it may hold a password
	b := &Bus{
		opts: o, closed: make(chan struct{}), asking: make(chan struct{}, maxAsking),
		subs: make(map[int]*sub), leases: make(map[*lease]struct{}),
	}
	b.share = newShare(b)
	b.client = redisconn.New(&at, o.TLS, defaultPoolSize)
	partitions, err := b.meet(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open redis bus: %w", err), b.client.Close())
	}
	b.blocking = redisconn.New(&at, o.TLS, 2*partitions+3) // an owner and one who follows commands at each, and a door
	b.opts.Partitions = partitions
	b.inlets = make([]inletWaiter, partitions)
	b.shown = make([]shown, partitions)
	for p := range partitions {
		b.keys = append(b.keys, makeKeys(o.Prefix, p))
		b.handed = append(b.handed, make(chan struct{}))
	}
	return b, nil
}

// meet agrees with the store on the number of partitions, if it answers.
func (b *Bus) meet(ctx context.Context) (int, error) {
	wanted := b.opts.Partitions
	setDefault(&wanted, DefaultPartitions)
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	pause := backOff{}
	for {
		n, err := b.agree(ctx, wanted)
		switch {
		case err == nil && b.opts.Partitions != 0 && n != wanted:
			return 0, conflictOfPartitions(n, wanted)
		case err == nil:
			b.verified.Store(true)
			return n, nil
		case !isPassing(err) && !errors.Is(err, context.Canceled):
			return 0, err
		}
		if !pause.wait(ctx, b.closed) {
			b.opts.Logger.Warn("the store does not answer; starting without it", "error", err, "partitions", wanted)
			return wanted, nil
		}
	}
}

// agree keeps a number of partitions in the store, where there is none, and returns the one that it has.
func (b *Bus) agree(ctx context.Context, wanted int) (int, error) {
	key := configKey(b.opts.Prefix)
	if err := b.client.HSetNX(ctx, key, "partitions", wanted).Err(); err != nil && !isWriteRefused(err) {
		return 0, fmt.Errorf("keep number of partitions: %w", err)
	}
	text, err := b.client.HGet(ctx, key, "partitions").Result()
	if err != nil {
		return 0, fmt.Errorf("read number of partitions: %w", err)
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > bus.MaxPartitions {
		return 0, devices.Errorf(devices.Conflict, "partitions", "the store has a number that is none")
	}
	return n, b.refuseHalfMigrated(ctx)
}

// isWriteRefused: the server is out of memory, or a replica. What is there can be read all the same.
func isWriteRefused(err error) bool {
	_, refused := errors.AsType[redis.Error](err)
	return refused && isPassing(err)
}

func conflictOfPartitions(has, wanted int) error {
	return devices.Errorf(devices.Conflict, "partitions", "the store has %d, not %d, and keeps them for ever", has, wanted)
}

// verify makes sure, once, that a store that was away at the start has our number of partitions.
func (b *Bus) verify(ctx context.Context) error {
	if b.verified.Load() {
		return nil
	}
	n, err := b.agree(ctx, b.opts.Partitions)
	if err != nil {
		return err
	}
	if n != b.opts.Partitions {
		return conflictOfPartitions(n, b.opts.Partitions)
	}
	b.verified.Store(true)
	return nil
}

// Partitions implements bus.Inlet.
func (b *Bus) Partitions() int { return b.opts.Partitions }

// Healthy tells whether every partition can be written, by writing to each: it finds a server that is away, one that
// became a replica, one that is out of memory, and a Cluster that has lost some of its slots. The answer is at most half
// a second old, so that asking often costs the store nothing.
func (b *Bus) Healthy(ctx context.Context) error {
	b.mu.Lock()
	if !b.checked.IsZero() && time.Since(b.checked) < healthEvery {
		defer b.mu.Unlock()
		return b.health
	}
	b.mu.Unlock()
	err := b.attempt(ctx, b.probe)
	if err != nil && !errors.Is(err, bus.ErrClosed) && devices.KindOf(err) == devices.Internal {
		err = &devices.Error{Kind: devices.Unavailable, Detail: "the store cannot be written", Err: err}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.health, b.checked = err, time.Now()
	return err
}

func (b *Bus) probe(ctx context.Context) error {
	_, err := b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range b.keys {
			p.Set(ctx, b.keys[i].probe, "", time.Minute)
		}
		return nil
	})
	return err
}

func (b *Bus) isClosed() bool {
	select {
	case <-b.closed:
		return true
	default:
		return false
	}
}

// check refuses a partition that does not exist, a context that is over and a bus that is closed.
func (b *Bus) check(ctx context.Context, partition int) error {
	if partition < 0 || partition >= b.Partitions() {
		return devices.Errorf(devices.Invalid, "partition", "%d is none of %d", partition, b.Partitions())
	}
	if b.isClosed() {
		return bus.ErrClosed
	}
	return ctx.Err()
}

// spawn starts what Close waits for, unless the bus is closed.
func (b *Bus) spawn(run func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return false
	}
	b.running.Go(run)
	return true
}

// Close implements bus.Bus. It does not talk to the store: a lease that its owner did not release before lapses.
// Connections are cut, so that nothing waits longer than a dial.
func (b *Bus) Close() error {
	var err error
	b.closing.Do(func() {
		b.mu.Lock()
		b.ended = true
		leases, subs := make([]*lease, 0, len(b.leases)), make([]*sub, 0, len(b.subs))
		for l := range b.leases {
			leases = append(leases, l)
		}
		for _, s := range b.subs {
			subs = append(subs, s)
		}
		clear(b.leases)
		clear(b.subs)
		b.mu.Unlock()
		close(b.closed)
		for _, l := range leases {
			l.end(bus.ErrClosed)
		}
		for _, s := range subs {
			s.close()
		}
		err = errors.Join(b.blocking.Close(), b.client.Close())
		b.running.Wait()
	})
	return err
}

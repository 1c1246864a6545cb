package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/redisconn"
	"github.com/fleetcast/fleetcast/devices/store"
)

// Store is a store in Redis. Its methods may be called concurrently.
type Store struct {
	opts    Options
	keys    keys
	client  goredis.UniversalClient // for calls that come back
	waiter  goredis.UniversalClient // for the read that waits
	fanout  *store.Fanout
	counts  counts
	closed  chan struct{}
	closing sync.Once
	running sync.WaitGroup // the tailer

	turn  chan struct{} // holds one token; who has it may use what follows
	at    where         // how far the feeds were told
	known bool          // at is where the store was when this process began, or later
	gaps  uint64        // times that the log did not lead on
	run   string        // of the server that was read last

	mu      sync.Mutex // guards what follows; nothing is taken under it
	tailing bool
	ended   bool
	health  error
	checked time.Time
	seen    store.Stats // of the last look at the store
}

var _ store.Store = (*Store)(nil)

// counts are what the store has counted since it began.
type counts struct{ commits, retries, failures, gaps, snapshots atomic.Uint64 }

// Stats are the store's as it was seen last, and what this process has counted.
type Stats struct {
	store.Stats
	Commits   uint64 `json:"commits"`
	Retries   uint64 `json:"retries"`   // tries that failed and were repeated
	Failures  uint64 `json:"failures"`  // calls that were given up
	Gaps      uint64 `json:"log_gaps"`  // times that the log did not lead on, so that every feed took a snapshot
	Snapshots uint64 `json:"snapshots"` // read from the store
}

// Open connects to a store. Where it does not answer within two seconds, Open succeeds all the same, so that the process
// can start and say in Healthy what is wrong. An error is final: the options are wrong.
func Open(ctx context.Context, o Options) (*Store, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("open redis store: %w", err)
	}
	at, err := redisconn.ParseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("open redis store: %w", err)
	}
	o.URL = "" // it may hold a password
	s := &Store{
		opts: o, keys: makeKeys(o.Prefix), closed: make(chan struct{}), turn: make(chan struct{}, 1),
		client: redisconn.New(&at, o.TLS, poolSize), waiter: redisconn.New(&at, o.TLS, waitersPool),
	}
	s.turn <- struct{}{}
	s.fanout = store.NewFanout(s.snapshot)
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := s.call(ctx, "meet store", s.look); err != nil {
		o.Logger.WarnContext(ctx, "the store does not answer; starting without it", "error", err)
	}
	return s, nil
}

// look asks where the store is, for the numbers.
func (s *Store) look(ctx context.Context) error {
	h, err := s.tail(ctx, ^uint64(0)>>11, 1)
	if err == nil {
		s.note(&h)
	}
	return err
}

func (s *Store) note(h *head) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen.Revision, s.seen.Records = h.at.revision, h.records
}

// call runs a step until it succeeds, is refused for good, ctx ends or CallTimeout is over. Steps are fit to be repeated:
// a try that got no answer may have been carried out.
func (s *Store) call(ctx context.Context, what string, step func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, s.opts.CallTimeout)
	defer cancel()
	pause := redisconn.BackOff{}
	for {
		err := s.attempt(limited, step)
		if err == nil || !redisconn.IsPassing(err) || errors.Is(err, store.ErrClosed) {
			return err
		}
		s.counts.retries.Add(1)
		if pause.Wait(limited, s.closed) {
			continue
		}
		switch {
		case s.isClosed():
			return store.ErrClosed
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w", what, ctx.Err())
		}
		s.counts.failures.Add(1)
		return &devices.Error{Kind: devices.Unavailable, Detail: "the store does not answer", Err: fmt.Errorf("%s: %w", what, err)}
	}
}

func (s *Store) attempt(ctx context.Context, step func(context.Context) error) error {
	if s.isClosed() {
		return store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, redisconn.AttemptTimeout)
	defer cancel()
	err := step(ctx)
	switch {
	case err == nil:
	case s.isClosed():
		return store.ErrClosed
	case redisconn.IsPassing(err):
		redisconn.Refresh(ctx, s.client)
		redisconn.Refresh(ctx, s.waiter)
	}
	return err
}

func (s *Store) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// Healthy tells why nothing can be committed now, or nil. It asks the server, at most twice a second, with a write.
func (s *Store) Healthy(ctx context.Context) error {
	s.mu.Lock()
	if !s.checked.IsZero() && time.Since(s.checked) < healthEvery {
		defer s.mu.Unlock()
		return s.health
	}
	s.mu.Unlock()
	err := s.attempt(ctx, func(ctx context.Context) error {
		return s.client.HSet(ctx, s.keys.meta, "probe", 1).Err()
	})
	if err != nil && !errors.Is(err, store.ErrClosed) {
		err = &devices.Error{Kind: devices.Unavailable, Detail: "the store cannot be written", Err: err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.health, s.checked = err, time.Now()
	return err
}

// Stats returns the numbers of now.
func (s *Store) Stats() Stats {
	c := &s.counts
	out := Stats{
		Commits: c.commits.Load(), Retries: c.retries.Load(), Failures: c.failures.Load(), Gaps: c.gaps.Load(), Snapshots: c.snapshots.Load(),
	}
	s.mu.Lock()
	out.Stats = s.seen
	s.mu.Unlock()
	out.Feeds, out.Behind = s.fanout.Stats()
	return out
}

// Watch implements store.Store. The first one begins to tail the log.
func (s *Store) Watch(ctx context.Context, kinds ...store.Kind) (store.Feed, error) {
	if s.isClosed() {
		return nil, store.ErrClosed
	}
	feed, err := s.fanout.Watch(ctx, kinds)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.tailing && !s.ended {
		s.tailing = true
		life := context.WithoutCancel(ctx)
		s.running.Go(func() { s.follow(life) })
	}
	return feed, nil
}

// Close implements store.Store.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
		close(s.closed)
		s.fanout.Close()
		err = errors.Join(s.waiter.Close(), s.client.Close())
		s.running.Wait()
	})
	return err
}

package redisbus

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices/redisconn"
)

// sub follows a partition for all feeds of this process. Its one goroutine makes a subscription, loads the state or what
// follows the state that it has, and applies what comes; when anything is odd it begins again with a new subscription.
//
//	server ─▶ receive ─▶ messages ─▶ follow ─▶ table ─▶ feeds
type sub struct {
	b         *Bus
	partition int
	stop      context.CancelFunc

	classic bool // the server knows no sharded channels; the goroutine's own

	mu    sync.Mutex // guards what follows
	table *table     // nil until it was loaded; only the goroutine changes it
	feeds map[*feed]struct{}
	ended bool
}

// Why a subscription ended.
var (
	errSilent       = errors.New("nothing came for too long")
	errUnsubscribed = errors.New("the server ended the subscription")
	errReload       = errors.New("what came does not follow what is known")
)

func (s *sub) feedCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.feeds)
}

// close ends the sub and its feeds. The caller has taken it off the bus's list.
func (s *sub) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for f := range s.feeds {
		f.end()
	}
	s.stop()
}

// maxSilence is how long a path is believed at most where nobody publishes at all.
const maxSilence = 4 // times Options.Silence

func (s *sub) run(ctx context.Context) {
	again := backOff{}
	silence := s.b.opts.Silence
	for ctx.Err() == nil {
		heard, err := s.session(ctx, silence)
		if ctx.Err() != nil {
			return
		}
		s.count(err)
		switch {
		case heard:
			silence, again = s.b.opts.Silence, backOff{}
		case errors.Is(err, errSilent): // perhaps the partition has no owner: ask less and less often
			silence, again = min(2*silence, maxSilence*s.b.opts.Silence), backOff{}
		}
		s.b.opts.Logger.Debug("subscription ended, making another", "partition", s.partition, "error", err)
		again.wait(ctx, s.b.closed)
	}
}

func (s *sub) count(err error) {
	c := &s.b.counters
	switch {
	case errors.Is(err, errSilent):
		c.add(countSilent)
	case errors.Is(err, errUnsubscribed):
		c.add(countUnsubscribed)
	case errors.Is(err, errReload):
	case errors.Is(err, errMalformed), errors.Is(err, bus.ErrWireMalformed), errors.Is(err, bus.ErrWireVersion):
		c.add(countBadMessage)
	default:
		c.add(countBroken)
	}
}

// subscribe opens the one channel of the partition.
func (s *sub) subscribe(ctx context.Context) *redis.PubSub {
	channel := s.b.keys[s.partition].live
	if s.classic {
		return s.b.client.Subscribe(ctx, channel)
	}
	return s.b.client.SSubscribe(ctx, channel)
}

// session is the life of one subscription. It returns whether anything came by it, and why it ended.
func (s *sub) session(ctx context.Context, silence time.Duration) (heard bool, err error) {
	if err := s.b.attempt(ctx, func(context.Context) error { return nil }); err != nil { // the right store?
		return false, err
	}
	ps := s.subscribe(ctx)
	r := &receiver{
		ready: make(chan struct{}), failed: make(chan error, 1), messages: make(chan string, maxQueuedMessages),
		overrun: func() { s.b.counters.add(countOverrun) },
	}
	var receiving sync.WaitGroup
	receiving.Go(func() { r.run(ctx, ps) })
	defer receiving.Wait()
	defer func() { _ = ps.Close() }() // ends the receiver: nothing else can
	if err := s.confirm(ctx, r); err != nil {
		return false, err
	}
	s.b.counters.add(countSubscribed)
	if err := s.catchUp(ctx); err != nil {
		return false, err
	}
	return s.follow(ctx, r, silence)
}

// confirm waits until the server has taken the subscription.
func (s *sub) confirm(ctx context.Context, r *receiver) error {
	timer := time.NewTimer(redisconn.AttemptTimeout)
	defer timer.Stop()
	select {
	case <-r.ready:
		return nil
	case <-timer.C:
		s.b.refresh(ctx)
		return errSilent
	case <-ctx.Done():
		return ctx.Err()
	case err := <-r.failed:
		s.classic = !s.classic && isUnknownCommand(err)
		s.b.refresh(ctx)
		return err
	}
}

func isUnknownCommand(err error) bool {
	reply, ok := errors.AsType[redis.Error](err)
	return ok && strings.HasPrefix(reply.Error(), "ERR unknown command")
}

// drainTime is how long after a load messages may come that the load has seen.
const drainTime = time.Second

// take puts a message in its place. It returns true where it had to ask the store for what is missing.
func (s *sub) take(ctx context.Context, text string, draining bool) (caughtUp bool, err error) {
	m, err := decodeMessage([]byte(text))
	if err != nil {
		return false, err
	}
	switch s.place(&m, draining) {
	case placeNext:
		s.apply(&m)
	case placeGap:
		return true, s.catchUp(ctx)
	case placeOdd:
		return false, errReload
	case placeKnown:
	}
	return false, nil
}

// follow applies what comes until something is odd.
func (s *sub) follow(ctx context.Context, r *receiver, silence time.Duration) (heard bool, err error) {
	drained := time.Now().Add(drainTime)
	timer := time.NewTimer(silence)
	defer timer.Stop()
	for {
		select {
		case text := <-r.messages:
			caughtUp, err := s.take(ctx, text, time.Now().Before(drained))
			if err != nil {
				return heard, err
			}
			if caughtUp {
				drained = time.Now().Add(drainTime)
			}
			heard = true
			timer.Reset(s.b.opts.Silence)
		case err := <-r.failed:
			s.b.refresh(ctx)
			return heard, err
		case <-timer.C:
			s.b.refresh(ctx)
			return heard, errSilent
		case <-ctx.Done():
			return heard, ctx.Err()
		}
	}
}

// apply moves the table and gives the batch to every feed. It never waits.
func (s *sub) apply(m *message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table.apply(m)
	for f := range s.feeds {
		if !f.offer(&m.batch) {
			s.b.counters.add(countFeedsBehind)
		}
	}
}

type placing uint8

const (
	placeNext  placing = iota // it follows what is known
	placeKnown                // it is part of what is known
	placeGap                  // there is something between
	placeOdd                  // another history
)

// place compares a message with what is known. Only the goroutine that calls it changes the table.
func (s *sub) place(m *message, draining bool) placing {
	t, at := s.table, m.batch.Position
	next := t.position.Offset
	if !m.batch.IsBeat() {
		next++
	}
	switch {
	case at.Epoch != t.position.Epoch:
		if draining {
			return placeGap // older than what was loaded, or newer: the store knows
		}
		return placeOdd
	case m.n <= t.n && draining:
		return placeKnown
	case m.n <= t.n || at.Offset < next:
		return placeOdd // the store went back
	case at.Offset > next:
		return placeGap
	}
	return placeNext
}

// receiver takes messages off a subscription as fast as they come: a server cuts a reader that is slow, and tells
// nobody. It waits for nothing: what finds no room is dropped, and missed by its offset later.
type receiver struct {
	ready    chan struct{} // closed when the server has taken the subscription
	failed   chan error    // one
	messages chan string
	overrun  func()
}

// run has no deadline on its reads: one that fired inside a message would leave the rest of it to be taken for another.
// It ends when the subscription is closed under it.
func (r *receiver) run(ctx context.Context, ps *redis.PubSub) {
	subscribed := false
	for {
		got, err := ps.Receive(ctx)
		switch got := got.(type) {
		case *redis.Message:
			select {
			case r.messages <- got.Payload:
			default:
				r.overrun()
			}
		case *redis.Subscription:
			if subscribed || strings.HasSuffix(got.Kind, "unsubscribe") {
				err = errUnsubscribed // unasked, or the library's own second subscription: something was lost
			} else {
				subscribed = true
				close(r.ready)
			}
		}
		if err != nil {
			r.failed <- err
			return
		}
	}
}

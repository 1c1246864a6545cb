package redisbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/redisconn"
)

// call runs a step until it succeeds, it is refused for good, ctx ends or CallTimeout is over. Steps must be fit to be
// repeated: a try that got no answer may have been carried out.
func (b *Bus) call(ctx context.Context, what string, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, b.opts.CallTimeout, errGaveUp)
	defer cancel()
	pause := backOff{}
	for {
		err := b.attempt(ctx, step)
		if err == nil || !isPassing(err) {
			return err
		}
		b.counters.add(countRetries)
		if !pause.wait(ctx, b.closed) {
			return b.unavailable(ctx, what, err)
		}
	}
}

// refresh is for a Cluster; see redisconn.Refresh.
func (b *Bus) refresh(ctx context.Context) {
	redisconn.Refresh(ctx, b.client)
	redisconn.Refresh(ctx, b.blocking)
}

// attempt is one try. It makes sure first that the store is the one that we think it is.
func (b *Bus) attempt(ctx context.Context, step func(context.Context) error) error {
	if b.isClosed() {
		return bus.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, redisconn.AttemptTimeout)
	defer cancel()
	err := b.verify(ctx)
	if err == nil {
		err = step(ctx)
	}
	if err != nil && b.isClosed() {
		return bus.ErrClosed
	}
	if err != nil && isPassing(err) {
		b.refresh(ctx)
	}
	return err
}

// errGaveUp is the cause of a context that CallTimeout ended, so that it is told from the caller's own.
var errGaveUp = errors.New("no answer in time")

// unavailable is what a caller gets whose call had to be given up: its context's error where that ended, else a kind.
func (b *Bus) unavailable(ctx context.Context, what string, err error) error {
	if b.isClosed() {
		return bus.ErrClosed
	}
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errGaveUp) {
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
	b.counters.add(countFailures)
	return &devices.Error{Kind: devices.Unavailable, Detail: "the store does not answer", Err: fmt.Errorf("%s: %w", what, err)}
}

// isPassing tells whether an error may go by itself. What is left is a refusal with a kind of its own, a lost lease, a
// closed bus, or a fault of our scripts.
func isPassing(err error) bool {
	if errors.Is(err, bus.ErrLost) || errors.Is(err, bus.ErrClosed) || errors.Is(err, errMalformed) {
		return false
	}
	return redisconn.IsPassing(err)
}

// backOff is the pauses between the tries of a bus.
type backOff struct{ redisconn.BackOff }

// wait returns false where ctx or the bus ended first.
func (p *backOff) wait(ctx context.Context, closed <-chan struct{}) bool { return p.Wait(ctx, closed) }

func pause(ctx context.Context, closed <-chan struct{}, d time.Duration) bool {
	return redisconn.Pause(ctx, closed, d)
}

package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

const (
	// publishTimeout bounds one try to publish, releaseTimeout one release, should a bus forget its own.
	publishTimeout = 10 * time.Second
	releaseTimeout = 5 * time.Second
	// firstBackOff doubles up to lastBackOff while a bus refuses.
	firstBackOff = 100 * time.Millisecond
	lastBackOff  = 5 * time.Second
)

// partition is the owner of one partition: it waits until it owns it, holds it, and begins again when it lost it.
type partition struct {
	id    int
	opts  *Options
	index *fleetIndex
	doors *atomic.Pointer[doorsNow]
	log   *slog.Logger
	fresh *freshness

	// Read by anybody.
	counters counters
	owned    atomic.Bool
	devices  atomic.Int64
	offset   atomic.Uint64 // of the last publish

	told report
}

// run owns the partition until ctx ends. What must be done after that is done under hard.
func (p *partition) run(ctx, hard context.Context) error {
	var pause backOff
	for ctx.Err() == nil {
		lease, err := p.opts.Bus.Own(ctx, p.id)
		switch {
		case ctx.Err() != nil && lease == nil:
			return nil
		case err == nil:
			since := time.Now()
			err = p.hold(ctx, hard, lease)
			if time.Since(since) > lastBackOff {
				pause = 0
			}
		default:
			p.counters.add(reasonOwnError)
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errGiven):
			p.counters.add(countGiven)
			p.log.Info("partition is given to another bridge")
			continue
		case errors.Is(err, bus.ErrClosed):
			return fmt.Errorf("own partition %d: %w", p.id, err)
		case errors.Is(err, bus.ErrLost):
			p.counters.add(reasonLost)
		}
		p.log.Warn("partition is not owned, trying again", "error", err)
		wait(ctx, pause.next())
	}
	return nil
}

// hold rebuilds the state and owns the partition until ctx ends (nil), another bridge is to have it (errGiven), the lease
// is lost (ErrLost) or the bus is closed (ErrClosed). It returns when the lease is released.
func (p *partition) hold(ctx, hard context.Context, lease bus.Lease) error {
	defer p.release(hard, lease)
	s := newState(p.opts, &p.counters, p.index)
	s.partition, s.fresh, s.tracing.tracer = p.id, p.fresh, p.opts.Tracer
	defer s.unload()
	if err := s.load(lease.State()); err != nil {
		p.counters.add(reasonOwnError)
		return err
	}
	s.loadCommands(lease.Commands())
	defer s.tracing.abandon()
	p.catchUp(ctx, lease.Config())
	if p.opts.Sink != nil {
		p.tellSink(ctx, lease)
		defer p.opts.Sink.Lost(p.id)
	}
	p.counters.add(countOwned)
	p.devices.Store(int64(len(s.live)))
	p.owned.Store(true)
	defer func() {
		p.owned.Store(false)
		p.devices.Store(0)
	}()
	p.log.Info("partition is owned", "devices", len(s.live), "removed", len(s.removed))
	o := &ownership{partition: p, lease: lease, state: s, start: time.Now(), out: outbound{door: bus.NewDoorID()}, atEnd: true}
	o.swept, o.heardAt, o.quiet = o.start, o.start, o.start.UnixMilli()
	o.lastFlush = o.start.Add(-beatInterval) // edges hear of the new owner at once
	return o.run(ctx, hard)
}

// tellSink hands over the events that the partition has kept. Where they cannot be read, the sink is not told of the
// partition: the next owner's will be.
func (p *partition) tellSink(ctx context.Context, lease bus.Lease) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	kept, at, err := lease.Events(ctx)
	if err != nil {
		p.log.Warn("the events that are kept could not be read; webhooks are not told of this partition", "error", err)
		return
	}
	p.opts.Sink.Owned(p.id, at, kept)
}

func (p *partition) release(hard context.Context, lease bus.Lease) {
	ctx, cancel := context.WithTimeout(hard, releaseTimeout)
	defer cancel()
	if err := lease.Release(ctx); err != nil {
		p.log.Warn("lease was not released; the next owner waits until it lapses", "error", err)
	}
}

// backOff is the last pause; the zero value is none yet.
type backOff time.Duration

func (b *backOff) next() time.Duration {
	*b = min(max(2**b, backOff(firstBackOff)), backOff(lastBackOff))
	return time.Duration(*b)
}

// wait waits for d or the end of ctx.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// reportInterval is how often at most a partition tells in the log what it did not believe.
const reportInterval = time.Minute

// report tells faults of the input: one line a minute with the number of each, whatever is sent.
type report struct {
	last time.Time
	seen [reasonCount]uint64
}

func (p *partition) report(now time.Time) {
	if !p.told.last.IsZero() && now.Sub(p.told.last) < reportInterval {
		return
	}
	var attrs []any
	for r := range reasonCount {
		if n := p.counters.get(r); r.isFault() && n > p.told.seen[r] {
			attrs = append(attrs, slog.Uint64(r.String(), n-p.told.seen[r]))
			p.told.seen[r] = n
		}
	}
	if len(attrs) > 0 {
		p.told.last = now
		p.log.Warn("parts of the input were dropped", attrs...)
	}
}

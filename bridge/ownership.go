package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

const (
	// readMax and readAhead bound what was read and not yet applied: readAhead+2 reads of readMax entries.
	readMax   = 512
	readAhead = 2
	// beatInterval is how long an owner may be silent: edges take more for a dead partition.
	beatInterval = time.Second
)

// ownership is one time of holding a lease. A reader goroutine pumps entries in; everything else, the state and the
// publishing, belongs to the goroutine of run.
//
//	lease.Read ─▶ pump ─▶ entries ─▶ apply ─▶ state ─▶ every window: flush ─▶ lease.Publish
type ownership struct {
	*partition
	lease bus.Lease
	state *state
	start time.Time
	out   outbound
	feed  RegistryFeed // nil without a registry

	lastFlush time.Time // when the last publish that succeeded began
	flushAt   time.Time // when the pending changes are due; zero while nothing is pending
	pause     backOff   // of failed publishes
	retryAt   time.Time // when the failed publish is tried again; zero where the last succeeded
	lastPanic time.Time

	swept   time.Time // when the devices were last looked at
	heardAt time.Time // when the last entries were applied
	quiet   int64     // by the inlet's clock: since when silence would prove something
	atEnd   bool      // the last read was not full
}

func (o *ownership) run(ctx, hard context.Context) error {
	if o.opts.Registry != nil {
		o.feed = o.opts.Registry.Follow()
		defer o.feed.Close()
	}
	o.adopt() // before anything is read
	readCtx, stopReading := context.WithCancel(ctx)
	entries := make(chan []bus.Entry, readAhead)
	failed := make(chan error, 1)
	go func() {
		failed <- o.pump(readCtx, entries)
		close(failed)
	}()
	err := o.loop(ctx, hard, entries, failed)
	stopReading()
	for range failed { // the reader has ended when this does
	}
	if (err == nil || errors.Is(err, errGiven)) && o.state.isPending() {
		err = cmp.Or(o.flush(hard), err) // entries that were read and not applied are the next owner's
	}
	if ctx.Err() != nil && !errors.Is(err, bus.ErrClosed) {
		return nil // flush has told what went wrong; the next owner reads the entries again
	}
	return err
}

// pump reads the inlet until ctx ends or the lease does.
func (o *ownership) pump(ctx context.Context, entries chan<- []bus.Entry) error {
	var pause backOff
	for {
		batch, err := o.lease.Read(ctx, readMax)
		switch {
		case err == nil:
		case ctx.Err() != nil || isFinal(err):
			return fmt.Errorf("read inlet: %w", err)
		default:
			o.counters.add(reasonReadError)
			o.log.Warn("inlet could not be read, trying again", "error", err)
			wait(ctx, pause.next())
			continue
		}
		pause = 0
		select {
		case entries <- batch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// isFinal tells whether the lease is of no use any more.
func isFinal(err error) bool { return errors.Is(err, bus.ErrLost) || errors.Is(err, bus.ErrClosed) }

// errGiven ends an ownership because another bridge is to have the partition.
var errGiven = errors.New("partition is given to another bridge")

// loop applies and flushes until ctx ends (nil), the lease does, or another is to have it (errGiven).
func (o *ownership) loop(ctx, hard context.Context, entries <-chan []bus.Entry, failed <-chan error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var news <-chan struct{}
	if o.feed != nil {
		news = o.feed.C()
	}
	for {
		timer.Reset(time.Until(o.wake()))
		select {
		case <-ctx.Done():
			return nil
		case <-o.lease.Wanted():
			return errGiven
		case err := <-failed:
			if ctx.Err() != nil {
				return nil
			}
			return err
		case batch := <-o.unlessFull(entries):
			if !o.apply(ctx, batch) {
				return nil
			}
		case <-news:
			o.followNews()
		case <-timer.C:
		}
		now := time.Now()
		o.passTime(now, len(entries) == 0)
		if o.isDue(now) {
			if err := o.flush(hard); isFinal(err) {
				return err
			}
		}
	}
}

// passTime does what the owner's clock says. caughtUp says that nothing waits that was read.
func (o *ownership) passTime(now time.Time, caughtUp bool) {
	if caughtUp {
		o.state.expire(now.Sub(o.start))
		o.judgeTime(now)
	}
	o.state.expireCommands(now.UnixMilli(), caughtUp && (o.atEnd || now.Sub(o.heardAt) > beatInterval))
	if !now.Before(o.swept.Add(sweepEvery / sweepSteps)) {
		o.sweep(now, caughtUp && o.atEnd)
	}
}

// unlessFull has nothing more applied while there is much to tell, so that what fails to be published stays bounded.
func (o *ownership) unlessFull(entries <-chan []bus.Entry) <-chan []bus.Entry {
	if o.state.isFull() {
		return nil
	}
	return entries
}

// apply applies entries. It returns false where ctx ended first: the rest is the next owner's.
func (o *ownership) apply(ctx context.Context, batch []bus.Entry) bool {
	now := time.Since(o.start)
	o.heardAt, o.atEnd = time.Now(), len(batch) < readMax
	o.state.refreshRules()
	for i := range batch {
		if o.state.mustAsk(&batch[i]) && !o.ask(ctx, batch[i].Device) {
			return false
		}
		o.applyOne(&batch[i], now)
	}
	return true
}

// ask asks the registry's store about a device until it answers or ctx ends. Meanwhile nothing is applied: what a door
// acknowledged for a device that it knows of must not be dropped because this process does not know of it yet.
func (o *ownership) ask(ctx context.Context, id devices.DeviceID) bool {
	var pause backOff
	for ctx.Err() == nil {
		reg, known, err := o.opts.Registry.Lookup(ctx, id)
		if err == nil {
			o.state.answered(id, answer{reg, known})
			return true
		}
		o.counters.add(reasonLookupError)
		wait(ctx, pause.next())
	}
	return false
}

func (o *ownership) followNews() {
	if news, ok := o.feed.Take(); ok {
		o.state.follow(news)
	}
}

// applyOne applies an entry. One on which our code breaks is lost: it would break the next owner too, and no input may
// stop a partition.
func (o *ownership) applyOne(e *bus.Entry, now time.Duration) {
	defer func() {
		fault := recover()
		if fault == nil {
			return
		}
		o.counters.add(reasonPanic)
		if t := time.Now(); t.Sub(o.lastPanic) >= reportInterval {
			o.lastPanic = t
			// Not the fault itself, which may hold a part of the payload.
			o.log.Error("an entry could not be applied: a bug", "kind", int(e.Kind), "stack", string(debug.Stack()))
		}
	}()
	o.state.tracing.take(e)
	o.state.apply(e, now)
}

// wake is when the loop has something to do if no entry comes. It also sets when pending changes are due.
func (o *ownership) wake() time.Time {
	if o.flushAt.IsZero() && o.state.isPending() {
		o.flushAt = nextWindow(time.Now(), o.opts.Window)
	}
	at := o.beatAt()
	if !o.flushAt.IsZero() && o.flushAt.Before(at) {
		at = o.flushAt
	}
	if o.state.isFull() {
		at = time.Now()
	}
	if !o.retryAt.IsZero() {
		at = o.retryAt
	}
	if d := o.state.nextLeaving(); d != nil {
		if due := o.start.Add(d.presence.due); due.Before(at) {
			at = due
		}
	}
	if ends := o.state.nextExpiry(); ends > 0 {
		now := time.Now()
		if due := now.Add(max(time.Duration(ends-now.UnixMilli())*time.Millisecond, expiryRetry)); due.Before(at) {
			at = due
		}
	}
	if due := o.swept.Add(sweepEvery / sweepSteps); due.Before(at) {
		at = due
	}
	if due := o.judgeAt(time.Now()); !due.IsZero() && due.Before(at) {
		at = due
	}
	return at
}

func (o *ownership) isDue(now time.Time) bool {
	switch {
	case !o.retryAt.IsZero():
		return !now.Before(o.retryAt)
	case !o.flushAt.IsZero() && !now.Before(o.flushAt), o.state.isFull():
		return true
	default:
		return !now.Before(o.beatAt())
	}
}

// beatAt is the last multiple of the window that is not later than the beat is due.
func (o *ownership) beatAt() time.Time {
	due := o.lastFlush.Add(beatInterval)
	return due.Add(-sinceWindow(due, o.opts.Window))
}

// nextWindow is the first multiple of the window after now. Multiples are of the wall clock, so that the partitions of
// all bridges tick together and an edge gathers them at once; the wait until then is measured by the monotonic clock,
// so that a wall clock that steps can neither stop nor hurry it.
func nextWindow(now time.Time, window time.Duration) time.Time {
	return now.Add(window - sinceWindow(now, window))
}

func sinceWindow(t time.Time, window time.Duration) time.Duration {
	return time.Duration(t.UnixNano() % int64(window))
}

// flush publishes what changed, or a beat. Where it fails, the same changes and those that come meanwhile are tried
// again after a pause; the inlet is not consumed meanwhile, and when it is full the doors withhold their acks.
func (o *ownership) flush(hard context.Context) error {
	ctx, cancel := context.WithTimeout(hard, publishTimeout)
	defer cancel()
	began := time.Now()
	o.adopt()
	f := o.state.makeFlush(began.UnixMilli())
	if err := o.publish(ctx, f); err != nil {
		if !isFinal(err) {
			o.log.Warn("flush was not published, trying again", "error", err)
			o.retryAt = time.Now().Add(o.pause.next())
		}
		return err
	}
	if f.HasContent() {
		o.counters.add(countFlushes)
		o.counters[countAssets].Add(uint64(len(f.Changes)))
	} else {
		o.counters.add(countBeats)
	}
	done := time.Now()
	o.fresh.publish.Observe(done.Sub(began))
	o.state.countPublished(done)
	o.state.committed()
	o.state.tracing.published(done)
	o.lastFlush, o.flushAt, o.retryAt, o.pause = began, time.Time{}, time.Time{}, 0
	o.devices.Store(int64(len(o.state.live)))
	o.report(began)
	return nil
}

// publish passes on what other partitions are to have, and then publishes.
func (o *ownership) publish(ctx context.Context, f *bus.Flush) error {
	if err := o.sendOutbox(ctx); err != nil {
		return err
	}
	o.keepHistory()
	at, err := o.lease.Publish(ctx, f)
	if err != nil {
		o.counters.add(reasonPublishError)
		return fmt.Errorf("publish flush: %w", err)
	}
	o.offset.Store(at.Offset)
	if o.opts.Sink != nil && len(f.Erased) > 0 {
		o.opts.Sink.Erased(o.id, f.Erased)
	}
	if o.opts.Sink != nil && len(f.Events) > 0 {
		o.opts.Sink.Published(o.id, at, slices.Clone(f.Events))
	}
	return nil
}

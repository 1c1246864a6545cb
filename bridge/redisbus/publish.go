package redisbus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// doubt is a publish that got no answer: it was applied, or it will be, or it never will. Nothing else is published
// before the fence has settled it.
type doubt struct {
	call    string
	content bool   // it moves the offset where it is applied
	fence   string // the name of the call that settles it, kept so that the fence can be repeated too
}

// checkRunEvery is how often a publish notes by which run of the server it was taken. It is what a next owner compares
// where this one dies without a handover.
const checkRunEvery = time.Second

// Publish implements bus.Lease. A flush above maxPartBytes goes in several steps, each a batch with an offset of its
// own, in the order of its changes; the last consumes. When it fails, some steps may have been taken: the owner
// publishes the same and newer changes again, which is harmless.
func (l *lease) Publish(ctx context.Context, f *bus.Flush) (bus.Position, error) {
	if err := ctx.Err(); err != nil {
		return bus.Position{}, err
	}
	at, err := l.consumes(f.Consumed)
	if err != nil {
		return bus.Position{}, err
	}
	if err := l.checkFlush(f); err != nil {
		return bus.Position{}, err
	}
	if l.doubt != nil {
		if err := l.settle(ctx); err != nil {
			return bus.Position{}, err
		}
	}
	// Trails come first: the record of a device has only what is not in a block that was closed before.
	rest, erased := newRemainder(f), f.Erased
	for trails, commands := f.Trails, f.Commands; ; {
		part := bus.Flush{Time: f.Time, Erased: erased}
		erased = nil // with the first: an event of later ones is one of after
		part.Trails, trails = cutTrails(trails)
		last := len(trails) == 0 && rest.cut(&part)
		if last {
			part.Commands, commands = cutCommands(commands, !part.HasContent())
			last = len(commands) == 0
		}
		if last {
			part.Consumed, part.Config, part.Traces = f.Consumed, f.Config, f.Traces
		}
		if err := l.commit(ctx, &part, at); err != nil {
			return bus.Position{}, err
		}
		if last {
			l.consumed(f.Consumed)
			l.published.Store(true)
			return l.at.position, nil
		}
	}
}

// commit publishes one part.
func (l *lease) commit(ctx context.Context, part *bus.Flush, at chunkMark) error {
	k := &l.b.keys[l.partition]
	call := randomName()
	now := time.Now()
	check := now.Sub(l.checked) >= checkRunEvery
	erased, err := l.eventsOf(ctx, part.Erased)
	if err != nil {
		return err
	}
	args := l.publishArgs(part, at, erased, call, check)
	var answer any
	err = l.b.call(ctx, "publish", func(ctx context.Context) (err error) {
		if why := l.err(); why != nil {
			return why
		}
		answer, err = l.b.run(ctx, publishScript,
			[]string{k.lease, k.meta, k.log, k.state, k.records, k.gone, k.events, k.inlet, k.trails, k.commands, k.told}, args...)
		return err
	})
	l.encoding.letGo()
	content := part.HasContent()
	if err != nil {
		if !errors.Is(err, bus.ErrLost) && !errors.Is(err, bus.ErrClosed) {
			l.doubt = &doubt{call: call, content: content, fence: randomName()}
		}
		return err
	}
	if err := l.accept(answer, call); err != nil {
		return err
	}
	if check {
		l.checked = now
	}
	if content {
		l.b.counters.add(countPublishes)
	} else {
		l.b.counters.add(countBeats)
	}
	return nil
}

// accept takes over where the partition stands after a publish or a fence.
func (l *lease) accept(answer any, call string) error {
	members, ok := texts(answer)
	if !ok || len(members) == 0 {
		return fmt.Errorf("publish answers %T: %w", answer, errMalformed)
	}
	switch {
	case members[0] == "ok" && len(members) == 4:
		if dropped, err := strconv.ParseUint(members[3], 10, 32); err == nil {
			l.b.counters[countTrailsOver].Add(dropped)
		}
	case members[0] == "ok" && len(members) == 3:
	case members[0] == "lost" && len(members) == 2:
		switch members[1] {
		case "inlet":
			return l.stray()
		case "behind":
			l.b.counters.add(countBehind)
			l.b.opts.Logger.Warn("the store is behind its owner: it lost what it had taken, and begins a new history", "partition", l.partition)
		}
		return l.lost()
	default: // "stale" too: only a call that was overtaken gets it, and nobody waits for that one
		return l.lost()
	}
	n, err1 := strconv.ParseUint(members[1], 10, 64)
	offset, err2 := strconv.ParseUint(members[2], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("publish answers no numbers: %w", errMalformed)
	}
	l.at.n, l.at.call, l.at.position.Offset = n, call, offset
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	l.b.shown[l.partition] = shown{epoch: l.at.position.Epoch, n: n}
	return nil
}

// settle finds out what became of the publish in doubt.
func (l *lease) settle(ctx context.Context) error {
	k, d := &l.b.keys[l.partition], l.doubt
	shown := l.at.position.Offset
	if d.content {
		shown++
	}
	var answer any
	err := l.b.call(ctx, "fence", func(ctx context.Context) (err error) {
		if why := l.err(); why != nil {
			return why
		}
		answer, err = l.b.run(ctx, fenceScript, []string{k.lease, k.meta, k.log},
			l.holder, l.b.opts.LeaseTTL.Milliseconds(), formatEpoch(l.at.position.Epoch), l.at.n, l.at.call,
			d.fence, shown, newEpoch(), d.call)
		return err
	})
	if err != nil {
		return err
	}
	l.b.counters.add(countFences)
	if err := l.accept(answer, d.fence); err != nil {
		return err
	}
	l.doubt = nil
	return nil
}

// checkFlush refuses a flush whole, as every bus does. It looks at no content of a frame.
func (l *lease) checkFlush(f *bus.Flush) error {
	for i := range f.Changes {
		c := &f.Changes[i]
		if err := bus.CheckChange(c); err != nil {
			return err
		}
		if !l.isHere(c.Fleet) {
			return devices.Errorf(devices.Invalid, "change", "is of a fleet in another partition")
		}
	}
	if err := f.CheckErased(); err != nil {
		return err
	}
	if err := l.checkTrails(f.Trails); err != nil {
		return err
	}
	for i := range f.Events {
		e := &f.Events[i]
		if err := bus.CheckEvent(e); err != nil {
			return err
		}
		if !l.isHere(e.Fleet) {
			return devices.Errorf(devices.Invalid, "event", "is of a fleet in another partition")
		}
	}
	return l.checkCommands(f.Commands)
}

// maxPlaces bounds the fleets whose place is remembered; a hash is all that a forgotten one costs.
const maxPlaces = 4096

func (l *lease) isHere(f devices.FleetID) bool {
	here, known := l.places[f]
	if !known {
		here = f.Partition(l.b.Partitions()) == l.partition
		if len(l.places) >= maxPlaces {
			clear(l.places)
		}
		l.places[f] = here
	}
	return here
}

package redisbus

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// The answers of scripts/append.lua.
const (
	appendKept int64 = iota
	appendRepeated
	appendDisordered
	appendFull
)

// Append implements bus.Inlet: one call a partition that the entries belong to. Each partition takes its share whole or
// not at all, but one may take its own where another is full or away; the error tells of that one, and repeating the
// Append completes it. It is as durable as the server makes what it has answered.
func (b *Bus) Append(ctx context.Context, a bus.Append) error {
	if b.isClosed() {
		return bus.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if a.Door == 0 {
		return devices.Errorf(devices.Invalid, "door", "is missing in an append")
	}
	shares, err := b.split(a.Entries)
	if err != nil {
		return err
	}
	if len(shares) == 1 { // mostly: spare the goroutine
		for p, entries := range shares {
			return b.appendShare(ctx, &a, p, entries)
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs error
	for p, entries := range shares {
		wg.Go(func() {
			err := b.appendShare(ctx, &a, p, entries)
			mu.Lock()
			defer mu.Unlock()
			errs = worst(errs, err)
		})
	}
	wg.Wait()
	return errs
}

// worst keeps the error that says most about what to do: one that repeating does not mend over one that it may.
func worst(a, b error) error {
	if a == nil || (b != nil && devices.KindOf(b) != devices.Unavailable) {
		return b
	}
	return a
}

// split gives every partition its share.
func (b *Bus) split(entries []bus.Entry) (map[int][]bus.Entry, error) {
	shares := make(map[int][]bus.Entry)
	places := make(map[devices.FleetID]int, 1) // the place of a fleet is a hash that costs more than the rest
	for i := range entries {
		e := &entries[i]
		if err := e.Check(); err != nil {
			return nil, err
		}
		p, known := places[e.Fleet]
		if !known {
			p = e.Fleet.Partition(b.Partitions())
			places[e.Fleet] = p
		}
		shares[p] = append(shares[p], *e)
	}
	return shares, nil
}

func (b *Bus) appendShare(ctx context.Context, a *bus.Append, partition int, entries []bus.Entry) error {
	chunks := appendChunks(entries)
	args := make([]any, 0, 5+2*len(chunks))
	args = append(args, fmt.Sprintf("%016x", uint64(a.Door)), fmt.Sprintf("%020d", a.Seq),
		b.opts.MaxInletEntries, b.opts.MaxInletBytes, maxDoors)
	bytes := 0
	for _, c := range chunks {
		args = append(args, c.entries, c.bytes)
		bytes += len(c.bytes)
	}
	if len(entries) > b.opts.MaxInletEntries || bytes > b.opts.MaxInletBytes {
		b.counters.add(countTooLarge)
		return devices.Errorf(devices.TooLarge, "append", "is larger than the inlet")
	}
	k := &b.keys[partition]
	return b.call(ctx, "append", func(ctx context.Context) error {
		answer, err := b.run(ctx, appendScript, []string{k.inlet, k.meta, k.doors}, args...)
		if err != nil {
			return err
		}
		return b.appendAnswer(answer, len(entries))
	})
}

func (b *Bus) appendAnswer(answer any, entries int) error {
	switch answer {
	case appendKept:
		b.counters.add(countAppends)
		b.counters[countEntries].Add(uint64(entries))
		return nil
	case appendRepeated:
		b.counters.add(countRepeated)
		return nil
	case appendFull:
		b.counters.add(countFull)
		return bus.ErrInletFull
	case appendDisordered:
		b.counters.add(countDisordered)
		return &devices.Error{Kind: devices.Conflict, Field: "seq", Detail: "is out of order", Err: errDisordered}
	}
	return fmt.Errorf("append answers %v: %w", answer, errMalformed)
}

// errDisordered tells a door that a number came back after a later one: the bus cannot know whether it has it.
var errDisordered = errors.New("a later append of the door was kept before it")

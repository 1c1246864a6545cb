package mqttin

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// The pauses between attempts while the inlet refuses. The acknowledgements are withheld meanwhile.
const (
	retryFirst = 10 * time.Millisecond
	retryMost  = time.Second
)

// seqLeap is how far the number of an append leaps when the bus says that it has passed it: far enough to be past
// whatever another of our runs can have reached, and small enough to do it again for as long as the process lives.
const seqLeap = 1 << 32

// store makes entries durable, except for those that the inlet will never take. It returns false when ctx ended first.
// Entries are checked before they are queued, so a refusal for good is rare; where it comes, the append is halved until
// the entry that is to blame stands alone, so that no other message is lost with it or waits for ever behind it.
// refused is called with the index of each entry that was given up.
func (c *committer) store(ctx context.Context, entries []bus.Entry, first int, refused func(index int)) bool {
	err := c.append(ctx, entries)
	if err == nil {
		return true
	}
	if ctx.Err() != nil {
		return false
	}
	if len(entries) == 1 {
		c.counters.note(InletRefused, "")
		refused(first)
		return true
	}
	half := len(entries) / 2
	return c.store(ctx, entries[:half], first, refused) && c.store(ctx, entries[half:], first+half, refused)
}

// append appends until it succeeds, ctx ends, or the inlet says that it will never take it; that error is returned. A
// repeated append carries the same number, so that the inlet keeps nothing twice.
func (c *committer) append(ctx context.Context, entries []bus.Entry) error {
	c.seq++
	pause := retryFirst
	leapt := false
	for {
		began := time.Now()
		c.setSince(began)
		err := c.inlet.Append(ctx, bus.Append{Door: c.door, Seq: c.seq, Entries: entries})
		c.setSince(time.Time{})
		if err == nil {
			c.setAway(false)
			c.counters.commits.Add(1)
			c.counters.commitTime.Observe(time.Since(began))
			c.counters.entries.Add(uint64(len(entries)))
			c.appended(entries, began)
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		switch kind := devices.KindOf(err); {
		case kind == devices.Conflict && !leapt:
			// The bus has passed the number and no longer knows whether it kept this. Saying it again under a new one
			// may store it twice, which the owner finds; giving it up may lose it.
			leapt = true
			c.seq += seqLeap
			c.counters.note(AppendFailed, "")
			continue
		case kind == devices.Conflict, kind == devices.Invalid, kind == devices.TooLarge:
			return err
		}
		c.setAway(true)
		c.counters.note(AppendFailed, "")
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		pause = min(2*pause, retryMost)
	}
}

// setAway notes whether the inlet refuses for now.
func (c *committer) setAway(away bool) {
	if c.isAway != away { // written by this goroutine only
		c.mu.Lock()
		c.isAway = away
		c.mu.Unlock()
	}
}

// setSince notes when the append began that is under way.
func (c *committer) setSince(t time.Time) {
	c.mu.Lock()
	c.since = t
	c.mu.Unlock()
}

// ready returns an error while the inlet refuses, or has not answered for longer than silent: nothing is acknowledged
// then.
func (c *committer) ready(silent time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.isAway:
		return devices.Errorf(devices.Unavailable, "inlet", "refuses what the door appends")
	case !c.since.IsZero() && time.Since(c.since) > silent:
		return devices.Errorf(devices.Unavailable, "inlet", "does not answer")
	}
	return nil
}

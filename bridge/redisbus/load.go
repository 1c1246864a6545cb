package redisbus

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// head is where the store says that a partition stands.
type head struct {
	position bus.Position
	n        uint64
	call     string // of the position's offset
	time     int64
	lag      int64
	floor    bus.Floor
	run      string
	log      []message
	events   []bus.VersionedEvent
}

// errNoPartition: nobody has owned the partition yet.
var errNoPartition = errors.New("the partition does not exist yet")

// head asks for the log from an offset on, or for none of it with 0.
func (s *sub) head(ctx context.Context, logFrom uint64, withEvents bool) (head, error) {
	return s.b.head(ctx, s.partition, logFrom, withEvents)
}

func (b *Bus) head(ctx context.Context, partition int, logFrom uint64, withEvents bool) (head, error) {
	k := &b.keys[partition]
	from := ""
	if logFrom > 0 {
		from = strconv.FormatUint(logFrom, 10) + "-0"
	}
	var answer any
	err := b.call(ctx, "load state", func(ctx context.Context) (err error) {
		answer, err = b.run(ctx, headScript, []string{k.meta, k.log, k.events, k.inlet}, from, flag(withEvents))
		return err
	})
	if err != nil {
		return head{}, err
	}
	return parseHead(answer)
}

func parseHead(answer any) (head, error) {
	const scalars = 9
	list, ok := answer.([]any)
	switch {
	case ok && len(list) == 0:
		return head{}, errNoPartition
	case !ok || len(list) != scalars+2:
		return head{}, fmt.Errorf("parse head: %w", errMalformed)
	}
	members, ok1 := texts(list[:scalars])
	logged, ok2 := texts(list[scalars])
	events, ok3 := texts(list[scalars+1])
	if !ok1 || !ok2 || !ok3 {
		return head{}, fmt.Errorf("parse head: %w", errMalformed)
	}
	h := head{call: members[3], run: members[8]}
	epoch, err := parseEpoch(members[0])
	if err != nil {
		return head{}, err
	}
	var numbers [scalars]int64
	for _, i := range []int{1, 2, 4, 5, 6, 7} {
		if numbers[i], err = strconv.ParseInt(members[i], 10, 64); err != nil {
			return head{}, fmt.Errorf("parse head: number %d: %w", i, errMalformed)
		}
	}
	h.position = bus.Position{Epoch: epoch, Offset: uint64(numbers[1])}
	h.n, h.time, h.lag = uint64(numbers[2]), numbers[4], numbers[5]
	h.floor = bus.Floor{Tombstones: uint64(numbers[6]), Events: uint64(numbers[7])}
	for _, text := range logged {
		m, err := decodeMessage([]byte(text))
		if err != nil {
			return head{}, err
		}
		h.log = append(h.log, m)
	}
	for _, text := range events {
		b, err := bus.DecodeBatch([]byte(text))
		if err != nil {
			return head{}, fmt.Errorf("parse head: %w", err)
		}
		for _, e := range b.Events {
			h.events = append(h.events, bus.VersionedEvent{Event: e, Offset: b.Position.Offset})
		}
	}
	return h, nil
}

// catchUp brings the table to where the store stands: by the log where that has every batch since, else from the state.
// It is called after subscribing, so that what comes later is in the subscription.
func (s *sub) catchUp(ctx context.Context) error {
	if s.table != nil {
		done, err := s.fillGap(ctx)
		if err != nil || done {
			return err
		}
		s.b.counters.add(countGapsLoaded)
	}
	for {
		t, err := s.load(ctx)
		switch {
		case errors.Is(err, errNoPartition):
			if err := s.found(ctx); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		case t == nil:
			continue // it changed too much while it was read
		}
		s.b.counters.add(countLoads)
		s.replace(t)
		return nil
	}
}

func (s *sub) replace(t *table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table = t
	for f := range s.feeds {
		f.after = shown{}
		f.reset()
	}
}

// found gives a partition that nobody has owned yet its first epoch, so that it can be watched before.
func (s *sub) found(ctx context.Context) error {
	k := &s.b.keys[s.partition]
	return s.b.call(ctx, "found partition", func(ctx context.Context) error {
		return s.b.client.HSetNX(ctx, k.meta, "epoch", newEpoch()).Err()
	})
}

// fillGap applies what the log has after the table's position. It returns false where the log does not lead from there
// to the store's position, or does not begin with the batch that the table ends with.
func (s *sub) fillGap(ctx context.Context) (bool, error) {
	t := s.table
	h, err := s.head(ctx, max(t.position.Offset, 1), false)
	if errors.Is(err, errNoPartition) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if h.position.Epoch == t.position.Epoch && h.position.Offset < t.position.Offset {
		return false, s.tellBehind(ctx)
	}
	missing, follows := h.since(t)
	if !follows {
		return false, nil
	}
	for i := range missing {
		s.apply(&missing[i])
	}
	if len(missing) > 0 {
		s.b.counters.add(countGapsFilled)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table.n, s.table.time, s.table.lag, s.table.floor = h.n, h.time, h.lag, h.floor
	for f := range s.feeds {
		f.notify() // one may wait for a publish that was a beat
	}
	return true, nil
}

// since returns the batches after a table's position, and whether they lead to the head.
func (h *head) since(t *table) (missing []message, follows bool) {
	if h.position.Epoch != t.position.Epoch || h.n < t.n {
		return nil, false
	}
	if h.position.Offset == t.position.Offset {
		return nil, h.call == t.call
	}
	missing = h.log
	if t.position.Offset > 0 {
		if len(h.log) == 0 || h.log[0].batch.Position != t.position || h.log[0].call != t.call {
			return nil, false // the log is too short, or another batch has our offset
		}
		missing = h.log[1:]
	}
	next := t.position.Offset + 1
	for i := range missing {
		if missing[i].batch.Position.Offset != next {
			return nil, false
		}
		next++
	}
	return missing, next == h.position.Offset+1
}

// tellBehind gives the partition a new epoch where the store has forgotten what we have seen.
func (s *sub) tellBehind(ctx context.Context) error {
	k, at := &s.b.keys[s.partition], s.table.position
	s.b.counters.add(countWentBack)
	s.b.opts.Logger.Warn("the store is behind what it has shown, and begins a new history", "partition", s.partition)
	return s.b.call(ctx, "tell that the store went back", func(ctx context.Context) error {
		_, err := s.b.run(ctx, behindScript, []string{k.meta, k.log}, formatEpoch(at.Epoch), at.Offset, newEpoch())
		return err
	})
}

// load reads the state, in pieces while publishes go on: each row has the offset of its change, and the log has the
// batches that were published meanwhile. It returns nil where those do not fit together.
func (s *sub) load(ctx context.Context) (*table, error) {
	before, err := s.head(ctx, 0, false)
	if err != nil {
		return nil, err
	}
	t := &table{rows: make(map[place]bus.Versioned)}
	err = s.b.scan(ctx, s.b.keys[s.partition].state, func(field, value string) error {
		v, err := bus.DecodeVersioned([]byte(value))
		if err != nil {
			return fmt.Errorf("load state: %w", err)
		}
		if v.Fleet.Partition(s.b.Partitions()) != s.partition {
			return devices.Errorf(devices.Conflict, "partitions", "the store holds a device in a partition that is not its own")
		}
		t.put(v)
		return nil
	})
	if err != nil {
		return nil, err
	}
	after, err := s.head(ctx, before.position.Offset+1, true)
	if err != nil {
		return nil, err
	}
	// Another server's cursor may have skipped rows.
	if after.position.Epoch != before.position.Epoch || after.run != before.run || after.n < before.n {
		return nil, nil //nolint:nilnil // nothing that could be used, and nothing wrong: it is read again
	}
	t.position = before.position
	for i := range after.log {
		m := &after.log[i]
		if m.batch.Position.Offset != t.position.Offset+1 {
			return nil, nil //nolint:nilnil // see above
		}
		t.position = m.batch.Position
		for j := range m.batch.Changes {
			t.put(bus.Versioned{Change: m.batch.Changes[j], Offset: t.position.Offset})
		}
	}
	if t.position != after.position {
		return nil, nil //nolint:nilnil // see above
	}
	t.call, t.n, t.time, t.lag, t.floor, t.events = after.call, after.n, after.time, after.lag, after.floor, after.events
	return t, nil
}

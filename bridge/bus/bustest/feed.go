package bustest

import (
	"context"
	"errors"
	"fmt"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

var feedChecks = []check{
	{"batches have every offset once and beats repeat it", offsetsAndBeats},
	{"a batch says what was published", batchSaysAll},
	{"feeds of other partitions hear nothing", partitionsAreApart},
	{"offsets go on over a handover", offsetsOverHandover},
	{"a feed that does not read misses nothing without being told", laggingFeed},
	{"an update stays as it was given", updatesStay},
	{"a closed feed is closed", closedFeed},
	{"an event comes with its device's change, however large the flush", eventsAlong},
}

// eventsAlong publishes more than any bus puts into one step. The next owner finds the events too.
func eventsAlong(ctx context.Context, s *site) error {
	const changes = 600
	b, f := s.open(Options{}), s.fleet(0, 0)
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	w, err := s.follow(ctx, b, 0)
	if err != nil {
		return err
	}
	flush := bus.Flush{Time: 1}
	for n := range changes {
		c := live(f, n, 1)
		c.Record = make([]byte, 4<<10)
		flush.Changes = append(flush.Changes, c)
	}
	for n := range changes { // in another order than the changes
		at := (7*n + 3) % changes
		flush.Events = append(flush.Events, bus.Event{Name: "alert", Device: device(at), Fleet: f, Data: fmt.Appendf(nil, `{"id":%d}`, at)})
	}
	at, err := l.Publish(ctx, &flush)
	if err != nil {
		return err
	}
	told := 0
	for w.position != at {
		if err := w.next(ctx); err != nil {
			return err
		}
		if w.batch == nil {
			continue // a snapshot is of one moment
		}
		changed := map[devices.DeviceID]bool{}
		for i := range w.batch.Changes {
			changed[w.batch.Changes[i].Device] = true
		}
		for i := range w.batch.Events {
			told++
			if !changed[w.batch.Events[i].Device] {
				return fmt.Errorf("the event of %s comes without its change", w.batch.Events[i].Device)
			}
		}
	}
	if w.snapshots == 1 && told != changes {
		return fmt.Errorf("%d events came, want %d", told, changes)
	}
	if err := l.Release(ctx); err != nil {
		return err
	}
	if l, err = b.Own(ctx, 0); err != nil {
		return err
	}
	kept, where, err := l.Events(ctx)
	if err != nil || where != at || len(kept) != changes {
		return fmt.Errorf("the next owner finds %d events at %v, want %d at %v: %w", len(kept), where, changes, at, orNil(err))
	}
	return nil
}

func offsetsAndBeats(ctx context.Context, s *site) error {
	b, f := s.open(Options{}), s.fleet(0, 0)
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	w, err := s.follow(ctx, b, 0)
	if err != nil {
		return err
	}
	if w.position.Offset != 0 {
		return fmt.Errorf("a new bus begins at offset %d", w.position.Offset)
	}
	want := newWorld()
	for i := range 20 {
		flush := bus.Flush{Time: int64(100 + i)}
		before := w.position.Offset
		if i%3 != 0 { // else a beat
			flush.Changes = []bus.Change{live(f, i%5, i)}
			want.apply(flush.Changes, nil, before+1)
		}
		at, err := l.Publish(ctx, &flush)
		if err != nil {
			return err
		}
		if err := w.next(ctx); err != nil {
			return err
		}
		switch {
		case w.batch == nil:
			return errors.New("a feed that keeps up gets a snapshot")
		case at != w.position:
			return fmt.Errorf("Publish says %+v, the feed %+v", at, w.position)
		case w.batch.Time != flush.Time:
			return fmt.Errorf("batch has time %d, want %d", w.batch.Time, flush.Time)
		case w.batch.IsBeat() != (i%3 == 0):
			return fmt.Errorf("update %d: beat is %v", i, w.batch.IsBeat())
		}
	}
	if w.beats != 7 {
		return fmt.Errorf("%d beats came, want 7", w.beats)
	}
	return same(&w.world, &want, w.floor)
}

func batchSaysAll(ctx context.Context, s *site) error {
	b, f, g := s.open(Options{}), s.fleet(0, 0), s.fleet(0, 1)
	d := newDoor(b)
	if err := d.append(ctx, marks(f, 0, 3)...); err != nil {
		return err
	}
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	entries, err := readExactly(ctx, l, 3)
	if err != nil {
		return err
	}
	w, err := s.follow(ctx, b, 0)
	if err != nil {
		return err
	}
	flush := bus.Flush{
		Time: 77, Consumed: entries[2].ID,
		Changes: []bus.Change{live(f, 1, 2), live(g, 2, 3), removed(f, 3, 4), removed(g, 1, 1)},
		Events:  []bus.Event{{Name: "alert", Device: device(1), Fleet: f, Data: []byte(`{"id":"a1"}`)}, {Name: "command", Device: device(2), Fleet: g, Data: []byte(`{}`)}},
	}
	if _, err := l.Publish(ctx, &flush); err != nil {
		return err
	}
	if err := w.next(ctx); err != nil {
		return err
	}
	if w.batch == nil || w.batch.LagMS != 0 {
		return fmt.Errorf("an inlet that is consumed has lag: %+v", w.batch)
	}
	want := bus.Batch{Partition: 0, Position: bus.Position{Epoch: w.position.Epoch, Offset: 1}, Time: 77, Changes: flush.Changes, Events: flush.Events}
	if g, w := bus.AppendBatch(nil, w.batch), bus.AppendBatch(nil, &want); string(g) != string(w) {
		return fmt.Errorf("batch is %x, want %x", g, w)
	}
	return nil
}

func partitionsAreApart(ctx context.Context, s *site) error {
	b := s.open(Options{})
	var leases []bus.Lease
	var watch []*follower
	for p := range s.partitions {
		l, err := b.Own(ctx, p)
		if err != nil {
			return err
		}
		w, err := s.follow(ctx, b, p)
		if err != nil {
			return err
		}
		leases, watch = append(leases, l), append(watch, w)
	}
	for i := range 12 {
		p := i % s.partitions
		if _, err := leases[p].Publish(ctx, &bus.Flush{Time: 1, Changes: []bus.Change{live(s.fleet(p, 0), i, i)}}); err != nil {
			return err
		}
	}
	for p, w := range watch {
		want := newWorld()
		for i, offset := p, uint64(1); i < 12; i, offset = i+s.partitions, offset+1 {
			want.apply([]bus.Change{live(s.fleet(p, 0), i, i)}, nil, offset)
		}
		if err := w.until(ctx, uint64(12/s.partitions)); err != nil {
			return err
		}
		if err := errors.Join(same(&w.world, &want, w.floor), quiet(ctx, w.feed)); err != nil {
			return fmt.Errorf("partition %d: %w", p, err)
		}
		for q := range p {
			if watch[q].position.Epoch == w.position.Epoch {
				return fmt.Errorf("partitions %d and %d share an epoch", q, p)
			}
		}
	}
	return nil
}

// quiet sees that nothing comes.
func quiet(ctx context.Context, f bus.Feed) error {
	short, cancel := context.WithTimeout(ctx, moment)
	defer cancel()
	if u, err := f.Next(short); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("Next where nothing should come gives %+v, %w", u, orNil(err))
	}
	return nil
}

func offsetsOverHandover(ctx context.Context, s *site) error {
	b, f := s.open(Options{}), s.fleet(0, 0)
	w, err := s.follow(ctx, b, 0) // before anybody owns it
	if err != nil {
		return err
	}
	want := newWorld()
	for n := range 5 {
		l, err := b.Own(ctx, 0)
		if err != nil {
			return err
		}
		changes := []bus.Change{live(f, n, n)}
		at, err := l.Publish(ctx, &bus.Flush{Time: 1, Changes: changes})
		if err != nil {
			return err
		}
		if at.Offset != uint64(n+1) {
			return fmt.Errorf("owner %d publishes offset %d", n, at.Offset)
		}
		want.apply(changes, nil, at.Offset)
		if err := l.Release(ctx); err != nil {
			return err
		}
	}
	if err := w.until(ctx, 5); err != nil {
		return err
	}
	return same(&w.world, &want, w.floor)
}

func laggingFeed(ctx context.Context, s *site) error {
	b, f := s.open(Options{FeedBatches: 4}), s.fleet(0, 0)
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	w, err := s.follow(ctx, b, 0)
	if err != nil {
		return err
	}
	want, offset := newWorld(), uint64(0)
	for _, burst := range []int{2, 4, 5, 1, 50, 3} { // some that fit, some that do not
		for i := range burst {
			changes := []bus.Change{live(f, i%6, int(offset))}
			if i%4 == 3 {
				changes = append(changes, removed(f, (i+1)%6, int(offset)))
			}
			if _, err := l.Publish(ctx, &bus.Flush{Time: 1, Changes: changes}); err != nil {
				return err
			}
			offset++
			want.apply(changes, nil, offset)
		}
		if err := w.until(ctx, offset); err != nil {
			return err
		}
		if err := same(&w.world, &want, w.floor); err != nil {
			return fmt.Errorf("after a burst of %d: %w", burst, err)
		}
	}
	return nil
}

func closedFeed(ctx context.Context, s *site) error {
	b, f := s.open(Options{}), s.fleet(0, 0)
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	closed, err := s.follow(ctx, b, 0)
	if err != nil {
		return err
	}
	other, err := s.follow(ctx, b, 0)
	if err != nil {
		return err
	}
	if _, err := l.Publish(ctx, &bus.Flush{Time: 1, Changes: []bus.Change{live(f, 1, 1)}}); err != nil {
		return err
	}
	closed.feed.Close()
	closed.feed.Close()
	_, err = closed.feed.Next(ctx)
	if err := wantError("Next of a closed feed", err, bus.ErrClosed); err != nil {
		return err
	}
	if _, err := l.Publish(ctx, &bus.Flush{Time: 1, Changes: []bus.Change{live(f, 2, 2)}}); err != nil {
		return err
	}
	if err := other.until(ctx, 2); err != nil {
		return fmt.Errorf("another feed: %w", err)
	}
	// One that waits is woken.
	return together(ctx,
		func(ctx context.Context) error {
			_, err := other.feed.Next(ctx)
			return wantError("Next of a feed that is closed meanwhile", err, bus.ErrClosed)
		},
		func(context.Context) error { other.feed.Close(); return nil })
}

// updatesStay keeps a snapshot and a batch while everything in them is replaced and pruned.
func updatesStay(ctx context.Context, s *site) error {
	b, f := s.open(Options{Tombstones: 2, Events: 3}), s.fleet(0, 0)
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	feed, err := b.Watch(ctx, 0)
	if err != nil {
		return err
	}
	if _, err := feed.Next(ctx); err != nil {
		return err
	}
	flush := func(n int) error {
		_, err := l.Publish(ctx, &bus.Flush{
			Time: int64(n), Changes: []bus.Change{live(f, n%3, n), removed(f, 3+n%4, n)},
			Events: []bus.Event{{Name: "alert", Device: device(n), Fleet: f, Data: fmt.Appendf(nil, `{"id":%d}`, n)}},
		})
		return err
	}
	for n := range 3 {
		if err := flush(n); err != nil {
			return err
		}
	}
	batch, err := feed.Next(ctx)
	if err != nil {
		return err
	}
	late, err := b.Watch(ctx, 0)
	if err != nil {
		return err
	}
	snapshot, err := late.Next(ctx)
	if err != nil {
		return err
	}
	if batch.Batch == nil || snapshot.Snapshot == nil {
		return fmt.Errorf("updates are %+v and %+v, want a batch and a snapshot", batch, snapshot)
	}
	before := fmt.Sprint(*batch.Batch, *snapshot.Snapshot)
	for n := range 20 {
		if err := flush(3 + n); err != nil {
			return err
		}
	}
	if after := fmt.Sprint(*batch.Batch, *snapshot.Snapshot); after != before {
		return fmt.Errorf("updates became\n%s, were\n%s", after, before)
	}
	return nil
}

package bustest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

var leaseChecks = []check{
	{"an owner hears what the owners before it had applied of what people configure", configIsHandedOver},
	{"a partition has one owner at a time", oneOwner},
	{"owners that wait get the partition one after the other", ownersInTurn},
	{"the next owner reads what was read and not published", unpublishedIsReadAgain},
	{"consumed position and publish are one step", consumedWithPublish},
	{"consumed neither moves back nor beyond what was read", consumedIsChecked},
	{"a released lease can do nothing", releasedLease},
	{"a partition that does not exist is refused", noSuchPartition},
}

func oneOwner(ctx context.Context, s *site) error {
	b := s.open(Options{})
	var leases []bus.Lease
	for p := range s.partitions {
		l, err := b.Own(ctx, p)
		if err != nil {
			return err
		}
		leases = append(leases, l)
	}
	for p := range s.partitions {
		short, cancel := context.WithTimeout(ctx, moment)
		_, err := b.Own(short, p)
		cancel()
		if err := wantError("Own of a partition that is owned", err, context.DeadlineExceeded); err != nil {
			return err
		}
	}
	return together(ctx,
		func(ctx context.Context) error {
			l, err := b.Own(ctx, 0)
			if err != nil {
				return fmt.Errorf("own a released partition: %w", err)
			}
			_, err = l.Publish(ctx, &bus.Flush{Time: 1})
			return err
		},
		func(ctx context.Context) error { return leases[0].Release(ctx) })
}

func ownersInTurn(ctx context.Context, s *site) error {
	const owners, turns = 4, 10
	b := s.open(Options{})
	var inside atomic.Int32
	run := func(ctx context.Context) error {
		for range turns {
			l, err := b.Own(ctx, s.partitions-1)
			if err != nil {
				return err
			}
			if n := inside.Add(1); n != 1 {
				return fmt.Errorf("%d owners at a time", n)
			}
			if _, err := l.Publish(ctx, &bus.Flush{Time: 1}); err != nil {
				return err
			}
			inside.Add(-1)
			if err := l.Release(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	var runs []func(context.Context) error
	for range owners {
		runs = append(runs, run)
	}
	return together(ctx, runs...)
}

func unpublishedIsReadAgain(ctx context.Context, s *site) error {
	b := s.open(Options{})
	if err := newDoor(b).append(ctx, marks(s.fleet(0, 0), 0, 6)...); err != nil {
		return err
	}
	var before []bus.Entry
	for range 3 {
		l, err := b.Own(ctx, 0)
		if err != nil {
			return err
		}
		got, err := readExactly(ctx, l, 6)
		if err != nil {
			return err
		}
		if err := sameMarks(got, upTo(6)...); err != nil {
			return err
		}
		for i := range before {
			if got[i].ID != before[i].ID || got[i].Time != before[i].Time {
				return fmt.Errorf("entry %d is read again as %+v, was %+v", i, got[i], before[i])
			}
		}
		before = got
		if err := l.Release(ctx); err != nil {
			return err
		}
	}
	return nil
}

func consumedWithPublish(ctx context.Context, s *site) error {
	b, f := s.open(Options{}), s.fleet(0, 0)
	if err := newDoor(b).append(ctx, marks(f, 0, 10)...); err != nil {
		return err
	}
	for next := 0; next < 10; { // every owner reads all, publishes three and is gone
		l, err := b.Own(ctx, 0)
		if err != nil {
			return err
		}
		got, err := readExactly(ctx, l, 10-next)
		if err != nil {
			return err
		}
		if err := sameMarks(got, between(next, 10)...); err != nil {
			return fmt.Errorf("after %d were consumed: %w", next, err)
		}
		n := min(3, len(got))
		if _, err := l.Publish(ctx, &bus.Flush{Time: 1, Consumed: got[n-1].ID}); err != nil {
			return err
		}
		next += n
		if err := l.Release(ctx); err != nil {
			return err
		}
	}
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	return readNothing(ctx, l)
}

func consumedIsChecked(ctx context.Context, s *site) error {
	b := s.open(Options{})
	if err := newDoor(b).append(ctx, marks(s.fleet(0, 0), 0, 6)...); err != nil {
		return err
	}
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	got, err := l.Read(ctx, 4)
	if err != nil {
		return err
	}
	last := got[len(got)-1].ID
	_, err = l.Publish(ctx, &bus.Flush{Time: 1, Consumed: last + 1})
	if err := wantKind("consuming what was not read", err, devices.Invalid); err != nil {
		return err
	}
	for _, consumed := range []bus.EntryID{got[1].ID, 0, got[0].ID} {
		if _, err := l.Publish(ctx, &bus.Flush{Time: 1, Consumed: consumed}); err != nil {
			return err
		}
	}
	if err := l.Release(ctx); err != nil {
		return err
	}
	if l, err = b.Own(ctx, 0); err != nil {
		return err
	}
	// An owner that has read nothing yet publishes with 0.
	if _, err := l.Publish(ctx, &bus.Flush{Time: 1}); err != nil {
		return err
	}
	if got, err = readExactly(ctx, l, 4); err != nil {
		return err
	}
	return sameMarks(got, between(2, 6)...)
}

func releasedLease(ctx context.Context, s *site) error {
	b, f := s.open(Options{}), s.fleet(0, 0)
	if err := newDoor(b).append(ctx, mark(f, 0)); err != nil {
		return err
	}
	old, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	got, err := old.Read(ctx, 1)
	if err != nil {
		return err
	}
	if err := errors.Join(old.Release(ctx), old.Release(ctx)); err != nil {
		return fmt.Errorf("release twice: %w", err)
	}
	refused := func() error {
		_, readErr := old.Read(ctx, 1)
		_, publishErr := old.Publish(ctx, &bus.Flush{
			Time: 1, Consumed: got[0].ID, Changes: []bus.Change{{Device: device(0), Fleet: f, Frame: []byte("{}")}},
		})
		return errors.Join(
			wantError("Read of a released lease", readErr, bus.ErrLost),
			wantError("Publish of a released lease", publishErr, bus.ErrLost))
	}
	if err := refused(); err != nil {
		return err
	}
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(refused(), old.Release(ctx)); err != nil {
		return err
	}
	if n := len(recordsOf(l)); n != 0 {
		return fmt.Errorf("a released lease published %d records", n)
	}
	if got, err = readExactly(ctx, l, 1); err != nil {
		return err
	}
	return sameMarks(got, 0)
}

func noSuchPartition(ctx context.Context, s *site) error {
	b := s.open(Options{})
	for _, p := range []int{-1, s.partitions} {
		_, ownErr := b.Own(ctx, p)
		_, watchErr := b.Watch(ctx, p)
		if err := errors.Join(wantKind("Own", ownErr, devices.Invalid), wantKind("Watch", watchErr, devices.Invalid)); err != nil {
			return fmt.Errorf("partition %d of %d: %w", p, s.partitions, err)
		}
	}
	return nil
}

// configIsHandedOver follows the revision of what people configure over several owners: it is kept with a beat too, and
// does not go back.
func configIsHandedOver(ctx context.Context, s *site) error {
	b := s.open(Options{})
	p := s.partitions - 1
	f := s.fleet(p, 0)
	const high = 1<<53 - 1 // a store's revision fits that
	for round, step := range []struct{ before, publish uint64 }{
		{0, 0}, {0, 7}, {7, 3}, {7, high - 1}, {high - 1, high}, {high, 0}, {high, 1},
	} {
		l, err := b.Own(ctx, p)
		if err != nil {
			return err
		}
		if got := l.Config(); got != step.before {
			return fmt.Errorf("owner %d hears of %d, want %d", round, got, step.before)
		}
		flush := bus.Flush{Time: int64(round), Config: step.publish}
		if round%2 == 1 {
			flush.Changes = []bus.Change{live(f, round, round)}
		}
		if _, err := l.Publish(ctx, &flush); err != nil {
			return err
		}
		if got := l.Config(); got != step.before {
			return fmt.Errorf("owner %d hears of %d after its publish, want %d as of its beginning", round, got, step.before)
		}
		if err := l.Release(ctx); err != nil {
			return err
		}
	}
	if s.partitions > 1 {
		l, err := b.Own(ctx, 0)
		if err != nil {
			return err
		}
		if got := l.Config(); got != 0 {
			return fmt.Errorf("the owner of another partition hears of %d", got)
		}
	}
	return nil
}

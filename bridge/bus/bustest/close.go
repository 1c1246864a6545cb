package bustest

import (
	"context"
	"errors"
	"fmt"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

var closeChecks = []check{
	{"close ends every wait", closeEndsWaits},
	{"a closed bus says so everywhere", closedBus},
	{"a context ends its wait and nothing else", contextEnds},
	{"a context that is over is refused", contextOver},
}

func closeEndsWaits(ctx context.Context, s *site) error {
	b := s.open(Options{})
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	w, err := s.follow(ctx, b, 0)
	if err != nil {
		return err
	}
	runs := []func(context.Context) error{
		func(ctx context.Context) error {
			_, err := b.Own(ctx, 0)
			return wantError("Own at close", err, bus.ErrClosed)
		},
		func(ctx context.Context) error {
			_, err := l.Read(ctx, 1)
			return wantError("Read at close", err, bus.ErrClosed)
		},
		func(ctx context.Context) error {
			_, err := w.feed.Next(ctx)
			return wantError("Next at close", err, bus.ErrClosed)
		},
		func(context.Context) error { return b.Close() },
	}
	if s.partitions > 1 { // to an inlet where no Read waits
		runs = append(runs, func(ctx context.Context) error {
			d := newDoor(b)
			for n := 0; ; n++ {
				if err := d.append(ctx, mark(s.fleet(1, 0), n)); err != nil && !errors.Is(err, bus.ErrInletFull) {
					return wantError("Append at close", err, bus.ErrClosed)
				}
			}
		})
	}
	return together(ctx, runs...)
}

func closedBus(ctx context.Context, s *site) error {
	b, f := s.open(Options{}), s.fleet(0, 0)
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	feed, err := b.Watch(ctx, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		return fmt.Errorf("close twice: %w", err)
	}
	_, ownErr := b.Own(ctx, 0)
	_, watchErr := b.Watch(ctx, 0)
	_, readErr := l.Read(ctx, 1)
	_, publishErr := l.Publish(ctx, &bus.Flush{Time: 1})
	_, nextErr := feed.Next(ctx)
	feed.Close()
	return errors.Join(
		wantError("Append to a closed bus", newDoor(b).append(ctx, mark(f, 0)), bus.ErrClosed),
		wantError("Own of a closed bus", ownErr, bus.ErrClosed),
		wantError("Watch of a closed bus", watchErr, bus.ErrClosed),
		wantError("Read of a closed bus", readErr, bus.ErrClosed),
		wantError("Publish to a closed bus", publishErr, bus.ErrClosed),
		wantError("Next of a closed bus", nextErr, bus.ErrClosed),
		l.Release(ctx))
}

func contextEnds(ctx context.Context, s *site) error {
	b, f := s.open(Options{}), s.fleet(0, 0)
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	w, err := s.follow(ctx, b, 0)
	if err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, moment)
	defer cancel()
	if err := together(short,
		func(ctx context.Context) error {
			_, err := b.Own(ctx, 0)
			return wantError("Own", err, context.DeadlineExceeded)
		},
		func(ctx context.Context) error {
			_, err := l.Read(ctx, 1)
			return wantError("Read", err, context.DeadlineExceeded)
		},
		func(ctx context.Context) error {
			_, err := w.feed.Next(ctx)
			return wantError("Next", err, context.DeadlineExceeded)
		}); err != nil {
		return err
	}
	// What was waited for still comes.
	if err := newDoor(b).append(ctx, mark(f, 0)); err != nil {
		return err
	}
	got, err := readExactly(ctx, l, 1)
	if err != nil {
		return err
	}
	if _, err := l.Publish(ctx, &bus.Flush{Time: 1, Consumed: got[0].ID, Changes: []bus.Change{live(f, 1, 1)}}); err != nil {
		return err
	}
	if err := errors.Join(w.until(ctx, 1), l.Release(ctx)); err != nil {
		return err
	}
	l, err = b.Own(ctx, 0) // the Own that was given up does not hold it
	if err != nil {
		return err
	}
	return l.Release(ctx)
}

func contextOver(ctx context.Context, s *site) error {
	b, f := s.open(Options{}), s.fleet(0, 0)
	if err := newDoor(b).append(ctx, mark(f, 0)); err != nil {
		return err
	}
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	feed, err := b.Watch(ctx, 0)
	if err != nil {
		return err
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	_, readErr := l.Read(over, 1)
	_, nextErr := feed.Next(over)
	_, ownErr := b.Own(over, s.partitions-1)
	_, watchErr := b.Watch(over, 0)
	return errors.Join(
		wantError("Read", readErr, context.Canceled),
		wantError("Next", nextErr, context.Canceled),
		wantError("Own", ownErr, context.Canceled),
		wantError("Watch", watchErr, context.Canceled),
		wantError("Append", newDoor(b).append(over, mark(f, 1)), context.Canceled))
}

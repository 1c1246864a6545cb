package bustest

import (
	"context"
	"fmt"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

var eraseChecks = []check{
	{"nothing that is read later has the events of an erased device", erasedEvents},
	{"too many erased devices are refused", erasedTooMany},
}

func erasedEvents(ctx context.Context, s *site) error {
	p := s.partitions - 1
	b, f, g := s.open(Options{}), s.fleet(p, 0), s.fleet(p, 1)
	l, err := b.Own(ctx, p)
	if err != nil {
		return err
	}
	watcher, err := s.follow(ctx, b, p)
	if err != nil {
		return err
	}
	want := newWorld()
	say := func(fleet devices.FleetID, n, version int) bus.Event {
		return bus.Event{Name: "alert", Device: device(n), Fleet: fleet, Data: fmt.Appendf(nil, `{"id":"%d of %d"}`, version, n)}
	}
	var at bus.Position
	for i, flush := range []bus.Flush{
		{Changes: []bus.Change{live(f, 1, 0), live(f, 2, 0)}, Events: []bus.Event{say(f, 1, 0), say(f, 2, 0), say(g, 1, 1)}},
		{Events: []bus.Event{say(f, 1, 2)}},
		{Erased: []devices.DeviceID{device(3)}}, // of which there is nothing: it moves the offset all the same
		// In whatever fleet they are; what comes with the same flush is of after.
		{Changes: []bus.Change{removed(f, 1, 1)}, Events: []bus.Event{say(f, 1, 3)}, Erased: []devices.DeviceID{device(1), device(4)}},
		{Events: []bus.Event{say(f, 2, 4)}},
	} {
		flush.Time = int64(i)
		if at, err = l.Publish(ctx, &flush); err != nil {
			return err
		}
		if at.Offset != uint64(i+1) {
			return fmt.Errorf("flush %d is at offset %d", i, at.Offset)
		}
		want.erase(flush.Erased)
		want.apply(flush.Changes, flush.Events, at.Offset)
	}
	if err := watcher.until(ctx, at.Offset); err != nil {
		return err
	}
	late, err := s.follow(ctx, b, p)
	if err != nil {
		return err
	}
	for _, w := range []*follower{watcher, late} {
		if err := same(&w.world, &want, w.floor); err != nil {
			return err
		}
	}
	kept, _, err := l.Events(ctx)
	if err != nil {
		return err
	}
	if len(kept) != 3 {
		return fmt.Errorf("the owner has %d events, want 3: %v", len(kept), kept)
	}
	return nil
}

func erasedTooMany(ctx context.Context, s *site) error {
	b := s.open(Options{})
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	_, err = l.Publish(ctx, &bus.Flush{Erased: make([]devices.DeviceID, 1)})
	if err := wantKind("a device without a name", err, devices.Invalid); err != nil {
		return err
	}
	flush := bus.Flush{Time: 1}
	for n := range bus.MaxErased {
		flush.Erased = append(flush.Erased, device(n))
	}
	if _, err := l.Publish(ctx, &flush); err != nil {
		return err
	}
	flush.Erased = append(flush.Erased, device(bus.MaxErased))
	_, err = l.Publish(ctx, &flush)
	return wantKind("one more than may be", err, devices.Invalid)
}

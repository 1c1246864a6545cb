package bustest

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

var stateChecks = []check{
	{"the state is exactly the last records", stateIsLastRecords},
	{"the slices of a flush stay the owner's", publishKeepsNoSlice},
	{"a flush that is refused changes nothing", refusedFlush},
	{"a device that moves is a tombstone here and live there", moveBetweenFleets},
	{"the floor rises over the tombstones that are pruned", tombstoneFloor},
	{"the floor rises over the events that are pruned", eventFloor},
}

type record struct {
	data    string
	removed bool
}

func recordsOf(l bus.Lease) map[place]record {
	out := map[place]record{}
	for r := range l.State() {
		out[place{r.Fleet, r.Device}] = record{string(r.Data), r.Removed}
	}
	return out
}

// live is a device; every third version of it has notes.
func live(f devices.FleetID, n, version int) bus.Change {
	c := bus.Change{
		Device: device(n), Fleet: f, HasPosition: version%2 == 0, Lat: float64(version % 2), Lon: float64(n),
		Frame:  fmt.Appendf(nil, `{"id":"device-%d","version":%d}`, n, version),
		Record: fmt.Appendf(nil, "record %d of %d", version, n),
	}
	for i := range version % 3 {
		c.Notes = append(c.Notes, bus.Note{Name: "alert", ID: fmt.Sprint(n, i), At: int64(version), Data: fmt.Appendf(nil, `{"version":%d}`, version)})
	}
	return c
}

func removed(f devices.FleetID, n, version int) bus.Change {
	return bus.Change{Device: device(n), Fleet: f, Record: fmt.Appendf(nil, "removed %d of %d", version, n)}
}

func stateIsLastRecords(ctx context.Context, s *site) error {
	b := s.open(Options{})
	p := s.partitions - 1
	f, g := s.fleet(p, 0), s.fleet(p, 1)
	want := map[place]record{}
	for round := range 4 { // of four owners
		l, err := b.Own(ctx, p)
		if err != nil {
			return err
		}
		if got := recordsOf(l); !maps.Equal(got, want) {
			return fmt.Errorf("owner %d finds %v, want %v", round, got, want)
		}
		for i := range 3 {
			v := round*3 + i
			flush := bus.Flush{Time: int64(v), Changes: []bus.Change{live(f, v, v), live(g, v%4, v), removed(f, v/2, v)}}
			if _, err := l.Publish(ctx, &flush); err != nil {
				return err
			}
			for _, c := range flush.Changes {
				want[place{c.Fleet, c.Device}] = record{string(c.Record), c.Removed()}
			}
		}
		if err := l.Release(ctx); err != nil {
			return err
		}
	}
	l, err := b.Own(ctx, p)
	if err != nil {
		return err
	}
	if got := recordsOf(l); !maps.Equal(got, want) {
		return fmt.Errorf("the last owner finds %v, want %v", got, want)
	}
	for range l.State() {
		break // ranging may stop early
	}
	return nil
}

func publishKeepsNoSlice(ctx context.Context, s *site) error {
	b, f := s.open(Options{}), s.fleet(0, 0)
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	w, err := s.follow(ctx, b, 0)
	if err != nil {
		return err
	}
	flush := bus.Flush{Time: 1, Changes: []bus.Change{live(f, 1, 1)}, Events: []bus.Event{{Name: "alert", Device: device(1), Fleet: f, Data: []byte("{}")}}}
	want := newWorld()
	want.apply(flush.Changes, flush.Events, 1)
	if _, err := l.Publish(ctx, &flush); err != nil {
		return err
	}
	if flush.Changes[0].Record == nil {
		return errors.New("the owner's own change lost its record")
	}
	flush.Changes[0], flush.Events[0] = live(f, 2, 2), bus.Event{}
	if err := w.until(ctx, 1); err != nil {
		return err
	}
	late, err := s.follow(ctx, b, 0)
	if err != nil {
		return err
	}
	return errors.Join(same(&w.world, &want, w.floor), same(&late.world, &want, late.floor))
}

func refusedFlush(ctx context.Context, s *site) error {
	b, f := s.open(Options{}), s.fleet(0, 0)
	if err := newDoor(b).append(ctx, mark(f, 0)); err != nil {
		return err
	}
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	got, err := l.Read(ctx, 1)
	if err != nil {
		return err
	}
	bad := map[string]bus.Flush{
		"an empty frame":    {Changes: []bus.Change{{Device: device(1), Fleet: f, Frame: []byte{}}}},
		"no device":         {Changes: []bus.Change{{Fleet: f, Frame: []byte("{}")}}},
		"a note without id": {Changes: []bus.Change{{Device: device(1), Fleet: f, Frame: []byte("{}"), Notes: []bus.Note{{Name: "alert", Data: []byte("{}")}}}}},
		"a removed one's":   {Changes: []bus.Change{{Device: device(1), Fleet: f, Notes: []bus.Note{{Name: "alert", ID: "1", Data: []byte("{}")}}}}},
		"too large a frame": {Changes: []bus.Change{{Device: device(1), Fleet: f, Frame: make([]byte, devices.MaxAssetBytes+1)}}},
		"an unnamed event":  {Events: []bus.Event{{Device: device(1), Fleet: f}}},
	}
	if s.partitions > 1 {
		bad["another partition's fleet"] = bus.Flush{Changes: []bus.Change{live(s.fleet(1, 0), 1, 1)}}
		bad["another partition's event"] = bus.Flush{Events: []bus.Event{{Name: "alert", Device: device(1), Fleet: s.fleet(1, 0)}}}
	}
	for name, flush := range bad {
		flush.Time, flush.Consumed = 1, got[0].ID
		flush.Changes = append([]bus.Change{live(f, 0, 0)}, flush.Changes...)
		_, err := l.Publish(ctx, &flush)
		if err := wantKind(name, err, devices.Invalid); err != nil {
			return err
		}
	}
	w, err := s.follow(ctx, b, 0)
	if err != nil {
		return err
	}
	if w.position.Offset != 0 || len(w.world.rows) != 0 {
		return fmt.Errorf("refused flushes left %v at offset %d", w.world.rows, w.position.Offset)
	}
	if err := l.Release(ctx); err != nil {
		return err
	}
	if l, err = b.Own(ctx, 0); err != nil {
		return err
	}
	_, err = readExactly(ctx, l, 1) // refused flushes consumed nothing
	return err
}

func moveBetweenFleets(ctx context.Context, s *site) error {
	b, from, to := s.open(Options{}), s.fleet(0, 0), s.fleet(0, 1)
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	for _, changes := range [][]bus.Change{
		{live(from, 1, 1)},
		{removed(from, 1, 2), live(to, 1, 2)},
	} {
		if _, err := l.Publish(ctx, &bus.Flush{Time: 1, Changes: changes}); err != nil {
			return err
		}
	}
	w, err := s.follow(ctx, b, 0)
	if err != nil {
		return err
	}
	want := newWorld()
	want.apply([]bus.Change{removed(from, 1, 2), live(to, 1, 2)}, nil, 2)
	if err := same(&w.world, &want, w.floor); err != nil {
		return err
	}
	// And back again: the tombstone is no more, the other place has one.
	if _, err := l.Publish(ctx, &bus.Flush{Time: 1, Changes: []bus.Change{removed(to, 1, 3), live(from, 1, 3)}}); err != nil {
		return err
	}
	if w, err = s.follow(ctx, b, 0); err != nil {
		return err
	}
	want.apply([]bus.Change{removed(to, 1, 3), live(from, 1, 3)}, nil, 3)
	return same(&w.world, &want, w.floor)
}

func tombstoneFloor(ctx context.Context, s *site) error {
	const bound, devices = 4, 40
	b, f := s.open(Options{Tombstones: bound}), s.fleet(0, 0)
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	want, offset := newWorld(), uint64(0)
	for n := range devices {
		for _, c := range []bus.Change{live(f, n, n), live(f, 1000+n, n), removed(f, n, n)} {
			if _, err := l.Publish(ctx, &bus.Flush{Time: 1, Changes: []bus.Change{c}}); err != nil {
				return err
			}
			offset++
			want.change(&c, offset)
		}
		w, err := s.follow(ctx, b, 0)
		if err != nil {
			return err
		}
		if err := same(&w.world, &want, w.floor); err != nil {
			return fmt.Errorf("after %d removals, floor %d: %w", n+1, w.floor.Tombstones, err)
		}
		if n == devices-1 && (w.floor.Tombstones == 0 || len(w.world.rows) == 2*devices) {
			return fmt.Errorf("%d tombstones are held where at most %d should be", devices, bound)
		}
		w.feed.Close()
	}
	return nil
}

func eventFloor(ctx context.Context, s *site) error {
	const bound, flushes = 4, 40
	b, f := s.open(Options{Events: bound}), s.fleet(0, 0)
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	want := newWorld()
	for n := range flushes {
		events := []bus.Event{
			{Name: "alert", Device: device(n), Fleet: f, Data: fmt.Appendf(nil, `{"id":%d}`, n)},
			{Name: "command", Device: device(n), Fleet: f, Data: fmt.Appendf(nil, `{"id":"c%d"}`, n)},
		}
		if _, err := l.Publish(ctx, &bus.Flush{Time: 1, Events: events}); err != nil {
			return err
		}
		want.apply(nil, events, uint64(n+1))
		w, err := s.follow(ctx, b, 0)
		if err != nil {
			return err
		}
		if err := same(&w.world, &want, w.floor); err != nil {
			return fmt.Errorf("after %d flushes, floor %d: %w", n+1, w.floor.Events, err)
		}
		if n == flushes-1 && (w.floor.Events == 0 || len(w.world.events) == 2*flushes) {
			return fmt.Errorf("%d events are held where at most %d should be", len(w.world.events), bound)
		}
		w.feed.Close()
	}
	return nil
}

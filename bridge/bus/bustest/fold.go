package bustest

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// place is a device in a fleet.
type place struct {
	fleet  devices.FleetID
	device devices.DeviceID
}

// row is what is known of it, in a form that can be compared.
type row struct {
	frame       string
	removed     bool
	lat, lon    float64
	hasPosition bool
	offset      uint64
	notes       string
}

type event struct {
	name   string
	place  place
	data   string
	offset uint64
}

// world is the model of what everybody who watches a partition must know at an offset.
type world struct {
	rows   map[place]row
	events []event
}

func newWorld() world { return world{rows: map[place]row{}} }

func (w *world) change(c *bus.Change, offset uint64) {
	r := row{frame: string(c.Frame), removed: c.Removed(), hasPosition: c.HasPosition, offset: offset}
	if c.HasPosition { // else they mean nothing, and the wire format has no place for them
		r.lat, r.lon = c.Lat, c.Lon
	}
	for _, n := range c.Notes {
		r.notes += fmt.Sprintf("%s %s %d %s;", n.Name, n.ID, n.At, n.Data)
	}
	w.rows[place{c.Fleet, c.Device}] = r
}

func (w *world) event(e *bus.Event, offset uint64) {
	w.events = append(w.events, event{e.Name, place{e.Fleet, e.Device}, string(e.Data), offset})
}

// erase is what a flush or a batch does first, where it erases devices.
func (w *world) erase(erased []devices.DeviceID) {
	w.events = slices.DeleteFunc(w.events, func(e event) bool { return slices.Contains(erased, e.place.device) })
}

// apply is what a flush or a batch does.
func (w *world) apply(changes []bus.Change, events []bus.Event, offset uint64) {
	for i := range changes {
		w.change(&changes[i], offset)
	}
	for i := range events {
		w.event(&events[i], offset)
	}
}

// above is the world without what the floor allows to forget.
func (w *world) above(f bus.Floor) world {
	out := newWorld()
	for p, r := range w.rows {
		if !r.removed || r.offset > f.Tombstones {
			out.rows[p] = r
		}
	}
	for _, e := range w.events {
		if e.offset > f.Events {
			out.events = append(out.events, e)
		}
	}
	return out
}

// same compares two worlds, byte for byte, as far as the floor says that they are still held.
func same(got, want *world, f bus.Floor) error {
	g, w := got.above(f), want.above(f)
	for p, r := range w.rows {
		if g.rows[p] != r {
			return fmt.Errorf("device %s of fleet %s is %+v, want %+v", p.device, p.fleet, g.rows[p], r)
		}
	}
	if !maps.Equal(g.rows, w.rows) {
		return fmt.Errorf("there are %d devices, want %d", len(g.rows), len(w.rows))
	}
	if fmt.Sprint(g.events) != fmt.Sprint(w.events) {
		return fmt.Errorf("events are %v, want %v", g.events, w.events)
	}
	return nil
}

// follower folds a feed into a world as an edge does, and refuses what no feed may give.
type follower struct {
	feed       bus.Feed
	partition  int
	partitions int

	world     world
	position  bus.Position
	floor     bus.Floor
	snapshots int
	beats     int
	batch     *bus.Batch // the last update where it was a batch
}

func (s *site) follow(ctx context.Context, b bus.Watcher, partition int) (*follower, error) {
	feed, err := b.Watch(ctx, partition)
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	f := &follower{feed: feed, partition: partition, partitions: s.partitions}
	if err := f.next(ctx); err != nil {
		return nil, err
	}
	return f, nil
}

// until reads until the feed has given an offset.
func (f *follower) until(ctx context.Context, offset uint64) error {
	for f.position.Offset < offset {
		if err := f.next(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (f *follower) next(ctx context.Context) error {
	u, err := f.feed.Next(ctx)
	if err != nil {
		return fmt.Errorf("next update after offset %d: %w", f.position.Offset, err)
	}
	f.batch = u.Batch
	switch {
	case (u.Snapshot == nil) == (u.Batch == nil):
		return fmt.Errorf("an update has both members or none: %+v", u)
	case u.Snapshot != nil:
		return f.takeSnapshot(u.Snapshot)
	case f.snapshots == 0:
		return fmt.Errorf("the first update is not a snapshot: %+v", u.Batch)
	}
	return f.takeBatch(u.Batch)
}

func (f *follower) takeSnapshot(s *bus.Snapshot) error {
	if err := f.advance(s.Partition, s.Position, s.Floor); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	f.snapshots++
	f.world = newWorld()
	for i := range s.Devices {
		v := &s.Devices[i]
		if err := f.checkChange(&v.Change, v.Offset); err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
		if _, twice := f.world.rows[place{v.Fleet, v.Device}]; twice {
			return fmt.Errorf("snapshot: has device %s of fleet %s twice", v.Device, v.Fleet)
		}
		f.world.change(&v.Change, v.Offset)
	}
	var last uint64
	for i := range s.Events {
		e := &s.Events[i]
		if e.Offset < last || e.Offset > s.Position.Offset {
			return fmt.Errorf("snapshot: has an event of offset %d after %d", e.Offset, last)
		}
		last = e.Offset
		f.world.event(&e.Event, e.Offset)
	}
	return nil
}

func (f *follower) takeBatch(b *bus.Batch) error {
	want := f.position.Offset + 1
	if b.IsBeat() {
		want--
		f.beats++
	}
	if b.Position.Offset != want {
		return fmt.Errorf("batch has offset %d after %d without a snapshot", b.Position.Offset, f.position.Offset)
	}
	if err := f.advance(b.Partition, b.Position, b.Floor); err != nil {
		return fmt.Errorf("batch: %w", err)
	}
	if b.LagMS < 0 {
		return fmt.Errorf("batch has lag %d", b.LagMS)
	}
	for i := range b.Changes {
		if err := f.checkChange(&b.Changes[i], b.Position.Offset); err != nil {
			return fmt.Errorf("batch: %w", err)
		}
	}
	f.world.erase(b.Erased)
	f.world.apply(b.Changes, b.Events, b.Position.Offset)
	return nil
}

// advance checks what holds for every update.
func (f *follower) advance(partition int, p bus.Position, floor bus.Floor) error {
	switch {
	case partition != f.partition:
		return fmt.Errorf("is of partition %d, want %d", partition, f.partition)
	case p.Epoch == 0:
		return fmt.Errorf("has no epoch")
	case f.position.Epoch != 0 && p.Epoch != f.position.Epoch:
		return fmt.Errorf("has epoch %x after %x", p.Epoch, f.position.Epoch)
	case p.Offset < f.position.Offset:
		return fmt.Errorf("has offset %d after %d", p.Offset, f.position.Offset)
	case floor.Tombstones < f.floor.Tombstones || floor.Events < f.floor.Events:
		return fmt.Errorf("has floor %+v after %+v", floor, f.floor)
	case floor.Tombstones > p.Offset || floor.Events > p.Offset:
		return fmt.Errorf("has floor %+v above its offset %d", floor, p.Offset)
	}
	f.position, f.floor = p, floor
	return nil
}

func (f *follower) checkChange(c *bus.Change, offset uint64) error {
	switch {
	case c.Record != nil:
		return fmt.Errorf("shows the owner's record of %s", c.Device)
	case c.Fleet.Partition(f.partitions) != f.partition:
		return fmt.Errorf("has device %s of fleet %s of another partition", c.Device, c.Fleet)
	case offset == 0 || offset > f.position.Offset:
		return fmt.Errorf("has device %s at offset %d, the position is %d", c.Device, offset, f.position.Offset)
	}
	return nil
}

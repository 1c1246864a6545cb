package bustest

import (
	"context"
	"errors"
	"fmt"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

var inletChecks = []check{
	{"entries reach their fleet's partition in order", entriesInOrder},
	{"every kind of entry arrives whole", everyKindArrives},
	{"the slice of an append stays the door's", appendKeepsNoSlice},
	{"an append that is repeated is kept once", appendIsIdempotent},
	{"one bad entry refuses the whole append", badEntryRefused},
	{"a read returns at most as many as asked for", readIsLimited},
	{"a full inlet refuses and recovers", fullInlet},
	{"doors that append together each keep their order", doorsTogether},
}

func entriesInOrder(ctx context.Context, s *site) error {
	b := s.open(Options{})
	if b.Partitions() != s.partitions {
		return fmt.Errorf("bus has %d partitions, want %d", b.Partitions(), s.partitions)
	}
	d, want := newDoor(b), make([][]int, s.partitions)
	for n := 0; n < 60; n += 5 { // appends of five, each over all partitions
		var entries []bus.Entry
		for i := n; i < n+5; i++ {
			p := i % s.partitions
			entries = append(entries, mark(s.fleet(p, i%2), i))
			want[p] = append(want[p], i)
		}
		if err := d.append(ctx, entries...); err != nil {
			return err
		}
	}
	for p := range s.partitions {
		l, err := b.Own(ctx, p)
		if err != nil {
			return err
		}
		got, err := readExactly(ctx, l, len(want[p]))
		if err != nil {
			return err
		}
		if err := errors.Join(sameMarks(got, want[p]...), s.inOrder(got, p)); err != nil {
			return fmt.Errorf("partition %d: %w", p, err)
		}
	}
	return nil
}

// inOrder tells whether ids and times grow as they must.
func (s *site) inOrder(entries []bus.Entry, partition int) error {
	var id bus.EntryID
	var at int64
	for i := range entries {
		e := &entries[i]
		switch {
		case e.ID <= id:
			return fmt.Errorf("entry %d has id %d after %d", i, e.ID, id)
		case e.Time < at || e.Time <= 0:
			return fmt.Errorf("entry %d has time %d after %d", i, e.Time, at)
		case e.Fleet.Partition(s.partitions) != partition:
			return fmt.Errorf("entry %d of fleet %s is in partition %d", i, e.Fleet, partition)
		}
		id, at = e.ID, e.Time
	}
	return nil
}

func everyKindArrives(ctx context.Context, s *site) error {
	b, f := s.open(Options{}), s.fleet(0, 0)
	reading := &devices.Reading{
		Measures: devices.Measures{Has: devices.FieldPosition | devices.FieldSpeed, Lat: 48.85833, Lon: 2.29513, Speed: 16.9},
		At:       1795353543237, Cleared: devices.FieldBattery,
		Metrics: []devices.Metric{
			{Name: "fuel", Value: devices.NumberValue(41.5)},
			{Name: "gear", Value: devices.TextValue("D")},
			{Name: "on", Value: devices.BoolValue(true)},
			{Name: "old"},
		},
	}
	want := []bus.Entry{
		{Device: device(0), Fleet: f, Kind: bus.KindReading, Reading: reading},
		{Device: device(1), Fleet: f, Kind: bus.KindConnection, Connection: bus.Connection{Door: 7, Conn: 8, Up: true}},
		{Device: device(2), Fleet: f, Kind: bus.KindStatus, Status: bus.StatusReport{Status: devices.Offline, Retained: true}},
		{Device: device(3), Fleet: f, Kind: bus.KindRemoval},
		{Device: device(4), Fleet: f, Kind: bus.KindErasure},
	}
	if err := newDoor(b).append(ctx, want...); err != nil {
		return err
	}
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	got, err := readExactly(ctx, l, len(want))
	if err != nil {
		return err
	}
	for i := range want {
		if g, w := bus.AppendEntry(nil, &got[i]), bus.AppendEntry(nil, &want[i]); string(g) != string(w) {
			return fmt.Errorf("entry %d arrives as %x, want %x", i, g, w)
		}
	}
	return nil
}

func appendKeepsNoSlice(ctx context.Context, s *site) error {
	b := s.open(Options{})
	entries := marks(s.fleet(0, 0), 0, 5)
	if err := newDoor(b).append(ctx, entries...); err != nil {
		return err
	}
	for i := range entries {
		if entries[i].ID != 0 || entries[i].Time != 0 {
			return fmt.Errorf("the door's own entry %d was changed: %+v", i, entries[i])
		}
		entries[i] = mark(s.fleet(0, 1), 99)
	}
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	got, err := readExactly(ctx, l, 5)
	if err != nil {
		return err
	}
	if err := sameMarks(got, upTo(5)...); err != nil {
		return err
	}
	got[0] = bus.Entry{} // what was read is the reader's
	if err := l.Release(ctx); err != nil {
		return err
	}
	if l, err = b.Own(ctx, 0); err != nil {
		return err
	}
	if got, err = readExactly(ctx, l, 5); err != nil {
		return err
	}
	return sameMarks(got, upTo(5)...)
}

func appendIsIdempotent(ctx context.Context, s *site) error {
	b := s.open(Options{})
	last := s.partitions - 1
	first := []bus.Entry{mark(s.fleet(0, 0), 0), mark(s.fleet(last, 1), 1)}
	d, other := newDoor(b), newDoor(b)
	if err := firstError(
		func() error { return d.append(ctx, first...) },
		func() error { return d.repeat(ctx, first...) },
		func() error { return d.append(ctx, marks(s.fleet(0, 0), 2, 4)...) },
		func() error { return other.append(ctx, mark(s.fleet(0, 0), 4)) }, // another door's number 1
		func() error { return d.repeat(ctx, marks(s.fleet(0, 0), 2, 4)...) },
		func() error { return d.append(ctx, mark(s.fleet(last, 0), 5)) },
	); err != nil {
		return err
	}
	d.seq -= 2 // the first number again, after two later ones
	if err := wantKind("an append out of order", d.repeat(ctx, first...), devices.Conflict); err != nil {
		return err
	}
	want := map[int][]int{0: {0, 2, 3, 4}, last: {1, 5}}
	if last == 0 {
		want = map[int][]int{0: {0, 1, 2, 3, 4, 5}}
	}
	for p, numbers := range want {
		l, err := b.Own(ctx, p)
		if err != nil {
			return err
		}
		got, err := readExactly(ctx, l, len(numbers))
		if err != nil {
			return err
		}
		if err := sameMarks(got, numbers...); err != nil {
			return err
		}
	}
	return nil
}

func badEntryRefused(ctx context.Context, s *site) error {
	b, f := s.open(Options{}), s.fleet(0, 0)
	d := newDoor(b)
	for _, bad := range []bus.Entry{
		{Device: device(0), Fleet: f},
		{Device: device(0), Fleet: f, Kind: bus.KindReading},
		{Device: device(0), Kind: bus.KindRemoval},
		{Fleet: f, Kind: bus.KindRemoval},
		{Device: device(0), Fleet: f, Kind: 99},
	} {
		err := d.append(ctx, mark(f, 0), bad, mark(f, 1))
		if err := wantKind(fmt.Sprintf("entry %+v", bad), err, devices.Invalid); err != nil {
			return err
		}
	}
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	return readNothing(ctx, l)
}

func readIsLimited(ctx context.Context, s *site) error {
	b := s.open(Options{})
	if err := newDoor(b).append(ctx, marks(s.fleet(0, 0), 0, 10)...); err != nil {
		return err
	}
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	var all []bus.Entry
	for len(all) < 10 {
		got, err := l.Read(ctx, 3)
		if err != nil {
			return err
		}
		if len(got) == 0 || len(got) > 3 {
			return fmt.Errorf("Read of at most 3 returns %d", len(got))
		}
		all = append(all, got...)
	}
	_, err = l.Read(ctx, 0)
	return errors.Join(sameMarks(all, upTo(10)...), wantKind("Read of at most 0", err, devices.Invalid))
}

func fullInlet(ctx context.Context, s *site) error {
	const bound, tooMany = 8, 100
	b, f := s.open(Options{InletEntries: bound}), s.fleet(0, 0)
	d, kept := newDoor(b), 0
	var full error
	for ; kept < tooMany && full == nil; kept++ {
		full = d.append(ctx, mark(f, kept))
	}
	if kept--; !errors.Is(full, bus.ErrInletFull) || devices.KindOf(full) != devices.Unavailable {
		return fmt.Errorf("after %d entries an inlet of %d gives %w", kept, bound, orNil(full))
	}
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	got, err := readExactly(ctx, l, kept)
	if err != nil {
		return err
	}
	// What is read is not consumed: only the publish makes room, here for one.
	if err := wantError("an append to a read inlet", d.repeat(ctx, mark(f, kept)), bus.ErrInletFull); err != nil {
		return err
	}
	if _, err := l.Publish(ctx, &bus.Flush{Time: 1, Consumed: got[0].ID}); err != nil {
		return err
	}
	// The door gives the one up and tries two.
	if err := wantError("an append of two where one fits", d.append(ctx, marks(f, kept, kept+2)...), bus.ErrInletFull); err != nil {
		return err
	}
	if err := readNothing(ctx, l); err != nil {
		return err
	}
	if _, err := l.Publish(ctx, &bus.Flush{Time: 1, Consumed: got[1].ID}); err != nil {
		return err
	}
	if err := errors.Join(d.repeat(ctx, marks(f, kept, kept+2)...), d.repeat(ctx, marks(f, kept, kept+2)...)); err != nil {
		return err
	}
	more, err := readExactly(ctx, l, 2)
	if err != nil {
		return err
	}
	return sameMarks(append(got, more...), upTo(kept+2)...)
}

func doorsTogether(ctx context.Context, s *site) error {
	const doors, appends, each = 4, 25, 6
	b := s.open(Options{})
	var runs []func(context.Context) error
	for n := range doors {
		runs = append(runs, func(ctx context.Context) error {
			d := newDoor(b)
			for a := range appends {
				var entries []bus.Entry
				for i := range each {
					e := mark(s.fleet(i%s.partitions, 0), a*each+i)
					e.Connection.Door = bus.DoorID(n)
					entries = append(entries, e)
				}
				if err := errors.Join(d.append(ctx, entries...), d.repeat(ctx, entries...)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for p := range s.partitions {
		runs = append(runs, func(ctx context.Context) error {
			l, err := b.Own(ctx, p)
			if err != nil {
				return err
			}
			got, err := readExactly(ctx, l, doors*appends*each/s.partitions)
			if err != nil {
				return err
			}
			last := map[bus.DoorID]int{}
			for i := range got {
				c := got[i].Connection
				if n := int(c.Conn) + 1; n <= last[c.Door] {
					return fmt.Errorf("door %d's entry %d comes after %d", c.Door, n, last[c.Door])
				}
				last[c.Door] = int(c.Conn) + 1
			}
			return s.inOrder(got, p)
		})
	}
	return together(ctx, runs...)
}

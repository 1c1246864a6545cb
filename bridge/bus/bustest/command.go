package bustest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

var commandChecks = []check{
	{"commands enter the inlet as they are", commandEntries},
	{"who follows commands has the table, and then what changes", commandsAreFollowed},
	{"the table of commands outlives its owner", commandsOutliveTheirOwner},
	{"a command comes with the event that tells of it", commandWithEvent},
	{"many commands come with one flush", manyCommands},
	{"bad commands are refused", badCommands},
	{"following commands ends", followingEnds},
}

func commandID(n int) devices.CommandID {
	return devices.CommandIDFor("bustest", fmt.Sprint(n), device(n))
}

func order(f devices.FleetID, n int, data string) bus.CommandRow {
	return bus.CommandRow{ID: commandID(n), Device: device(n), Fleet: f, Data: []byte(data)}
}

func forgotten(f devices.FleetID, n int) bus.CommandRow {
	return bus.CommandRow{ID: commandID(n), Device: device(n), Fleet: f}
}

// commandsSeen folds what a feed tells.
type commandsSeen struct {
	feed   bus.CommandFeed
	rows   map[devices.CommandID]string
	wholes int
}

func followCommands(ctx context.Context, b bus.Bus, partition int) (*commandsSeen, error) {
	feed, err := b.FollowCommands(ctx, partition)
	if err != nil {
		return nil, err
	}
	return &commandsSeen{feed: feed, rows: map[devices.CommandID]string{}}, nil
}

// until folds until the table is what is wanted: number → data.
func (w *commandsSeen) until(ctx context.Context, want map[int]string) error {
	wanted := map[devices.CommandID]string{}
	for n, data := range want {
		wanted[commandID(n)] = data
	}
	for w.wholes == 0 || !maps.Equal(w.rows, wanted) {
		u, err := w.feed.Next(ctx)
		if err != nil {
			return fmt.Errorf("follow commands: have %v, want %v: %w", w.rows, wanted, err)
		}
		if u.Whole {
			w.wholes++
			clear(w.rows)
		} else if w.wholes == 0 {
			return errors.New("the first update of a feed of commands is not whole")
		}
		for i := range u.Rows {
			r := &u.Rows[i]
			if r.Data == nil {
				delete(w.rows, r.ID)
				continue
			}
			if err := r.Check(); err != nil {
				return err
			}
			w.rows[r.ID] = string(r.Data)
		}
	}
	return nil
}

func commandEntries(ctx context.Context, s *site) error {
	b, f := s.open(Options{}), s.fleet(0, 0)
	entered := bus.CommandOrder{ID: commandID(1), Name: "open the door", Params: []byte(`{"k":"ü"}`), At: 12, TTL: 60_000, By: "ann"}
	report := bus.CommandReport{ID: commandID(1), State: devices.CommandFailed, Result: []byte(`[1,2]`), Error: "stuck", Unconfirmed: true}
	sent := bus.CommandReport{ID: commandID(1), State: devices.CommandSent}
	if err := newDoor(b).append(ctx,
		bus.Entry{Device: device(1), Fleet: f, Kind: bus.KindCommand, Command: &entered},
		bus.Entry{Device: device(1), Fleet: f, Kind: bus.KindCommandState, Report: &sent},
		bus.Entry{Device: device(1), Fleet: f, Kind: bus.KindCommandState, Report: &report},
	); err != nil {
		return err
	}
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	got, err := readExactly(ctx, l, 3)
	if err != nil {
		return err
	}
	if o := got[0].Command; o == nil || fmt.Sprintf("%+v", *o) != fmt.Sprintf("%+v", entered) {
		return fmt.Errorf("a command is read as %+v, want %+v", o, entered)
	}
	if r := got[2].Report; r == nil || fmt.Sprintf("%+v", *r) != fmt.Sprintf("%+v", report) {
		return fmt.Errorf("an answer is read as %+v, want %+v", r, report)
	}
	if r := got[1].Report; r == nil || fmt.Sprintf("%+v", *r) != fmt.Sprintf("%+v", sent) {
		return fmt.Errorf("a state is read as %+v, want %+v", r, sent)
	}
	return nil
}

func commandsAreFollowed(ctx context.Context, s *site) error {
	p := s.partitions - 1
	b, f := s.open(Options{}), s.fleet(p, 0)
	early, err := followCommands(ctx, b, p) // before anybody owned the partition
	if err != nil {
		return err
	}
	defer early.feed.Close()
	l, err := b.Own(ctx, p)
	if err != nil {
		return err
	}
	publish := func(rows ...bus.CommandRow) error {
		_, err := l.Publish(ctx, &bus.Flush{Time: 1, Commands: rows})
		return err
	}
	if err := firstError(
		func() error { return publish(order(f, 1, "1a"), order(f, 2, "2a")) },
		func() error { return early.until(ctx, map[int]string{1: "1a", 2: "2a"}) },
		func() error { return publish(order(f, 2, "2b"), order(f, 3, "3a")) },
		func() error { return early.until(ctx, map[int]string{1: "1a", 2: "2b", 3: "3a"}) },
		func() error { return publish(forgotten(f, 1)) },
		func() error { return early.until(ctx, map[int]string{2: "2b", 3: "3a"}) },
	); err != nil {
		return err
	}
	late, err := followCommands(ctx, b, p)
	if err != nil {
		return err
	}
	defer late.feed.Close()
	return firstError(
		func() error { return late.until(ctx, map[int]string{2: "2b", 3: "3a"}) },
		func() error { return publish(order(f, 3, "3b"), forgotten(f, 2), forgotten(f, 9)) },
		func() error { return publish(order(f, 3, "3c")) },
		func() error { return late.until(ctx, map[int]string{3: "3c"}) },
		func() error { return early.until(ctx, map[int]string{3: "3c"}) },
		func() error { return othersAreQuiet(ctx, s, b, p) },
	)
}

// othersAreQuiet sees that rows stay in their partition.
func othersAreQuiet(ctx context.Context, s *site, b bus.Bus, but int) error {
	for p := range s.partitions {
		if p == but {
			continue
		}
		w, err := followCommands(ctx, b, p)
		if err != nil {
			return err
		}
		defer w.feed.Close()
		if err := w.until(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

func commandsOutliveTheirOwner(ctx context.Context, s *site) error {
	b, f := s.open(Options{}), s.fleet(0, 0)
	w, err := followCommands(ctx, b, 0)
	if err != nil {
		return err
	}
	defer w.feed.Close()
	want := map[int]string{}
	for n := range 3 {
		l, err := b.Own(ctx, 0)
		if err != nil {
			return err
		}
		got := map[devices.CommandID]string{}
		for _, r := range l.Commands() {
			got[r.ID] = string(r.Data)
		}
		for m, data := range want {
			if got[commandID(m)] != data || len(got) != len(want) {
				return fmt.Errorf("owner %d finds %v, want %v", n, got, want)
			}
		}
		want[n], want[100] = "first", fmt.Sprint("owner ", n)
		if _, err := l.Publish(ctx, &bus.Flush{Time: 1, Commands: []bus.CommandRow{order(f, n, "first"), order(f, 100, want[100])}}); err != nil {
			return err
		}
		if err := w.until(ctx, want); err != nil {
			return err
		}
		if err := l.Release(ctx); err != nil {
			return err
		}
	}
	return nil
}

func commandWithEvent(ctx context.Context, s *site) error {
	b, f := s.open(Options{}), s.fleet(0, 0)
	feed, err := b.Watch(ctx, 0)
	if err != nil {
		return err
	}
	defer feed.Close()
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	before, err := l.Publish(ctx, &bus.Flush{Time: 1, Commands: []bus.CommandRow{order(f, 1, "a")}})
	if err != nil {
		return err
	}
	event := bus.Event{Name: "command", Device: device(1), Fleet: f, Data: []byte(`{"state":"sent"}`)}
	after, err := l.Publish(ctx, &bus.Flush{Time: 2, Commands: []bus.CommandRow{order(f, 1, "b")}, Events: []bus.Event{event}})
	if err != nil {
		return err
	}
	if after.Epoch != before.Epoch || after.Offset != before.Offset+1 {
		return fmt.Errorf("a row moves the position to %v and an event to %v, want one offset for the event", before, after)
	}
	for {
		u, err := feed.Next(ctx)
		if err != nil {
			return fmt.Errorf("wait for the event: %w", err)
		}
		if u.Snapshot != nil && len(u.Snapshot.Events) == 1 || u.Batch != nil && len(u.Batch.Events) == 1 {
			return nil
		}
	}
}

func manyCommands(ctx context.Context, s *site) error {
	const commands = 120
	b, f := s.open(Options{}), s.fleet(0, 0)
	w, err := followCommands(ctx, b, 0)
	if err != nil {
		return err
	}
	defer w.feed.Close()
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	flush, want, filler := bus.Flush{Time: 1}, map[int]string{}, strings.Repeat("x", bus.MaxCommandRowBytes-10)
	for n := range commands {
		want[n] = fmt.Sprint(n, filler)
		flush.Commands = append(flush.Commands, order(f, n, want[n]))
		flush.Events = append(flush.Events, bus.Event{Name: "command", Device: device(n), Fleet: f, Data: []byte(fmt.Sprint(n))})
	}
	if _, err := l.Publish(ctx, &flush); err != nil {
		return err
	}
	return w.until(ctx, want)
}

func badCommands(ctx context.Context, s *site) error {
	b, f := s.open(Options{}), s.fleet(0, 0)
	l, err := b.Own(ctx, 0)
	if err != nil {
		return err
	}
	bad := map[string]bus.CommandRow{
		"no name":     {Device: device(1), Fleet: f, Data: []byte("x")},
		"no device":   {ID: commandID(1), Fleet: f, Data: []byte("x")},
		"a large row": order(f, 1, string(make([]byte, bus.MaxCommandRowBytes+1))),
	}
	if s.partitions > 1 {
		bad["another partition's fleet"] = order(s.fleet(1, 0), 1, "x")
	}
	for name, one := range bad {
		_, err := l.Publish(ctx, &bus.Flush{Time: 1, Commands: []bus.CommandRow{order(f, 2, "never"), one}})
		if err := wantKind(name, err, devices.Invalid); err != nil {
			return err
		}
	}
	entered := bus.CommandOrder{ID: commandID(1), Name: "x", TTL: 1}
	for name, change := range map[string]func(*bus.Entry){
		"no command": func(e *bus.Entry) { e.Command = nil },
		"no id":      func(e *bus.Entry) { e.Command.ID = devices.CommandID{} },
		"two lines":  func(e *bus.Entry) { e.Command.Name = "a\nb" },
		"no time":    func(e *bus.Entry) { e.Command.TTL = 0 },
		"no JSON":    func(e *bus.Entry) { e.Command.Params = []byte("{") },
		"long params": func(e *bus.Entry) {
			e.Command.Params = []byte(`"` + strings.Repeat("x", devices.MaxCommandValueBytes) + `"`)
		},
	} {
		o := entered
		e := bus.Entry{Device: device(1), Fleet: f, Kind: bus.KindCommand, Command: &o}
		change(&e)
		if err := wantKind(name, newDoor(b).append(ctx, e), devices.Invalid); err != nil {
			return err
		}
	}
	w, err := followCommands(ctx, b, 0)
	if err != nil {
		return err
	}
	defer w.feed.Close()
	return w.until(ctx, nil)
}

func followingEnds(ctx context.Context, s *site) error {
	b := s.open(Options{})
	closed, err := b.FollowCommands(ctx, 0)
	if err != nil {
		return err
	}
	open, err := b.FollowCommands(ctx, 0)
	if err != nil {
		return err
	}
	closed.Close()
	closed.Close()
	if _, err := closed.Next(ctx); !errors.Is(err, bus.ErrClosed) {
		return wantError("Next after Close", err, bus.ErrClosed)
	}
	short, cancel := context.WithTimeout(ctx, moment)
	defer cancel()
	for err == nil { // its table comes first
		_, err = open.Next(short)
	}
	if err := wantError("Next with a context that ends", err, context.DeadlineExceeded); err != nil {
		return err
	}
	if _, err := b.FollowCommands(ctx, s.partitions); devices.KindOf(err) != devices.Invalid {
		return fmt.Errorf("a partition that is none gives %w", orNil(err))
	}
	if err := b.Close(); err != nil {
		return err
	}
	for err = nil; err == nil; {
		_, err = open.Next(ctx)
	}
	if err := wantError("Next after the bus closed", err, bus.ErrClosed); err != nil {
		return err
	}
	_, err = b.FollowCommands(ctx, 0)
	return wantError("FollowCommands after the bus closed", err, bus.ErrClosed)
}

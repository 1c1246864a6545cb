package bus_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// The bounds of the bus under the model: small, so that a few dozen steps meet all of them.
const (
	modelInlet      = 6
	modelTombstones = 3
	modelEvents     = 4
	modelFeed       = 3
)

type modelKey struct {
	fleet  devices.FleetID
	device devices.DeviceID
}

type modelRow struct {
	frame, record string
	removed       bool
	offset        uint64
	order         int // of removals: the oldest is pruned first
}

// model is the memory bus in the fewest words: one partition, nothing shared, nothing fast.
type model struct {
	bus *bus.Memory
	ctx context.Context //nolint:containedctx // of the one test that the model lives in

	appended []bus.Entry // every entry that was ever kept; its id is its place, from 1
	consumed int
	seq      uint64
	last     []bus.Entry // the door's last Append, and whether it was kept
	kept     bool

	lease bus.Lease
	old   bus.Lease // released
	read  int

	offset  uint64
	order   int
	rows    map[modelKey]modelRow
	events  []bus.VersionedEvent
	floor   bus.Floor
	feeds   []*watcher
	devices []devices.DeviceID
	fleets  []devices.FleetID
}

// watcher is what a feed must give next.
type watcher struct {
	feed     bus.Feed
	behind   bool
	expected []bus.Batch
}

func (m *model) appendEntries(t *rapid.T) {
	n := rapid.IntRange(1, 3).Draw(t, "entries")
	var entries []bus.Entry
	for range n {
		entries = append(entries, bus.Entry{
			Device: rapid.SampledFrom(m.devices).Draw(t, "device"), Fleet: rapid.SampledFrom(m.fleets).Draw(t, "fleet"),
			Kind: bus.KindConnection, Connection: bus.Connection{Conn: uint64(len(m.appended) + len(entries))},
		})
	}
	m.seq++
	m.last, m.kept = entries, false
	m.repeatAppend(t)
}

func (m *model) repeatAppend(t *rapid.T) {
	err := m.bus.Append(m.ctx, bus.Append{Door: 5, Seq: m.seq, Entries: m.last})
	held := len(m.appended) - m.consumed
	if !m.kept && held+len(m.last) > modelInlet {
		if !errors.Is(err, bus.ErrInletFull) {
			t.Fatalf("append of %d to %d gives %v", len(m.last), held, err)
		}
		return
	}
	if err != nil {
		t.Fatalf("append of %d to %d gives %v", len(m.last), held, err)
	}
	if !m.kept {
		m.appended = append(m.appended, m.last...)
		m.kept = len(m.last) > 0
	}
}

func (m *model) appendOutOfOrder(t *rapid.T) {
	if m.seq < 2 || !m.kept {
		t.Skip("no number has passed")
	}
	entries := []bus.Entry{{Device: m.devices[0], Fleet: m.fleets[0], Kind: bus.KindRemoval}}
	err := m.bus.Append(m.ctx, bus.Append{Door: 5, Seq: m.seq - 1, Entries: entries})
	if devices.KindOf(err) != devices.Conflict {
		t.Fatalf("append out of order gives %v", err)
	}
}

func (m *model) own(t *rapid.T) {
	l, err := m.bus.Own(m.ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	m.lease, m.read = l, m.consumed
	got := map[modelKey]modelRow{}
	for r := range l.State() {
		got[modelKey{r.Fleet, r.Device}] = modelRow{record: string(r.Data), removed: r.Removed}
	}
	want := map[modelKey]modelRow{}
	for k, r := range m.rows {
		want[k] = modelRow{record: r.record, removed: r.removed}
	}
	if !maps.Equal(got, want) {
		t.Fatalf("state is %v, want %v", got, want)
	}
}

func (m *model) handOver(t *rapid.T) {
	if m.lease != nil {
		if err := m.lease.Release(m.ctx); err != nil {
			t.Fatal(err)
		}
		m.old, m.lease = m.lease, nil
		return
	}
	m.own(t)
}

func (m *model) useOldLease(t *rapid.T) {
	if m.old == nil {
		t.Skip("no lease was released")
	}
	_, readErr := m.old.Read(m.ctx, 1)
	_, publishErr := m.old.Publish(m.ctx, &bus.Flush{Changes: []bus.Change{{Device: m.devices[0], Fleet: m.fleets[0]}}})
	if !errors.Is(readErr, bus.ErrLost) || !errors.Is(publishErr, bus.ErrLost) || m.old.Release(m.ctx) != nil {
		t.Fatalf("a released lease gives %v, %v", readErr, publishErr)
	}
}

func (m *model) readEntries(t *rapid.T) {
	if m.lease == nil || m.read == len(m.appended) {
		t.Skip("nothing to read")
	}
	limit := rapid.IntRange(1, 4).Draw(t, "limit")
	got, err := m.lease.Read(m.ctx, limit)
	want := m.appended[m.read:min(m.read+limit, len(m.appended))]
	if err != nil || len(got) != len(want) {
		t.Fatalf("read %d entries, %v, want %d", len(got), err, len(want))
	}
	for i := range got {
		e := got[i]
		if e.ID != bus.EntryID(m.read+i+1) {
			t.Fatalf("entry %d has id %d", m.read+i, e.ID)
		}
		if e.ID, e.Time = 0, 0; e != want[i] {
			t.Fatalf("entry %d is %+v, want %+v", m.read+i, e, want[i])
		}
	}
	m.read += len(got)
}

func (m *model) publish(t *rapid.T) {
	if m.lease == nil {
		t.Skip("nobody owns it")
	}
	f := bus.Flush{Time: int64(m.offset), Consumed: bus.EntryID(rapid.IntRange(0, m.read+1).Draw(t, "consumed"))}
	for range rapid.IntRange(0, 3).Draw(t, "changes") {
		c := bus.Change{
			Device: rapid.SampledFrom(m.devices).Draw(t, "device"), Fleet: rapid.SampledFrom(m.fleets).Draw(t, "fleet"),
			Record: fmt.Appendf(nil, "r%d", m.offset),
		}
		if rapid.Bool().Draw(t, "live") {
			c.Frame = fmt.Appendf(nil, "f%d-%d", m.offset, len(f.Changes))
		}
		f.Changes = append(f.Changes, c)
	}
	for range rapid.IntRange(0, 2).Draw(t, "events") {
		f.Events = append(f.Events, bus.Event{Name: "alert", Device: m.devices[0], Fleet: m.fleets[0], Data: fmt.Appendf(nil, "e%d", m.offset)})
	}
	at, err := m.lease.Publish(m.ctx, &f)
	if int(f.Consumed) > m.read {
		if devices.KindOf(err) != devices.Invalid {
			t.Fatalf("consuming %d of %d read gives %v", f.Consumed, m.read, err)
		}
		return
	}
	m.flush(&f)
	if err != nil || at.Offset != m.offset {
		t.Fatalf("publish gives %+v, %v, want offset %d", at, err, m.offset)
	}
}

// flush is what the bus must have done.
func (m *model) flush(f *bus.Flush) {
	m.consumed = max(m.consumed, int(f.Consumed))
	if len(f.Changes)+len(f.Events) > 0 {
		m.offset++
	}
	for _, c := range f.Changes {
		m.order++
		m.rows[modelKey{c.Fleet, c.Device}] = modelRow{
			frame: string(c.Frame), record: string(c.Record), removed: c.Frame == nil, offset: m.offset, order: m.order,
		}
	}
	for _, e := range f.Events {
		m.events = append(m.events, bus.VersionedEvent{Event: e, Offset: m.offset})
	}
	m.prune()
	b := bus.Batch{Position: bus.Position{Offset: m.offset}, Time: f.Time, Floor: m.floor, Events: f.Events}
	for _, c := range f.Changes {
		c.Record = nil
		b.Changes = append(b.Changes, c)
	}
	for _, w := range m.feeds {
		switch {
		case w.behind:
		case len(w.expected) == modelFeed:
			w.behind, w.expected = true, nil
		default:
			w.expected = append(w.expected, b)
		}
	}
}

func (m *model) prune() {
	for len(m.events) > modelEvents {
		m.floor.Events, m.events = m.events[0].Offset, m.events[1:]
	}
	for {
		var tombstones []modelKey
		for k, r := range m.rows {
			if r.removed {
				tombstones = append(tombstones, k)
			}
		}
		if len(tombstones) <= modelTombstones {
			return
		}
		oldest := slices.MinFunc(tombstones, func(a, b modelKey) int { return m.rows[a].order - m.rows[b].order })
		m.floor.Tombstones = m.rows[oldest].offset
		delete(m.rows, oldest)
	}
}

func (m *model) watch(t *rapid.T) {
	if len(m.feeds) == 3 {
		m.feeds[0].feed.Close()
		if _, err := m.feeds[0].feed.Next(m.ctx); !errors.Is(err, bus.ErrClosed) {
			t.Fatalf("a closed feed gives %v", err)
		}
		m.feeds = m.feeds[1:]
	}
	f, err := m.bus.Watch(m.ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	m.feeds = append(m.feeds, &watcher{feed: f, behind: true})
}

func (m *model) nextUpdate(t *rapid.T) {
	if len(m.feeds) == 0 {
		t.Skip("nobody watches")
	}
	w := rapid.SampledFrom(m.feeds).Draw(t, "feed")
	if !w.behind && len(w.expected) == 0 {
		t.Skip("nothing comes")
	}
	u, err := w.feed.Next(m.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if w.behind {
		w.behind = false
		m.compareSnapshot(t, u.Snapshot)
		return
	}
	want := w.expected[0]
	w.expected = w.expected[1:]
	if u.Batch == nil {
		t.Fatalf("update is %+v, want a batch", u)
	}
	got := *u.Batch
	got.Position.Epoch, got.LagMS = 0, 0
	if g, w := fmt.Sprintf("%q", bus.AppendBatch(nil, &got)), fmt.Sprintf("%q", bus.AppendBatch(nil, &want)); g != w {
		t.Fatalf("batch is\n%s, want\n%s", g, w)
	}
}

func (m *model) compareSnapshot(t *rapid.T, s *bus.Snapshot) {
	if s == nil || s.Position.Offset != m.offset || s.Floor != m.floor || len(s.Devices) != len(m.rows) {
		t.Fatalf("snapshot is %+v, want offset %d, floor %+v and %d devices", s, m.offset, m.floor, len(m.rows))
	}
	for _, v := range s.Devices {
		r := m.rows[modelKey{v.Fleet, v.Device}]
		if string(v.Frame) != r.frame || v.Removed() != r.removed || v.Offset != r.offset || v.Record != nil {
			t.Fatalf("device is %+v, want %+v", v, r)
		}
	}
	if fmt.Sprint(s.Events) != fmt.Sprint(m.events) {
		t.Fatalf("events are %v, want %v", s.Events, m.events)
	}
}

// check is what holds after every step: the numbers of the bus, and that where nothing is due nothing comes.
func (m *model) check(t *rapid.T) {
	tombstones := 0
	for _, r := range m.rows {
		if r.removed {
			tombstones++
		}
	}
	s := m.bus.Stats()
	got := []int{s.InletEntries, s.Devices, s.Tombstones, s.Events, s.Feeds}
	want := []int{len(m.appended) - m.consumed, len(m.rows) - tombstones, tombstones, len(m.events), len(m.feeds)}
	if !slices.Equal(got, want) {
		t.Fatalf("the bus holds %v of entries, devices, tombstones, events, feeds; want %v", got, want)
	}
	if s.InletEntries == 0 && s.InletBytes != 0 {
		t.Fatalf("an empty inlet holds %d bytes", s.InletBytes)
	}
}

func TestMemoryIsLikeItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, err := bus.NewMemory(bus.MemoryOptions{
			MaxInletEntries: modelInlet, MaxTombstones: modelTombstones, MaxEvents: modelEvents, FeedBuffer: modelFeed,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close() })
		m := &model{bus: b, ctx: t.Context(), rows: map[modelKey]modelRow{}}
		for _, name := range []string{"a", "b", "c", "d"} {
			d, _ := devices.ParseDeviceID(name)
			m.devices = append(m.devices, d)
		}
		for _, name := range []string{"north", "south"} {
			f, _ := devices.ParseFleetID(name)
			m.fleets = append(m.fleets, f)
		}
		t.Repeat(map[string]func(*rapid.T){
			"append":              m.appendEntries,
			"repeat append":       m.repeatAppend,
			"append out of order": m.appendOutOfOrder,
			"hand over":           m.handOver,
			"use old lease":       m.useOldLease,
			"read":                m.readEntries,
			"publish":             m.publish,
			"publish again":       m.publish,
			"watch":               m.watch,
			"next":                m.nextUpdate,
			"next again":          m.nextUpdate,
			"":                    m.check,
		})
	})
}

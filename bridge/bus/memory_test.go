package bus

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

func newMemory(t testing.TB, o MemoryOptions) *Memory {
	t.Helper()
	m, err := NewMemory(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func own(t testing.TB, m *Memory, p int) Lease {
	t.Helper()
	l, err := m.Own(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func publish(t testing.TB, l Lease, f Flush) {
	t.Helper()
	if _, err := l.Publish(t.Context(), &f); err != nil {
		t.Fatal(err)
	}
}

func next(t testing.TB, f Feed) Update {
	t.Helper()
	u, err := f.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// pass lets time go by, inside a bubble of synctest.
func pass(d time.Duration) { <-time.After(d) }

func watch(t testing.TB, m *Memory, p int) Feed {
	t.Helper()
	f, err := m.Watch(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func removals(t testing.TB, n int) []Entry {
	t.Helper()
	out := make([]Entry, n)
	for i := range out {
		out[i] = Entry{Device: device(t, fmt.Sprint("d", i)), Fleet: fleet(t, "north"), Kind: KindRemoval}
	}
	return out
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, o := range []MemoryOptions{
		{Partitions: -1},
		{Partitions: MaxPartitions + 1},
		{MaxInletEntries: -1},
		{MaxInletBytes: -1},
		{MaxTombstones: -1},
		{TombstoneAge: -1},
		{MaxEvents: -1},
		{FeedBuffer: -1},
	} {
		if _, err := NewMemory(o); devices.KindOf(err) != devices.Invalid {
			t.Errorf("NewMemory(%+v) gives %v", o, err)
		}
	}
	if m := newMemory(t, MemoryOptions{}); m.Partitions() != 1 {
		t.Errorf("a bus has %d partitions by default", m.Partitions())
	}
}

func TestEntriesCarryTheTimeOfTheInletWhichNeverDecreases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, MemoryOptions{})
		start := time.Now().UnixMilli()
		for i := range 3 {
			if err := m.Append(t.Context(), Append{Door: 1, Seq: uint64(i + 1), Entries: removals(t, 1)}); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
		}
		entries, err := own(t, m, 0).Read(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range entries {
			if want := start + int64(i)*1000; e.Time != want || e.ID != EntryID(i+1) {
				t.Errorf("entry %d has id %d and time %d, want %d", i, e.ID, e.Time, want)
			}
		}
	})
	var q inlet
	for _, now := range []int64{100, 50, 101} { // a clock that is set back
		q.push(removals(t, 1), now)
	}
	if got := []int64{q.entries[0].Time, q.entries[1].Time, q.entries[2].Time}; !slices.Equal(got, []int64{100, 100, 101}) {
		t.Errorf("times are %v", got)
	}
}

func TestLagIsTheAgeOfTheOldestEntryThatIsNotConsumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, MemoryOptions{})
		l, f := own(t, m, 0), watch(t, m, 0)
		next(t, f)
		for i := range 2 {
			if err := m.Append(t.Context(), Append{Door: 1, Seq: uint64(i + 1), Entries: removals(t, 1)}); err != nil {
				t.Fatal(err)
			}
			pass(300 * time.Millisecond)
		}
		if _, err := l.Read(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		for consumed, want := range []int64{600, 300, 0} {
			publish(t, l, Flush{Time: 5, Consumed: EntryID(consumed)})
			if b := next(t, f).Batch; b.LagMS != want || b.Time != 5 {
				t.Errorf("after %d consumed: lag %d, want %d", consumed, b.LagMS, want)
			}
		}
		pass(time.Second)
		if err := m.Append(t.Context(), Append{Door: 1, Seq: 3, Entries: removals(t, 1)}); err != nil {
			t.Fatal(err)
		}
		pass(40 * time.Millisecond)
		if s := next(t, watch(t, m, 0)).Snapshot; s.LagMS != 40 || s.Time != 5 {
			t.Errorf("snapshot has lag %d and time %d", s.LagMS, s.Time)
		}
	})
}

func TestTombstonesArePrunedByAgeAndTheFloorRises(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, MemoryOptions{TombstoneAge: time.Hour})
		l, f, d := own(t, m, 0), fleet(t, "north"), device(t, "d")
		publish(t, l, Flush{Changes: []Change{{Device: d, Fleet: f, Record: []byte("r")}}}) // offset 1
		pass(40 * time.Minute)
		publish(t, l, Flush{Changes: []Change{{Device: device(t, "e"), Fleet: f}}}) // offset 2
		pass(20*time.Minute + time.Millisecond)
		feed := watch(t, m, 0)
		if s := next(t, feed).Snapshot; len(s.Devices) != 2 || s.Floor.Tombstones != 0 {
			t.Fatalf("before the prune: %+v", s)
		}
		publish(t, l, Flush{}) // a beat prunes too
		if b := next(t, feed).Batch; b.Floor.Tombstones != 1 {
			t.Errorf("the beat says floor %d, want 1", b.Floor.Tombstones)
		}
		s := next(t, watch(t, m, 0)).Snapshot
		if len(s.Devices) != 1 || s.Devices[0].Offset != 2 {
			t.Errorf("after the prune: %+v", s)
		}
		if st := m.Stats(); st.TombstonesAged != 1 || st.Tombstones != 1 || st.Devices != 0 {
			t.Errorf("stats are %+v", st)
		}
		for r := range l.State() {
			if r.Device == d {
				t.Error("the record of a pruned tombstone is still there")
			}
		}
	})
}

func TestATombstoneOfADeviceThatComesBackIsNotPruned(t *testing.T) {
	m := newMemory(t, MemoryOptions{MaxTombstones: 1})
	l, f := own(t, m, 0), fleet(t, "north")
	gone := func(name string) Change { return Change{Device: device(t, name), Fleet: f} }
	back := gone("a")
	back.Frame = []byte("{}")
	publish(t, l, Flush{Changes: []Change{gone("a")}})
	publish(t, l, Flush{Changes: []Change{back}})
	publish(t, l, Flush{Changes: []Change{gone("b")}})
	s := next(t, watch(t, m, 0)).Snapshot
	if s.Floor.Tombstones != 0 || len(s.Devices) != 2 {
		t.Errorf("one tombstone where one is allowed: %+v", s)
	}
	publish(t, l, Flush{Changes: []Change{gone("b"), gone("a")}}) // both of offset 4, b first
	s = next(t, watch(t, m, 0)).Snapshot
	if s.Floor.Tombstones != 4 || len(s.Devices) != 1 || s.Devices[0].Device != back.Device {
		t.Errorf("two tombstones where one is allowed: %+v", s)
	}
}

func TestAFeedThatIsTooFarBehindGetsASnapshotAndIsCounted(t *testing.T) {
	m := newMemory(t, MemoryOptions{FeedBuffer: 3})
	l, slow, fast := own(t, m, 0), watch(t, m, 0), watch(t, m, 0)
	next(t, slow)
	next(t, fast)
	for i := range 5 {
		publish(t, l, Flush{Changes: []Change{{Device: device(t, fmt.Sprint(i)), Fleet: fleet(t, "north"), Frame: []byte("{}")}}})
		if u := next(t, fast); u.Batch == nil || u.Batch.Position.Offset != uint64(i+1) {
			t.Fatalf("the fast feed got %+v", u)
		}
	}
	u := next(t, slow)
	if u.Snapshot == nil || u.Snapshot.Position.Offset != 5 || len(u.Snapshot.Devices) != 5 {
		t.Errorf("the slow feed got %+v", u)
	}
	publish(t, l, Flush{})
	if u := next(t, slow); u.Batch == nil || !u.Batch.IsBeat() {
		t.Errorf("after its snapshot the slow feed got %+v", u)
	}
	if st := m.Stats(); st.FeedsBehind != 1 || st.Feeds != 2 || st.Batches != 5 || st.Beats != 1 {
		t.Errorf("stats are %+v", st)
	}
}

func TestFeedsShareOneBatch(t *testing.T) {
	m := newMemory(t, MemoryOptions{})
	l, a, b := own(t, m, 0), watch(t, m, 0), watch(t, m, 0)
	next(t, a)
	next(t, b)
	publish(t, l, Flush{})
	if next(t, a).Batch != next(t, b).Batch {
		t.Error("two feeds have two batches")
	}
}

func TestTheInletIsBoundedInBytes(t *testing.T) {
	north := fleet(t, "north")
	reading := &devices.Reading{Metrics: make([]devices.Metric, 100)}
	entry := func(i int) []Entry {
		return []Entry{{Device: device(t, fmt.Sprint("d", i)), Fleet: north, Kind: KindReading, Reading: reading}}
	}
	m := newMemory(t, MemoryOptions{MaxInletBytes: 20_000})
	n := 0
	for ; n < 1000; n++ {
		if err := m.Append(t.Context(), Append{Door: 1, Seq: uint64(n), Entries: entry(n)}); err != nil {
			if !errors.Is(err, ErrInletFull) {
				t.Fatal(err)
			}
			break
		}
	}
	if want := 20_000 / entriesBytes(entry(0)); n != want || want < 2 || want > 4 {
		t.Errorf("%d entries of %d bytes fit into 20,000", n, entriesBytes(entry(0)))
	}
	l := own(t, m, 0)
	if _, err := l.Read(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	publish(t, l, Flush{Consumed: EntryID(n)})
	if st := m.Stats(); st.InletBytes != 0 || st.InletEntries != 0 || st.AppendsFull != 1 || st.Entries != uint64(n) {
		t.Errorf("stats are %+v", st)
	}
}

func TestAnAppendThatCanNeverFitIsTooLarge(t *testing.T) {
	m := newMemory(t, MemoryOptions{MaxInletEntries: 4})
	err := m.Append(t.Context(), Append{Door: 1, Seq: 1, Entries: removals(t, 5)})
	if devices.KindOf(err) != devices.TooLarge || errors.Is(err, ErrInletFull) || m.Stats().AppendsTooLarge != 1 {
		t.Errorf("append of 5 to an inlet of 4 gives %v", err)
	}
	if err := m.Append(t.Context(), Append{Seq: 1, Entries: removals(t, 1)}); devices.KindOf(err) != devices.Invalid {
		t.Errorf("append without a door gives %v", err)
	}
}

// An Append that spans partitions is kept in all of them or in none.
func TestAFullPartitionRefusesTheWholeAppend(t *testing.T) {
	m := newMemory(t, MemoryOptions{Partitions: 3, MaxInletEntries: 2})
	north, east := fleet(t, "north"), fleet(t, "east")
	full := north.Partition(3)
	for i := 0; east.Partition(3) == full; i++ {
		east = fleet(t, fmt.Sprint("east-", i))
	}
	entry := func(f devices.FleetID) Entry { return Entry{Device: device(t, "d"), Fleet: f, Kind: KindRemoval} }
	if err := m.Append(t.Context(), Append{Door: 1, Seq: 1, Entries: []Entry{entry(north), entry(north)}}); err != nil {
		t.Fatal(err)
	}
	both := Append{Door: 1, Seq: 2, Entries: []Entry{entry(east), entry(north)}}
	if err := m.Append(t.Context(), both); !errors.Is(err, ErrInletFull) {
		t.Fatalf("append gives %v", err)
	}
	if got := m.Stats().InletEntries; got != 2 {
		t.Fatalf("%d entries are held, want 2", got)
	}
	l := own(t, m, full)
	if _, err := l.Read(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	publish(t, l, Flush{Consumed: 1})
	if err := m.Append(t.Context(), both); err != nil {
		t.Fatal(err)
	}
	if got := m.Stats().InletEntries; got != 3 {
		t.Errorf("%d entries are held, want 3", got)
	}
}

func TestAnInletGivesTheMemoryOfConsumedEntriesBack(t *testing.T) {
	var q inlet
	for round := range 1000 {
		q.push(removals(t, 7), 1)
		q.trim(q.consumed + 6) // a backlog grows by one a round
		if q.len() != round+1 {
			t.Fatalf("%d entries are held after round %d", q.len(), round)
		}
	}
	if len(q.entries) > 2*q.len()+7 || cap(q.entries) > 8*q.len() {
		t.Errorf("%d entries are held in a slice of %d of %d", q.len(), len(q.entries), cap(q.entries))
	}
	for i, e := range q.after(q.consumed, 1<<62) {
		if e.ID != q.consumed+EntryID(i)+1 {
			t.Fatalf("entry %d has id %d", i, e.ID)
		}
	}
	q.push(removals(t, 10), 1)
	q.trim(q.consumed + 3)
	for _, e := range q.entries[:q.head] {
		if e.ID != 0 {
			t.Fatal("a consumed entry is still reachable behind the head")
		}
	}
	q.trim(q.last)
	if q.len() != 0 || q.bytes != 0 {
		t.Errorf("%d entries of %d bytes are left", q.len(), q.bytes)
	}
	for _, e := range q.entries[:cap(q.entries)] {
		if e.ID != 0 {
			t.Fatal("a consumed entry is still reachable")
		}
	}
}

func TestTheNumberOfRememberedDoorsIsBounded(t *testing.T) {
	d := newDoors()
	d.note(1, 9)
	for i := range DoorID(10 * maxDoors) {
		d.note(100+i, 5)
		d.note(1, 10+uint64(i)) // a door that works is not forgotten
	}
	if len(d.last) != maxDoors {
		t.Errorf("%d doors are remembered, want %d", len(d.last), maxDoors)
	}
	if d.compare(1, 9+10*maxDoors) != seqRepeated {
		t.Error("a working door was forgotten")
	}
	if d.compare(100, 5) != seqNew {
		t.Error("the quietest door is remembered")
	}
}

func TestEpochsAreNotShared(t *testing.T) {
	seen := map[Epoch]bool{}
	for range 2 {
		m := newMemory(t, MemoryOptions{Partitions: 3})
		for p := range 3 {
			seen[next(t, watch(t, m, p)).Snapshot.Position.Epoch] = true
		}
	}
	if len(seen) != 6 || seen[0] {
		t.Errorf("six partitions have epochs %v", seen)
	}
}

func TestAReadOfALostLeaseDoesNotTakeTheNextOwnersWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, MemoryOptions{})
		old, lost := own(t, m, 0), make(chan error)
		go func() { _, err := old.Read(t.Context(), 1); lost <- err }()
		synctest.Wait()
		if err := old.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		l, got := own(t, m, 0), make(chan []Entry)
		go func() { entries, _ := l.Read(t.Context(), 1); got <- entries }()
		synctest.Wait()
		if err := m.Append(t.Context(), Append{Door: 1, Seq: 1, Entries: removals(t, 1)}); err != nil {
			t.Fatal(err)
		}
		if err := <-lost; !errors.Is(err, ErrLost) {
			t.Errorf("the old Read gives %v", err)
		}
		if entries := <-got; len(entries) != 1 {
			t.Errorf("the new Read gives %v", entries)
		}
	})
}

func TestACloseBetweenTokenAndLeaseIsSeen(t *testing.T) {
	m := newMemory(t, MemoryOptions{})
	p := m.partitions[0]
	<-p.free // as Own does
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.lease(); !errors.Is(err, ErrClosed) {
		t.Errorf("a lease of a closed bus: %v", err)
	}
}

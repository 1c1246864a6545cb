package bus

import (
	"context"
	"fmt"
	"testing"
)

// publishAllocs is what one Publish allocates in a bus with so many feeds, which nobody reads meanwhile.
func publishAllocs(t *testing.T, feeds, changes int) float64 {
	const runs = 50
	m := newMemory(t, MemoryOptions{FeedBuffer: 2 * runs})
	l, f := own(t, m, 0), Flush{Time: 1}
	for i := range changes {
		f.Changes = append(f.Changes, Change{Device: device(t, fmt.Sprint(i)), Fleet: fleet(t, "north"), Frame: []byte("{}"), Record: []byte("r")})
	}
	for range feeds {
		next(t, watch(t, m, 0))
	}
	publish(t, l, f) // makes the places
	ctx := t.Context()
	return testing.AllocsPerRun(runs, func() {
		if _, err := l.Publish(ctx, &f); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPublishAllocatesNothingPerFeedAndPerChange(t *testing.T) {
	few, many := publishAllocs(t, 1, 1), publishAllocs(t, 40, 1000)
	if few != many || many > 2 {
		t.Errorf("Publish allocates %v times for one feed and one change, %v times for 40 and 1000", few, many)
	}
}

func TestAnEntryOnItsWayAllocatesNothingOfItsOwn(t *testing.T) {
	allocs := func(n int) float64 {
		m := newMemory(t, MemoryOptions{})
		l, entries, ctx, seq := own(t, m, 0), removals(t, n), t.Context(), uint64(0)
		return testing.AllocsPerRun(50, func() {
			seq++
			if err := m.Append(ctx, Append{Door: 1, Seq: seq, Entries: entries}); err != nil {
				t.Fatal(err)
			}
			got, err := l.Read(ctx, n)
			if err != nil || len(got) != n {
				t.Fatal(len(got), err)
			}
			if _, err := l.Publish(ctx, &Flush{Consumed: got[n-1].ID}); err != nil {
				t.Fatal(err)
			}
		})
	}
	if one, many := allocs(1), allocs(1000); one != many || many > 5 {
		t.Errorf("a round of 1 entry allocates %v times, of 1000 entries %v times", one, many)
	}
}

func BenchmarkPublish(b *testing.B) {
	m := newMemory(b, MemoryOptions{})
	l, f, feed := own(b, m, 0), Flush{Time: 1}, watch(b, m, 0)
	for i := range 1000 {
		f.Changes = append(f.Changes, Change{Device: device(b, fmt.Sprint(i)), Fleet: fleet(b, "north"), Frame: []byte("{}")})
	}
	next(b, feed)
	b.ReportAllocs()
	for b.Loop() {
		publish(b, l, f)
		next(b, feed)
	}
}

func BenchmarkAppendAndRead(b *testing.B) {
	m := newMemory(b, MemoryOptions{})
	l, entries, ctx, seq := own(b, m, 0), removals(b, 100), context.Background(), uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		if err := m.Append(ctx, Append{Door: 1, Seq: seq, Entries: entries}); err != nil {
			b.Fatal(err)
		}
		got, err := l.Read(ctx, 100)
		if err != nil {
			b.Fatal(err)
		}
		publish(b, l, Flush{Consumed: got[len(got)-1].ID})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	m := newMemory(b, MemoryOptions{})
	l, f := own(b, m, 0), Flush{Time: 1}
	for i := range 100_000 {
		f.Changes = append(f.Changes, Change{Device: device(b, fmt.Sprint(i)), Fleet: fleet(b, "north"), Frame: []byte("{}")})
	}
	publish(b, l, f)
	b.ReportAllocs()
	for b.Loop() {
		feed := watch(b, m, 0)
		next(b, feed)
		feed.Close()
	}
}

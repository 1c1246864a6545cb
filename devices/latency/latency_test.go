package latency

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

func TestADurationIsInTheBucketOfTheFirstBoundThatItDoesNotExceed(t *testing.T) {
	var h Histogram
	h.Observe(-time.Second) // another machine's clock is ahead
	h.Observe(Bounds[0])
	h.Observe(Bounds[0] + 1)
	h.ObserveTimes(2*time.Hour, 3)
	h.ObserveTimes(time.Hour, 0)
	s := h.Snapshot()
	if s.Counts[0] != 2 || s.Counts[1] != 1 || s.Counts[len(Bounds)] != 3 || s.Count() != 6 {
		t.Errorf("counts are %v", s.Counts)
	}
	if want := 2*Bounds[0] + 1 + 6*time.Hour; s.Sum != want {
		t.Errorf("sum is %v, want %v", s.Sum, want)
	}
	twice := s
	twice.Add(&s)
	if twice.Count() != 12 || twice.Sum != 2*s.Sum {
		t.Errorf("added to itself it is %v", twice)
	}
}

func TestFleetsAboveTheBoundAreCountedTogether(t *testing.T) {
	b := ByFleet{MaxFleets: 2}
	var wg sync.WaitGroup
	for i := range 8 {
		fleet, err := devices.ParseFleetID(fmt.Sprintf("fleet-%d", i))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			wg.Go(func() { b.Of(fleet).Observe(time.Second) })
		}
	}
	wg.Wait()
	s := b.Snapshot()
	if len(s) != 3 {
		t.Fatalf("there are %d histograms, want two fleets' and the rest's", len(s))
	}
	total := uint64(0)
	for name, h := range s {
		total += h.Count()
		if name == Rest && h.Count() != 18 {
			t.Errorf("the rest has %d, want 18", h.Count())
		}
	}
	if total != 24 {
		t.Errorf("%d of 24 were counted", total)
	}
	if len(*b.known.Load()) > 4 {
		t.Errorf("%d fleets are remembered", len(*b.known.Load()))
	}
}

func BenchmarkObserveOfAFleet(b *testing.B) {
	var all ByFleet
	fleet, err := devices.ParseFleetID("north")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		all.Of(fleet).Observe(30 * time.Millisecond)
	}
}

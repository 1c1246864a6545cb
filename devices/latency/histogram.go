package latency

import (
	"sync/atomic"
	"time"
)

// Bounds are the upper bounds of the buckets, in order; what took longer than the last is in one more bucket. They reach
// from what a machine can do to what a tracker in a tunnel does.
var Bounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second,
	2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, time.Hour,
}

// Histogram counts durations. The zero value is ready; all methods may be called concurrently.
type Histogram struct {
	buckets [len(Bounds) + 1]atomic.Uint64
	sum     atomic.Int64 // ns
}

// Observe counts a duration once. A negative one, as clocks of two machines make, counts as none.
func (h *Histogram) Observe(d time.Duration) { h.ObserveTimes(d, 1) }

// ObserveTimes counts a duration for several things that it was the same of.
func (h *Histogram) ObserveTimes(d time.Duration, times int) {
	if times <= 0 {
		return
	}
	d = max(d, 0)
	i := 0
	for i < len(Bounds) && d > Bounds[i] {
		i++
	}
	h.buckets[i].Add(uint64(times))
	h.sum.Add(int64(d) * int64(times))
}

// Snapshot is what a histogram held at a moment.
type Snapshot struct {
	// Counts has a number for each of Bounds and one for what took longer. They are not cumulative.
	Counts [len(Bounds) + 1]uint64 `json:"counts"`
	Sum    time.Duration           `json:"sum_ns"` // of all
}

// Snapshot returns what is held now. Its members are read one after the other, so one that is being counted may be in the
// sum and not in a bucket, or the other way round.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Sum: time.Duration(h.sum.Load())}
	for i := range h.buckets {
		s.Counts[i] = h.buckets[i].Load()
	}
	return s
}

// Count is how many durations there were.
func (s *Snapshot) Count() (n uint64) {
	for _, c := range s.Counts {
		n += c
	}
	return n
}

// Add adds what another histogram held.
func (s *Snapshot) Add(o *Snapshot) {
	s.Sum += o.Sum
	for i := range s.Counts {
		s.Counts[i] += o.Counts[i]
	}
}

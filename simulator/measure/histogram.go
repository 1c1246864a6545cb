package measure

import (
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Bounds of a histogram: what is above the longest is recorded as the longest.
const (
	shortest = time.Microsecond
	longest  = 10 * time.Minute
	digits   = 3
)

// Histogram counts durations to three digits. Its methods may be called from any goroutine.
type Histogram struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram
}

// NewHistogram returns an empty histogram of about 150 kB.
func NewHistogram() *Histogram {
	return &Histogram{h: hdrhistogram.New(int64(shortest/time.Microsecond), int64(longest/time.Microsecond), digits)}
}

// Record counts d.
func (h *Histogram) Record(d time.Duration) {
	h.mu.Lock()
	h.recordLocked(d)
	h.mu.Unlock()
}

// RecordAll counts many at the price of one lock.
func (h *Histogram) RecordAll(all []time.Duration) {
	h.mu.Lock()
	for _, d := range all {
		h.recordLocked(d)
	}
	h.mu.Unlock()
}

func (h *Histogram) recordLocked(d time.Duration) {
	d = min(max(d, 0), longest)
	_ = h.h.RecordValue(int64(d / time.Microsecond)) // cannot fail: the value is within the bounds
}

// Reset forgets everything.
func (h *Histogram) Reset() {
	h.mu.Lock()
	h.h.Reset()
	h.mu.Unlock()
}

// Copy returns what was counted so far.
func (h *Histogram) Copy() *Histogram { return Merge(h) }

// Merge returns all the histograms together.
func Merge(parts ...*Histogram) *Histogram {
	sum := NewHistogram()
	for _, p := range parts {
		p.addTo(sum.h)
	}
	return sum
}

// addTo adds h to sum.
func (h *Histogram) addTo(sum *hdrhistogram.Histogram) {
	h.mu.Lock()
	sum.Merge(h.h)
	h.mu.Unlock()
}

// Percentiles are a histogram's in milliseconds.
type Percentiles struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean_ms"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P95   float64 `json:"p95_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
}

// Sum returns the percentiles of all the histograms together.
func Sum(parts ...*Histogram) Percentiles {
	sum := NewHistogram().h
	for _, p := range parts {
		p.addTo(sum)
	}
	at := func(q float64) float64 { return float64(sum.ValueAtQuantile(q)) / 1000 }
	return Percentiles{
		Count: sum.TotalCount(), Mean: sum.Mean() / 1000, P50: at(50), P90: at(90), P95: at(95), P99: at(99), P999: at(99.9),
		Max: float64(sum.Max()) / 1000,
	}
}

// SumOf is Sum of one that may be nil, which has counted nothing.
func SumOf(h *Histogram) Percentiles {
	if h == nil {
		return Percentiles{}
	}
	return Sum(h)
}

// Text is the percentiles in a line.
func (p Percentiles) Text() string {
	return fmt.Sprintf("p50 %s  p90 %s  p95 %s  p99 %s  p99.9 %s  max %s ms  (%d)",
		Millis(p.P50), Millis(p.P90), Millis(p.P95), Millis(p.P99), Millis(p.P999), Millis(p.Max), p.Count)
}

// Millis writes milliseconds with three digits that count, or all before the point.
func Millis(ms float64) string {
	if ms >= 1000 {
		return fmt.Sprintf("%.0f", ms)
	}
	return fmt.Sprintf("%.3g", ms)
}

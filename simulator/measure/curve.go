package measure

import (
	"fmt"
	"io"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Point is a place on the curve of a histogram.
type Point struct {
	Quantile float64 `json:"quantile"` // 0 to 1
	Value    float64 `json:"ms"`
}

// curveTicks are the points of a curve between two halvings of what is left of 1.
const curveTicks = 4

// Curve is the distribution in about as many points as a plot can show.
func (h *Histogram) Curve() (points []Point) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.h.TotalCount() == 0 {
		return nil
	}
	for _, b := range h.h.CumulativeDistributionWithTicks(curveTicks) {
		points = append(points, Point{b.Quantile / 100, float64(b.ValueAt) / 1000})
	}
	return points
}

// WriteHGRM writes the percentile file that plotters of HdrHistogram read, in ms.
func (h *Histogram) WriteHGRM(w io.Writer) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, err := h.h.PercentilesPrint(w, 5, 1000); err != nil {
		return fmt.Errorf("write percentiles: %w", err)
	}
	return nil
}

// Since tells what was counted between two looks at growing histograms. It is for one goroutine; the zero value has seen
// nothing.
type Since struct{ before *hdrhistogram.Histogram }

// Look returns the percentiles of what came since the look before. Histograms that were reset in between begin anew.
func (s *Since) Look(parts ...*Histogram) Percentiles {
	now := Merge(parts...)
	before := s.before
	s.before = now.h
	if before == nil || before.TotalCount() > now.h.TotalCount() {
		return Sum(now)
	}
	was, is := before.Export(), now.h.Export()
	for i := range is.Counts {
		is.Counts[i] = max(is.Counts[i]-was.Counts[i], 0)
	}
	return Sum(&Histogram{h: hdrhistogram.Import(is)})
}

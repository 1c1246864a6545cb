package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// mergedSeries lays the samples of several reports over each other by the clock, from an instant on. Rates, connections and
// processors are sums. A latency of a second is that of the part in which it was worst, since percentiles are no sum: that
// of all parts together is at most this.
func mergedSeries(parts []*Report, began time.Time) []Sample {
	end, step := 0.0, 1.0
	for _, p := range parts {
		if n := len(p.Series); n > 0 {
			end = max(end, offset(p, began)+p.Series[n-1].At)
			step = max(step, math.Round(p.Series[n-1].At/float64(n))) // of a long run some were left out
		}
	}
	step = max(step, math.Ceil(end/maxSamples))
	cells := make([]Sample, int(math.Ceil(end/step)))
	for i := range cells {
		cells[i].At = min(float64(i+1)*step, end)
	}
	for _, p := range parts {
		addSeries(cells, step, p.Series, offset(p, began))
	}
	return cells
}

// offset is when a part began, in seconds since the instant.
func offset(p *Report, began time.Time) float64 { return p.Began.Sub(began).Seconds() }

// addSeries adds a part's samples, each of the time since the one before it, to the cells that have that time. What stands
// at a moment, as connections, is that of the last sample in the cell.
func addSeries(cells []Sample, step float64, series []Sample, offset float64) {
	before, resets := 0.0, int64(0)
	stands := map[int]*Sample{}
	last := -1
	for i := range series {
		s := &series[i]
		from, to := before+offset, s.At+offset
		before = s.At
		for n := max(int(from/step), 0); n < len(cells) && float64(n)*step < to; n++ {
			c := &cells[n]
			start := float64(n) * step
			part := (min(to, c.At) - max(from, start)) / (c.At - start)
			if part <= 0 {
				continue
			}
			c.addRates(s, part)
			c.Fresh50, c.Fresh99, c.Ack99 = max(c.Fresh50, s.Fresh50), max(c.Fresh99, s.Fresh99), max(c.Ack99, s.Ack99)
			stands[n], last = s, n
		}
	}
	for n := range cells {
		if s := stands[n]; s != nil {
			cells[n].Connected += s.Connected
			cells[n].Live += s.Live
			resets = s.Resets
		}
		if n > last {
			resets = lastResets(series)
		}
		cells[n].Resets += resets // they are counted from the beginning, and stay when the part has ended
	}
}

func lastResets(series []Sample) int64 {
	if len(series) == 0 {
		return 0
	}
	return series[len(series)-1].Resets
}

func (s *Sample) addRates(p *Sample, part float64) {
	s.Offered += p.Offered * part
	s.Sent += p.Sent * part
	s.Acked += p.Acked * part
	s.Skipped += p.Skipped * part
	s.Updates += p.Updates * part
	s.CPU += p.CPU * part
}

// mergedEvents are those of all parts by the clock, each with the part in which it was.
func mergedEvents(parts []*Report, began time.Time) (all []Event) {
	for _, p := range parts {
		for _, e := range p.Events {
			all = append(all, Event{e.At + offset(p, began), fmt.Sprintf("%s (shard %s)", e.Name, shardName(p.Run.Shard))})
		}
	}
	slices.SortStableFunc(all, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	return all
}

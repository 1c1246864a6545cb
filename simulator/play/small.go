package play

import (
	"math"
	"slices"
	"time"

	"github.com/fleetcast/fleetcast/simulator/report"
)

// Defaults of a small form.
const (
	smallFor    = 6 * time.Second
	smallFactor = 0.02
	// Least numbers of a small form: what there is of everything.
	leastDevices = 5
	leastViewers = 2
	// leastReaders are those of a ledger: with fewer there would not be one of each kind.
	leastReaders = 12
	// leastAge is how old a stream of a small form may get at the least, or it would be away more than it is there.
	leastAge = 3 * time.Second
)

// small returns the small form.
func (s *Scenario) small() *Scenario {
	out := *s
	out.For = s.Small.For
	if out.For <= 0 {
		out.For = smallFor
	}
	factor := s.Small.Factor
	if factor <= 0 {
		factor = smallFactor
	}
	z := shrink{numbers: factor, times: min(1, float64(out.For)/float64(s.For))}
	out.Devices = append([]Devices(nil), s.Devices...)
	for i := range out.Devices {
		d := &out.Devices[i]
		d.Stages = slices.Clone(d.Stages)
		for j := range d.Stages {
			d.Stages[j].For, d.Stages[j].Devices = z.time(d.Stages[j].For), z.number(d.Stages[j].Devices, min(leastDevices, d.Stages[j].Devices))
		}
		d.Count, d.Fleets = z.number(d.Count, leastDevices), min(d.Fleets, leastDevices)
		d.Ramp, d.RampDown, d.ColdStart = z.time(d.Ramp), z.time(d.RampDown), z.time(d.ColdStart)
		d.Report.Every, d.Report.Parked = z.time(d.Report.Every), z.time(d.Report.Parked)
	}
	out.Viewers = append([]Viewers(nil), s.Viewers...)
	for i := range out.Viewers {
		v := &out.Viewers[i]
		v.Count = z.number(v.Count, leastViewers)
		v.ResumeEvery, v.PanEvery = z.atLeast(v.ResumeEvery, leastAge), z.atLeast(v.PanEvery, leastAge)
	}
	if s.Ledger != nil {
		l := *s.Ledger
		l.Devices, l.Viewers = min(l.Devices, 10), min(l.Viewers, leastReaders)
		l.ResumeEvery, l.PanEvery = z.atLeast(l.ResumeEvery, leastAge), z.time(l.PanEvery)
		out.Ledger = &l
	}
	out.Faults = append([]Fault(nil), s.Faults...)
	for i := range out.Faults {
		f := &out.Faults[i]
		f.At.After, f.Within = z.time(f.At.After), z.time(f.Within)
		if !f.Fixed {
			f.For = z.time(f.For)
		}
		if f.Connections > 0 {
			f.Connections = z.number(f.Connections, 8)
		}
	}
	out.Thresholds = append([]string(nil), s.Small.Thresholds...)
	for _, text := range s.Thresholds {
		if report.IsCount(text) {
			out.Thresholds = append(out.Thresholds, text)
		}
	}
	return &out
}

type shrink struct{ numbers, times float64 }

func (z shrink) number(n, least int) int {
	return min(n, max(int(math.Round(float64(n)*z.numbers)), least))
}

func (z shrink) time(d time.Duration) time.Duration { return time.Duration(float64(d) * z.times) }

// atLeast is time with a floor, unless there is none to shrink.
func (z shrink) atLeast(d, least time.Duration) time.Duration {
	return min(d, max(z.time(d), least))
}

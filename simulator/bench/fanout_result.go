package bench

import (
	"fmt"
	"math"
)

// largestError is the error, as a part of the value, from which a cost is told to be no result.
const largestError = 0.2

// leastDelivered is the part of the updates that are due from which on all were delivered: a tick more or less is the
// edge of a measurement.
const leastDelivered = 0.97

// The marks of fan-out.
const (
	wantRatio   = 1.5 // of the floor's processor time
	wantFreshMS = 250 // p99 from publish to viewer
)

// conclude computes the costs. What the gateway uses without viewers is not theirs; the floor does nothing else. A use is
// known as well as its slices agree, and the use without viewers no better than what it moved during the run: where the
// viewers' part is not well above that, a difference of two readings looks like a result and is none.
func (r *FanoutStep) conclude() {
	alone := max(math.Abs(r.AloneBefore-r.AloneAfter)/2, r.AloneError)
	r.Ours.CostPerMillion = perMillion(r.Ours.Usage-r.Alone, r.Ours.Updates)
	r.Ours.CostError = perMillion(math.Hypot(r.Ours.UsageError, alone), r.Ours.Updates)
	r.Floor.CostPerMillion = perMillion(r.Floor.Usage, r.Floor.Updates)
	r.Floor.CostError = perMillion(r.Floor.UsageError, r.Floor.Updates)
	if r.Floor.CostPerMillion <= 0 {
		return
	}
	r.Ratio = r.Ours.CostPerMillion / r.Floor.CostPerMillion
	r.RatioLow = (r.Ours.CostPerMillion - r.Ours.CostError) / (r.Floor.CostPerMillion + r.Floor.CostError)
	r.RatioHigh = (r.Ours.CostPerMillion + r.Ours.CostError) / max(r.Floor.CostPerMillion-r.Floor.CostError, r.Floor.CostError)
	r.doubt()
}

// doubt says why the ratio is no result.
func (r *FanoutStep) doubt() {
	for _, side := range []struct {
		name string
		s    *Side
	}{{"gateway", &r.Ours}, {"floor", &r.Floor}} {
		if due := float64(r.Viewers*r.Devices) * r.Rate; side.s.Updates < leastDelivered*due {
			r.Notes = append(r.Notes, fmt.Sprintf("of %.0f updates a second that were due the %s delivered %.0f: this machine, or the generator on it, is too slow", due, side.name, side.s.Updates))
		}
		if side.s.CostError > largestError*side.s.CostPerMillion {
			r.Notes = append(r.Notes, fmt.Sprintf("the viewers' cost of the %s, %.3f, is known to %.3f only: measure longer, or with more viewers and updates",
				side.name, side.s.CostPerMillion, side.s.CostError))
		}
	}
	if r.Ratio < 1 && r.RatioHigh < 1 {
		r.Notes = append(r.Notes, fmt.Sprintf("a ratio of %.2f says that the gateway is cheaper than the least that it can cost, which cannot be for the same writes: the difference of two readings is off", r.Ratio))
	}
}

func perMillion(cores, updates float64) float64 {
	if updates <= 0 {
		return 0
	}
	return cores / updates * 1e6
}

// ratioText is the ratio with its bounds, or that there is none.
func ratioText(ratio, low, high float64, notes []string) string {
	if len(notes) == 0 && ratio > 0 {
		return fmt.Sprintf("%.2f (%.2f to %.2f)", ratio, low, high)
	}
	return fmt.Sprintf("no result (%.2f to %.2f)", low, high)
}

func fanoutSection(steps []*FanoutStep) *Section {
	s := &Section{Title: "Fan-out: the viewers' processor time", Result: steps}
	s.say("The gateway is measured without viewers, with them, and without again; what they cost is the difference. The floor program does nothing but write the same bytes once per viewer and window.")
	for _, r := range steps {
		s.addFanout(r)
	}
	return s
}

func (s *Section) addFanout(r *FanoutStep) {
	s.say("%d viewers x %d updates/s: devices offered %.1f/s, achieved %.1f/s, %d skipped, %d late. %s %s", r.Viewers, r.Devices, r.Offered, r.Achieved, r.Skipped, r.Late,
		healthText("with the gateway", &r.Ours.Generator), healthText("with the floor", &r.Floor.Generator))
	t := Table{Title: fmt.Sprintf("%d viewers x %d updates a second", r.Viewers, r.Devices), Head: []string{"", "gateway", "floor"}}
	row := func(name, format string, ours, floor float64) {
		t.add(name, fmt.Sprintf(format, ours), fmt.Sprintf(format, floor))
	}
	row("updates delivered a second", "%.0f", r.Ours.Updates, r.Floor.Updates)
	row("MB a second", "%.1f", r.Ours.Bytes/1e6, r.Floor.Bytes/1e6)
	row("bytes an update", "%.0f", r.Ours.BytesPerUpdate, r.Floor.BytesPerUpdate)
	row("cores with viewers", "%.3f", r.Ours.Usage, r.Floor.Usage)
	t.add("cores without viewers, before and after", fmt.Sprintf("%.3f, %.3f", r.AloneBefore, r.AloneAfter), "")
	t.add("**CPU seconds of the viewers a million updates**", fmt.Sprintf("**%.3f** ± %.3f", r.Ours.CostPerMillion, r.Ours.CostError),
		fmt.Sprintf("**%.3f** ± %.3f", r.Floor.CostPerMillion, r.Floor.CostError))
	ratio := ratioText(r.Ratio, r.RatioLow, r.RatioHigh, r.Notes)
	t.add("**ratio** (between the bounds of the error)", ratio, "1")
	t.add("from the intended instant to the viewer, p50 / p99 / max", r.Ours.Latency.text(), "")
	t.add("of it from the gateway's receipt on", r.Ours.View.text(), "")
	t.add("from the floor's tick to the viewer: what writing and the generator take", "", r.Floor.Latency.text())
	t.add("broken promises", fmt.Sprint(r.Ours.Violations), "")
	s.Tables = append(s.Tables, t)
	what := fmt.Sprintf("fan-out at %d x %d/s: viewers' CPU over the floor's", r.Viewers, r.Devices)
	hit := met(r.Ratio <= wantRatio)
	if len(r.Notes) > 0 {
		hit = Unknown
	}
	s.mark(what, fmt.Sprintf("≤ %.1f", wantRatio), hit, "%s", ratio)
	s.mark(fmt.Sprintf("fan-out at %d x %d/s: p99 from publish to viewer", r.Viewers, r.Devices), fmt.Sprintf("≤ %d ms", wantFreshMS),
		met(r.Ours.Latency.P99 <= wantFreshMS), "%.0f ms", r.Ours.Latency.P99)
	for _, note := range r.Notes {
		s.note("no result at %d x %d: %s", r.Viewers, r.Devices, note)
	}
	for _, e := range r.Ours.Examples {
		s.note("broken promise: %s", e)
	}
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/units"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

// Slow asks what viewers cost that read slowly, and what the others notice: paired runs in which a share of the viewers
// reads slowly, and in which all of them read as fast as they can.
type Slow struct {
	Devices int            `help:"How many devices." default:"1000"`
	Rate    units.Rate     `help:"How often each sends." default:"1/5s"`
	Viewers int            `help:"How many viewers, the slow ones included." default:"2000"`
	Share   units.Share    `help:"Share of them that reads slowly." default:"10%"`
	Pace    units.ByteRate `help:"How slowly." default:"1kB/s"`
	For     time.Duration  `help:"Length of each run; ten minutes show several whole passes of the slow ones." default:"45s"`
	Pairs   int            `help:"How many pairs of runs." default:"2"`
}

// wantSlowMemory is the mark: the part by which the resident memory may differ.
const wantSlowMemory = 0.05

// slowSnapshots is how often memory is read in the second half of a run: what is compared is the mean.
const slowSnapshots = 10

// Name is slow.
func (*Slow) Name() string { return "slow" }

func (o *Slow) shrink() { o.Devices, o.Viewers, o.For, o.Pairs = 100, 50, 4*time.Second, 1 }

// SlowRun is one run.
type SlowRun struct {
	Slow     int     `json:"slow_viewers"`
	Resident float64 `json:"resident_bytes"`
	Fast     Latency `json:"latency_of_the_others"`
	Sample   Sample  `json:"sample"`
	Broken   int64   `json:"broken_streams"`

	// Of the slow viewers: bytes a second that each read, and how old the devices' instants were when they read them.
	LeastBytes float64 `json:"least_bytes_per_second"`
	MeanBytes  float64 `json:"mean_bytes_per_second"`
	Age        Latency `json:"age_of_what_they_read"`
	Ready      int64   `json:"past_ready"`

	Examples []string `json:"examples,omitempty"`
}

func (o *Slow) run(ctx context.Context, l *lab) (*Section, error) {
	var with, without []*SlowRun
	for i := range o.Pairs {
		order := []bool{true, false}
		if i%2 == 1 { // what drifts falls on both
			slices.Reverse(order)
		}
		for _, isSlow := range order {
			r, err := o.once(ctx, l, isSlow)
			if err != nil {
				return o.section(with, without), err
			}
			if isSlow {
				with = append(with, r)
			} else {
				without = append(without, r)
			}
		}
	}
	return o.section(with, without), nil
}

func (o *Slow) slow() int { return int(float64(o.Viewers) * float64(o.Share)) }

func (o *Slow) once(ctx context.Context, l *lab, isSlow bool) (*SlowRun, error) {
	r := &SlowRun{}
	return r, l.withDevices(ctx, fleet.Options{Devices: o.Devices, Rate: o.Rate}, func(s *server, _ *devices) error {
		fast, err := l.startCrowd(ctx, s, watch.Options{Viewers: o.Viewers - o.slow()})
		if err != nil {
			return err
		}
		others := watch.Options{URL: s.url, Viewers: o.slow(), Ages: true}
		if isSlow {
			others.SlowShare, others.SlowRate, r.Slow = 1, o.Pace, o.slow()
		}
		slow, err := openCrowd(ctx, others)
		if err != nil {
			return errors.Join(err, fast.stop())
		}
		err = waitFor(ctx, connectTimeout, "slow viewers are connected", func() bool { return slow.Counts().Opened >= int64(o.slow()) })
		if err == nil {
			err = o.look(ctx, l, s, fast, slow, r)
		}
		r.note(fast, slow)
		return errors.Join(err, fast.stop(), slow.stop())
	})
}

// note keeps what went wrong.
func (r *SlowRun) note(crowds ...*crowd) {
	for _, c := range crowds {
		n := c.Report()
		r.Broken += n.Broken + n.Silent
		r.Examples = append(r.Examples, n.Examples...)
	}
}

func (o *Slow) look(ctx context.Context, l *lab, s *server, fast, slow *crowd, r *SlowRun) error {
	if err := pause(ctx, l.Warm); err != nil {
		return err
	}
	fast.ForgetLatencies()
	slow.ForgetLatencies()
	before, start := slow.BytesOfEach(), now()
	l.say("measuring %d viewers, %d of them slow, for %v", o.Viewers, r.Slow, o.For)
	var err error
	if r.Sample, err = l.measure(ctx, s, o.For/2); err != nil {
		return err
	}
	for range slowSnapshots {
		if err := pause(ctx, o.For/2/slowSnapshots); err != nil {
			return err
		}
		n, err := s.resident()
		if err != nil {
			return err
		}
		r.Resident += float64(n) / slowSnapshots
	}
	seconds := since(start)
	r.Fast = latencyOf(fast)
	r.LeastBytes = math.MaxFloat64
	for i, n := range slow.BytesOfEach() {
		rate := float64(n-before[i]) / seconds
		r.LeastBytes = min(r.LeastBytes, rate)
		r.MeanBytes += rate / float64(slow.viewers)
	}
	age := slow.Report()
	r.Ready = age.Ready
	if p := age.SlowLatency; p.Count > 0 {
		r.Age = Latency{p.P50, p.P99, p.Max}
	}
	return nil
}

// median is the middle value.
func median(runs []*SlowRun, value func(*SlowRun) float64) float64 {
	if len(runs) == 0 {
		return 0
	}
	all := make([]float64, len(runs))
	for i, r := range runs {
		all[i] = value(r)
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

func (o *Slow) section(with, without []*SlowRun) *Section {
	s := &Section{Title: fmt.Sprintf("Slow viewers: %d of %d read %s, a fleet of %d", o.slow(), o.Viewers, paceText(o.Pace), o.Devices), Result: map[string][]*SlowRun{"with": with, "without": without}}
	s.say("Runs of %v in pairs, each with a fresh gateway; in the others all viewers are fast. %.0f updates a second.", o.For, float64(o.Devices)*float64(o.Rate))
	t := Table{Head: []string{"run", "MB resident", "p50 / p99 of the fast", "slow: least and mean bytes/s", "slow: age of what they read p50 / p99", "slow: past ready", "streams broken", "cores"}}
	for _, runs := range [][]*SlowRun{with, without} {
		for _, r := range runs {
			s.addSlow(&t, r)
		}
	}
	s.Tables = append(s.Tables, t)
	if len(with) == 0 || len(without) == 0 {
		return s
	}
	resident := func(r *SlowRun) float64 { return r.Resident }
	p99 := func(r *SlowRun) float64 { return r.Fast.P99 }
	change := median(with, resident)/median(without, resident) - 1
	s.mark("slow viewers: resident memory against runs without", fmt.Sprintf("within %.0f %%", wantSlowMemory*100), met(change <= wantSlowMemory), "%+.1f %%", change*100)
	s.mark("slow viewers: median p99 of the others", "unmoved", Unknown, "%.0f ms with, %.0f ms without", median(with, p99), median(without, p99))
	least := median(with, func(r *SlowRun) float64 { return r.LeastBytes })
	s.mark("slow viewers: each makes progress", "yes", met(least > 0), "the slowest read %.0f B/s", least)
	return s
}

func (s *Section) addSlow(t *Table, r *SlowRun) {
	name, bytes, age, ready := "all fast", "", "", ""
	if r.Slow > 0 {
		name = fmt.Sprintf("%d slow", r.Slow)
		bytes = fmt.Sprintf("%.0f, %.0f", r.LeastBytes, r.MeanBytes)
		age = fmt.Sprintf("%.1f / %.1f s", r.Age.P50/1000, r.Age.P99/1000)
		ready = fmt.Sprint(r.Ready)
	}
	s.say("%s: %s", name, healthText("meanwhile", &r.Sample.Generator))
	t.add(name, fmt.Sprintf("%.1f", r.Resident/1e6), fmt.Sprintf("%.0f / %.0f ms", r.Fast.P50, r.Fast.P99), bytes, age, ready, fmt.Sprint(r.Broken), fmt.Sprintf("%.3f", r.Sample.Cores))
	if len(r.Examples) > 0 {
		s.note("%s: broken promises: %s", name, strings.Join(r.Examples, "; "))
	}
}

func paceText(r units.ByteRate) string { return fmt.Sprintf("%g kB/s", float64(r)/1000) }

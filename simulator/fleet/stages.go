package fleet

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Stage is a part of a run, in which the number of devices that should be connected goes evenly from what it was to
// Devices. A last stage that takes no time goes on until the run is ended.
type Stage struct {
	For     time.Duration
	Devices int
}

// Stages are written as 60s:5000,10m:5000,30s:0, each a time and the number of devices at its end.
type Stages []Stage

var errStages = errors.New("stages are written as 60s:5000,10m:5000,30s:0")

// UnmarshalText reads stages.
func (s *Stages) UnmarshalText(text []byte) error {
	var stages Stages
	for part := range strings.SplitSeq(string(text), ",") {
		length, number, found := strings.Cut(strings.TrimSpace(part), ":")
		d, err := time.ParseDuration(length)
		n, numberErr := strconv.Atoi(number)
		if !found || err != nil || numberErr != nil || d < 0 || n < 0 || n > MaxDevices {
			return fmt.Errorf("read stage %q: %w", part, errStages)
		}
		stages = append(stages, Stage{d, n})
	}
	*s = stages
	return nil
}

// MarshalText writes the stages as they are read.
func (s Stages) MarshalText() ([]byte, error) {
	var parts []string
	for _, stage := range s {
		parts = append(parts, stage.For.String()+":"+strconv.Itoa(stage.Devices))
	}
	return []byte(strings.Join(parts, ",")), nil
}

// peak is the index of the first stage after which most devices are connected, and how many those are.
func (s Stages) peak() (index, devices int) {
	for i, stage := range s {
		if stage.Devices > devices {
			index, devices = i, stage.Devices
		}
	}
	return index, devices
}

// usual are the stages where nobody named any: up at the connect rate, steady, and down where that is to take time.
func (o *Options) usual() Stages {
	up := time.Duration(float64(o.Devices) / float64(o.ConnectRate) * float64(time.Second))
	s := Stages{{up, o.Devices}, {o.For, o.Devices}}
	if o.RampDown > 0 && o.For > 0 {
		s = append(s, Stage{o.RampDown, 0})
	}
	return s
}

// follow goes through the stages. The steady time is from the peak, when the devices had time to be connected, to the
// first stage that leads down from it.
func (f *Fleet) follow(sending, connected context.Context) {
	peak, most := f.options.Stages.peak()
	from := 0
	for i, s := range f.options.Stages {
		if sending.Err() != nil {
			return
		}
		if i > peak && s.Devices < most {
			f.endSteady()
		}
		switch {
		case s.Devices > from:
			f.climb(sending, connected, from, s)
		case s.Devices < from:
			f.descend(sending, from, s)
		case s.For > 0 || i == len(f.options.Stages)-1:
			f.wait(sending, s.For, nil)
		}
		if from = s.Devices; i == peak {
			f.wait(sending, rampGrace, func() bool { return f.count.connected.Load() >= int64(most) })
			f.beginSteady()
		}
	}
}

// climb starts devices, each at its instant.
func (f *Fleet) climb(sending, connected context.Context, from int, s Stage) {
	began, n := f.elapsed(), s.Devices-from
	at := func(i int) time.Duration { return began + time.Duration(float64(s.For)*float64(i)/float64(n)) }
	f.each(sending, n, at, func(i int) {
		d := &f.devices[from+i]
		d.start(connected, at(i))
	})
}

// descend says goodbye to devices, the last that came first.
func (f *Fleet) descend(sending context.Context, from int, s Stage) {
	began, n := f.elapsed(), from-s.Devices
	at := func(i int) time.Duration {
		return began + time.Duration(float64(s.For)*float64(min(i+1, n))/float64(n))
	}
	f.each(sending, n, at, func(i int) { f.devices[from-1-i].stop() })
}

// each does something n times, each at its instant.
func (f *Fleet) each(ctx context.Context, n int, at func(int) time.Duration, do func(int)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for next := 0; next < n; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		for ; next < n && at(next) <= f.elapsed(); next++ {
			do(next)
		}
		if next < n {
			timer.Reset(max(at(next)-f.elapsed(), granularity))
		}
	}
	if rest := at(n) - f.elapsed(); rest > 0 { // a stage takes its whole time
		f.wait(ctx, rest, nil)
	}
}

func (f *Fleet) beginSteady() {
	f.mu.Lock()
	f.phases.steady, f.phases.isSteady = f.elapsed(), true
	f.phases.atSteady = f.count.counts()
	f.steadyFrom.Store(int64(f.phases.steady))
	f.mu.Unlock()
	f.count.lateness.Reset()
	f.count.puback.Reset()
	f.count.acking.Reset()
}

// endSteady keeps what is counted and measured until now; it does so once.
func (f *Fleet) endSteady() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.phases.isDown || !f.phases.isSteady {
		return
	}
	f.phases.isDown, f.phases.down, f.phases.atDown = true, f.elapsed(), f.count.counts()
	f.phases.kept = f.count.latencies()
}

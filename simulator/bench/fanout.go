package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/measure"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

// Fanout asks what viewers cost, beside the floor program: the gateway's use without viewers, with them and without again
// at one ingest, then the floor's for the same bytes and viewers.
type Fanout struct {
	Points []Point `name:"point" help:"Viewers x updates a second, repeatable; a device sends one a second." default:"1000x1000,5000x200,200x1000,1000x50"`
}

// Point is a load: so many viewers, each of whom sees so many updates a second.
type Point struct {
	Viewers int
	Updates int
}

// UnmarshalText reads a point as it is written: 1000x50.
func (p *Point) UnmarshalText(text []byte) error {
	viewers, updates, found := strings.Cut(string(text), "x")
	var err1, err2 error
	p.Viewers, err1 = strconv.Atoi(viewers)
	p.Updates, err2 = strconv.Atoi(updates)
	if !found || err1 != nil || err2 != nil || p.Viewers < 1 || p.Updates < 1 {
		return fmt.Errorf("read point %q: it is written as 1000x50, viewers and updates a second", text)
	}
	return nil
}

// MarshalText writes a point as it is read.
func (p Point) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%dx%d", p.Viewers, p.Updates), nil
}

// Name is fanout.
func (*Fanout) Name() string { return "fanout" }

func (f *Fanout) shrink() { f.Points = []Point{{300, 500}} }

func (f *Fanout) run(ctx context.Context, l *lab) (*Section, error) {
	var steps []*FanoutStep
	var failed error
	for _, p := range f.Points {
		step, err := l.fanoutStep(ctx, p)
		if err != nil {
			failed = fmt.Errorf("%d viewers and %d updates a second: %w", p.Viewers, p.Updates, err)
			break
		}
		steps = append(steps, step)
	}
	return fanoutSection(steps), failed
}

// fanoutStep is one point.
func (l *lab) fanoutStep(ctx context.Context, p Point) (*FanoutStep, error) {
	step := &FanoutStep{Viewers: p.Viewers, Devices: p.Updates, Rate: 1, MeasureSeconds: l.Measure.Seconds()}
	err := l.withDevices(ctx, fleet.Options{Devices: p.Updates, Rate: 1}, func(s *server, d *devices) error {
		return l.fanoutGateway(ctx, s, d, step)
	})
	if err != nil {
		return nil, err
	}
	if err := l.fanoutFloor(ctx, step); err != nil {
		return nil, err
	}
	step.conclude()
	return step, nil
}

func (l *lab) fanoutGateway(ctx context.Context, s *server, d *devices, step *FanoutStep) error {
	before, err := l.measureAlone(ctx, s, "without viewers", l.Measure)
	if err != nil {
		return err
	}
	if err := l.fanoutSide(ctx, s, step.Viewers, &step.Ours); err != nil {
		return err
	}
	after, err := l.measureAlone(ctx, s, "without viewers again", l.Measure)
	step.AloneBefore, step.AloneAfter = before.Cores, after.Cores
	step.Alone = (before.Cores + after.Cores) / 2
	step.AloneError = math.Hypot(before.Error, after.Error) / 2 // of their mean
	sum := d.Summary()
	step.Offered, step.Achieved, step.Skipped, step.Late = sum.OfferedRate, sum.AchievedRate, sum.Whole.Skipped.Total(), sum.Whole.Late
	return err
}

func (l *lab) fanoutFloor(ctx context.Context, step *FanoutStep) error {
	rate := step.Ours.Updates / float64(step.Viewers)
	if rate <= 0 {
		return fmt.Errorf("measure floor: %w", errNothingDelivered)
	}
	s, err := l.startFloor(ctx, rate, int(step.Ours.BytesPerUpdate+0.5))
	if err != nil {
		return err
	}
	defer s.stop()
	return l.fanoutSide(ctx, s, step.Viewers, &step.Floor)
}

var errNothingDelivered = errors.New("the gateway delivered no update")

// fanoutSide opens the viewers, measures and closes them.
func (l *lab) fanoutSide(ctx context.Context, s *server, viewers int, side *Side) error {
	c, err := l.startCrowd(ctx, s, watch.Options{Viewers: viewers})
	if err != nil {
		return err
	}
	m, got, err := l.measureCrowd(ctx, s, c, l.Measure)
	side.fill(&m, &got)
	return errors.Join(err, c.stop())
}

// FanoutStep is what was found at one point.
type FanoutStep struct {
	Devices        int     `json:"devices"`
	Rate           float64 `json:"rate_per_device"`
	Viewers        int     `json:"viewers"`
	MeasureSeconds float64 `json:"measure_seconds"`

	Offered  float64 `json:"offered_per_second"`
	Achieved float64 `json:"achieved_per_second"`
	Skipped  int64   `json:"skipped"`
	Late     int64   `json:"late"`

	// Alone is the gateway's use without viewers, in cores: the mean of before and after.
	Alone       float64 `json:"gateway_alone_cores"`
	AloneBefore float64 `json:"gateway_alone_before_cores"`
	AloneAfter  float64 `json:"gateway_alone_after_cores"`
	AloneError  float64 `json:"gateway_alone_cores_error"`
	Ours        Side    `json:"gateway"`
	Floor       Side    `json:"floor"`
	// Ratio is the viewers' cost of the gateway over the floor's, for a million updates, and what it may be by the error.
	Ratio     float64 `json:"ratio"`
	RatioLow  float64 `json:"ratio_low"`
	RatioHigh float64 `json:"ratio_high"`
	// Notes say why the ratio is no result. Empty where it is one.
	Notes []string `json:"notes,omitempty"`
}

// Side is what was measured of a server with viewers.
type Side struct {
	Crowding
	Usage          float64        `json:"cores"`
	UsageError     float64        `json:"cores_error"`
	BytesPerUpdate float64        `json:"bytes_per_update"`
	CostPerMillion float64        `json:"viewers_cpu_seconds_per_million"`
	CostError      float64        `json:"viewers_cpu_seconds_per_million_error"`
	Generator      measure.Health `json:"generator"`
}

func (s *Side) fill(m *Sample, got *Crowding) {
	s.Crowding, s.Usage, s.UsageError, s.Generator = *got, m.Cores, m.Error, m.Generator
	if got.Updates > 0 {
		s.BytesPerUpdate = got.Bytes / got.Updates
	}
}

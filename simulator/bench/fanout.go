package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

// Fanout runs the bench: memory of idle connections, then the gateway's use without viewers, with viewers and without
// again at one ingest, then the floor's for the same bytes and viewers. It takes four measurements and about a minute of
// waiting. The result is also written to the options' directory, with what the programs said.
func Fanout(ctx context.Context, o Options) (*Result, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "fleetcast-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // the data of gateways that nobody needs
	r := newResult(&o)
	if err := o.memory(ctx, dir, r); err != nil {
		return nil, err
	}
	if err := o.load(ctx, dir, r); err != nil {
		return nil, err
	}
	r.conclude()
	return r, save(o.Out, "fanout", r)
}

// load measures the processor.
func (o *Options) load(ctx context.Context, dir string, r *Result) error {
	g, err := o.programs().startGateway(ctx, dir, "gateway")
	if err != nil {
		return err
	}
	err = o.loadGateway(ctx, g, r)
	g.stop()
	if err != nil {
		return err
	}
	return o.loadFloor(ctx, r)
}

func (o *Options) loadGateway(ctx context.Context, g *gateway, r *Result) error {
	o.say("connecting %d devices", o.Devices)
	f, sending, err := startFleet(ctx, fleet.Options{MQTT: g.mqtt, Devices: o.Devices, Rate: o.Rate})
	if err != nil {
		return err
	}
	before, err := o.measureAlone(ctx, g.pid(), "without viewers")
	if err == nil {
		err = o.measureCrowd(ctx, g.pid(), g.stream(), &r.Ours)
	}
	var after float64
	if err == nil {
		after, err = o.measureAlone(ctx, g.pid(), "without viewers again")
	}
	s := f.Summary()
	r.Alone = (before + after) / 2
	r.AloneBefore, r.AloneAfter = before, after
	r.Offered, r.Achieved, r.Skipped, r.Late = s.OfferedRate, s.AchievedRate, s.Whole.Skipped.Total(), s.Whole.Late
	return errors.Join(err, sending.stop())
}

func (o *Options) measureAlone(ctx context.Context, pid int, what string) (float64, error) {
	if err := pause(ctx, o.Warm); err != nil {
		return 0, err
	}
	o.say("measuring %s for %v", what, o.Measure)
	return usage(ctx, pid, o.Measure)
}

// measureCrowd opens the viewers, measures and closes them.
func (o *Options) measureCrowd(ctx context.Context, pid int, url string, side *Side) error {
	o.say("opening %d viewers of %s", o.Viewers, url)
	w, viewing, err := startCrowd(ctx, url, o.Viewers)
	if err != nil {
		return err
	}
	if err := pause(ctx, o.Warm); err != nil {
		return errors.Join(err, viewing.stop())
	}
	w.ForgetLatencies()
	before, start := w.Counts(), time.Now()
	o.say("measuring %d viewers for %v", o.Viewers, o.Measure)
	side.Usage, err = usage(ctx, pid, o.Measure)
	seconds, after := time.Since(start).Seconds(), w.Counts()
	report := w.Report()
	stopErr := viewing.stop()
	if errors.Is(stopErr, watch.ErrViolations) { // told in the table, which asserts nothing
		stopErr = nil
	}
	side.fill(&report, before, after, seconds)
	return errors.Join(err, stopErr)
}

func (o *Options) loadFloor(ctx context.Context, r *Result) error {
	rate := r.Ours.Updates / float64(o.Viewers)
	size := int(r.Ours.BytesPerUpdate + 0.5)
	if rate <= 0 {
		return fmt.Errorf("measure floor: %w", errNothingDelivered)
	}
	c, url, err := o.startFloor(ctx, rate, size)
	if err != nil {
		return err
	}
	defer c.stop()
	return o.measureCrowd(ctx, c.pid(), url, &r.Floor)
}

var errNothingDelivered = errors.New("the gateway delivered no update")

// memory measures what idle connections take.
func (o *Options) memory(ctx context.Context, dir string, r *Result) error {
	if o.IdleViewers > 0 {
		o.say("memory of %d idle viewers", o.IdleViewers)
		var err error
		r.ViewerBytes, err = o.growth(ctx, dir, "idle-viewers", o.IdleViewers, func(g *gateway) (running, error) {
			_, viewing, err := startCrowd(ctx, g.stream(), o.IdleViewers)
			return viewing, err
		})
		if err != nil {
			return err
		}
	}
	if o.IdleDevices > 0 {
		o.say("memory of %d idle devices", o.IdleDevices)
		var err error
		r.DeviceBytes, err = o.growth(ctx, dir, "idle-devices", o.IdleDevices, func(g *gateway) (running, error) {
			_, sending, err := startFleet(ctx, fleet.Options{MQTT: g.mqtt, Devices: o.IdleDevices})
			return sending, err
		})
		return err
	}
	return nil
}

// growth is the resident bytes that each of count connections adds to a fresh gateway.
func (o *Options) growth(ctx context.Context, dir, name string, count int, connect func(*gateway) (running, error)) (float64, error) {
	g, err := o.programs().startGateway(ctx, dir, name)
	if err != nil {
		return 0, err
	}
	defer g.stop()
	before, err := o.settled(ctx, g.pid())
	if err != nil {
		return 0, err
	}
	r, err := connect(g)
	if err != nil {
		return 0, err
	}
	after, err := o.settled(ctx, g.pid())
	return float64(after-before) / float64(count), errors.Join(err, r.stop())
}

// settled reads the resident size when it has not moved by a hundredth for three seconds, after the options' time. Go
// collects when the heap has doubled or after two minutes, so the size holds garbage unless that time is longer.
func (o *Options) settled(ctx context.Context, pid int) (int64, error) {
	if err := pause(ctx, o.Settle); err != nil {
		return 0, err
	}
	const steady, most = 3, 30
	last, same := int64(0), 0
	for range most {
		now, err := residentBytes(pid)
		if err != nil {
			return 0, err
		}
		if same++; now-last > last/100 || last-now > last/100 {
			same = 0
		}
		if last = now; same >= steady {
			break
		}
		if err := pause(ctx, time.Second); err != nil {
			return 0, err
		}
	}
	return last, nil
}

func newResult(o *Options) *Result {
	return &Result{
		When: time.Now().UTC().Truncate(time.Second), Go: runtime.Version(), Cores: runtime.NumCPU(), OS: runtime.GOOS + "/" + runtime.GOARCH,
		Devices: o.Devices, Rate: float64(o.Rate), Viewers: o.Viewers, IdleDevices: o.IdleDevices, IdleViewers: o.IdleViewers,
		WindowMS: float64(o.Window) / 1e6, MeasureSeconds: o.Measure.Seconds(),
	}
}

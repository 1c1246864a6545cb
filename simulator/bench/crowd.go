package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

const (
	// connectRate is connections a second, of devices and of viewers.
	connectRate = 1000
	// connectTimeout bounds the time until all are connected.
	connectTimeout = 4 * time.Minute
)

// running is something that runs until it is told to stop.
type running struct {
	cancel context.CancelFunc
	done   chan error
}

func runInBackground(ctx context.Context, run func(context.Context) error) running {
	ctx, cancel := context.WithCancel(ctx)
	r := running{cancel, make(chan error, 1)}
	go func() { r.done <- run(ctx) }() // stop waits for it
	return r
}

func (r running) stop() error {
	r.cancel()
	return <-r.done
}

// devices are connected devices.
type devices struct {
	*fleet.Fleet
	running
}

// startFleet connects the devices of one fleet; a rate of 0 makes them idle. It returns when all are connected.
func (l *lab) startFleet(ctx context.Context, s *server, o fleet.Options) (*devices, error) {
	if len(o.Fleets) == 0 {
		o.Fleets = []string{"bench"}
	}
	o.MQTT = s.mqtt
	if o.ConnectRate == 0 {
		o.ConnectRate = connectRate
	}
	l.say("connecting %d devices at %g/s", o.Devices, float64(o.Rate))
	f, err := fleet.New(o)
	if err != nil {
		return nil, err
	}
	d := &devices{f, runInBackground(ctx, f.Run)}
	err = waitFor(ctx, connectTimeout, "devices are connected", func() bool { return f.Counts().Connected >= int64(o.Devices) })
	if err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return d, nil
}

// crowd are open viewers.
type crowd struct {
	*watch.Watch
	running
	viewers int
	raw     bool // they look into nothing
}

// startCrowd opens viewers and returns when all are past ready.
func (l *lab) startCrowd(ctx context.Context, s *server, o watch.Options) (*crowd, error) {
	if o.URL == "" {
		o.URL = s.url
	}
	if o.ConnectRate == 0 {
		o.ConnectRate = connectRate
	}
	l.say("opening %d viewers", o.Viewers)
	c, err := openCrowd(ctx, o)
	if err != nil {
		return nil, err
	}
	err = waitFor(ctx, connectTimeout, "viewers are live", func() bool { return c.Counts().Live >= int64(o.Viewers) })
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

// openCrowd opens viewers and does not wait for them.
func openCrowd(ctx context.Context, o watch.Options) (*crowd, error) {
	w, err := watch.New(o)
	if err != nil {
		return nil, err
	}
	return &crowd{w, runInBackground(ctx, w.Run), o.Viewers, o.Raw}, nil
}

// stop closes the viewers. A broken promise is told by the report, and asserted by none.
func (c *crowd) stop() error {
	err := c.running.stop()
	if errors.Is(err, watch.ErrViolations) {
		return nil
	}
	return err
}

func waitFor(ctx context.Context, limit time.Duration, what string, done func() bool) error {
	over := time.NewTimer(limit)
	defer over.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, ctx.Err())
		case <-over.C:
			return fmt.Errorf("wait until %s: not within %v", what, limit)
		case <-tick.C:
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("pause: %w", ctx.Err())
	case <-timer.C:
		return nil
	}
}

// Crowding is what a crowd got in a measurement.
type Crowding struct {
	Viewers int     `json:"viewers"`
	Updates float64 `json:"updates_per_second"` // delivered, counted per viewer
	Bytes   float64 `json:"bytes_per_second"`   // as they came off the sockets

	Latency    Latency  `json:"latency_from_intended"`
	View       Latency  `json:"latency_from_receipt"` // the part of it from the gateway's receipt on
	Violations int64    `json:"violations"`
	Examples   []string `json:"examples,omitempty"`
}

// Latency is in milliseconds, from the instant at which a device meant to send to the viewer.
type Latency struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

func (l Latency) text() string { return fmt.Sprintf("%.0f / %.0f / %.0f ms", l.P50, l.P99, l.Max) }

// measureCrowd measures the server while the viewers look.
func (l *lab) measureCrowd(ctx context.Context, s *server, c *crowd, over time.Duration) (Sample, Crowding, error) {
	if err := pause(ctx, l.Warm); err != nil {
		return Sample{}, Crowding{}, err
	}
	l.say("measuring %d viewers for %v", c.viewers, over)
	c.ForgetLatencies()
	before, start := c.Counts(), time.Now()
	m, err := l.measure(ctx, s, over)
	seconds, after := time.Since(start).Seconds(), c.Counts()
	if err != nil {
		return m, Crowding{}, err
	}
	r := c.Report()
	return m, Crowding{
		Viewers: c.viewers, Updates: float64(after.Updates-before.Updates) / seconds, Bytes: float64(after.Bytes-before.Bytes) / seconds,
		Latency:    Latency{r.Latency.P50, r.Latency.P99, r.Latency.Max},
		View:       Latency{r.View.P50, r.View.P99, r.View.Max},
		Violations: r.Violations.Total(), Examples: r.Examples,
	}, nil
}

// measureAlone measures the server without viewers.
func (l *lab) measureAlone(ctx context.Context, s *server, what string, over time.Duration) (Sample, error) {
	if err := pause(ctx, l.Warm); err != nil {
		return Sample{}, err
	}
	l.say("measuring %s for %v", what, over)
	return l.measure(ctx, s, over)
}

// withDevices starts a gateway and devices and stops both behind use.
func (l *lab) withDevices(ctx context.Context, o fleet.Options, use func(*server, *devices) error) error {
	s, err := l.startGateway(ctx)
	if err != nil {
		return err
	}
	defer s.stop()
	d, err := l.startFleet(ctx, s, o)
	if err != nil {
		return err
	}
	return errors.Join(use(s, d), d.stop())
}

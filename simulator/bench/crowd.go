package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/watch"
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

// startFleet connects the devices of one fleet; a rate of 0 makes them idle. It returns when all are connected.
func startFleet(ctx context.Context, o fleet.Options) (*fleet.Fleet, running, error) {
	o.Fleets = []string{"bench"}
	f, err := fleet.New(o)
	if err != nil {
		return nil, running{}, err
	}
	r := runInBackground(ctx, f.Run)
	err = waitFor(ctx, time.Minute, "devices are connected", func() bool { return f.Counts().Connected >= int64(o.Devices) })
	if err != nil {
		return nil, running{}, errors.Join(err, r.stop())
	}
	return f, r, nil
}

// startCrowd opens viewers and returns when all are past ready.
func startCrowd(ctx context.Context, url string, viewers int) (*watch.Watch, running, error) {
	w, err := watch.New(watch.Options{URL: url, Viewers: viewers})
	if err != nil {
		return nil, running{}, err
	}
	r := runInBackground(ctx, w.Run)
	err = waitFor(ctx, time.Minute, "viewers are live", func() bool { return w.Counts().Live >= int64(viewers) })
	if err != nil {
		return nil, running{}, errors.Join(err, r.stop())
	}
	return w, r, nil
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

// usage is the processor seconds a second of a process over a time.
func usage(ctx context.Context, pid int, over time.Duration) (float64, error) {
	before, err := cpuSeconds(pid)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := pause(ctx, over); err != nil {
		return 0, err
	}
	after, err := cpuSeconds(pid)
	if err != nil {
		return 0, err
	}
	return (after - before) / time.Since(start).Seconds(), nil
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/units"
)

// sliceCount is the number of parts of a measurement: how their costs differ is what is known of the error beyond a reading's.
const sliceCount = 5

// Ingest runs the bench: at each rate a fresh gateway, which acknowledges a message when it is kept, and then a fresh bare
// MQTT server, which acknowledges at once and drops. The result is also written to the options' directory, with what the
// programs said.
func Ingest(ctx context.Context, o IngestOptions) (*IngestResult, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "fleetcast-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // the data of gateways that nobody needs
	r := &IngestResult{
		When: time.Now().UTC().Truncate(time.Second), Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU(),
		GatewayArgs: o.GatewayArgs, Devices: o.Devices, WarmSeconds: o.Warm.Seconds(), MeasureSeconds: o.Measure.Seconds(),
	}
	for i, rate := range o.Rates {
		step, err := o.step(ctx, dir, i, rate)
		if err != nil {
			return nil, err
		}
		r.Steps = append(r.Steps, *step)
	}
	return r, save(o.Out, "ingest", r)
}

// step measures both servers at a rate.
func (o *IngestOptions) step(ctx context.Context, dir string, i int, rate units.Rate) (*IngestStep, error) {
	s := &IngestStep{Rate: float64(rate)}
	g, err := o.programs().startGateway(ctx, dir, fmt.Sprintf("ingest-gateway-%d", i))
	if err != nil {
		return nil, err
	}
	s.Gateway, err = o.measure(ctx, g.child, g.mqtt, rate)
	g.stop()
	if err != nil {
		return nil, err
	}
	bare, address, err := o.programs().startBare(ctx, fmt.Sprintf("ingest-bare-%d", i))
	if err != nil {
		return nil, err
	}
	s.Bare, err = o.measure(ctx, bare, address, rate)
	bare.stop()
	if err != nil {
		return nil, err
	}
	s.conclude()
	return s, nil
}

// measure connects the devices to a fresh server, measures and disconnects them.
func (o *IngestOptions) measure(ctx context.Context, c *child, address string, rate units.Rate) (IngestSide, error) {
	var side IngestSide
	empty, err := residentBytes(c.pid())
	if err != nil {
		return side, err
	}
	say(o.Progress, "connecting %d devices at %g/s to %s", o.Devices, float64(rate), c.name)
	f, sending, err := startFleet(ctx, fleet.Options{MQTT: address, Devices: o.Devices, Rate: rate, QoS: 1})
	if err != nil {
		return side, err
	}
	readings, err := o.read(ctx, c, f)
	var full int64
	if err == nil {
		full, err = residentBytes(c.pid())
	}
	if err == nil {
		summary := f.Summary()
		side.fill(readings, &summary)
		side.DeviceBytes = float64(full-empty) / float64(o.Devices)
	}
	return side, errors.Join(err, sending.stop())
}

// A reading is what stood in the books at a moment.
type reading struct {
	at     time.Time
	cpu    float64 // seconds that the server used so far
	counts fleet.Counts
}

// read takes a reading before and after each slice.
func (o *IngestOptions) read(ctx context.Context, c *child, f *fleet.Fleet) ([]reading, error) {
	if err := pause(ctx, o.Warm); err != nil {
		return nil, err
	}
	say(o.Progress, "measuring %s for %v", c.name, o.Measure)
	var all []reading
	for {
		cpu, err := cpuSeconds(c.pid())
		if err != nil {
			return nil, err
		}
		all = append(all, reading{time.Now(), cpu, f.Counts()})
		if len(all) > sliceCount {
			return all, nil
		}
		if err := pause(ctx, o.Measure/sliceCount); err != nil {
			return nil, err
		}
	}
}

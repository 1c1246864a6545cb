package bench

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/fleetcast/fleetcast/simulator/units"
)

// Options of the fan-out bench.
type Options struct {
	Gateway     string   // the program
	GatewayArgs []string // flags besides the addresses and the data directory
	Simulator   string   // this program, which serves the floor; "" finds it

	Devices     int
	Rate        units.Rate // of each device
	Viewers     int
	IdleDevices int // 0 leaves the memory of devices out
	IdleViewers int
	Window      time.Duration // the gateway's and the floor's
	Warm        time.Duration // before each measurement
	Measure     time.Duration // of each measurement
	Settle      time.Duration // at the least, before a size of memory is read

	Out      string // directory of the results; made where there is none
	Progress io.Writer
}

func (o *Options) complete() error {
	if o.Devices < 1 || o.Viewers < 1 || o.Rate <= 0 || o.Measure < time.Second {
		return fmt.Errorf("read options: %d devices at %g/s, %d viewers and %v of measuring are no bench", o.Devices, float64(o.Rate), o.Viewers, o.Measure)
	}
	p := o.programs()
	if err := p.find(); err != nil {
		return err
	}
	o.Simulator = p.simulator
	return nil
}

func (o *Options) programs() *programs {
	return &programs{gateway: o.Gateway, gatewayArgs: o.GatewayArgs, simulator: o.Simulator, out: o.Out}
}

func (o *Options) say(format string, args ...any) { say(o.Progress, format, args...) }

func say(w io.Writer, format string, args ...any) {
	if w != nil {
		fmt.Fprintf(w, format+"\n", args...)
	}
}

// find looks for the programs and makes the directory of results.
func (p *programs) find() error {
	if p.simulator == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find the simulator: %w", err)
		}
		p.simulator = self
	}
	if _, err := os.Stat(p.gateway); err != nil {
		return fmt.Errorf("find the gateway: %w", err)
	}
	if err := os.MkdirAll(p.out, 0o750); err != nil {
		return fmt.Errorf("make the directory of results: %w", err)
	}
	return nil
}

// IngestOptions are those of the ingest bench.
type IngestOptions struct {
	Gateway     string   // the program
	GatewayArgs []string // flags besides the addresses and the data directory
	Simulator   string   // this program, which serves the bare MQTT server; "" finds it

	Devices int
	Rates   []units.Rate  // of each device; one measurement of the gateway and one of the bare server for each
	Warm    time.Duration // after the last device has connected
	Measure time.Duration // of each measurement

	Out      string // directory of the results; made where there is none
	Progress io.Writer
}

func (o *IngestOptions) complete() error {
	if o.Devices < 1 || len(o.Rates) == 0 || o.Measure < sliceCount*time.Second {
		return fmt.Errorf("read options: %d devices, %d rates and %v of measuring are no bench; %ds are the least", o.Devices, len(o.Rates), o.Measure, sliceCount)
	}
	for _, rate := range o.Rates {
		if rate <= 0 {
			return fmt.Errorf("read options: devices at %g/s are no bench", float64(rate))
		}
	}
	p := o.programs()
	if err := p.find(); err != nil {
		return err
	}
	o.Simulator = p.simulator
	return nil
}

func (o *IngestOptions) programs() *programs {
	return &programs{gateway: o.Gateway, gatewayArgs: o.GatewayArgs, simulator: o.Simulator, out: o.Out}
}

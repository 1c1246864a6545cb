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
	if o.Simulator == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find the simulator: %w", err)
		}
		o.Simulator = self
	}
	if o.Devices < 1 || o.Viewers < 1 || o.Rate <= 0 || o.Measure < time.Second {
		return fmt.Errorf("read options: %d devices at %g/s, %d viewers and %v of measuring are no bench", o.Devices, float64(o.Rate), o.Viewers, o.Measure)
	}
	if _, err := os.Stat(o.Gateway); err != nil {
		return fmt.Errorf("find the gateway: %w", err)
	}
	if err := os.MkdirAll(o.Out, 0o750); err != nil {
		return fmt.Errorf("make the directory of results: %w", err)
	}
	return nil
}

func (o *Options) say(format string, args ...any) {
	if o.Progress != nil {
		fmt.Fprintf(o.Progress, format+"\n", args...)
	}
}

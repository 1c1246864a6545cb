package diskbus

import (
	"log/slog"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// Options are the settings of a disk bus. 0 stands for a default.
type Options struct {
	// Dir is made where it is missing. One process at a time may have it open.
	Dir string
	// Fsync says what a loss of power may cost; kill -9 costs nothing in any mode.
	Fsync Fsync
	// Memory are the bounds of what is held. Partitions is fixed at the first start: 0 takes what the directory has, and
	// 1 where it is new; another number than the directory's is refused.
	Memory bus.MemoryOptions
	// LogBytes is how much log makes a snapshot due; 128 MiB. It, or twice the size of the last snapshot where that is
	// more, is the step: at maxLogSteps steps without a snapshot that succeeds the bus refuses. The directory holds at
	// most that and two snapshots.
	LogBytes int64
	Logger   *slog.Logger // nothing is logged where it is nil
}

// Fsync says when what was written to the kernel is made to survive a loss of power.
type Fsync uint8

// The modes.
const (
	// EverySecond loses about the last second with the power, and begins a new epoch then. The default.
	EverySecond Fsync = iota
	// Always loses nothing that was acknowledged or shown: each group is synced before either.
	Always
	// Never leaves it to the kernel, which loses up to about half a minute, and begins a new epoch then.
	Never
)

// String returns the word that UnmarshalText reads.
func (f Fsync) String() string {
	switch f {
	case EverySecond:
		return "1s"
	case Always:
		return "always"
	case Never:
		return "never"
	}
	return "unknown"
}

// MarshalText implements encoding.TextMarshaler.
func (f Fsync) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads always, 1s or never.
func (f *Fsync) UnmarshalText(b []byte) error {
	for _, mode := range []Fsync{EverySecond, Always, Never} {
		if string(b) == mode.String() {
			*f = mode
			return nil
		}
	}
	return devices.Errorf(devices.Invalid, "fsync", "is none of always, 1s, never")
}

const (
	defaultLogBytes = 128 << 20
	// maxLogSteps bounds the disk where snapshots fail again and again.
	maxLogSteps = 4
	// maxSegments bounds the number of files where a process that is killed again and again never writes LogBytes.
	maxSegments = 16
	// maxQueued bounds the requests that wait for the log: whoever comes then waits to be queued.
	maxQueued = 256
	// maxGroupBytes ends a group: those at its front should not wait for the copying of those at its end.
	maxGroupBytes = 1 << 20
	// maxRequestBytes bounds one Append or Publish. It is far above what the bounds of an inlet and of a flush window let
	// come, and below what the length of a frame can say.
	maxRequestBytes = 1 << 30
)

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, devices.Errorf(devices.Invalid, "data directory", "is missing")
	}
	if o.Fsync > Never {
		return o, devices.Errorf(devices.Invalid, "fsync", "is none of always, 1s, never")
	}
	if o.LogBytes < 0 {
		return o, devices.Errorf(devices.Invalid, "log bytes", "are negative")
	}
	if o.LogBytes == 0 {
		o.LogBytes = defaultLogBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

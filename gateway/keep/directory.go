package keep

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/diskbus"
	"github.com/fleetcast/fleetcast/devices/store/embedded"
)

// Open opens the directory of a gateway that does not run. Nothing of it is dropped for a bound or its age: which bounds
// hold is the gateway's to know.
func Open(dir, version string, log *slog.Logger) (*Source, error) {
	if _, err := os.Stat(filepath.Join(dir, embedded.FileName)); err != nil {
		return nil, fmt.Errorf("read data directory: %w", err) // opening it would make an empty one
	}
	b, err := diskbus.Open(diskbus.Options{Dir: dir, Logger: log, Memory: bus.MemoryOptions{
		MaxTombstones: math.MaxInt, TombstoneAge: math.MaxInt64, MaxEvents: math.MaxInt, MaxTrailBytes: math.MaxInt, TrailAge: math.MaxInt64,
	}})
	if err != nil {
		return nil, err
	}
	s, err := embedded.Open(embedded.Options{Dir: dir, Logger: log})
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return &Source{Bus: b, Store: s, Version: version}, nil
}

// Close closes both.
func (s *Source) Close() error { return errors.Join(s.Store.Close(), s.Bus.Close()) }

package diskbus_test

import (
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/bus/bustest"
	"github.com/fleetcast/fleetcast/bridge/diskbus"
)

func TestDiskBusKeepsTheContract(t *testing.T) {
	for _, mode := range []diskbus.Fsync{diskbus.EverySecond, diskbus.Always} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			bustest.Run(t, func(t *testing.T, o bustest.Options) bus.Bus {
				b, err := diskbus.Open(diskbus.Options{
					Dir: t.TempDir(), Fsync: mode, LogBytes: 16 << 10, // so that snapshots are part of it
					Memory: bus.MemoryOptions{
						Partitions: o.Partitions, MaxInletEntries: o.InletEntries, FeedBuffer: o.FeedBatches,
						MaxTombstones: o.Tombstones, MaxEvents: o.Events, MaxTrailBytes: o.TrailBytes,
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				return b
			})
		})
	}
}

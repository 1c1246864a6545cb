package bus_test

import (
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/bus/bustest"
)

func TestMemoryKeepsTheContract(t *testing.T) {
	bustest.Run(t, func(t *testing.T, o bustest.Options) bus.Bus {
		m, err := bus.NewMemory(bus.MemoryOptions{
			Partitions: o.Partitions, MaxInletEntries: o.InletEntries, FeedBuffer: o.FeedBatches,
			MaxTombstones: o.Tombstones, MaxEvents: o.Events, MaxTrailBytes: o.TrailBytes,
		})
		if err != nil {
			t.Fatal(err)
		}
		return m
	})
}

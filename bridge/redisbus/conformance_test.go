package redisbus

import (
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/bus/bustest"
)

// suite runs the suite of every bus against servers that are there.
func suite(t *testing.T, url string) {
	t.Helper()
	bustest.Run(t, func(t *testing.T, o bustest.Options) bus.Bus {
		return open(t, url, func(mine *Options) {
			mine.Partitions, mine.MaxInletEntries, mine.FeedBuffer = o.Partitions, o.InletEntries, o.FeedBatches
			mine.MaxTombstones, mine.MaxEvents, mine.MaxTrailBytes = o.Tombstones, o.Events, o.TrailBytes
		})
	})
}

func TestOneServerKeepsTheContract(t *testing.T) {
	t.Parallel()
	suite(t, startServer(t).url())
}

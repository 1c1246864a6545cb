package diskbus

import (
	"sync/atomic"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// Stats are what a disk bus holds now and has counted since it was opened.
type Stats struct {
	bus.MemoryStats
	LogStats
}

// LogStats are the numbers of the log.
type LogStats struct {
	LogBytes      int64 // held now in segments that no snapshot stands for
	SnapshotBytes int64 // of the last snapshot

	Groups           uint64 // writes to the log; each is one sync where Fsync is Always
	BytesWritten     uint64
	Syncs            uint64
	Snapshots        uint64
	WritesFailed     uint64 // for want of room, most likely; what was in them was refused
	SyncsFailed      uint64
	SnapshotsFailed  uint64
	RefusedUnhealthy uint64 // Appends and Publishes
}

type counters struct {
	logBytes, snapshotBytes                           atomic.Int64
	groups, bytes, syncs, snapshots                   atomic.Uint64
	writesFailed, syncsFailed, snapshotsFailed, unfit atomic.Uint64
}

func (c *counters) read() LogStats {
	return LogStats{
		LogBytes: c.logBytes.Load(), SnapshotBytes: c.snapshotBytes.Load(),
		Groups: c.groups.Load(), BytesWritten: c.bytes.Load(), Syncs: c.syncs.Load(), Snapshots: c.snapshots.Load(),
		WritesFailed: c.writesFailed.Load(), SyncsFailed: c.syncsFailed.Load(), SnapshotsFailed: c.snapshotsFailed.Load(),
		RefusedUnhealthy: c.unfit.Load(),
	}
}

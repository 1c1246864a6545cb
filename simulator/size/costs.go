package size

import "time"

// What things cost, on shared cores of 2026 on the slower of the days. What a message and a change cost beyond waking up, and what a
// wake-up does, is fitted to `simulator bench cluster` at 100 to 6,000 messages a second over 1 to 14 partitions; the page in
// deploy/docs/bench/cluster.md has how near that comes. At few messages most of it is waking up, so it grows by less than the messages.
const (
	// A door that has something to do wakes up some hundred times a second, whatever it is; a commit is one call to each partition
	// that it touches.
	doorAwake         = 0.07 // cores
	doorAwakeFrom     = 100  // messages a second
	doorPerMaster     = 0.008
	doorPerMessage    = 22 * time.Microsecond
	doorPerAppend     = 40 * time.Microsecond
	commitsPerSecond  = 83     // with Redis, at most
	doorPerDevice     = 12_000 // bytes of a connection
	connectionsOfDoor = 50_000

	// An owner applies a message and publishes what became of it. One that owns nothing asks for each partition all the time.
	bridgeAwake      = 0.025 // cores, the signs of life of its partitions included
	bridgePerMaster  = 0.012
	bridgePerMessage = 6500 * time.Nanosecond
	bridgePerAppend  = 45 * time.Microsecond // read again
	bridgePerBatch   = 40 * time.Microsecond
	bridgeWaits      = 0.015 // for the partitions of others, which it looks at ten times a second
	bridgePerDevice  = 3_000 // bytes: state, record, frame
	flushesPerSecond = 10

	// Redis keeps what is appended and gives it to its owner, takes what the owner publishes, and hands each batch to every edge.
	redisAwake      = 0.028 // cores of each master
	redisPerMessage = 6800 * time.Nanosecond
	redisPerAppend  = 80 * time.Microsecond // the read included; half of it where there is always something to do
	redisPerBatch   = 15 * time.Microsecond
	redisPerHanding = 40 * time.Microsecond // a batch to an edge
	redisPerWaiting = 0.005                 // cores for a bridge that waits for partitions of others
	redisPerState   = 1_700                 // bytes of a device, without its trail
	bytesOfFix      = 14.3
	fixesOfTrail    = 512
	batchesOfLog    = 256 // of a partition, for feeds that have a gap
	bytesOfLog      = 16 << 20
	redisPerInlet   = 400 // bytes of a message until its owner has read it
	partitionsOfBus = 16  // unless it is set
	callsAlways     = 60  // a second, to renew leases and to wait for more
	callsOfWaiting  = 3   // of a bridge that waits for partitions of others, besides the GETs of its looks

	// An edge follows everything that changes, whoever looks at it. What somebody looks at is encoded once for all who have the same
	// filter, and written to each of them once a tick, however much is in it.
	edgeAwake       = 0.0065 // cores
	edgePerBatch    = 50 * time.Microsecond
	edgePerChange   = 1700 * time.Nanosecond
	edgePerTick     = 75 * time.Microsecond // of a partition that is looked at
	edgePerEncoding = 1400 * time.Nanosecond
	edgePerWrite    = 12 * time.Microsecond
	edgePerUpdate   = 30 * time.Nanosecond
	edgePerDevice   = 1_500 // bytes
	edgePerViewer   = 9_000 // bytes of resident memory, HTTP/1.1
	viewersOfEdge   = 20_000

	bytesOfMessage  = 300 // of a device, with the headers of its packets, both ways
	bytesOfEntry    = 110 // of a message, from a door to Redis and from there to its owner
	bytesOfAppend   = 260 // of an append beside
	bytesOfRead     = 190
	bytesOfPublish  = 860  // of a change, from its owner to Redis: frame, record, names
	bytesOfStep     = 1300 // of a batch beside
	bytesOfChange   = 252  // in a batch: frame and names
	bytesOfBatch    = 100
	bytesOfUpdate   = 223 // to a viewer
	bytesOfWrite    = 40  // beside
	gzipOf          = 0.19
	processOverhead = 60 << 20 // bytes of a process that does nothing

	use       = 0.5 // how much of a core is planned to be used
	edgeCores = 2   // of a process, where one has more to do than that there are several
)

// Bounds of a cell: what one Redis, or Cluster, and the edges that follow all of it carry. More than that is several cells, each
// with fleets of its own.
const (
	devicesOfCell  = 1_000_000
	changesOfCell  = 100_000 // a second
	messagesOfCore = 20_000  // a second, of a partition: its owner is one goroutine
)

package size

import "time"

// What things cost, rounded up from deploy/docs/bench/report.md and the costs of ARCHITECTURE.md, on shared cores of 2026 on the
// slower of the days.
const (
	// A door takes a QoS 1 message in and sends its PUBACK. Where a device sends once a second or less, waking up for it is most.
	doorPerMessage     = 58 * time.Microsecond
	doorPerBusyMessage = 26 * time.Microsecond // from ten a second of a device on
	doorPerDevice      = 12_000                // bytes of a connection
	connectionsOfDoor  = 50_000

	// An owner applies a message and publishes what became of it.
	bridgePerMessage = 28 * time.Microsecond
	bridgePerDevice  = 3_000 // bytes: state, record, frame

	// Redis keeps a message, gives it to its owner, and takes what the owner publishes; and it hands each batch to every edge.
	redisPerMessage = 26 * time.Microsecond
	redisPerDevice  = 9_000 // bytes: state, and a trail of 512 fixes
	redisPerInlet   = 400   // bytes of a message until its owner has read it

	// An edge follows everything that changes, whoever looks at it, and writes to a viewer once a tick, however much is in it.
	edgePerChange   = 8 * time.Microsecond
	edgePerWrite    = 15 * time.Microsecond
	edgePerDevice   = 1_500 // bytes
	edgePerViewer   = 9_000 // bytes of resident memory, HTTP/1.1
	viewersOfEdge   = 20_000
	bytesOfMessage  = 300 // of a device, with the headers of its packets, both ways
	bytesOfChange   = 350 // in a batch: frame and names
	bytesOfUpdate   = 220 // to a viewer
	gzipOf          = 0.19
	processOverhead = 60 << 20 // bytes of a process that does nothing

	use       = 0.5 // how much of a core is planned to be used
	edgeCores = 2   // of a process, where one has more to do than that there are several
)

// Bounds of a cell: what one Redis, or Cluster, and the edges that follow all of it carry. More than that is several cells, each
// with fleets of its own.
const (
	devicesOfCell  = 1_000_000
	changesOfCell  = 100_000 // a second: an edge spends half a core on following them
	messagesOfCore = 20_000  // a second, of a partition: its owner is one goroutine
)

package redisbus

import (
	"crypto/tls"
	"log/slog"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// Options say where the store is and where its limits are. The bounds are of one partition; zero values stand for the
// defaults. Those who share a store should share their bounds: each writer holds its own.
type Options struct {
	// URL is one that redisconn.ParseURL reads: one server, the master that Sentinels name, or a Cluster.
	URL string
	// TLS is used with a rediss… URL in place of the system's roots and TLS 1.2. It is not changed.
	TLS *tls.Config
	// Prefix begins all keys, so that installations can share a server: "fleetcast".
	Prefix string
	// Partitions is fixed when a store is first used: 0 takes what the store has, or 16. Another number than the
	// store's is refused.
	Partitions int
	// Migrate opens a store also where a migration into it was not finished: it is for who finishes it.
	Migrate bool

	MaxInletEntries int // 100,000 that no owner has consumed
	MaxInletBytes   int // 64 MiB of them, as they are encoded

	MaxTombstones int           // 100,000
	TombstoneAge  time.Duration // 7 days
	MaxEvents     int           // 10,000

	// Trails: the one without a new block for longest loses its oldest first.
	MaxTrailBytes int           // 64 MiB
	TrailAge      time.Duration // of the last block; 7 days

	// FeedBuffer is how many batches a feed may be behind before it gets a snapshot in their place: 64.
	FeedBuffer int
	// MaxLogBatches and MaxLogBytes bound the log from which feeds fill gaps: 256 batches, 16 MiB.
	MaxLogBatches int
	MaxLogBytes   int

	// LeaseTTL is how long an owner may be silent before the partition can move: 3 s. The lease is renewed three times
	// in it, and after it the old owner has half of it to come back, so that a server that was away for longer does not
	// take all partitions from owners that live.
	LeaseTTL time.Duration
	// MoveEvery is the pause between two partitions that a bridge gives up to one that has fewer: 2 s. It gives none up before
	// the same bridges have lived for MoveAfter: 5 s.
	MoveEvery, MoveAfter time.Duration
	// CallTimeout bounds one call to the store, its own repetitions included, where the caller's context does not: 5 s.
	CallTimeout time.Duration
	// Silence is how long a feed believes a path on which nothing comes, while owners publish every second: 3 s.
	Silence time.Duration

	Logger *slog.Logger
}

// The defaults of Options.
const (
	DefaultPartitions = 16

	defaultPrefix       = "fleetcast"
	defaultInletEntries = 100_000
	defaultInletBytes   = 64 << 20
	defaultTombstones   = 100_000
	defaultTombstoneAge = 7 * 24 * time.Hour
	defaultEvents       = 10_000
	defaultTrailBytes   = 64 << 20
	defaultTrailAge     = 7 * 24 * time.Hour
	defaultFeedBuffer   = 64
	defaultLogBatches   = 256
	defaultLogBytes     = 16 << 20
	defaultLeaseTTL     = 3 * time.Second
	defaultMoveEvery    = 2 * time.Second
	defaultMoveAfter    = 5 * time.Second
	defaultCallTimeout  = 5 * time.Second
	defaultSilence      = 3 * time.Second
	minTime             = 50 * time.Millisecond // below it the timers of a lease and of a feed trip over each other
	maxPrefix           = 64
	renewalsOfLease     = 3 // in a ttl
	graceOfLease        = 2 // a ttl over this
	maxDoors            = 1024
	maxPartBytes        = 1 << 20 // of a flush that goes to the server in one step: what it blocks others for
	maxChunkEntries     = 512     // of the inlet, and so what a reader takes at least
	maxChunkBytes       = 256 << 10
	openTimeout         = 2 * time.Second        // Open's wait for a store before it goes on without
	ownPoll             = 100 * time.Millisecond // a released partition is seen by other processes within it
	leaveFor            = time.Second            // how long what is free is left to a bridge that has fewer
	unableFor           = time.Minute            // how long a bridge is passed over that could not go on with a partition
	readBlock           = time.Second            // a Read that waits asks again after it
	readChunks          = 16
	scanCount           = 1000
	maxTold             = 1024 // rows of names that scripts/publish.lua keeps, for those who follow commands
	maxQueuedMessages   = 128  // a subscription's, while it loads
	healthEvery         = 500 * time.Millisecond
	defaultPoolSize     = 16
)

func (o *Options) complete() error {
	o.setDefaults()
	switch {
	case o.Partitions < 0 || o.Partitions > bus.MaxPartitions:
		return devices.Errorf(devices.Invalid, "partitions", "are not between 1 and %d", bus.MaxPartitions)
	case len(o.Prefix) > maxPrefix || strings.ContainsAny(o.Prefix, "{}\n\r "):
		return devices.Errorf(devices.Invalid, "prefix", "is too long or holds a brace or a space")
	case o.TombstoneAge < 0:
		return devices.Errorf(devices.Invalid, "tombstone age", "is negative")
	case o.TrailAge < 0:
		return devices.Errorf(devices.Invalid, "trail age", "is negative")
	}
	for name, n := range map[string]int{
		"inlet entries": o.MaxInletEntries, "inlet bytes": o.MaxInletBytes, "tombstones": o.MaxTombstones,
		"events": o.MaxEvents, "trail bytes": o.MaxTrailBytes, "feed buffer": o.FeedBuffer, "log batches": o.MaxLogBatches, "log bytes": o.MaxLogBytes,
	} {
		if n < 0 {
			return devices.Errorf(devices.Invalid, name, "is negative")
		}
	}
	for name, d := range map[string]time.Duration{
		"lease ttl": o.LeaseTTL, "move every": o.MoveEvery, "move after": o.MoveAfter, "call timeout": o.CallTimeout, "silence": o.Silence,
	} {
		if d < minTime {
			return devices.Errorf(devices.Invalid, name, "is below %v", minTime)
		}
	}
	return nil
}

func (o *Options) setDefaults() {
	setDefault(&o.Prefix, defaultPrefix)
	setDefault(&o.MaxInletEntries, defaultInletEntries)
	setDefault(&o.MaxInletBytes, defaultInletBytes)
	setDefault(&o.MaxTombstones, defaultTombstones)
	setDefault(&o.TombstoneAge, defaultTombstoneAge)
	setDefault(&o.MaxEvents, defaultEvents)
	setDefault(&o.MaxTrailBytes, defaultTrailBytes)
	setDefault(&o.TrailAge, defaultTrailAge)
	setDefault(&o.FeedBuffer, defaultFeedBuffer)
	setDefault(&o.MaxLogBatches, defaultLogBatches)
	setDefault(&o.MaxLogBytes, defaultLogBytes)
	setDefault(&o.LeaseTTL, defaultLeaseTTL)
	setDefault(&o.MoveEvery, defaultMoveEvery)
	setDefault(&o.MoveAfter, defaultMoveAfter)
	setDefault(&o.CallTimeout, defaultCallTimeout)
	setDefault(&o.Silence, defaultSilence)
	setDefault(&o.Logger, slog.New(slog.DiscardHandler))
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

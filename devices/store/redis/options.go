package redis

import (
	"crypto/tls"
	"log/slog"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// Options say where the store is and where its limits are; 0 stands for a default. Those who share a store should share
// their bounds: each writer holds its own.
type Options struct {
	URL    string      // as redisconn.ParseURL reads it
	TLS    *tls.Config // used with a rediss… URL in place of the system's roots and TLS 1.2
	Prefix string      // of all keys, so that installations can share a server: "fleetcast"

	MaxRecords    int // store.DefaultMaxRecords
	MaxLogCommits int // 1,000: what a feed that was cut off may miss without a snapshot
	MaxLogBytes   int // 16 MiB

	// CallTimeout bounds one call, its own repetitions included, where the caller's context does not: 5 s.
	CallTimeout time.Duration

	Logger *slog.Logger
}

const (
	defaultPrefix      = "fleetcast"
	defaultLogCommits  = 1_000
	defaultLogBytes    = 16 << 20
	defaultCallTimeout = 5 * time.Second
	maxPrefix          = 64
	maxEntryBytes      = 1 << 20 // of a commit in the log; a larger one costs each feed a snapshot
	openTimeout        = 2 * time.Second
	poolSize           = 4
	waitersPool        = 2
	waitBlock          = time.Second
	tailCount          = 100 // commits that are read in one step
	healthEvery        = 500 * time.Millisecond
)

// CallTTL is how long the server remembers a call: far longer than we repeat one, and than a packet of a connection that
// was given up can be on its way.
const CallTTL = 15 * time.Minute

func (o *Options) complete() error {
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if len(o.Prefix) > maxPrefix || strings.ContainsAny(o.Prefix, "{}\n\r ") {
		return devices.Errorf(devices.Invalid, "prefix", "is too long or holds a brace or a space")
	}
	for _, n := range []*int{&o.MaxRecords, &o.MaxLogCommits, &o.MaxLogBytes} {
		if *n < 0 {
			return devices.Errorf(devices.Invalid, "store", "has a negative bound")
		}
	}
	setDefault(&o.MaxRecords, store.DefaultMaxRecords)
	setDefault(&o.MaxLogCommits, defaultLogCommits)
	setDefault(&o.MaxLogBytes, defaultLogBytes)
	setDefault(&o.CallTimeout, defaultCallTimeout)
	setDefault(&o.Logger, slog.New(slog.DiscardHandler))
	return nil
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

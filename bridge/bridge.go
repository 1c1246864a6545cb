package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/trace"
)

// Defaults and bounds of Options.
const (
	DefaultWindow       = 100 * time.Millisecond
	DefaultOfflineGrace = 5 * time.Second
	DefaultStopTimeout  = 5 * time.Second
	DefaultMaxDevices   = 100_000
	DefaultAlertsKept   = 24 * time.Hour

	minWindow = time.Millisecond
	maxWindow = time.Second // an owner publishes at least once a second, and only on multiples of its window
)

// Bus is what a bridge needs of a bus.
type Bus interface {
	bus.Owner
	bus.Inlet
	LiveDoors(ctx context.Context) ([]bus.DoorLease, error)
}

// Sink is told of the events of the partitions that a bridge owns. Its methods may be called concurrently and must not wait.
type Sink interface {
	// Owned tells that a partition is owned from now on, where it stands, and which events it has kept.
	Owned(partition int, at bus.Position, kept []bus.VersionedEvent)
	// Published tells of events that were committed, and where the partition stands then. The slice is the sink's.
	Published(partition int, at bus.Position, events []bus.Event)
	// Erased tells of devices whose events of before nobody is to hear of any more. It comes before the events that were
	// committed with it.
	Erased(partition int, devices []devices.DeviceID)
	// Lost tells that the partition is owned no more.
	Lost(partition int)
}

// Options say what a bridge owns and where its limits are. Zero values stand for the defaults.
type Options struct {
	Bus Bus
	// Window is how long changes are gathered before they are published together: from 1 ms to 1 s.
	Window time.Duration
	// OfflineGrace is how long a device whose last connection went stays online, so that neither a takeover nor a quick
	// reconnect flaps. A negative value is none.
	OfflineGrace time.Duration
	// StopTimeout bounds the last publish and the release of the leases after the context of Run ended.
	StopTimeout time.Duration
	// MaxDevices bounds the devices of a partition, against a client that makes up ids: entries of further devices are
	// dropped and counted as device_limit. As many removals are remembered.
	MaxDevices int
	// Settings are what people set for their fleets; nil: the defaults for all. A change holds from the next entries on.
	Settings Settings
	// Registry is who there is; nil: whoever is heard.
	Registry Registry
	// Closed: only registered devices have state.
	Closed bool
	// Rules are what people want to be told of; nil: nothing.
	Rules Rules
	// Sink is told of events once they are committed; nil: nobody is.
	Sink Sink
	// History is given every reading before the inlet lets go of it; nil: nothing is written down.
	History History
	// AlertsKept is how long an alert that was cleared can still be looked up.
	AlertsKept time.Duration
	// Config says how far this process has what people configure; nil: nothing is followed.
	Config Config
	// Tracer tells what becomes of the entries that are traced; nil: nothing does.
	Tracer *trace.Tracer
	Logger *slog.Logger
}

// Bridge owns every partition of a bus that it can get. Its methods may be called concurrently.
type Bridge struct {
	opts       Options
	started    atomic.Bool
	doors      *atomic.Pointer[doorsNow] // nil where the bus does not say
	partitions []*partition
	fresh      freshness
}

// New checks the options and wires a bridge. It starts nothing.
func New(opts Options) (*Bridge, error) {
	if err := opts.complete(); err != nil {
		return nil, fmt.Errorf("make bridge: %w", err)
	}
	b := &Bridge{opts: opts, doors: new(atomic.Pointer[doorsNow])}
	index := newFleetIndex()
	for id := range opts.Bus.Partitions() {
		b.partitions = append(b.partitions, &partition{
			id: id, opts: &b.opts, index: index, doors: b.doors, log: opts.Logger.With("partition", id), fresh: &b.fresh,
		})
	}
	return b, nil
}

func (o *Options) complete() error {
	if o.Bus == nil {
		return devices.Errorf(devices.Invalid, "bus", "is missing")
	}
	setDefault(&o.Window, DefaultWindow)
	setDefault(&o.OfflineGrace, DefaultOfflineGrace)
	setDefault(&o.StopTimeout, DefaultStopTimeout)
	setDefault(&o.MaxDevices, DefaultMaxDevices)
	setDefault(&o.AlertsKept, DefaultAlertsKept)
	o.OfflineGrace = max(o.OfflineGrace, 0)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.Window < minWindow || o.Window > maxWindow:
		return devices.Errorf(devices.Invalid, "window", "is not between %v and %v", minWindow, maxWindow)
	case o.StopTimeout < 0:
		return devices.Errorf(devices.Invalid, "stop timeout", "is negative")
	case o.MaxDevices < 0:
		return devices.Errorf(devices.Invalid, "max devices", "is negative")
	case o.AlertsKept < 0:
		return devices.Errorf(devices.Invalid, "alerts kept", "is negative")
	}
	return nil
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// Run owns the partitions, each in a goroutine of its own, until ctx ends. Then it publishes what was applied, releases
// the leases and returns nil, after StopTimeout at most. It returns an error only where it cannot go on: the bus was
// closed under it, or it ran before.
func (b *Bridge) Run(ctx context.Context) error {
	if b.started.Swap(true) {
		return errors.New("run bridge: it ran before")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// What must still be done after ctx ended runs under hard, which outlives ctx by StopTimeout.
	hard, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	errs := make([]error, len(b.partitions))
	var owners, watchdog sync.WaitGroup
	for i, p := range b.partitions {
		owners.Go(func() {
			if errs[i] = p.run(ctx, hard); errs[i] != nil {
				cancel()
			}
		})
	}
	done := make(chan struct{})
	watchdog.Go(func() { killLate(ctx, kill, done, b.opts.StopTimeout) })
	watchdog.Go(func() { b.watchDoors(ctx) })
	owners.Wait()
	close(done)
	cancel()
	watchdog.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("run bridge: %w", err)
	}
	return nil
}

// killLate calls kill when done did not come within the timeout after ctx ended.
func killLate(ctx context.Context, kill context.CancelFunc, done <-chan struct{}, timeout time.Duration) {
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		kill()
	}
}

// Ready tells whether every partition is owned and loaded by this bridge.
func (b *Bridge) Ready() bool {
	for _, p := range b.partitions {
		if !p.owned.Load() {
			return false
		}
	}
	return true
}

// Stats are what a bridge did since it was made.
type Stats struct {
	Partitions int `json:"partitions"` // of the bus
	Owned      int `json:"owned"`      // by this bridge, now
	Devices    int `json:"devices"`    // held in the owned partitions, as of the last flush
	// Counts are by reason, all reasons present.
	Counts map[string]uint64 `json:"counts"`
	// Offsets are how far the owned partitions were published, by partition.
	Offsets map[string]uint64 `json:"offsets"`
	// Fresh is for metrics.
	Fresh Freshness `json:"-"`
}

// Stats returns the sums over all partitions.
func (b *Bridge) Stats() Stats {
	s := Stats{Partitions: len(b.partitions), Counts: make(map[string]uint64, reasonCount), Offsets: map[string]uint64{}, Fresh: b.fresh.snapshot()}
	for _, p := range b.partitions {
		if p.owned.Load() {
			s.Owned++
			s.Offsets[strconv.Itoa(p.id)] = p.offset.Load()
		}
		s.Devices += int(p.devices.Load())
		for r := range reasonCount {
			s.Counts[r.String()] += p.counters.get(r)
		}
	}
	return s
}

package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/diskbus"
	"github.com/fleetcast/fleetcast/bridge/redisbus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/mqttin"
)

const defaultDataDir = "./data"

// healthBound is how long a probe of readiness may wait for the store.
const healthBound = time.Second

// A store is the bus between the parts, with what only its kind can say.
type store struct {
	bus.Bus
	shared  bool                        // with other processes, so that another may own what this one does not
	healthy func(context.Context) error // nil, or why nothing can be kept now
	stats   func() BusStats
	letters sharedLetters // nil where nothing is shared
	logins  bus.Logins    // nil where there is one door
	disk    *diskbus.Bus  // nil where it is not in a directory
}

// openStore opens the bus that the settings name. It is to be closed, also where another step fails later.
func openStore(ctx context.Context, o *Options, log *slog.Logger) (*store, error) {
	// As many removals are remembered as there may be devices, so that no viewer is reset for a removal that was forgotten.
	switch {
	case o.Store.Redis != "":
		b, err := redisbus.Open(ctx, redisbus.Options{
			URL: o.Store.Redis, MaxTombstones: o.Fleet.MaxDevices, MaxTrailBytes: o.Fleet.MaxTrailMB << 20, Logger: log,
		})
		if err != nil {
			return nil, err
		}
		stats := func() BusStats { s := b.Stats(); return BusStats{Kind: "redis", Redis: &s} }
		return &store{Bus: b, shared: true, healthy: b.Healthy, stats: stats, letters: b, logins: b}, nil
	case o.keepsNothing():
		b, err := bus.NewMemory(o.memory())
		if err != nil {
			return nil, fmt.Errorf("make bus: %w", err)
		}
		stats := func() BusStats { s := HeldStats(b.Stats()); return BusStats{Kind: "memory", Held: &s} }
		return &store{Bus: b, healthy: func(context.Context) error { return nil }, stats: stats}, nil
	default:
		b, err := diskbus.Open(diskbus.Options{
			Dir: o.dataDir(), Fsync: o.Store.Fsync, Memory: o.memory(), Logger: log,
		})
		if err != nil {
			return nil, err
		}
		stats := func() BusStats {
			s := b.Stats()
			held, disk := HeldStats(s.MemoryStats), DiskStats(s.LogStats)
			return BusStats{Kind: "disk", Held: &held, Disk: &disk}
		}
		return &store{Bus: b, healthy: func(context.Context) error { return b.Healthy() }, stats: stats, disk: b}, nil
	}
}

// memory are the bounds of what the embedded bus holds.
func (o *Options) memory() bus.MemoryOptions {
	return bus.MemoryOptions{MaxTombstones: o.Fleet.MaxDevices, MaxTrailBytes: o.Fleet.MaxTrailMB << 20}
}

// unready says for people why nothing can be kept now, or "".
func (s *store) unready() string {
	ctx, cancel := context.WithTimeout(context.Background(), healthBound)
	defer cancel()
	return reasonOf(s.healthy(ctx), "the bus does not answer")
}

// reasonOf is what an error says to people, who may be anybody: what it wraps, such as an address, is left out.
func reasonOf(err error, otherwise string) string {
	if err == nil {
		return ""
	}
	told, ok := errors.AsType[*devices.Error](err)
	if !ok {
		return otherwise
	}
	return (&devices.Error{Field: told.Field, Detail: told.Detail}).Error()
}

// closeWithin waits for a step that knows no context, as long as ctx lasts.
func closeWithin(ctx context.Context, closing func() error) error {
	done := make(chan error, 1)
	go func() { done <- closing() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errors.New("it is still closing")
	}
}

// keepsNothing tells whether the state is in memory only. A demo leaves nothing behind unless it is told where.
func (o *Options) keepsNothing() bool {
	return o.Store.InMemory || o.Store.Redis == "" && o.Store.DataDir == "" && o.Fleet.Demo > 0
}

func (o *Options) dataDir() string {
	if o.Store.DataDir == "" {
		return defaultDataDir
	}
	return o.Store.DataDir
}

// clientID is the id of the session that the external broker keeps for this door.
func (o *Options) clientID() (string, error) {
	if o.MQTT.ClientID != "" {
		return o.MQTT.ClientID, nil
	}
	if err := os.MkdirAll(o.dataDir(), 0o700); err != nil {
		return "", fmt.Errorf("make data directory: %w", err)
	}
	return mqttin.StableClientID(o.dataDir())
}

func (o *Options) checkStore() error {
	switch s := &o.Store; {
	case s.InMemory && s.Redis != "":
		return devices.Errorf(devices.Invalid, "in-memory", "contradicts --redis, which keeps the state")
	case s.InMemory && s.DataDir != "":
		return devices.Errorf(devices.Invalid, "in-memory", "contradicts --data-dir, which keeps the state")
	case s.Fsync > diskbus.Never:
		return devices.Errorf(devices.Invalid, "fsync", "is none of always, 1s, never")
	}
	return nil
}

func (o *Options) checkMQTT() error {
	m := &o.MQTT
	if len(m.Upstream) == 0 {
		return o.checkMQTTListen()
	}
	switch {
	case !o.roles().Has(RoleBroker):
		return devices.Errorf(devices.Invalid, "mqtt-upstream", "is for the role broker, which this process does not have")
	case m.ClientID == "" && o.keepsNothing():
		return devices.Errorf(devices.Invalid, "mqtt-client-id", "is needed where nothing is kept: a new id at each start would leave what the broker holds for the old one")
	}
	return nil
}

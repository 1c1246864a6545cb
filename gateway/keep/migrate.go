package keep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/diskbus"
	"github.com/fleetcast/fleetcast/bridge/redisbus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
	configredis "github.com/fleetcast/fleetcast/devices/store/redis"
)

// MigrateOptions say where to.
type MigrateOptions struct {
	Redis  string // URL, as the gateway's --redis has it
	Prefix string // of the keys; "" is the gateway's own
	DryRun bool   // look and count, and copy nothing
	Force  bool   // what is there goes
	Logger *slog.Logger
}

// Migrated is how many of what was copied.
type Migrated struct {
	Devices, Tombstones, Trails, Blocks, Events, Commands, Records int

	Partitions int  // of the target
	Already    bool // it was copied before, and nothing was done
}

// flushDevices is how many devices are published at once.
const flushDevices = 500

// migration is one run.
type migration struct {
	from   *Source
	o      *MigrateOptions
	images []*bus.Image
	to     *redisbus.Bus
	store  *configredis.Store
	counts Migrated
	newest store.Revision // of the last commit into the target
	log    *slog.Logger
}

// Migrate copies a directory into Redis and compares what is there then with what was to be copied, value by value. It
// takes a target that holds nothing, or one in which the same migration was cut off, which begins anew. Everything goes on
// there but positions: viewers that come back get a reset.
func (s *Source) Migrate(ctx context.Context, o MigrateOptions) (Migrated, error) {
	m := &migration{from: s, o: &o, log: o.Logger}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if err := m.run(ctx); err != nil {
		return m.counts, fmt.Errorf("migrate: %w", err)
	}
	return m.counts, nil
}

func (m *migration) run(ctx context.Context) (err error) {
	if m.images, err = m.from.Bus.Images(ctx); err != nil {
		return err
	}
	if err := m.count(ctx); err != nil {
		return err
	}
	if err := m.open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.store.Close(), m.to.Close()) }()
	m.counts.Partitions = m.to.Partitions()
	what := m.name()
	if m.counts.Already, err = m.mayBegin(ctx, what); err != nil || m.counts.Already || m.o.DryRun {
		return err
	}
	if err := m.to.BeginMigration(ctx, what); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{m.copyStore, m.copyBus, m.compareStore, m.compareBus} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return m.to.EndMigration(ctx, what)
}

// open connects to the target. Its bounds drop nothing: which hold is the gateway's to know.
func (m *migration) open(ctx context.Context) (err error) {
	m.to, err = redisbus.Open(ctx, redisbus.Options{
		URL: m.o.Redis, Prefix: m.o.Prefix, Migrate: true, Logger: m.log,
		MaxTombstones: math.MaxInt32, TombstoneAge: math.MaxInt64, MaxEvents: math.MaxInt32, MaxTrailBytes: math.MaxInt, TrailAge: math.MaxInt64,
	})
	if err != nil {
		return err
	}
	m.store, err = configredis.Open(ctx, configredis.Options{URL: m.o.Redis, Prefix: m.o.Prefix, Logger: m.log})
	if err != nil {
		return errors.Join(err, m.to.Close())
	}
	return nil
}

// name tells this state of this directory from every other.
func (m *migration) name() string {
	at := m.images[0]
	return fmt.Sprintf("%016x at %d and %d", uint64(at.Position.Epoch), at.Position.Offset, at.Last)
}

// count counts what is to be copied. What no owner has consumed cannot be: it is not the state's yet.
func (m *migration) count(ctx context.Context) error {
	c := diskbus.Count(m.images)
	if c.Unread > 0 {
		return devices.Errorf(devices.Conflict, "data directory", "has %d messages that were not applied yet: start the gateway on it and stop it once", c.Unread)
	}
	m.counts.Devices, m.counts.Tombstones, m.counts.Trails = c.Devices, c.Tombstones, c.Trails
	m.counts.Events, m.counts.Commands = c.Events, c.Commands
	for _, i := range m.images {
		for _, t := range i.Trails {
			m.counts.Blocks += len(t.Blocks)
		}
	}
	return m.eachRecord(ctx, func(store.Record) error { m.counts.Records++; return nil })
}

// mayBegin tells whether the target may be filled, or was already.
func (m *migration) mayBegin(ctx context.Context, what string) (already bool, err error) {
	if err := m.to.Healthy(ctx); err != nil {
		return false, err
	}
	unfinished, finished, err := m.to.Migration(ctx)
	if err != nil {
		return false, err
	}
	owned, used, err := m.to.InUse(ctx)
	switch {
	case err != nil:
		return false, err
	case owned && unfinished == "":
		return false, devices.Errorf(devices.Conflict, "redis", "a gateway runs on it")
	case unfinished == what || m.o.Force:
		return false, nil
	case finished == what:
		return true, nil
	case unfinished != "":
		return false, devices.Errorf(devices.Conflict, "redis", "another migration into it was not finished (%s): --force begins anew", unfinished)
	case used || m.store.Stats().Revision > 0:
		return false, devices.Errorf(devices.Conflict, "redis", "holds the state of a gateway already: --force deletes that")
	}
	return false, nil
}

// eachRecord calls f for all that people configured.
func (m *migration) eachRecord(ctx context.Context, f func(store.Record) error) error {
	kinds, err := m.from.Store.Kinds()
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		for after := ""; ; {
			page, err := m.from.Store.List(ctx, kind, after, store.MaxList)
			if err != nil {
				return err
			}
			for _, r := range page {
				if err := f(r); err != nil {
					return err
				}
				after = r.ID
			}
			if len(page) < store.MaxList {
				break
			}
		}
	}
	return nil
}

// copyStore commits the records, as many at once as a commit takes.
func (m *migration) copyStore(ctx context.Context) error {
	var ops []store.Op
	bytes := 0
	commit := func() error {
		if len(ops) == 0 {
			return nil
		}
		at, err := m.store.Commit(ctx, ops)
		m.newest = max(m.newest, at)
		ops, bytes = ops[:0], 0
		return err
	}
	err := m.eachRecord(ctx, func(r store.Record) error {
		if len(ops) == store.MaxOps/2 || bytes+len(r.Value) > store.MaxCommitBytes/2 {
			if err := commit(); err != nil {
				return err
			}
		}
		ops = append(ops, store.Op{Kind: r.Kind, ID: r.ID, Value: r.Value})
		bytes += len(r.Value)
		return nil
	})
	if err != nil {
		return err
	}
	return commit()
}

func (m *migration) compareStore(ctx context.Context) error {
	return m.eachRecord(ctx, func(r store.Record) error {
		got, err := m.store.Get(ctx, r.Kind, r.ID)
		if err == nil && string(got.Value) != string(r.Value) {
			err = fmt.Errorf("%s %q is not what it was", r.Kind, r.ID)
		}
		return err
	})
}

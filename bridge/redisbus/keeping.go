package redisbus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// What operators do to a store as a whole, which no door, owner or edge does.

// migratingField of the configuration names what is being copied into the store, and migratedField what was.
const (
	migratingField = "migrating"
	migratedField  = "migrated"
)

// NewEpochs begins a new history in every partition and returns how many there are: viewers that come back get a reset.
// It is for a backup that was restored while nothing of ours ran, which nobody can notice. Owners that live load again.
func (b *Bus) NewEpochs(ctx context.Context) (int, error) {
	began := 0
	for i := range b.keys {
		k := &b.keys[i]
		var answer any
		if err := b.call(ctx, "begin a new history", func(ctx context.Context) (err error) {
			answer, err = b.run(ctx, historyScript, []string{k.lease, k.meta, k.log}, newEpoch())
			return err
		}); err != nil {
			return began, err
		}
		if answer == int64(1) {
			began++
		}
	}
	return began, nil
}

// InUse tells whether somebody owns a partition, and whether any has been used.
func (b *Bus) InUse(ctx context.Context) (owned, used bool, err error) {
	for i := range b.keys {
		k := &b.keys[i]
		err := b.call(ctx, "look at partition", func(ctx context.Context) error {
			var lease *redis.IntCmd
			var last *redis.SliceCmd
			_, err := b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
				lease, last = p.Exists(ctx, k.lease), p.HMGet(ctx, k.meta, "n", "in")
				return nil
			})
			if err != nil {
				return err
			}
			owned = owned || lease.Val() > 0
			for _, v := range last.Val() {
				used = used || v != nil
			}
			return nil
		})
		if err != nil {
			return false, false, err
		}
	}
	return owned, used, nil
}

// Migration tells what is being copied into the store, or "", and what was copied into it whole.
func (b *Bus) Migration(ctx context.Context) (unfinished, finished string, err error) {
	err = b.call(ctx, "read migration", func(ctx context.Context) error {
		v, err := b.client.HMGet(ctx, configKey(b.opts.Prefix), migratingField, migratedField).Result()
		if err == nil {
			unfinished, _ = v[0].(string)
			finished, _ = v[1].(string)
		}
		return err
	})
	return unfinished, finished, err
}

// BeginMigration clears the store and marks it, so that no other process opens it until EndMigration. All keys with the
// store's prefix go.
func (b *Bus) BeginMigration(ctx context.Context, what string) error {
	if err := b.clear(ctx); err != nil {
		return err
	}
	return b.call(ctx, "mark migration", func(ctx context.Context) error {
		return b.client.HSet(ctx, configKey(b.opts.Prefix), migratingField, what, "partitions", b.opts.Partitions).Err()
	})
}

// EndMigration opens the store to everybody.
func (b *Bus) EndMigration(ctx context.Context, what string) error {
	return b.call(ctx, "mark migration", func(ctx context.Context) error {
		_, err := b.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.HDel(ctx, configKey(b.opts.Prefix), migratingField)
			p.HSet(ctx, configKey(b.opts.Prefix), migratedField, what)
			return nil
		})
		return err
	})
}

// refuseHalfMigrated keeps a process from a store that is being filled. The number of partitions may be known without.
func (b *Bus) refuseHalfMigrated(ctx context.Context) error {
	if b.opts.Migrate {
		return nil
	}
	what, err := b.client.HGet(ctx, configKey(b.opts.Prefix), migratingField).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return nil
	case err != nil:
		return fmt.Errorf("read migration: %w", err)
	}
	return devices.Errorf(devices.Conflict, "redis", "a migration into the store was not finished (%s): run it again", what)
}

// clear deletes every key with the prefix, some at a time.
func (b *Bus) clear(ctx context.Context) error {
	one := func(ctx context.Context, c redis.Cmdable) error {
		var cursor uint64
		for {
			keys, next, err := c.Scan(ctx, cursor, escapeGlob(b.opts.Prefix)+":*", scanCount).Result()
			if err != nil {
				return fmt.Errorf("clear store: %w", err)
			}
			for _, key := range keys { // each by itself: in a Cluster they are of different slots
				if err := b.client.Unlink(ctx, key).Err(); err != nil {
					return fmt.Errorf("clear store: %w", err)
				}
			}
			if next == 0 {
				return nil
			}
			cursor = next
		}
	}
	if c, ok := b.client.(*redis.ClusterClient); ok {
		return c.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return one(ctx, c) })
	}
	return one(ctx, b.client)
}

func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// Seed has the inlet of every partition go on after an entry of another bus, so that the records that come from there,
// which know the last entry that was applied to them, do not skip what is new. The partitions must hold nothing.
func (b *Bus) Seed(ctx context.Context, last bus.EntryID, time int64) error {
	for i := range b.keys {
		k := &b.keys[i]
		var answer any
		var tries atomic.Int32
		if err := b.call(ctx, "seed inlet", func(ctx context.Context) (err error) {
			tries.Add(1)
			answer, err = b.run(ctx, seedScript, []string{k.meta, k.inlet}, uint64(last), time)
			return err
		}); err != nil {
			return err
		}
		if answer != int64(1) && tries.Load() == 1 { // one that got no answer may have been carried out
			return devices.Errorf(devices.Conflict, "partition", "%d is in use", i)
		}
	}
	return nil
}

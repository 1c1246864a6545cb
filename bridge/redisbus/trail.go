package redisbus

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// blockCost is what a block costs the server besides its bytes, about.
const blockCost = 16

// cutTrails takes blocks off the front that make one step.
func cutTrails(blocks []bus.TrailBlock) (part, rest []bus.TrailBlock) {
	bytes := 0
	for i := range blocks {
		bytes += len(blocks[i].Data)
		if i > 0 && bytes > maxPartBytes {
			return blocks[:i], blocks[i:]
		}
	}
	return blocks, nil
}

func (l *lease) checkTrails(blocks []bus.TrailBlock) error {
	for i := range blocks {
		b := &blocks[i]
		if err := b.Check(); err != nil {
			return err
		}
		if !l.isHere(b.Fleet) {
			return devices.Errorf(devices.Invalid, "trail", "is of a fleet in another partition")
		}
	}
	return nil
}

func (e *encoding) appendTrails(blocks []bus.TrailBlock) {
	for i := range blocks {
		b := &blocks[i]
		e.args = append(e.args, fieldOf(b.Fleet, b.Device), b.Keep, b.Data)
	}
}

// Trail implements bus.Trails. The record is read before the blocks: a block that is closed between the two is then in
// both, and not in none.
func (b *Bus) Trail(ctx context.Context, fleet devices.FleetID, device devices.DeviceID) (bus.Trail, error) {
	partition := fleet.Partition(b.Partitions())
	if err := b.check(ctx, partition); err != nil {
		return bus.Trail{}, err
	}
	k, field := &b.keys[partition], fieldOf(fleet, device)
	var (
		record string
		blocks []string
	)
	err := b.call(ctx, "read trail", func(ctx context.Context) error {
		var (
			first *redis.StringCmd
			then  *redis.StringSliceCmd
		)
		_, err := b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			first, then = p.HGet(ctx, k.records, field), p.LRange(ctx, k.trail+field, 0, -1)
			return nil
		})
		record, blocks = first.Val(), then.Val()
		if errors.Is(err, redis.Nil) { // there is no such device
			return then.Err()
		}
		return err
	})
	if err != nil {
		return bus.Trail{}, err
	}
	if record == "" {
		return bus.Trail{}, errNoTrail
	}
	r, err := decodeRecord(field, record)
	if err != nil {
		b.counters.add(countBadMessage)
		return bus.Trail{}, fmt.Errorf("read trail: %w", err)
	}
	if r.Removed {
		return bus.Trail{}, errNoTrail
	}
	out := bus.Trail{Record: r.Data}
	for _, data := range blocks {
		out.Blocks = append(out.Blocks, []byte(data))
	}
	return out, nil
}

var errNoTrail = &devices.Error{Kind: devices.NotFound, Detail: "there is no such asset"}

package bench

import (
	"context"
	"fmt"
)

// memories are the bytes that each kind has: ours as they are resident, Redis its data by its own account.
func (c *cluster) memories(ctx context.Context) (map[string]float64, error) {
	of := map[string]float64{}
	for i, p := range c.parts {
		if i < len(c.redis) {
			info, err := redisInfo(ctx, c.redis[i])
			if err != nil {
				return nil, err
			}
			of[kind(p.role)] += info["used_memory_dataset"]
			continue
		}
		n, err := residentBytes(p.pid())
		if err != nil {
			return nil, fmt.Errorf("%s: %w; its output is in %s", p.name, err, p.log)
		}
		of[kind(p.role)] += float64(n)
	}
	return of, nil
}

// settle waits until the processes have started up, and reads what they then have.
func (c *cluster) settle(ctx context.Context, l *lab) (map[string]float64, error) {
	if err := pause(ctx, l.Warm); err != nil {
		return nil, err
	}
	return c.memories(ctx)
}

// remember notes what each kind has at the end. Of Redis it is what came since it was empty.
func (c *cluster) remember(ctx context.Context, row *ClusterRow, empty map[string]float64) error {
	full, err := c.memories(ctx)
	if err != nil {
		return err
	}
	row.Idle.Door.Bytes, row.Idle.Bridge.Bytes, row.Idle.Edge.Bytes = empty["broker"], empty["bridge"], empty["edge"]
	row.Got.Door.Bytes, row.Got.Bridge.Bytes, row.Got.Edge.Bytes = full["broker"], full["bridge"], full["edge"]
	row.Got.Redis.Bytes = full["redis"] - empty["redis"]
	return nil
}

// spread is what each process of the measured time did.
func (c *cluster) spread(ctx context.Context, s *stretch) ([]ClusterPart, error) {
	var all []ClusterPart
	bridges := 0
	for i := range s.parts {
		p := &s.parts[i]
		part := ClusterPart{Role: p.role, Cores: p.cpu / s.seconds, Calls: p.calls() / s.seconds}
		if kind(p.role) == "bridge" {
			owned, err := c.counters(ctx, c.bridges[bridges], "fleetcast_bridge_partitions_owned", "fleetcast_bridge_devices")
			if err != nil {
				return nil, err
			}
			part.Partitions, part.Devices = owned[0], owned[1]
			bridges++
		}
		all = append(all, part)
	}
	return all, nil
}

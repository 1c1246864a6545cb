package bench

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// withRedis opens a client for one server, not for the Cluster that it may be part of, and closes it after the call.
func withRedis(address string, call func(*redis.Client) error) error {
	client := redis.NewClient(&redis.Options{Addr: address, DialTimeout: startTimeout, ReadTimeout: startTimeout, PoolSize: 1, Protocol: 2})
	defer func() { _ = client.Close() }() // nothing of it is kept
	if err := call(client); err != nil {
		return fmt.Errorf("ask redis: %w", err)
	}
	return nil
}

// redisInfo are the numbers of INFO; of a command its calls.
func redisInfo(ctx context.Context, address string) (map[string]float64, error) {
	var text string
	err := withRedis(address, func(c *redis.Client) (err error) {
		text, err = c.Info(ctx, "everything").Result()
		return err
	})
	return infoNumbers(text), err
}

func infoNumbers(text string) map[string]float64 {
	info := map[string]float64{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimPrefix(value, "calls=")
		value, _, _ = strings.Cut(value, ",")
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			info[name] = n
		}
	}
	return info
}

// slotCount is what the masters of a Cluster share.
const slotCount = 16384

// joinCluster gives server i of n its part of the slots and shows it the first.
func joinCluster(ctx context.Context, address, firstPort string, i, n int) error {
	return withRedis(address, func(c *redis.Client) error {
		if err := c.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(); err != nil {
			return err
		}
		if err := c.ClusterAddSlotsRange(ctx, i*slotCount/n, (i+1)*slotCount/n-1).Err(); err != nil {
			return err
		}
		return c.ClusterMeet(ctx, "127.0.0.1", firstPort).Err()
	})
}

// knowsAll tells whether a server sees the whole Cluster of n.
func knowsAll(ctx context.Context, address string, n int) bool {
	var info string
	err := withRedis(address, func(c *redis.Client) (err error) {
		info, err = c.ClusterInfo(ctx).Result()
		return err
	})
	return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", n))
}

// countStates counts the partitions of a server that have devices.
func countStates(ctx context.Context, address string) (n int, err error) {
	err = withRedis(address, func(c *redis.Client) error {
		keys := c.Scan(ctx, 0, "fleetcast:{*}:state", 1000).Iterator()
		for keys.Next(ctx) {
			n++
		}
		return keys.Err()
	})
	return n, err
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// cluster is an installation of a door and several of each other kind, in processes of their own.
type cluster struct {
	server
	redis, bridges, edges []string // addresses: of Redis, of the bridges' counters, of the edges' streams
}

// startCluster starts it. With one of each Redis is a single server.
func (l *lab) startCluster(ctx context.Context, redis string, each int) (*cluster, error) {
	c := &cluster{}
	for i := range each {
		if err := l.startMaster(ctx, c, redis, i, each > 1); err != nil {
			c.stop()
			return nil, err
		}
	}
	url := "redis://" + c.redis[0]
	if each > 1 {
		url = "redis+cluster://" + strings.Join(c.redis, ",")
		if err := c.join(ctx); err != nil {
			c.stop()
			return nil, err
		}
	}
	if err := l.startParts(ctx, c, url, each); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func (l *lab) startParts(ctx context.Context, c *cluster, url string, each int) error {
	for i := range each {
		address, err := freeAddress(ctx)
		if err != nil {
			return err
		}
		if err := l.startPart(ctx, c, "bridge", i, "--redis", url, "--admin-listen", address); err != nil {
			return err
		}
		c.bridges = append(c.bridges, address)
	}
	mqtt, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	if err := l.startPart(ctx, c, "broker", 0, "--redis", url, "--admin-listen", "none", "--mqtt-listen", mqtt); err != nil {
		return err
	}
	c.mqtt = mqtt
	for i := range each {
		if err := l.startPart(ctx, c, "edge", i, "--redis", url, "--admin-listen", "none"); err != nil {
			return err
		}
		c.edges = append(c.edges, c.http)
	}
	return nil
}

// lastBusPort is the last port whose cluster's own, 10,000 above, there is.
const lastBusPort = 50_000

func (l *lab) startMaster(ctx context.Context, c *cluster, program string, i int, joins bool) error {
	address, port := "", lastBusPort+1
	for port > lastBusPort {
		var err error
		if address, err = freeAddress(ctx); err != nil {
			return err
		}
		_, text, err := net.SplitHostPort(address)
		if err != nil {
			return fmt.Errorf("start redis: %w", err)
		}
		if port, err = strconv.Atoi(text); err != nil {
			return fmt.Errorf("start redis: %w", err)
		}
	}
	args := []string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", l.dir}
	if joins {
		args = append(args, "--cluster-enabled", "yes", "--cluster-config-file", fmt.Sprintf("nodes-%d.conf", port))
	}
	p, err := l.startChild(ctx, fmt.Sprintf("redis-%d", i+1), program, args...)
	if err != nil {
		return err
	}
	c.parts, c.redis = append(c.parts, p), append(c.redis, address)
	return p.until(ctx, func(ctx context.Context) bool { return listens(ctx, address) })
}

// startPart adds a process of ours.
func (l *lab) startPart(ctx context.Context, c *cluster, role string, i int, args ...string) error {
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	data := filepath.Join(l.dir, fmt.Sprintf("data-%d", l.servers))
	p, err := l.startChild(ctx, fmt.Sprintf("%s-%d", role, i+1), l.Gateway,
		l.gatewayArgs(append([]string{"--roles", role, "--http-listen", address, "--data-dir", data}, args...)...)...)
	if err != nil {
		return err
	}
	c.parts, c.http = append(c.parts, p), address
	return p.until(ctx, func(ctx context.Context) bool { return answers(ctx, "http://"+address+"/readyz") })
}

// join makes a Cluster of the servers and returns when each of them knows it.
func (c *cluster) join(ctx context.Context) error {
	_, first, err := net.SplitHostPort(c.redis[0])
	if err != nil {
		return fmt.Errorf("make cluster: %w", err)
	}
	for i, address := range c.redis {
		if err := joinCluster(ctx, address, first, i, len(c.redis)); err != nil {
			return fmt.Errorf("make cluster: %w", err)
		}
	}
	return waitFor(ctx, startTimeout, "the cluster is whole", func() bool {
		for _, address := range c.redis {
			if !knowsAll(ctx, address, len(c.redis)) {
				return false
			}
		}
		return true
	})
}

// counters of the bridges, from their pages of metrics.
func (c *cluster) counters(ctx context.Context, address string, names ...string) ([]float64, error) {
	text, err := getText(ctx, "http://"+address+"/metrics")
	if err != nil {
		return nil, err
	}
	values := make([]float64, len(names))
	for i, name := range names {
		_, rest, found := strings.Cut(text, "\n"+name+" ")
		value, _, _ := strings.Cut(rest, "\n")
		if !found {
			return nil, fmt.Errorf("read metrics: %w: %s", errNoCounter, name)
		}
		if values[i], err = strconv.ParseFloat(value, 64); err != nil {
			return nil, fmt.Errorf("read metrics: %w", err)
		}
	}
	return values, nil
}

var errNoCounter = errors.New("no such counter")

// partitionsUsed counts the partitions that have devices.
func (c *cluster) partitionsUsed(ctx context.Context) (int, error) {
	used := 0
	for _, address := range c.redis {
		n, err := countStates(ctx, address)
		if err != nil {
			return 0, err
		}
		used += n
	}
	return used, nil
}

package doctor

import (
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleetcast/fleetcast/devices/redisconn"
)

const (
	// Redis 6.2 is the oldest that has every command that is used; the tests run against 7.0.
	oldestMajor, oldestMinor = 6, 2
	// slowRedis is a round trip that takes a tenth of a window.
	slowRedis = 10 * time.Millisecond
	// clocksApart is what is told of: leases are of Redis's clock, readings are dated by the gateway's.
	clocksApart = time.Second
	// pings are asked for the latency, of which the least counts.
	pings = 5
)

// broker opens a connection and says nothing: a client that logged in would take the session of the gateway that runs.
func broker(ctx context.Context, b Broker) []Finding {
	check := "broker " + b.Address
	var d interface {
		DialContext(ctx context.Context, network, address string) (net.Conn, error)
	} = new(net.Dialer)
	if b.TLS {
		d = new(tls.Dialer)
	}
	began := time.Now()
	c, err := d.DialContext(ctx, "tcp", b.Address)
	if err != nil {
		return bad(Fail, check, "start it, or mend --mqtt-upstream, the name, the firewall or the certificate; the gateway starts without it and tries again", "cannot be reached: %v", err)
	}
	_ = c.Close()
	return ok(check, "takes connections, in %v; whether it takes the password was not asked", time.Since(began).Round(time.Millisecond))
}

// redisServers asks Redis, and of a Cluster each server that takes writes.
func redisServers(ctx context.Context, url string) []Finding {
	const check = "redis"
	where, err := redisconn.ParseURL(url)
	if err != nil {
		return bad(Fail, check, "mend --redis", "%v", err)
	}
	client := redisconn.New(&where, nil, 1)
	defer func() { _ = client.Close() }()
	if err := client.Ping(ctx).Err(); err != nil {
		return bad(Fail, check, "start it, or mend --redis, the name, the firewall or the password; a gateway starts without it and acknowledges nothing", "does not answer: %v", err)
	}
	cluster, isCluster := client.(*redis.ClusterClient)
	if !isCluster {
		return redisServer(ctx, check, client)
	}
	found := make(chan []Finding, 64)
	var all []Finding
	done := make(chan error, 1)
	go func() {
		defer close(found)
		done <- cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
			found <- redisServer(ctx, check+" "+c.Options().Addr, c)
			return nil
		})
	}()
	for f := range found {
		all = append(all, f...)
	}
	if err := <-done; err != nil {
		all = append(all, bad(Fail, check, "see `redis-cli cluster info`", "not every server could be asked: %v", err)...)
	}
	return all
}

// redisServer asks one server.
func redisServer(ctx context.Context, check string, c redis.Cmdable) []Finding {
	text, err := c.Info(ctx).Result()
	if err != nil {
		return bad(Fail, check, "let the user of --redis call INFO", "does not say what it is: %v", err)
	}
	info := readInfo(text)
	var found []Finding
	note := func(f []Finding) { found = append(found, f...) }
	version := info["redis_version"]
	if tooOld(version) {
		note(bad(Fail, check, "use 6.2 or later; the tests run against 7.0", "is version %s", version))
	}
	if info["role"] == "slave" {
		note(bad(Fail, check, "name the master, or use redis+sentinel://, which follows it", "is a replica, which takes no writes"))
	}
	if policy := info["maxmemory_policy"]; policy != "" && policy != "noeviction" {
		note(bad(Fail, check, "set `maxmemory-policy noeviction`: what is evicted is lost without a word", "evicts keys when it is full (%s)", policy))
	}
	switch most, used := atoi(info["maxmemory"]), atoi(info["used_memory"]); {
	case most > 0 && used > most/10*8:
		note(bad(Warn, check, "give it more: where it is full nothing is acknowledged", "has used %d of %d MiB", used>>20, most>>20))
	case most == 0:
		note(bad(Warn, check, "set `maxmemory` below what the machine has, so that it says no in place of being killed", "has no limit of its memory"))
	}
	if info["aof_enabled"] == "0" {
		note(bad(Warn, check, "set `appendonly yes`; with `appendfsync always` a loss of power costs nothing, with everysec about a second", "keeps no log: a restart of it loses what was acknowledged since its last snapshot"))
	}
	note(redisTimes(ctx, check, c))
	if Worst(found) == OK {
		found = append(ok(check, "version %s, %s used, %s", version, info["used_memory_human"], info["role"]), found...)
	}
	return found
}

// redisTimes are how far it is and what its clock says.
func redisTimes(ctx context.Context, check string, c redis.Cmdable) []Finding {
	best, apart := time.Duration(-1), time.Duration(0)
	for range pings {
		began := time.Now()
		now, err := c.Time(ctx).Result()
		trip := time.Since(began)
		if err != nil {
			return bad(Warn, check, "let the user of --redis call TIME", "does not tell its time: %v", err)
		}
		if best < 0 || trip < best {
			best, apart = trip, now.Sub(began.Add(trip/2))
		}
	}
	var found []Finding
	if best > slowRedis {
		found = bad(Warn, check, "bring them nearer: every commit waits for it", "takes %v for a round trip", best.Round(time.Millisecond))
	}
	if apart.Abs() > clocksApart {
		found = append(found, bad(Warn, check, "run chrony or systemd-timesyncd on both machines", "has a clock that is %v %s", apart.Abs().Round(time.Millisecond), side(apart))...)
	}
	return found
}

func side(apart time.Duration) string {
	if apart > 0 {
		return "ahead"
	}
	return "behind"
}

// tooOld tells whether a version such as 7.0.15 is before the oldest that serves.
func tooOld(version string) bool {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	return atoi(major) < oldestMajor || atoi(major) == oldestMajor && atoi(minor) < oldestMinor
}

// readInfo reads the lines of INFO, name:value.
func readInfo(text string) map[string]string {
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, isOne := strings.Cut(strings.TrimSpace(line), ":"); isOne {
			info[name] = value
		}
	}
	return info
}

// atoi is 0 where a server says nothing that can be read.
func atoi(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

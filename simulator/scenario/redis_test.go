package scenario

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/simulator/prove"
	badnet "github.com/fleetcast/fleetcast/simulator/proxy"
)

func TestNothingAcknowledgedIsLostWhenRedisGoesAway(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	network := badNetwork(t, redis.address)
	door := part(t, network.Address(), "broker")
	part(t, network.Address(), "bridge")
	first, second := part(t, network.Address(), "edge"), part(t, network.Address(), "edge")

	hole := 3 * time.Second
	if isSoak() {
		hole = 30 * time.Second
	}
	for _, fault := range []prove.Fault{
		redis.restart("a killed Redis", syscall.SIGKILL, away),
		redis.restart("a Redis that is shut down", syscall.SIGTERM, away),
		blackHole(network, hole),
	} {
		t.Run(fault.Name, func(t *testing.T) {
			o := durable([]string{door.MQTT()}, []string{first.URL(), second.URL()})
			o.Faults, o.FaultCount, o.Seed = []prove.Fault{fault}, times(1, 10), 1
			r := run(t, o)
			if r.Streams != int64(r.Viewers) {
				t.Errorf("%d viewers needed %d streams: they are to stay open", r.Viewers, r.Streams)
			}
		})
	}
}

// blackHole is the fault of a network that swallows everything for a time; what was under way arrives later.
func blackHole(network *badnet.Proxy, length time.Duration) prove.Fault {
	return prove.Fault{
		Name:  "black hole",
		Break: func(context.Context) error { network.Set(badnet.Conditions{BlackHole: true}); return nil },
		Mend: func(ctx context.Context) error {
			defer network.Set(badnet.Conditions{})
			return stay(ctx, length)
		},
	}
}

// At first each call takes most of the time that one may, then all do take longer.
func TestNothingAcknowledgedIsLostWhenRedisIsSlow(t *testing.T) {
	t.Parallel()
	network := badNetwork(t, startRedis(t).address)
	door := part(t, network.Address(), "broker")
	part(t, network.Address(), "bridge")
	edge := part(t, network.Address(), "edge")
	for _, late := range []time.Duration{700 * time.Millisecond, 1200 * time.Millisecond} {
		slow := prove.Fault{
			Name:  "a Redis that is slow",
			Break: func(context.Context) error { network.Set(badnet.Conditions{Latency: late}); return nil },
			Mend: func(ctx context.Context) error {
				defer network.Set(badnet.Conditions{})
				return stay(ctx, 5*time.Second)
			},
		}
		o := durable([]string{door.MQTT()}, []string{edge.URL()})
		o.NoResets = late < time.Second // an owner that is cut off for longer than its lease may lose it
		o.Faults, o.FaultCount = []prove.Fault{slow}, times(1, 5)
		run(t, o)
	}
}

package scenario

import (
	"syscall"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/simulator/prove"
)

func TestNothingAcknowledgedIsLostWhenRedisGoesAway(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	network := startProxy(t, redis.address)
	door := part(t, network.address, "broker")
	part(t, network.address, "bridge")
	first, second := part(t, network.address, "edge"), part(t, network.address, "edge")

	hole := 3 * time.Second
	if isSoak() {
		hole = 30 * time.Second
	}
	for _, fault := range []prove.Fault{
		redis.restart("a killed Redis", syscall.SIGKILL, away),
		redis.restart("a Redis that is shut down", syscall.SIGTERM, away),
		network.blackHole(hole),
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

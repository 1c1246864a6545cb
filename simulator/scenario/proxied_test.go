package scenario

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/simulator/prove"
)

// startHAProxy runs a proxy that gives each request to the next edge that says it is ready, with no stickiness.
func startHAProxy(t *testing.T, edges ...string) *server {
	t.Helper()
	path, address := find(t, "haproxy"), freeAddress(t)
	var b strings.Builder
	fmt.Fprintf(&b, `defaults
  mode http
  timeout connect 1s
  timeout client 90s
  timeout server 90s
  retries 3
  option redispatch 1
listen edges
  bind %s
  balance roundrobin
  option httpchk GET /readyz?role=edge
  default-server check inter 100ms fall 1 rise 1
`, address)
	for i, e := range edges {
		fmt.Fprintf(&b, "  server edge%d %s\n", i, strings.TrimPrefix(e, "http://"))
	}
	config := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(config, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return serve(t, address, path, "-db", "-f", config)
}

// inTurn makes one fault after the other, whatever the schedule chooses.
func inTurn(faults ...prove.Fault) prove.Fault {
	next := -1
	return prove.Fault{
		Name: "one after the other",
		Break: func(ctx context.Context) error {
			next = (next + 1) % len(faults)
			return faults[next].Break(ctx)
		},
		Mend: func(ctx context.Context) error { return faults[next].Mend(ctx) },
	}
}

func TestAnyEdgeBehindAProxyWithoutStickinessResumesAnyViewer(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	door := part(t, redis.address, "broker")
	bridges := []*prove.Gateway{part(t, redis.address, "bridge"), part(t, redis.address, "bridge")}
	edges := []*prove.Gateway{part(t, redis.address, "edge"), part(t, redis.address, "edge")}
	proxy := startHAProxy(t, edges[0].URL(), edges[1].URL())

	o := durable([]string{door.MQTT()}, []string{"http://" + proxy.address})
	o.OneEdge = false // there are two behind the one address
	o.Faults = []prove.Fault{inTurn(edges[0].KillFault(), bridges[0].KillFault(), edges[1].KillFault(), bridges[1].KillFault())}
	o.FaultCount, o.ResumeEvery = times(2, 60), 2*time.Second
	r := run(t, o)
	if r.Streams <= int64(r.Viewers) {
		t.Errorf("%d viewers opened %d streams: nobody resumed", r.Viewers, r.Streams)
	}
}

package app

import (
	"net"
	"os"
	"runtime"
	"testing"
)

// needIPv6 skips where the machine has no ::1, and fails in CI.
func needIPv6(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	if err == nil {
		l.Close()
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("this machine has no IPv6: %v", err)
	}
	t.Skipf("this machine has no IPv6: %v", err)
}

func TestAnInstallationNeedsNoIPv4(t *testing.T) {
	needIPv6(t)
	t.Parallel()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	l.Close()
	if err != nil {
		t.Fatal(err)
	}
	redis := serve(t, addr, program(t, "redis-server"), "--port", port, "--bind", "::1", "--dir", t.TempDir(), "--save", "", "--loglevel", "warning")
	six := func(roles ...Role) func(*Options) {
		return func(o *Options) {
			redis.role(roles...)(o)
			o.MQTT.Listen, o.HTTP.Listen = "[::1]:0", "[::1]:0"
		}
	}
	broker, bridge, edge := startGateway(t, six(RoleBroker)), startGateway(t, six(RoleBridge)), startGateway(t, six(RoleEdge))
	broker.waitReady(RoleBroker)
	bridge.waitReady(RoleBridge)
	edge.waitReady(RoleEdge)
	s := edge.open("/stream/assets", "")
	s.snapshot()
	broker.telemetry("north", "truck-17", fromTheReadme)
	s.asset("truck-17", has("lat", 48.85833))
}

// A name that nobody knows is asked for again and again, by everything that has one; that costs no more the longer it
// goes on, and does not hold a stop up. It is not parallel, since it counts goroutines.
func TestNamesThatDoNotResolveAreAskedForAgainAndCostNothing(t *testing.T) {
	lost := startGateway(t, func(o *Options) { // RFC 6761 section 6.4: .invalid never resolves
		o.Store.Redis = "redis://redis.invalid"
		o.MQTT.Upstream, o.MQTT.ClientID = []string{"mqtt://broker.invalid"}, "lost"
	})
	retries := func() uint64 { return lost.stats().Bus.Redis.Counts["retries"] }
	after := func(n uint64) int {
		t.Helper()
		from := retries()
		waitFor(t, "tries", func() bool { return retries() >= from+n }, func() string { return "there are too few" })
		return runtime.NumGoroutine()
	}
	before := after(5)
	if now := after(20); now > before+20 {
		t.Errorf("%d goroutines became %d", before, now)
	}
	for _, role := range []Role{RoleBroker, RoleBridge} {
		if a := lost.request("GET", "/readyz?role="+string(role)); a.StatusCode == 200 {
			t.Errorf("%s is ready", role)
		}
	}
	if err := lost.parts.door.Ready(); err == nil {
		t.Error("the door is ready")
	}
	lost.stop()
}

package app

import (
	"context"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/registry"
)

func createDevice(t *testing.T, g *gateway, id, fleet string) {
	t.Helper()
	d, err := devices.ParseDeviceID(id)
	if err != nil {
		t.Fatal(err)
	}
	f, err := devices.ParseFleetID(fleet)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, _, err := g.parts.people.CreateDevice(ctx, registry.Device{ID: d, Fleet: f}, registry.Secret{}); err != nil {
		t.Fatal(err)
	}
}

func (g *gateway) knows(id string) bool {
	d, err := devices.ParseDeviceID(id)
	if err != nil {
		g.t.Fatal(err)
	}
	_, known := g.parts.people.Device(d)
	return known
}

func (g *gateway) waitKnows(id string) {
	g.t.Helper()
	waitFor(g.t, "the gateway to know "+id, func() bool { return g.knows(id) }, func() string { return "it does not" })
}

func TestWhatIsConfiguredIsKeptWhereTheStateIs(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	createDevice(t, g, "truck-1", "north")
	if s := g.stats().Store; s == nil || s.Kind != "file" || s.File == nil || s.File.Records == 0 || s.File.Failing {
		t.Errorf("stats are %+v", s)
	}
	g.stop()
	again := startGateway(t, g.sameData)
	again.waitKnows("truck-1")

	forgets := func(o *Options) { o.Store.DataDir, o.Store.InMemory = "", true }
	nothing := startGateway(t, forgets)
	createDevice(t, nothing, "truck-1", "north")
	if s := nothing.stats().Store; s == nil || s.Kind != "memory" || s.Memory.Records == 0 {
		t.Errorf("stats are %+v", s)
	}
	nothing.stop()
	if startGateway(t, forgets).knows("truck-1") {
		t.Error("a gateway that keeps nothing knows a device after a restart")
	}
}

func TestWhatIsConfiguredInOneProcessIsKnownInAll(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	edge, other := startGateway(t, redis.role(RoleEdge)), startGateway(t, redis.role(RoleEdge))
	broker, bridge := startGateway(t, redis.role(RoleBroker)), startGateway(t, redis.role(RoleBridge))
	createDevice(t, edge, "truck-1", "north")
	for _, g := range []*gateway{edge, other, broker, bridge} {
		g.waitKnows("truck-1")
	}
	if s := other.stats().Store; s == nil || s.Kind != "redis" || s.Redis.Feeds == 0 {
		t.Errorf("stats are %+v", s)
	}
	broker.waitReady(RoleBroker)
}

func TestADoorThatDoesNotKnowWhoMayConnectIsNotReady(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	redis.kill()
	begin := time.Now()
	broker := startGateway(t, redis.role(RoleBroker))
	t.Logf("started without a store in %v", time.Since(begin).Round(time.Millisecond))
	if broker.parts.people.Ready() {
		t.Error("it knows who may connect")
	}
	if a := broker.request("GET", "/readyz?role=broker"); a.StatusCode == 200 {
		t.Errorf("it is ready: %s", a.body)
	}
}

// Who takes over must have as much of what people configured as the owner before.
func TestAnOwnerCommitsTheRevisionOfTheRegistryThatItApplied(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	createDevice(t, g, "truck-1", "north")
	want, _ := g.parts.people.Revision()
	g.telemetry("north", "truck-1", fromTheReadme)
	g.waitAsset("truck-1", has("speed", 16.9))
	g.stop()
	s, err := openStore(t.Context(), &g.opts, g.log)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	lease, err := s.Own(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := lease.Config(); got < uint64(want) || want == 0 {
		t.Errorf("the bus says that revision %d was applied, the registry was at %d", got, want)
	}
}

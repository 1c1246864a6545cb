package app

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/gateway/keep"
)

// From the directory into Redis: what was known is known, devices go on where they were, and viewers get a reset.
func TestAGatewayGoesOnInRedis(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	g := startGateway(t)
	for _, lat := range []string{"48.1", "48.2", "48.3"} {
		g.telemetry("north", "truck-17", `{"lat":`+lat+`,"lon":2.3,"fuel":41.5}`)
		g.waitAsset("truck-17", func(a asset) bool { return a.number("lat") > 48 })
	}
	g.telemetry("south", "van-1", `{"lat":10,"lon":10}`)
	g.waitAsset("van-1", has("lat", 10.0))
	g.waitAsset("truck-17", has("lat", 48.3))
	registered := func() bool { return g.request(http.MethodGet, "/api/devices/van-1").StatusCode == http.StatusOK }
	waitFor(t, "the device to be registered", registered, func() string { return "" })
	s := g.open("/stream/assets", "")
	_, position := s.snapshot()
	s.close()
	g.stop()

	from, err := keep.Open(g.opts.Store.DataDir, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := from.Migrate(t.Context(), keep.MigrateOptions{Redis: "redis://" + redis.addr})
	if err := errors.Join(err, from.Close()); err != nil || m.Devices != 2 || m.Records < 2 {
		t.Fatalf("%+v, %v", m, err)
	}

	again := startGateway(t, func(o *Options) { o.Store.DataDir, o.Store.Redis = "", "redis://"+redis.addr })
	if a := again.waitAsset("truck-17", has("lat", 48.3)); a["metrics"] == nil {
		t.Errorf("the asset is %v", a)
	}
	if back := again.open("/stream/assets", position); back.next().Type != "reset" {
		t.Error("a viewer of before gets no reset")
	}
	again.telemetry("north", "truck-17", `{"lat":48.4,"lon":2.3}`)
	again.waitAsset("truck-17", has("lat", 48.4))
	if r := again.request(http.MethodGet, "/api/assets/truck-17/trail"); strings.Count(string(r.body), "[2.3,") != 4 {
		t.Errorf("the trail is %s", r.body)
	}
	if r := again.request(http.MethodGet, "/api/devices/van-1"); r.StatusCode != http.StatusOK {
		t.Errorf("the registry says %d of a device", r.StatusCode)
	}
}

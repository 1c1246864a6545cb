package app

import (
	"net/http"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/gateway/keep"
)

// A backup is taken while the gateway runs. Who saw what came after it must not be told that nothing changed since: the
// restored gateway answers with a reset, and not with silence.
func TestARestoredGatewayResetsWhoSawMoreThanItKnows(t *testing.T) {
	t.Parallel()
	g := startGateway(t, func(o *Options) { o.Admin.Listen = "127.0.0.1:0" })
	g.telemetry("north", "truck-17", `{"lat":48.9,"lon":2.3}`)
	g.waitAsset("truck-17", has("lat", 48.9))
	status, backup := fetch(t, "http://"+g.Addrs().Admin.String()+"/backup")
	if status != http.StatusOK {
		t.Fatalf("status %d: %.200s", status, backup)
	}
	s := g.open("/stream/assets", "")
	g.telemetry("north", "truck-17", `{"lat":50,"lon":2.3}`)
	_, seen := s.asset("truck-17", has("lat", 50.0))
	s.close()
	g.stop()

	dir := t.TempDir()
	if _, c, err := keep.Restore(dir, strings.NewReader(backup)); err != nil || c.Bus.Devices != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	again := startGateway(t, func(o *Options) { o.Store.DataDir = dir })
	again.waitAsset("truck-17", has("lat", 48.9))
	back := again.open("/stream/assets", seen.LastEventID)
	if first := back.next(); first.Type != "reset" {
		t.Errorf("who saw more than the backup has gets %q first", first.Type)
	}
	if assets, _ := back.snapshot(); assets["truck-17"].number("lat") != 48.9 {
		t.Errorf("and then %v", assets)
	}
}

func TestABackupNeedsAnAdminWhereProofsAreAskedFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Options)
		status int
	}{
		"proofs are asked for, on this machine too": {func(o *Options) { o.People.Viewer = AuthRequired }, http.StatusUnauthorized},
		"nothing is kept": {func(o *Options) { o.Store.InMemory, o.Store.DataDir = true, "" }, http.StatusConflict},
	} {
		g := startGateway(t, func(o *Options) { o.Admin.Listen = "127.0.0.1:0" }, c.change)
		if status, text := fetch(t, "http://"+g.Addrs().Admin.String()+"/backup"); status != c.status {
			t.Errorf("%s: status %d: %.200s", name, status, text)
		}
	}
}

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/devices/redisconn/redistest"
	"github.com/fleetcast/fleetcast/gateway/app"
)

func TestWhatAGatewayKeepsIsCopiedFromTheCommandLine(t *testing.T) {
	o := app.Defaults()
	o.Store.DataDir = t.TempDir()
	o.MQTT.Listen, o.HTTP.Listen, o.Admin.Listen, o.People.Viewer = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", app.AuthRequired
	gateway, err := app.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := gateway.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop := func() {
		if err := gateway.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	c := &commandLine{t, "http://" + gateway.Addrs().HTTP.String(), gateway.Addrs()}
	admin := "http://" + gateway.Addrs().Admin.String()
	t.Setenv("FLEETCAST_DATA_DIR", o.Store.DataDir)
	c.run(0, "", "devices", "create", "truck-17", "--fleet", "north")

	dir := t.TempDir()
	file := filepath.Join(dir, "backup.tar.gz")
	if out := c.run(0, "", "backup", "--admin", admin, "--to", file); !strings.Contains(out, "records of what people configured") {
		t.Errorf("%s", out)
	}
	if out := c.run(2, "", "backup", "--admin", admin, "--to", file); !strings.Contains(out, "is there already") {
		t.Errorf("%s", out)
	}
	if out := c.run(1, "", "backup", "--admin", admin, "--data-dir", dir, "--to", file+"2"); !strings.Contains(out, "gateway refuses") {
		t.Errorf("without a proof: %s", out)
	}
	if out := c.run(1, "", "backup", "--stopped", "--to", file+"2"); !strings.Contains(out, "another process has the data directory open") {
		t.Errorf("of a directory in use: %s", out)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("what failed left %v", left)
	}
	stop()
	if out := c.run(0, "", "backup", "--stopped", "--to", file+"2"); !strings.Contains(out, "has 0 devices") { // it is registered and was never heard
		t.Errorf("%s", out)
	}
	if out := c.run(0, "", "restore", "--check", "--from", file); !strings.HasPrefix(out, "made ") {
		t.Errorf("%s", out)
	}
	restored := filepath.Join(dir, "restored")
	if out := c.run(0, "", "restore", "--from", file, "--data-dir", restored); !strings.Contains(out, "Viewers that come back get a reset") {
		t.Errorf("%s", out)
	}
	if out := c.run(1, "", "restore", "--from", file, "--data-dir", restored); !strings.Contains(out, "is not empty") {
		t.Errorf("%s", out)
	}

	redis := redistest.Start(t).URL()
	for _, step := range []struct {
		code       int
		args, says string
	}{
		{0, "--dry-run", "would be copied: 0 devices"},
		{0, "", "copied and compared: 0 devices"},
		{0, "", "this state was copied before"},
		{0, "--force", "copied and compared"},
	} {
		args := append([]string{"migrate", "--from", restored, "--to", redis}, strings.Fields(step.args)...)
		if out := c.run(step.code, "", args...); !strings.Contains(out, step.says) {
			t.Errorf("%v says %s", args, out)
		}
	}
	if out := c.run(0, "", "bus", "new-epoch", "--redis", redis); !strings.Contains(out, "16 of 16 partitions") {
		t.Errorf("%s", out)
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/gateway/app"
)

// commandLine runs commands against a gateway of the test.
type commandLine struct {
	t      *testing.T
	server string
	addrs  app.Addrs
}

func newCommandLine(t *testing.T, change func(*app.Options)) *commandLine {
	t.Helper()
	o := app.Defaults()
	o.Store.DataDir = t.TempDir()
	o.MQTT.Listen, o.HTTP.Listen = "127.0.0.1:0", "127.0.0.1:0"
	if change != nil {
		change(&o)
	}
	gateway, err := app.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := gateway.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := gateway.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &commandLine{t, "http://" + gateway.Addrs().HTTP.String(), gateway.Addrs()}
}

// run runs a command that is to end with the code.
func (c *commandLine) run(code int, stdin string, args ...string) string {
	c.t.Helper()
	c.t.Setenv("FLEETCAST_SERVER", c.server)
	var out, errs bytes.Buffer
	if got := run(args, strings.NewReader(stdin), &out, &errs); got != code {
		c.t.Fatalf("%v: code %d, %s%s", args, got, out.String(), errs.String())
	}
	if code != 0 {
		return errs.String()
	}
	return out.String()
}

func TestDevicesAreManagedFromTheCommandLine(t *testing.T) {
	c := newCommandLine(t, nil)
	var made map[string]string
	if out := c.run(0, "", "devices", "create", "truck-17", "--fleet", "north", "--json"); json.Unmarshal([]byte(out), &made) != nil ||
		len(made) != 3 || made["id"] != "truck-17" || made["fleet"] != "north" || !strings.HasPrefix(made["token"], "fct_") {
		t.Fatalf("%s", out)
	}
	for _, step := range []struct {
		code       int
		args, says string
	}{
		{1, "devices create truck-17 --fleet north", "is registered already"},
		{2, "devices create truck-18", "--fleet"},
		{1, "devices create truck/18 --fleet north", "holds"},
		{0, "devices create truck-18 --fleet north --name Eighteen --meta plate=AB --messages-per-second 5", "not shown again"},
		{0, "devices list", "truck-18"},
		{0, "devices list --search eight --json", `"plate":"AB"`},
		{0, "devices show truck-18", `"messages_per_second":5`},
		{0, "devices update truck-18 --fleet south --meta plate=", `"fleet":"south"`},
		{2, "devices update truck-18", "nothing to change"},
		{0, "devices disable truck-18", "truck-18 is disabled"},
		{0, "devices list --status disabled", "truck-18"},
		{0, "devices enable truck-18", "truck-18 is enabled"},
		{0, "devices rotate truck-18 --json", "fct_"},
		{0, "devices export", "truck-17,north,"},
		{0, "devices export --format json --fleet south", `"id":"truck-18"`},
		{1, "devices reject truck-18", "there is no such device"}, // in quarantine; it stays what it is
		{0, "devices delete truck-18", "truck-18 is gone"},
		{1, "devices show truck-18", "there is no such device"},
		{0, "fleets create east --name East --retire-after-s 3600 --max-devices 10 --alerts-s 3600 --history-s 86400", `"alerts_s":3600,"history_s":86400`},
		{0, `fleets update east --hygiene {"max_speed":50}`, `"max_speed":50`},
		{0, "fleets list", "north"},
		{0, "fleets show east", `"name":"East"`},
		{0, "fleets delete east", "east is gone"},
		{0, "credentials gateway lns --fleets north,south", "fct_"},
		{0, "credentials client grafana --subscribe fleets/# --json", `"kind":"client"`},
		{0, "credentials list", "north,south"},
		{0, "credentials disable lns", "lns is disabled"},
		{0, "credentials rotate lns", "fct_"},
		{0, "credentials show grafana", `"subscribe":true`},
		{0, "credentials delete grafana", "grafana is gone"},
	} {
		if out := c.run(step.code, "", strings.Fields(step.args)...); !strings.Contains(out, step.says) {
			t.Errorf("%s says %s", step.args, out)
		}
	}
	c.run(0, "correct horse battery\n", "devices", "create", "with-password", "--fleet", "north", "--password-file", "-")
	if out := c.run(0, "", "devices", "show", "with-password"); !strings.Contains(out, `"credential":"password"`) || strings.Contains(out, "horse") {
		t.Errorf("%s", out)
	}
}

func TestManyDevicesAreImportedFromTheCommandLine(t *testing.T) {
	c := newCommandLine(t, nil)
	file := filepath.Join(t.TempDir(), "devices.csv")
	if err := os.WriteFile(file, []byte("id,fleet\na,f\nb,f\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := c.run(0, "", "devices", "import", file); !strings.Contains(out, `"created":2`) || strings.Count(out, "fct_") != 2 {
		t.Errorf("%s", out)
	}
	if out := c.run(1, "", "devices", "import", file); !strings.Contains(out, "not imported") {
		t.Errorf("%s", out)
	}
	if out := c.run(0, `{"id":"c","fleet":"f"}`, "devices", "import", "-", "--format", "json"); !strings.Contains(out, `"created":1`) {
		t.Errorf("%s", out)
	}
	if out := c.run(2, "", "devices", "import", "-"); !strings.Contains(out, "format") {
		t.Errorf("%s", out)
	}
}

func TestACommandThatFindsNoGatewaySaysSo(t *testing.T) {
	c := &commandLine{t: t, server: "http://127.0.0.1:1"}
	if out := c.run(1, "", "devices", "list"); !strings.Contains(out, "ask the gateway") {
		t.Errorf("%s", out)
	}
}

package app

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/diskbus"
)

// write puts a settings file into a folder of the test and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWithoutSettingsTheDefaultsHold(t *testing.T) {
	got, err := Parse(nil, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestFlagsWinOverVariablesOverTheFileOverTheDefault(t *testing.T) {
	const file, variable, flag = "300ms", "200ms", "150ms"
	for name, c := range map[string]struct {
		file, variable, flag string
		want                 time.Duration
	}{
		"nothing":               {want: 100 * time.Millisecond},
		"file":                  {file: file, want: 300 * time.Millisecond},
		"variable":              {variable: variable, want: 200 * time.Millisecond},
		"flag":                  {flag: flag, want: 150 * time.Millisecond},
		"file and variable":     {file: file, variable: variable, want: 200 * time.Millisecond},
		"file and flag":         {file: file, flag: flag, want: 150 * time.Millisecond},
		"variable and flag":     {variable: variable, flag: flag, want: 150 * time.Millisecond},
		"all":                   {file: file, variable: variable, flag: flag, want: 150 * time.Millisecond},
		"flag equal to default": {file: file, variable: variable, flag: "100ms", want: 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			var args []string
			if c.file != "" {
				args = append(args, "--config", write(t, "window: "+c.file+"\n"))
			}
			if c.variable != "" {
				t.Setenv("FLEETCAST_WINDOW", c.variable)
			}
			if c.flag != "" {
				args = append(args, "--window="+c.flag)
			}
			got, err := Parse(args, &bytes.Buffer{})
			if err != nil {
				t.Fatal(err)
			}
			if got.Fleet.Window != c.want {
				t.Errorf("window is %v, want %v", got.Fleet.Window, c.want)
			}
		})
	}
}

func TestEverySettingCanStandInTheFileAndInVariables(t *testing.T) {
	check := func(t *testing.T, got Options, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if got.MQTT.Listen != "127.0.0.1:0" || got.HTTP.Listen != "[::1]:0" || got.HTTP.Gzip || !slices.Equal(got.HTTP.Hosts, []string{"a.example", "b.example"}) ||
			!slices.Equal(got.MQTT.Upstream, []string{"mqtt://a:1", "mqtt://b:2"}) || got.MQTT.ClientID != "door-1" || got.MQTT.Group != "g" ||
			got.Store.DataDir != "d" || got.Store.Fsync != diskbus.Always || got.Store.Redis != "redis://r" || got.roles().String() != "edge,broker" || got.Fleet.Window != time.Second || got.Fleet.OwnTracksFleet.String() != "phones" ||
			got.Fleet.MaxDevices != 7 || got.Log.Level.String() != "DEBUG" || got.Log.Format != "json" {
			t.Errorf("got %+v", got)
		}
	}
	t.Run("file", func(t *testing.T) {
		path := write(t, `# a comment
mqtt-listen: 127.0.0.1:0
http-listen: "[::1]:0"
http-hosts: [a.example, b.example]
http-gzip: false
data-dir: d
window: 1s
owntracks-fleet: phones
max-devices: 7
mqtt-upstream: [mqtt://a:1, mqtt://b:2]
mqtt-client-id: door-1
mqtt-group: g
fsync: always
redis: redis://r
roles: [edge, broker]
in-memory: false
demo: 0
log-level: debug
log-format: json
`)
		t.Setenv("FLEETCAST_CONFIG", path)
		got, err := Parse(nil, &bytes.Buffer{})
		check(t, got, err)
	})
	t.Run("variables", func(t *testing.T) {
		for name, value := range map[string]string{
			"MQTT_LISTEN": "127.0.0.1:0", "HTTP_LISTEN": "[::1]:0", "HTTP_HOSTS": "a.example,b.example", "HTTP_GZIP": "false", "DATA_DIR": "d", "WINDOW": "1s",
			"OWNTRACKS_FLEET": "phones", "MAX_DEVICES": "7", "DEMO": "0", "MQTT_UPSTREAM": "mqtt://a:1,mqtt://b:2", "MQTT_CLIENT_ID": "door-1",
			"MQTT_GROUP": "g", "FSYNC": "always", "REDIS": "redis://r", "ROLES": "edge,broker", "IN_MEMORY": "false", "LOG_LEVEL": "debug", "LOG_FORMAT": "json",
		} {
			t.Setenv("FLEETCAST_"+name, value)
		}
		got, err := Parse(nil, &bytes.Buffer{})
		check(t, got, err)
	})
}

func TestAWrongSettingIsNamedWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct {
		file, variable string // variable is NAME=value
		args           []string
		want           []string // parts of the error
	}{
		"unknown key":               {file: "demo: 1\nmqtt-lisen: 127.0.0.1:1\n", want: []string{"gateway.yaml:2", `"mqtt-lisen"`}},
		"a key that is no setting":  {file: "config: other.yaml\n", want: []string{"gateway.yaml:1", `"config"`}},
		"help as a key":             {file: "help: true\n", want: []string{"gateway.yaml:1", `"help"`}},
		"the same key twice":        {file: "demo: 1\n\ndemo: 2\n", want: []string{"gateway.yaml:3", "demo", "line 1"}},
		"no value":                  {file: "window:\n", want: []string{"gateway.yaml:1", "window"}},
		"a map as a value":          {file: "window: {a: 1}\n", want: []string{"gateway.yaml:1", "window"}},
		"an alias":                  {file: "data-dir: &a x\nwindow: *a\n", want: []string{"gateway.yaml:2", "window"}},
		"a list for one value":      {file: "data-dir: [a, b]\n", want: []string{"gateway.yaml:1", "data-dir"}},
		"a list of lists":           {file: "http-hosts: [[a]]\n", want: []string{"gateway.yaml:1", "http-hosts"}},
		"not a duration":            {file: "\nwindow: 100\n", want: []string{"gateway.yaml:2", "window"}},
		"not a number":              {file: "demo: many\n", want: []string{"gateway.yaml:1", "demo"}},
		"not a level":               {file: "log-level: loud\n", want: []string{"gateway.yaml:1", "log-level"}},
		"not a format":              {file: "log-format: xml\n", want: []string{"gateway.yaml:1", "log-format", "text, json"}},
		"not a fleet":               {file: "owntracks-fleet: a/b\n", want: []string{"gateway.yaml:1", "owntracks-fleet"}},
		"out of bounds":             {file: "\n\nwindow: 1ms\n", want: []string{"gateway.yaml:3", "window", "10ms"}},
		"not YAML":                  {file: "demo: 1\n  x: [\n", want: []string{"gateway.yaml", "line 2"}},
		"not a map":                 {file: "- demo\n", want: []string{"gateway.yaml:1"}},
		"two documents":             {file: "demo: 1\n---\ndemo: 2\n", want: []string{"gateway.yaml", "more than one"}},
		"no file":                   {args: []string{"--config", "no-such-file.yaml"}, want: []string{"no-such-file.yaml"}},
		"a directory":               {args: []string{"--config", "."}, want: []string{"directory"}},
		"variable not a duration":   {variable: "FLEETCAST_WINDOW=soon", want: []string{"FLEETCAST_WINDOW"}},
		"variable out of bounds":    {variable: "FLEETCAST_WINDOW=1h", want: []string{"FLEETCAST_WINDOW: is 1h"}},
		"variable hides the file":   {variable: "FLEETCAST_WINDOW=1h", file: "window: 1s\n", want: []string{"FLEETCAST_WINDOW: is 1h"}},
		"flag not a duration":       {args: []string{"--window=soon"}, want: []string{"--window"}},
		"flag out of bounds":        {args: []string{"--window=1h"}, want: []string{"--window: is 1h"}},
		"flag unknown":              {args: []string{"--reddis=redis://x"}, want: []string{"--reddis"}},
		"roles without a store":     {args: []string{"--roles=edge"}, want: []string{"--roles", "--redis"}},
		"a role that is none":       {args: []string{"--roles=edge,door", "--redis=redis://x"}, want: []string{"--roles", "door", "broker,bridge,edge"}},
		"a role twice":              {args: []string{"--roles=edge,edge", "--redis=redis://x"}, want: []string{"--roles", "twice"}},
		"no role":                   {file: "roles: []\n", want: []string{"roles", "broker,bridge,edge"}},
		"not a mode of fsync":       {args: []string{"--fsync=sometimes"}, want: []string{"--fsync", "always, 1s"}},
		"memory and Redis":          {args: []string{"--in-memory", "--redis=redis://x"}, want: []string{"--in-memory", "--redis"}},
		"memory and a directory":    {args: []string{"--in-memory", "--data-dir=d"}, want: []string{"--in-memory", "--data-dir"}},
		"a broker for no door":      {args: []string{"--roles=edge", "--redis=redis://x", "--mqtt-upstream=mqtt://x"}, want: []string{"--mqtt-upstream", "broker"}},
		"a session that is lost":    {args: []string{"--in-memory", "--mqtt-upstream=mqtt://x"}, want: []string{"--mqtt-client-id"}},
		"a demo without a broker":   {args: []string{"--demo=1", "--data-dir=d", "--mqtt-upstream=mqtt://x"}, want: []string{"--demo", "embedded"}},
		"an argument":               {args: []string{"serve"}, want: []string{"serve"}},
		"devices from everywhere":   {args: []string{"--mqtt-listen=0.0.0.0:1883"}, want: []string{"--mqtt-listen", "no credentials", "device-auth"}},
		"viewers from everywhere":   {args: []string{"--http-listen=:8080"}, want: []string{"--http-listen", "no credentials", "viewer-auth"}},
		"IPv6 from everywhere":      {args: []string{"--http-listen=[::]:8080"}, want: []string{"--http-listen", "no credentials", "viewer-auth"}},
		"a name":                    {args: []string{"--http-listen=fleet.example:80"}, want: []string{"--http-listen", "no credentials", "viewer-auth"}},
		"an address without a port": {args: []string{"--http-listen=127.0.0.1"}, want: []string{"--http-listen", "HOST:PORT"}},
		"a port that is none":       {args: []string{"--http-listen=127.0.0.1:99999"}, want: []string{"--http-listen", "port"}},
		"a host with a port":        {args: []string{"--http-hosts=a.example:80"}, want: []string{"--http-hosts", "a.example:80"}},
		"a wildcard host":           {args: []string{"--http-hosts=*"}, want: []string{"--http-hosts"}},
		"a demo above the limit":    {args: []string{"--demo=20", "--max-devices=10"}, want: []string{"--demo", "max-devices"}},
		"no devices":                {args: []string{"--max-devices=0"}, want: []string{"--max-devices"}},
		"no trails":                 {args: []string{"--max-trail-mb=0"}, want: []string{"--max-trail-mb"}},
		"a negative demo":           {args: []string{"--demo=-1"}, want: []string{"--demo"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := c.args
			if c.file != "" {
				args = append(args, "--config", write(t, c.file))
			}
			if name, value, ok := strings.Cut(c.variable, "="); ok {
				t.Setenv(name, value)
			}
			_, err := Parse(args, &bytes.Buffer{})
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not name %q", err, part)
				}
			}
		})
	}
}

func TestLoopbackAddressesAreServed(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "127.9.9.9:1", "[::1]:8080", "localhost:8080", "[::ffff:127.0.0.1]:80"} {
		if err := checkLoopback("x", address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAnEmptyFileIsAFileOfDefaults(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n"} {
		if _, err := Parse([]string{"--config", write(t, text)}, &bytes.Buffer{}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAHugeFileIsNotRead(t *testing.T) {
	path := write(t, strings.Repeat("#\n", maxFileBytes/2+1))
	if _, err := Parse([]string{"--config", path}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("error is %v", err)
	}
}

func TestHelpAndVersionAreShownAndNothingElseIsDone(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"--version"}, {"--help", "--window=1h"}} {
		var out bytes.Buffer
		if _, err := Parse(args, &out); !errors.Is(err, ErrShown) || out.Len() == 0 {
			t.Errorf("%v: error %v, %d bytes", args, err, out.Len())
		}
	}
	var out bytes.Buffer
	_, _ = Parse([]string{"--help"}, &out)
	for _, part := range []string{"--mqtt-listen", "127.0.0.1:1883", "FLEETCAST_HTTP_HOSTS", "100ms", "10ms to 1s", "--owntracks-fleet", "--roles=", "broker,bridge,edge", "--redis=URL", "--fsync=", "./data"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("help does not name %s:\n%s", part, out.String())
		}
	}
}

func FuzzSettingsFile(f *testing.F) {
	for _, seed := range []string{"", "window: 1s\n", "http-hosts:\n- a\n- b\n", "a: &a [*a]\n", "? [x]\n: y\n", "<<: {a: 1}\n", "--- 1\n...\n", "\ufeffdemo: 1\n", "!!binary x: y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s settingsFile
		if err := s.parse("f.yaml", []byte(text)); err != nil {
			return
		}
		for name, v := range s.values {
			if v.line < 1 {
				t.Errorf("%q has no line", name)
			}
		}
	})
}

func TestWhereTheStateIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		args    []string
		nothing bool
		dir     string
	}{
		"by default":               {nil, false, "./data"},
		"where it is told":         {[]string{"--data-dir=d"}, false, "d"},
		"nowhere, as it is told":   {[]string{"--in-memory"}, true, ""},
		"nowhere, for a demo":      {[]string{"--demo=1"}, true, ""},
		"where a demo is told":     {[]string{"--demo=1", "--data-dir=d"}, false, "d"},
		"in Redis, also of a demo": {[]string{"--demo=1", "--redis=redis://x"}, false, "./data"},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := Parse(c.args, &bytes.Buffer{})
			if err != nil {
				t.Fatal(err)
			}
			if o.keepsNothing() != c.nothing || !c.nothing && o.dataDir() != c.dir {
				t.Errorf("nothing is kept: %v; the directory is %q", o.keepsNothing(), o.dataDir())
			}
		})
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/gateway/app"
)

// say has a device say something, and returns when it is acknowledged.
func (c *commandLine) say(device, topic, payload string) {
	c.t.Helper()
	program, err := exec.LookPath("mosquitto_pub")
	switch {
	case err != nil && os.Getenv("CI") != "":
		c.t.Fatal(err)
	case err != nil:
		c.t.Skip("mosquitto_pub is not installed")
	}
	host, port, err := net.SplitHostPort(c.addrs.MQTT.String())
	if err != nil {
		c.t.Fatal(err)
	}
	if out, err := exec.Command(program, "-h", host, "-p", port, "-i", device, "-q", "1", "-t", topic, "-m", payload).CombinedOutput(); err != nil {
		c.t.Fatalf("%v: %s", err, out)
	}
}

// seen waits until viewers are shown the device, and it is registered, be it by its first words.
func (c *commandLine) seen(device string) {
	c.t.Helper()
	running := remote{Server: c.server}
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	is := func(path string) bool {
		return running.call(context.Background(), http.MethodGet, path, nil, nil, nil) == nil
	}
	for end := time.Now().Add(20 * time.Second); !is("/api/assets/"+device) || !is(devicePath(device)); <-look.C {
		if time.Now().After(end) {
			c.t.Fatalf("%s is not seen", device)
		}
	}
}

// filesWith are the files below a directory that hold the text.
func filesWith(t *testing.T, dir, text string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			files = append(files, filepath.Base(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// One command leaves no word of a device in the directory, whether somebody registered it or it registered itself.
func TestADeviceIsErased(t *testing.T) {
	var dir string
	history := t.TempDir()
	c := newCommandLine(t, func(o *app.Options) {
		dir, o.History.Dir = o.Store.DataDir, history
	})
	t.Setenv("FLEETCAST_DATA_DIR", dir)
	const said = "secret-cargo-77"
	c.run(0, "", "devices", "create", "truck-17", "--fleet", "north")
	for _, device := range []string{"truck-17", "stranger"} {
		c.say(device, "fleets/north/devices/"+device+"/telemetry", `{"lat":48.85,"lon":2.29,"cargo":"`+said+`"}`)
		c.seen(device)
		if len(filesWith(t, dir, said)) == 0 {
			t.Fatal("it is kept nowhere: the test looks in vain")
		}
		var done erased
		if out := c.run(0, "", "devices", "erase", device, "--json"); json.Unmarshal([]byte(out), &done) != nil || done.ID != device || !done.Registered || !done.Compacted || done.Readings != 1 {
			t.Errorf("%s", out)
		}
		if left := append(filesWith(t, dir, said), filesWith(t, history, said)...); len(left) > 0 {
			t.Errorf("%s is still in %v", device, left)
		}
	}
	if out := c.run(0, "", "devices", "erase", "stranger"); !strings.Contains(out, "neither registered nor seen") || !strings.Contains(out, "What remains: ") {
		t.Errorf("%s", out)
	}
	// A directory on this machine that the gateway does not write is the command's own part.
	if out := c.run(0, "", "devices", "erase", "stranger", "--history-dir", history); !strings.Contains(out, "0 readings of the history are deleted") {
		t.Errorf("%s", out)
	}
}

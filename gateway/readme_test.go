package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEveryCommandOfTheReadmeWorks runs the lines of the sh blocks of README.md in their order, on free ports and for a
// shorter time. `make test` is the exception: it is what runs this test, so make is only asked what it would do.
func TestEveryCommandOfTheReadmeWorks(t *testing.T) {
	readme := readFile(t, "../README.md")
	r := newReadmeRun(t)
	commands := shellCommands(readme)
	if len(commands) < 8 {
		t.Fatalf("README.md has %d commands; the test must have lost its way", len(commands))
	}
	for _, command := range commands {
		t.Run(command, func(t *testing.T) { r.run(t, command) })
	}
}

// TestTheReadmesHookIsTheArticles holds the README's React hook to the page that is tested in a browser.
func TestTheReadmesHookIsTheArticles(t *testing.T) {
	readme := readFile(t, "../README.md")
	page := readFile(t, "../sse/dashboard/testdata/article/hook.txt")
	_, hook, _ := strings.Cut(readme, "```js\n")
	hook, _, _ = strings.Cut(hook, "```")
	for line := range strings.Lines(hook) {
		if line = strings.TrimSpace(line); !strings.Contains(page, line) {
			t.Errorf("the tested page has no line %q", line)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// shellCommands are the lines of the ```sh blocks, without comments.
func shellCommands(markdown string) []string {
	var out []string
	inside := false
	for line := range strings.Lines(markdown) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "```") {
			inside = line == "```sh"
			continue
		}
		if command, _, _ := strings.Cut(line, " #"); inside && command != "" {
			out = append(out, strings.TrimSpace(command))
		}
	}
	return out
}

// readmeRun is a reader who types the commands.
type readmeRun struct {
	bin        string
	mqtt, http string
	atEnd      func(func()) // of the whole run
}

func newReadmeRun(t *testing.T) *readmeRun {
	t.Helper()
	r := &readmeRun{bin: t.TempDir(), mqtt: freePort(t), http: freePort(t), atEnd: t.Cleanup}
	for _, name := range []string{"gateway", "simulator"} {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(r.bin, name), "../"+name)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v: %s", name, err, out)
		}
	}
	return r
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (r *readmeRun) run(t *testing.T, command string) {
	name := strings.Fields(command)[0]
	if _, err := exec.LookPath(name); err != nil && !strings.HasPrefix(name, "bin/") {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is missing", name)
		}
		t.Skipf("%s is missing", name)
	}
	switch {
	case command == "make run":
		r.server(t, command, "FLEETCAST_MQTT_LISTEN=127.0.0.1:0", "FLEETCAST_HTTP_LISTEN=127.0.0.1:0")
	case command == "make test":
		r.finish(t, "make -n test")
	case command == "bin/gateway":
		// It serves the commands after it, so it belongs to the parent test.
		cmd := exec.Command(filepath.Join(r.bin, "gateway")) // built by this test; stopped below
		cmd.Env = append(os.Environ(), "FLEETCAST_MQTT_LISTEN=127.0.0.1:"+r.mqtt, "FLEETCAST_HTTP_LISTEN=127.0.0.1:"+r.http)
		cmd.Dir = r.bin // where it makes its data directory
		r.background(t, cmd)
	default:
		r.finish(t, r.adapt(command))
	}
}

// adapt aims a command at this run's ports and makes its load small.
func (r *readmeRun) adapt(command string) string {
	return strings.NewReplacer(
		"127.0.0.1:8080", "127.0.0.1:"+r.http, "127.0.0.1:1883", "127.0.0.1:"+r.mqtt,
		"mosquitto_pub ", "mosquitto_pub -p "+r.mqtt+" ", "curl ", "curl -sS --fail-with-body ",
		"--for 60s", "--for 2s", "--devices 1000", "--devices 20", "--viewers 100", "--viewers 5",
		"storm.", r.bin+"/storm.", "--kill-every 5s --kills 10", "--kill-every 1s --kills 1 --for 0 --devices 5", "bin/", r.bin+"/",
	).Replace(command)
}

// curlTimedOut is what curl says when -m ended a stream, which is how the README ends one.
const curlTimedOut = 28

// finish runs a command to its end. What it asks for may take a window to appear, so a failure is tried again for a while.
func (r *readmeRun) finish(t *testing.T, command string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for tries := 0; ; tries++ {
		cmd := exec.CommandContext(ctx, "bash", "-c", command)
		cmd.Dir, cmd.Env = "..", append(os.Environ(), "FLEETCAST_SERVER=http://127.0.0.1:"+r.http, "TOKEN=not asked for in open mode")
		out, err := cmd.CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == curlTimedOut && strings.Contains(command, " -m ") {
			err = nil
		}
		if err == nil {
			if len(out) == 0 && !strings.HasPrefix(command, "mosquitto_pub") {
				t.Errorf("%s says nothing", command)
			}
			return
		}
		if tries == 50 || ctx.Err() != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		<-tick.C
	}
}

// server runs a command until it says where its page is, then stops it with Ctrl-C.
func (r *readmeRun) server(t *testing.T, command string, env ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	// exec makes the signal reach make's child too: both are in the group that the terminal would send it to.
	cmd := exec.CommandContext(ctx, "bash", "-c", "exec setsid "+command)
	cmd.Dir, cmd.Env = "..", append(os.Environ(), env...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url := pageURL(t, stdout)
	waitForAssets(ctx, t, url, 200)
	interruptGroup(t, cmd.Process.Pid)
	if _, err := io.Copy(io.Discard, stdout); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // make reports that its recipe was interrupted
	if strings.Contains(stderr.String(), "level=ERROR") {
		t.Errorf("it said:\n%s", stderr.String())
	}
}

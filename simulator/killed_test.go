package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/simulator/internal/testbroker"
)

// What a test's binary is when it is started again.
const (
	asSimulator = "FLEETCAST_TEST_SIMULATOR" // with this variable it is the simulator
	listFile    = "FLEETCAST_TEST_LISTENING" // where a server writes its address
)

// otherProgram is what the binary is to be with these arguments; nil: the tests.
func otherProgram(args []string) func() int {
	switch {
	case slices.Contains(args, "--http-listen"): // what a gateway is started with
		return func() int { return serve(args[slices.Index(args, "--http-listen")+1]) }
	case os.Getenv(asSimulator) != "":
		return func() int { return run(args, os.Stdout, os.Stderr) }
	}
	return nil
}

// serve is ready and nothing else, until it is ended.
func serve(address string) int {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if err != nil {
		return 1
	}
	file, err := os.OpenFile(os.Getenv(listFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 1
	}
	fmt.Fprintln(file, address)
	file.Close()
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			http.NotFound(w, r)
		}
	})}
	time.AfterFunc(time.Minute, func() { _ = server.Close() }) // where the test fails, nothing stays for long
	_ = server.Serve(l)                                        // until a signal ends the program
	return 0
}

const twoPrograms = `
name: two
about: a test's
for: 1h
start:
  - { name: other, run: %q, args: [--http-listen, "127.0.0.1:{port}"] }
  - { name: gateway, gateway: [] }
devices: [{ name: cars, count: 1, rate: 1/s, qos: 1 }]
`

func TestNothingStaysOfAKilledSimulator(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	scenario := filepath.Join(t.TempDir(), "two.yaml")
	if err := os.WriteFile(scenario, fmt.Appendf(nil, twoPrograms, own), 0o600); err != nil {
		t.Fatal(err)
	}
	failing := filepath.Join(t.TempDir(), "failing.yaml")
	if err := os.WriteFile(failing, []byte("name: failing\nabout: a test's\nfor: 1s\nstart: [{ name: gateway, gateway: [] }]\ndevices: [{ name: cars, count: 1, rate: 1/s }]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	prove := "prove --devices 1 --viewers 1 --for 1h --settle 100ms --no-progress --gateway " + own
	for name, c := range map[string]struct {
		args     string
		signal   syscall.Signal
		programs int
	}{
		"prove, killed":        {prove, syscall.SIGKILL, 1},
		"prove, ended":         {prove, syscall.SIGTERM, 1},
		"prove, interrupted":   {prove, syscall.SIGINT, 1},
		"a scenario's, killed": {"run " + scenario + " --quiet --gateway " + own, syscall.SIGKILL, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.signal == syscall.SIGKILL && runtime.GOOS != "linux" {
				t.Skip("only Linux's kernel ends what a killed program started")
			}
			temporary := t.TempDir()
			list := filepath.Join(t.TempDir(), "listening")
			simulator := exec.CommandContext(t.Context(), own, strings.Fields(c.args)...)
			simulator.Env = append(os.Environ(), asSimulator+"=1", listFile+"="+list, "TMPDIR="+temporary)
			if err := simulator.Start(); err != nil {
				t.Fatal(err)
			}
			addresses := func() []string {
				text, _ := os.ReadFile(list) // it is not there before the first
				return strings.Fields(string(text))
			}
			testbroker.Eventually(t, "its programs listen", func() bool { return len(addresses()) == c.programs })
			if err := simulator.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			_ = simulator.Wait() // it was ended
			for _, address := range addresses() {
				testbroker.Eventually(t, address+" has ended", func() bool { return !answers(t, address) })
			}
			left := func() int {
				folders, err := filepath.Glob(filepath.Join(temporary, "fleetcast-simulator-*", "*"))
				if err != nil {
					t.Fatal(err)
				}
				return len(folders)
			}
			if c.signal != syscall.SIGKILL {
				testbroker.Eventually(t, "its folders are gone", func() bool { return left() == 0 })
				return
			}
			if left() != c.programs {
				t.Fatalf("%d folders are left of %d programs", left(), c.programs)
			}
			// The next one finds that their owner is dead.
			next := exec.CommandContext(t.Context(), own, "run", failing, "--quiet", "--gateway", "/nonexistent")
			next.Env = append(os.Environ(), asSimulator+"=1", "TMPDIR="+temporary)
			_ = next.Run() // it cannot be run: there is no such gateway
			if left() != 0 {
				t.Errorf("%d folders are left of a simulator that was killed", left())
			}
		})
	}
}

func answers(t *testing.T, address string) bool {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

package testbroker

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// startTimeout bounds the wait for the program to listen.
const startTimeout = 20 * time.Second

// Start runs Mosquitto with extra lines of configuration on a free port of 127.0.0.1 until the test ends and returns its
// address. Without the program the test is skipped, and fails where CI is set.
func Start(tb testing.TB, config ...string) string {
	tb.Helper()
	program := find(tb, "mosquitto")
	address := FreeAddress(tb)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		tb.Fatal(err)
	}
	lines := append([]string{"listener " + port + " 127.0.0.1", "allow_anonymous true", "persistence false"}, config...)
	file := filepath.Join(tb.TempDir(), "mosquitto.conf")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	var output lockedBuffer
	cmd := exec.CommandContext(tb.Context(), program, "-c", file)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = cmd.Wait() }) // killed with the test's context, which is always an error
	Eventually(tb, "mosquitto listens", func() bool {
		conn, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	return address
}

// FreeAddress returns an address of 127.0.0.1 that nobody listened on a moment ago.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			tb.Error(err)
		}
	}()
	return l.Addr().String()
}

// Publish sends one message with mosquitto_pub.
func Publish(tb testing.TB, address, topic, payload string, flags ...string) {
	tb.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		tb.Fatal(err)
	}
	args := append([]string{"-h", host, "-p", port, "-t", topic, "-m", payload}, flags...)
	cmd := exec.CommandContext(tb.Context(), find(tb, "mosquitto_pub"), args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("mosquitto_pub: %v: %s", err, out)
	}
}

// Eventually polls cond until it holds, and fails the test after a deadline that only a broken run meets.
func Eventually(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline.C:
			tb.Fatalf("never came true: %s", what)
		case <-tick.C:
		}
	}
}

func find(tb testing.TB, name string) string {
	tb.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	if os.Getenv("CI") != "" {
		tb.Fatalf("%s is not installed", name)
	}
	tb.Skipf("%s is not installed", name)
	return ""
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

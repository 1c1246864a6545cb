//go:build unix

package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager is systemd, as far as a service talks to it.
type manager struct {
	t      *testing.T
	socket *net.UnixConn
}

func newManager(t *testing.T) (m *manager, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // only the test has it
	return &manager{t, l}, path
}

// waitFor reads what the service says until it says what is waited for.
func (m *manager) waitFor(state string) {
	m.t.Helper()
	if err := m.socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
		m.t.Fatal(err)
	}
	for b := make([]byte, 4096); ; {
		n, err := m.socket.Read(b)
		if err != nil {
			m.t.Fatalf("waited in vain for %s: %v", state, err)
		}
		if strings.Contains("\n"+string(b[:n])+"\n", "\n"+state) {
			return
		}
	}
}

func TestSystemdIsToldAndSIGHUPReloads(t *testing.T) {
	m, socket := newManager(t)
	file := filepath.Join(t.TempDir(), "f.yaml")
	settings := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("mqtt-listen: 127.0.0.1:0\nhttp-listen: 127.0.0.1:0\nadmin-listen: none\nin-memory: true\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	settings("")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, build(t), "--config", file)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=200000")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.waitFor("READY=1")
	m.waitFor("WATCHDOG=1")
	m.waitFor("STATUS=ready: broker,bridge,edge")
	for _, text := range []string{"log-level: debug\nmax-devices: 7\n", "log-lvel: debug\n"} {
		settings(text)
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		m.waitFor("RELOADING=1")
		m.waitFor("READY=1")
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.waitFor("STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	for _, said := range []string{`by=SIGHUP changed=[log-level] needs_restart=[max-devices]`, `f.yaml:5: there is no setting \"log-lvel\"; did you mean \"log-level\"?`} {
		if !strings.Contains(stderr.String(), said) {
			t.Errorf("it does not say %s:\n%s", said, stderr.String())
		}
	}
}

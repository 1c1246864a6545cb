package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/simulator/prove"
)

const (
	// patience is how long something that must come may take.
	patience  = time.Minute // a machine may be busy with much else
	pollEvery = 20 * time.Millisecond
)

var errNotThere = errors.New("it did not come")

// until polls a condition that must come.
func until(ctx context.Context, what string, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, errNotThere)
		case <-tick.C:
		}
	}
	return nil
}

// stay is the length of a fault that has to last.
func stay(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait while a fault lasts: %w", ctx.Err())
	}
}

// find returns the path of a program of Debian's. Where it is missing the test fails in CI, and is skipped elsewhere.
func find(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	path := filepath.Join("/usr/sbin", name) // not in everybody's path
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// Ports below what kernels give to outgoing connections: one that dials a port on which nobody listens at the moment can
// be given that very port, is then connected to itself (RFC 9293 section 3.5) and holds what its server needs.
const (
	firstPort = 12_000
	lastPort  = 32_000
)

func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort)))
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// server is a program that listens at one address and keeps it over restarts. Its methods are for one goroutine.
type server struct {
	address string
	path    string
	args    []string
	cmd     *exec.Cmd
}

// serve runs a program until the test ends, and waits until it listens.
func serve(t *testing.T, address, path string, args ...string) *server {
	t.Helper()
	s := &server{address: address, path: path, args: args}
	t.Cleanup(func() {
		if s.cmd != nil {
			_ = s.end(syscall.SIGKILL) // a program that had ended is fine here
		}
	})
	if err := s.start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *server) start(ctx context.Context) error {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), s.path, s.args...)
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.path, err)
	}
	s.cmd = cmd
	return until(ctx, s.path+" to listen", func() bool {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", s.address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// end sends a signal and returns when the program is gone.
func (s *server) end(signal syscall.Signal) error {
	cmd := s.cmd
	s.cmd = nil
	err := cmd.Process.Signal(signal)
	_ = cmd.Wait() // a killed program always ends with an error
	if err != nil {
		return fmt.Errorf("end %s: %w", s.path, err)
	}
	return nil
}

// restart is the fault of a server that is ended by a signal and is away for a time.
func (s *server) restart(name string, signal syscall.Signal, away time.Duration) prove.Fault {
	return prove.Fault{
		Name:  name,
		Break: func(context.Context) error { return s.end(signal) },
		Mend: func(ctx context.Context) error {
			if err := stay(ctx, away); err != nil {
				return err
			}
			return s.start(ctx)
		},
	}
}

// startRedis runs a Redis that has on its disk what it acknowledged.
func startRedis(t *testing.T) *server {
	t.Helper()
	path, address := find(t, "redis-server"), freeAddress(t)
	return serve(t, address, path, "--port", portOf(t, address), "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--loglevel", "warning")
}

package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Patience bounds every wait. What is waited for comes within moments; the rest is for machines that are busy.
const Patience = 60 * time.Second

// Server is a Redis server of a test.
type Server struct {
	Port int
	Dir  string
	args []string
	cmd  *exec.Cmd
}

// Need returns the program, or skips the test.
func Need(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("redis-server is not installed")
		}
		t.Skip("redis-server is not installed")
	}
	return path
}

// Start starts a server that saves nothing unless args say so.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := &Server{Port: freePort(t), Dir: t.TempDir(), args: args}
	t.Cleanup(s.Kill)
	s.Again(t)
	return s
}

func freePort(t testing.TB) int {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		if port < 50000 { // a cluster's own port is 10,000 above
			return port
		}
	}
}

// Again starts a server that was killed or stopped, with what it saved.
func (s *Server) Again(t testing.TB) {
	t.Helper()
	s.Begin(t)
	c := s.Client()
	defer func() { _ = c.Close() }()
	Eventually(t, "server answers", func() error { return c.Ping(t.Context()).Err() })
}

// Begin is Again without the wait until it answers.
func (s *Server) Begin(t testing.TB) {
	t.Helper()
	args := append([]string{
		"--port", fmt.Sprint(s.Port), "--bind", "127.0.0.1", "--dir", s.Dir, "--save", "", "--loglevel", "warning",
		"--logfile", filepath.Join(s.Dir, "log"), "--repl-diskless-sync-delay", "0",
	}, s.args...)
	s.run(t, args...)
}

func (s *Server) run(t testing.TB, args ...string) {
	t.Helper()
	s.cmd = exec.Command(Need(t), args...)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

// Addr is its host and port.
func (s *Server) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.Port) }

// URL is as redisconn.ParseURL reads it.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// Client returns one that the caller closes.
func (s *Server) Client() *redis.Client {
	quieting.Do(func() { redis.SetLogger(quiet{}) })
	return redis.NewClient(&redis.Options{Addr: s.Addr(), MaxRetries: -1, DialerRetries: 1, Protocol: 2})
}

var quieting sync.Once

// quiet keeps the library from telling of servers that tests have killed.
type quiet struct{}

// Printf implements the library's logger.
func (quiet) Printf(context.Context, string, ...any) {}

// Do runs a command.
func (s *Server) Do(t testing.TB, args ...any) any {
	t.Helper()
	c := s.Client()
	defer func() { _ = c.Close() }()
	got, err := c.Do(t.Context(), args...).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		t.Fatalf("%v: %v", args, err)
	}
	return got
}

// Runs tells whether the server was started and not ended.
func (s *Server) Runs() bool { return s.cmd != nil }

// Kill ends it as a crash does. It may be called twice.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop lets it save what it is told to save.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

func (s *Server) end(signal syscall.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGCONT)
	_ = s.cmd.Process.Signal(signal)
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Eventually waits until check gives no error.
func Eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: %v", what, err)
		}
	}
}

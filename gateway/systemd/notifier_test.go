//go:build unix

package systemd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// listen is the service manager. It returns what it is told next.
func listen(t *testing.T) (next func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // only the test has it
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		if err := l.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		n, err := l.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func TestEachStateIsSaidAsTheManagerReadsIt(t *testing.T) {
	next := listen(t)
	n := New(slog.New(slog.DiscardHandler))
	n.Ready()
	if got := next(); got != "READY=1" {
		t.Errorf("ready is %q", got)
	}
	n.Reloading()
	if got := next(); !regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=[1-9]\d*\n$`).MatchString(got) {
		t.Errorf("reloading is %q", got)
	}
	n.Stopping()
	if got := next(); got != "STOPPING=1" {
		t.Errorf("stopping is %q", got)
	}
}

func TestTheWatchdogIsToldOnlyWhileTheGatewayLives(t *testing.T) {
	next := listen(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	var dead atomic.Bool
	alive := func(context.Context) error {
		if dead.Load() {
			return errors.New("no")
		}
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		New(slog.New(slog.DiscardHandler)).Watch(ctx, alive, func() string { return "ready" })
	}()
	for _, isDead := range []bool{false, true, false} {
		dead.Store(isDead)
		for strings.Contains(next(), "WATCHDOG=1") == isDead { // said before
		}
		for range 3 {
			if got := next(); strings.Contains(got, "WATCHDOG=1") == isDead || !strings.HasPrefix(got, "STATUS=ready") {
				t.Errorf("dead is %v and it says %q", isDead, got)
			}
		}
	}
	cancel()
	<-done
}

func TestWithoutAManagerNothingIsSaid(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	n := New(slog.New(slog.DiscardHandler))
	n.Ready()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n.Watch(ctx, func(context.Context) error { t.Error("it was asked"); return nil }, func() string { return "" })
}

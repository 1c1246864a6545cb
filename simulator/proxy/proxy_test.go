package proxy

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/simulator/internal/testbroker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers with what it hears.
func echo(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	t.Cleanup(func() { l.Close() })
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			})
		}
	})
	return l.Addr().String()
}

func start(t *testing.T, to string) *Proxy {
	t.Helper()
	p, err := New(t.Context(), "127.0.0.1:0", to)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// says tells whether a word comes back within a time.
func says(t *testing.T, c net.Conn, word string, patience time.Duration) bool {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, word); err != nil {
		return false
	}
	got := make([]byte, len(word))
	_, err := io.ReadFull(c, got)
	return err == nil && string(got) == word
}

const patience = 30 * time.Second

func TestItPassesOnAndCounts(t *testing.T) {
	p := start(t, echo(t))
	c := dial(t, p)
	big := bytes.Repeat([]byte("0123456789"), 100_000)
	go func() { _, _ = c.Write(big) }() // the reading tells
	got := make([]byte, len(big))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, big) {
		t.Fatalf("%v; it changed what it passed", err)
	}
	testbroker.Eventually(t, "it is counted", func() bool { return p.Counts() == Counts{Accepted: 1, Up: 1_000_000, Down: 1_000_000} })
}

func TestABlackHoleGivesBackWhatWasOnItsWay(t *testing.T) {
	p := start(t, echo(t))
	c := dial(t, p)
	if !says(t, c, "one", patience) {
		t.Fatal("it passes nothing")
	}
	p.Set(Conditions{BlackHole: true})
	if says(t, c, "two", 50*time.Millisecond) {
		t.Error("a black hole lets something out")
	}
	p.Set(Conditions{})
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 3)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "two" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestConnectionsAreCutAndRefused(t *testing.T) {
	p := start(t, echo(t))
	conns := make([]net.Conn, 4)
	for i := range conns {
		conns[i] = dial(t, p)
		if !says(t, conns[i], "hello", patience) {
			t.Fatal("it passes nothing")
		}
	}
	if n := p.Cut(0.5); n != 2 {
		t.Errorf("%d of 4 were cut", n)
	}
	alive := 0
	for _, c := range conns {
		if says(t, c, "still", patience) {
			alive++
		}
	}
	if alive != 2 {
		t.Errorf("%d of 4 live", alive)
	}
	p.Set(Conditions{Refuse: true})
	if says(t, dial(t, p), "hello", patience) {
		t.Error("it is not refused")
	}
	nobody := start(t, testbroker.FreeAddress(t))
	if says(t, dial(t, nobody), "hello", patience) || nobody.Counts().Refused != 1 {
		t.Error("nobody answers")
	}
}

// In fake time a way is as long as it is said to be.
func TestLatencyAndBandwidth(t *testing.T) {
	for name, c := range map[string]struct {
		conditions Conditions
		bytes      int
		low, high  time.Duration
	}{
		"latency":    {Conditions{Latency: 300 * time.Millisecond}, 100, 300 * time.Millisecond, 301 * time.Millisecond},
		"jitter":     {Conditions{Latency: 300 * time.Millisecond, Jitter: 100 * time.Millisecond}, 100, 300 * time.Millisecond, 401 * time.Millisecond},
		"bandwidth":  {Conditions{Bandwidth: 10_000}, 50_000, 4900 * time.Millisecond, 5100 * time.Millisecond},
		"a good one": {Conditions{}, 50_000, 0, time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &Proxy{open: make(chan struct{})}
			close(p.open)
			p.Set(c.conditions)
			in, from := net.Pipe()
			to, out := net.Pipe()
			done := make(chan struct{})
			go func() {
				defer close(done)
				p.carry(t.Context(), to, from, &p.up)
			}()
			began := time.Now()
			go func() { _, _ = in.Write(make([]byte, c.bytes)) }() // the reading tells
			if _, err := io.ReadFull(out, make([]byte, c.bytes)); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took < c.low || took > c.high {
				t.Errorf("%s: it took %v", name, took)
			}
			in.Close()
			out.Close()
			<-done
		})
	}
}

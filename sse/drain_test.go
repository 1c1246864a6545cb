package sse

import (
	"context"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetcast/fleetcast/sse/hub"
	"github.com/fleetcast/fleetcast/sse/roster"
)

func TestDrainEndsStreamsSpreadAndSaysWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newTestHandler(t, Options{})
		const streams = 400 // a fifth of a second's worth
		ends := make(chan time.Time, streams)
		retries := make(chan string, streams)
		for range streams {
			client := openPipe(t, h)
			go func() {
				rest, _ := io.ReadAll(client)
				ends <- time.Now()
				retries <- string(rest)
			}()
		}
		began := time.Now()
		if err := h.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		moments, waits := map[time.Time]int{}, map[string]bool{}
		for range streams {
			at := <-ends
			moments[at]++
			if at.Sub(began) > time.Second {
				t.Errorf("a stream ended after %v", at.Sub(began))
			}
			r := <-retries
			ms, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(r, "retry: ")))
			if !regexp.MustCompile(`^retry: \d+\n\n$`).MatchString(r) || err != nil || ms < 1000 || ms > 2000 {
				t.Fatalf("a stream ended with %q", r)
			}
			waits[r] = true
		}
		if len(moments) < 5 || len(waits) < streams/4 {
			t.Errorf("%d moments, %d times of reconnection", len(moments), len(waits))
		}
		if s := h.Stats(); s.Ended[Drained.String()] != streams || s.Open != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestDrainIsBoundedWhereAReaderStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := newTestHandler(t, Options{})
		client := openPipe(t, h)
		defer client.Close()
		f.viewer(t, 0).chunks <- make([]byte, 100)
		synctest.Wait() // it stands in its write now
		began := time.Now()
		if err := h.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d > 2*roster.Grace {
			t.Errorf("drained after %v", d)
		}
		if s := h.Stats(); s.Ended[Drained.String()] != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestDrainCutsWhatIsLeftWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newTestHandler(t, Options{})
		var clients []net.Conn
		for range 300 {
			clients = append(clients, openPipe(t, h)) // nobody reads: goodbyes wait
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()
		if err := h.Drain(ctx); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("drained after %v", d)
		}
		for _, c := range clients {
			c.Close()
		}
	})
}

func TestAfterCloseNobodyGetsInAndEverythingIsGone(t *testing.T) {
	h, _ := newTestHandler(t, Options{})
	addr := serve(t, h)
	c := dial(t, addr, get)
	c.until(t, "\n\n")
	for range 2 {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if err := h.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, err := io.ReadAll(c.r); err != nil {
		t.Errorf("the connection was not closed cleanly: %v", err)
	}
	if head := dial(t, addr, get).until(t, "\r\n\r\n"); !strings.HasPrefix(head, "HTTP/1.1 503") {
		t.Errorf("after Close: %q", head)
	}
	ended(t, h, Drained, 1)
	if h.Stats().Refused[Draining.String()] != 1 {
		t.Errorf("%+v", h.Stats())
	}
}

// A request that was let in before Drain and becomes a stream after it has looked must not be forgotten.
func TestAStreamThatBeginsDuringDrainIsDrainedToo(t *testing.T) {
	h, f := newTestHandler(t, Options{})
	attach, inside, goOn := h.attach, make(chan struct{}), make(chan struct{})
	h.attach = func(q hub.Query, format hub.Format, id string) (viewer, error) {
		close(inside)
		<-goOn
		return attach(q, format, id)
	}
	c := dial(t, serve(t, h), get)
	<-inside
	drained := make(chan error, 1)
	go func() { drained <- h.Drain(context.Background()) }()
	eventually(t, "it drains", h.streams.IsStopping)
	close(goOn)
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(c.r); err != nil || strings.Count(string(rest), "retry: ") != 2 {
		t.Errorf("%q, %v", rest, err)
	}
	if !f.viewer(t, 0).isClosed() {
		t.Error("its viewer lives on")
	}
	ended(t, h, Drained, 1)
}

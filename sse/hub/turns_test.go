package hub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// startTurns runs a hub with a fleet of several slices and room for so many who catch up at once.
func startTurns(t *testing.T, most int, busy bool) (*world, *Hub) {
	t.Helper()
	w := newWorld(t, 1)
	for i := range 1500 {
		w.set("north", dev(i), 100)
	}
	w.flush()
	h := startHub(t, w)
	h.turns.most, h.turns.busy = most, func() bool { return busy }
	return w, h
}

// hold attaches a viewer that takes one piece and then stands still.
func hold(t *testing.T, h *Hub) *Viewer {
	t.Helper()
	v := attach(t, h, Query{}, "")
	if b, err := v.Next(t.Context()); err != nil || len(b) < MinSliceBytes {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	return v
}

// begins tells after what time a viewer's Next returns the beginning of the fleet.
func begins(t *testing.T, v *Viewer) time.Duration {
	t.Helper()
	for began := time.Now(); ; {
		b, err := v.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(b), "E heartbeat") {
			return time.Since(began)
		}
	}
}

// Of a crowd that comes at one moment only so many catch up at once, who came first before those who came later, and all
// of them get everything.
func TestACrowdCatchesUpInTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const crowd, most = 40, 4
		w, h := startTurns(t, most, true)
		want := w.shows(everything)
		var mu sync.Mutex
		var wg sync.WaitGroup
		atOnce, order := 0, []int(nil)
		for n := range crowd {
			v := attach(t, h, Query{}, "")
			c := newClient(t, fmt.Sprintf("client %d", n), everything)
			wg.Go(func() {
				defer v.Close()
				for c.ready == 0 {
					b, err := v.Next(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					h.turns.mu.Lock()
					atOnce = max(atOnce, h.turns.having.Len())
					h.turns.mu.Unlock()
					if v.ready {
						order = append(order, n)
					}
					mu.Unlock()
					<-time.After(time.Millisecond) // it is written
					c.read(b)
				}
				c.mustShow(want)
			})
			synctest.Wait()
		}
		wg.Wait()
		if atOnce != most || h.Stats().Queued != crowd-most {
			t.Errorf("%d caught up at once, %d waited", atOnce, h.Stats().Queued)
		}
		for i, n := range order {
			if n/most != i/most {
				t.Fatalf("they were ready in the order %d", order)
			}
		}
		if h.turns.having.Len() != 0 || h.turns.waiting.Len() != 0 {
			t.Error("somebody's turn is not over")
		}
	})
}

// A viewer that does not read keeps nobody for long from their turn: where cores are free not for turnTime, and where they
// are not, which may be why it is slow, not for turnLimit.
func TestWhoIsSlowLosesItsTurn(t *testing.T) {
	for busy, want := range map[bool]time.Duration{false: turnTime, true: turnLimit} {
		synctest.Test(t, func(t *testing.T) {
			_, h := startTurns(t, 2, busy)
			slow, slower := hold(t, h), hold(t, h)
			defer slow.Close()
			defer slower.Close()
			v := attach(t, h, Query{}, "")
			defer v.Close()
			if d := begins(t, v); d < want || d > want+turnCheck {
				t.Errorf("busy %t: it began after %v", busy, d)
			}
			if b, err := slow.Next(t.Context()); err != nil || len(b) < MinSliceBytes {
				t.Errorf("the slow one goes on with %d bytes, %v", len(b), err)
			}
		})
	}
}

// Who waits for its turn hears that its stream lives, and may leave; who leaves gives its turn to the next.
func TestWhoWaitsForItsTurnHearsHeartbeatsAndMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h := startTurns(t, 1, true)
		first := hold(t, h)
		leaves, next := attach(t, h, Query{}, ""), attach(t, h, Query{}, "")
		defer next.Close()
		ended := make(chan error)
		go func() {
			_, err := leaves.Next(t.Context())
			ended <- err
		}()
		began := make(chan time.Duration)
		go func() { began <- begins(t, next) }()
		synctest.Wait()
		leaves.Close()
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		<-time.After(time.Second)
		first.Close()
		if d := <-began; d != time.Second {
			t.Errorf("the next one began after %v", d)
		}

		h.turns.mu.Lock() // nobody's turn ends
		h.turns.having.Front().Value.(*Viewer).place.since = time.Now().Add(time.Hour)
		h.turns.mu.Unlock()
		waits := attach(t, h, Query{}, "")
		defer waits.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 3*DefaultHeartbeat+time.Second)
		defer cancel()
		for n := 0; ; n++ {
			b, err := waits.Next(ctx)
			if err != nil {
				if n != 3 {
					t.Errorf("%d heartbeats", n)
				}
				return
			}
			if !strings.HasPrefix(string(b), "E heartbeat") || strings.Contains(string(b), "\nI ") {
				t.Fatalf("it is told %.100q", b)
			}
		}
	})
}

// A table that is loaded anew resets everybody at one moment: they catch up in turns too. Who can be given nothing, as
// while a table is loaded, keeps nobody from their turn.
func TestThoseWhoAreResetCatchUpInTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, h := startTurns(t, 2, true)
		var viewers []*Viewer
		for range 10 {
			v := attach(t, h, Query{}, "")
			defer v.Close()
			for !v.ready {
				if _, err := v.Next(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			viewers = append(viewers, v)
		}
		before := h.Stats().Queued
		w.restart()
		window()
		for _, v := range viewers {
			if b, err := v.Next(t.Context()); err != nil || !strings.HasPrefix(string(b), "E reset") {
				t.Fatalf("%.100q, %v", b, err)
			}
		}
		for _, v := range viewers {
			v.inTurn()
		}
		if n := h.Stats().Queued - before; n != 8 {
			t.Errorf("%d waited", n)
		}
		_, h = startTurns(t, 1, true)
		waits, next := attach(t, h, Query{}, ""), attach(t, h, Query{}, "")
		defer waits.Close()
		defer next.Close()
		h.tables[0].mu.Lock()
		position := h.tables[0].position
		h.tables[0].position.Epoch = 0
		h.tables[0].mu.Unlock()
		if b := waits.inTurn(); b != nil {
			t.Fatalf("%.100q", b)
		}
		h.tables[0].mu.Lock()
		h.tables[0].position = position
		h.tables[0].mu.Unlock()
		if b := next.inTurn(); len(b) < MinSliceBytes {
			t.Errorf("the next one got %d bytes", len(b))
		}
	})
}

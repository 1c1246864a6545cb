package bridge

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// followed is what people configure, as far as a test says.
type followed struct {
	mu      sync.Mutex
	at      uint64
	changed chan struct{}
	waits   int
}

func follow(at uint64) *followed { return &followed{at: at, changed: make(chan struct{})} }

func (f *followed) set(at uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = at
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *followed) Applied() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at
}

func (f *followed) Wait(ctx context.Context, at uint64) error {
	for {
		f.mu.Lock()
		f.waits++
		has, changed := f.at, f.changed
		f.mu.Unlock()
		if has >= at {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *running) config() (at uint64) {
	r.bus.do(0, func(p *fakePartition) { at = p.config })
	return at
}

func TestAnOwnerCommitsTheRevisionThatItApplied(t *testing.T) {
	var people *followed // made in the bubble, as its channel must be
	inBubble(t, 1, func(o *Options, _ *fakeBus) { people = follow(7); o.Config = people }, func(r *running) {
		r.reading("d1", at(1, 2))
		r.pass(DefaultWindow)
		if got := r.config(); got != 7 {
			t.Errorf("the flush carries revision %d, want 7", got)
		}
		people.set(9)
		r.pass(beatInterval) // a beat is enough
		if got := r.config(); got != 9 {
			t.Errorf("the beat carries revision %d, want 9", got)
		}
	})
}

func TestAnOwnerThatTakesOverWaitsForWhatTheLastOneHadApplied(t *testing.T) {
	var people *followed
	inBubble(t, 1, func(o *Options, b *fakeBus) {
		people = follow(5)
		o.Config = people
		b.do(0, func(p *fakePartition) { p.config = 8 })
	}, func(r *running) {
		r.reading("d1", at(1, 2))
		r.pass(3 * time.Second)
		if got := r.flushes(); len(got) != 0 || r.bridge.Ready() {
			t.Fatalf("it published %v before it had revision 8; ready is %v", got, r.bridge.Ready())
		}
		people.set(8)
		r.pass(DefaultWindow)
		if got := r.flushes(); len(got) == 0 || !r.bridge.Ready() {
			t.Errorf("with revision 8 it published %v", got)
		}
	})
}

func TestAnOwnerDoesNotWaitForEverForARevisionThatTheStoreLost(t *testing.T) {
	var people *followed
	inBubble(t, 1, func(o *Options, b *fakeBus) {
		people = follow(5)
		o.Config = people
		b.do(0, func(p *fakePartition) { p.config = 8 })
	}, func(r *running) {
		r.reading("d1", at(1, 2))
		r.pass(configTimeout + DefaultWindow)
		if len(r.flushes()) == 0 || r.bridge.Stats().Counts["config_late"] != 1 {
			t.Errorf("published %v, counts %v", r.flushes(), r.bridge.Stats().Counts)
		}
		if got := r.config(); got != 8 {
			t.Errorf("the bus has revision %d: it went back", got)
		}
	})
}

func TestAnOwnerThatIsStoppedWhileItWaitsStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &running{t: t, bus: newFakeBus(1), start: time.Now()}
		r.bus.do(0, func(p *fakePartition) { p.config = 8 })
		r.run(Options{Bus: r.bus, Config: follow(1)})
		r.pass(time.Second)
		begin := time.Now()
		if err := r.stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

package bridge

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// notebook is a History that a test may break. It keeps the ids of what was written, and how far the inlet was let go of before.
type notebook struct {
	bus *fakeBus

	mu      sync.Mutex
	broken  bool
	written []bus.EntryID
	tooLate bool // the inlet had let go of a reading that was not written yet
}

func (n *notebook) Keep(partition int, readings []Heard) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.bus.do(partition, func(p *fakePartition) { n.tooLate = n.tooLate || !n.broken && p.consumed >= readings[0].ID })
	if n.broken {
		return errBroken
	}
	for _, r := range readings {
		n.written = append(n.written, r.ID)
	}
	return nil
}

func (n *notebook) set(broken bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.broken = broken
}

// has tells whether exactly the entries 1 to last are written, in order.
func (n *notebook) has(t *testing.T, last bus.EntryID) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, id := range n.written {
		if id != bus.EntryID(i+1) {
			t.Fatalf("written are %v", n.written)
		}
	}
	if len(n.written) != int(last) {
		t.Errorf("%d are written, want %d", len(n.written), last)
	}
}

func withNotebook(n *notebook) func(*Options, *fakeBus) {
	return func(o *Options, b *fakeBus) { n.bus, o.History = b, n }
}

func TestEveryReadingIsWrittenDownBeforeTheInletLetsGoOfIt(t *testing.T) {
	n := &notebook{}
	inBubble(t, 1, withNotebook(n), func(r *running) {
		for range 3 { // three of a device in one window, of which viewers see one
			r.reading("d1", at(48, 2))
		}
		r.pass(DefaultWindow)
		n.has(t, 3)
		r.reading("d2", at(48, 2))
		r.pass(DefaultWindow)
		n.has(t, 4)
		r.wantCount(countHistory, 4)
		if n.tooLate {
			t.Error("the inlet had let go of a reading before it was written")
		}
	})
	n.has(t, 4)
}

func TestAPublishThatFailsWritesNothingTwice(t *testing.T) {
	n := &notebook{}
	inBubble(t, 1, withNotebook(n), func(r *running) {
		r.bus.do(0, func(p *fakePartition) { p.failPublish = 2 })
		r.reading("d1", at(48, 2))
		r.pass(3 * time.Second)
		n.has(t, 1)
	})
}

func TestViewersDoNotWaitForAHistoryThatCannotBeWritten(t *testing.T) {
	n := &notebook{broken: true}
	inBubble(t, 1, withNotebook(n), func(r *running) {
		r.reading("d1", at(48, 2))
		r.pass(DefaultWindow)
		if r.frame("d1") == "" {
			t.Error("it is not seen")
		}
		n.has(t, 0)
		n.set(false)
		r.pass(2 * beatInterval) // a beat tries again
		n.has(t, 1)
		if r.bridge.Stats().Counts[reasonHistoryError.String()] == 0 {
			t.Error("the failure is not counted")
		}
	})
}

func TestWhatWaitsForTheHistoryIsBounded(t *testing.T) {
	rig := newRig(t)
	rig.opts.History = &notebook{broken: true}
	for range maxUnwritten + 10 {
		rig.put(bus.Entry{Kind: bus.KindReading, Reading: &devices.Reading{Measures: at(48, 2)}})
	}
	if len(rig.unwritten) != maxUnwritten {
		t.Errorf("%d wait", len(rig.unwritten))
	}
	if got := rig.counters.get(reasonHistoryDropped); got != 10 {
		t.Errorf("%d are counted as dropped", got)
	}
}

// The next owner reads again what the last one wrote and did not publish: it is written twice, with the same id.
func TestAnOwnerThatIsBrokenOffIsFollowedByOneThatWritesAgain(t *testing.T) {
	n := &notebook{}
	inBubble(t, 1, withNotebook(n), func(r *running) {
		r.bus.do(0, func(p *fakePartition) { p.failPublish = 1 << 20 })
		r.reading("d1", at(48, 2))
		r.pass(DefaultWindow)
		n.has(t, 1)
		if err := r.stop(); err != nil && !errors.Is(err, errBroken) {
			t.Error(err)
		}
		r.bus.do(0, func(p *fakePartition) { p.failPublish = 0 })
		r.run(Options{Bus: r.bus, History: n})
		r.pass(DefaultWindow)
		n.mu.Lock()
		defer n.mu.Unlock()
		if len(n.written) != 2 || n.written[0] != n.written[1] {
			t.Errorf("written are %v", n.written)
		}
	})
}

package hub

import (
	"container/list"
	"math"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of how many viewers catch up at one moment. Each of a crowd that comes back takes the bytes of a whole fleet as
// fast as it can read. Where all do it at once, whoever stayed stands behind thousands of writes, at each step of a
// message's way through the process; all of them are late until the last one is through; and they are at so many places
// that few share a slice. In turns, those who came first are through first, and all else waits behind a few writes.
const (
	// turnsPerCore is how many viewers catch up at once for each core: enough that cores have work while some of them wait
	// for their clients.
	turnsPerCore = 16
	// turnTime is how long a viewer keeps others from their turn. One that takes longer goes on without: it may be slow.
	turnTime = 100 * time.Millisecond
	// turnLimit is the same where the cores are busy, which nobody's connection is to be blamed for.
	turnLimit = 2 * time.Second
	// turnCheck is how often is looked then.
	turnCheck = 25 * time.Millisecond
	// busyWait is how long one of ten goroutines waits for a core where cores are busy.
	busyWait = 2 * time.Millisecond
)

// turns lets a bounded number of viewers catch up at once, in the order in which they came.
type turns struct {
	most  int
	busy  func() bool    // whether goroutines waited for cores lately
	times *atomic.Uint64 // how often a viewer waited

	mu      sync.Mutex
	having  list.List // of *Viewer, who began first at the front
	waiting list.List // of *Viewer
	timer   *time.Timer
}

// place is a viewer's among the others. Guarded by turns.mu.
type place struct {
	at    *list.Element // nil: it asked for none, had its time, or has left
	since time.Time     // when it was given its turn; zero while it waits
	left  bool          // for good
}

func newTurns(most int, times *atomic.Uint64) *turns {
	cores := &coreWait{}
	return &turns{most: most, busy: cores.isLong, times: times}
}

// ask tells whether the viewer may catch up now. Where it may not, it is told when its turn has come.
func (t *turns) ask(v *Viewer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := &v.place
	switch {
	case p.left:
		return true // Next will find out
	case p.at != nil:
		return !p.since.IsZero()
	case t.waiting.Len() == 0 && t.having.Len() < t.most:
		t.give(v)
		return true
	}
	t.times.Add(1)
	p.at, p.since = t.waiting.PushBack(v), time.Time{}
	if t.waiting.Len() == 1 { // else the timer runs
		t.next()
	}
	return !p.since.IsZero()
}

// leave ends the viewer's turn, or its waiting; forGood where it will not come again.
func (t *turns) leave(v *Viewer, forGood bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v.place.left = v.place.left || forGood
	if v.place.at == nil {
		return
	}
	if v.place.since.IsZero() {
		t.waiting.Remove(v.place.at)
	} else {
		t.having.Remove(v.place.at)
	}
	v.place.at = nil
	t.next()
}

// give gives the viewer its turn.
func (t *turns) give(v *Viewer) {
	v.place.at, v.place.since = t.having.PushBack(v), time.Now()
}

// next gives turns to those who wait, as far as there are any, and sees to it that it is called when one is over.
func (t *turns) next() {
	for t.waiting.Len() > 0 {
		if t.having.Len() >= t.most {
			oldest := t.having.Front()
			if left := t.remaining(oldest.Value.(*Viewer)); left > 0 {
				t.wakeIn(left)
				return
			}
			t.having.Remove(oldest)
			oldest.Value.(*Viewer).place.at = nil
		}
		v := t.waiting.Remove(t.waiting.Front()).(*Viewer)
		t.give(v)
		v.tell()
	}
}

// remaining is how long the viewer keeps its turn at the least.
func (t *turns) remaining(v *Viewer) time.Duration {
	has := time.Since(v.place.since)
	switch {
	case has < turnTime:
		return turnTime - has
	case has < turnLimit && t.busy():
		return turnCheck
	}
	return 0
}

func (t *turns) wakeIn(d time.Duration) {
	if t.timer == nil {
		t.timer = time.AfterFunc(d, func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.next()
		})
		return
	}
	t.timer.Reset(d)
}

// coreWait reads of the runtime how long goroutines wait for a core. It is asked under turns.mu.
type coreWait struct {
	sample      [1]metrics.Sample
	read        time.Time
	all, longer uint64 // at the last reading
	long        bool
}

// isLong tells whether at least one of ten goroutines that wanted to run lately waited for busyWait.
func (c *coreWait) isLong() bool {
	if time.Since(c.read) >= turnCheck {
		c.read, c.long = time.Now(), c.look()
	}
	return c.long
}

func (c *coreWait) look() bool {
	c.sample[0].Name = "/sched/latencies:seconds"
	metrics.Read(c.sample[:])
	if c.sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return false // a later Go has it no more; turns are then shorter where cores are busy
	}
	h := c.sample[0].Value.Float64Histogram()
	var all, longer uint64
	for i, n := range h.Counts {
		all += n
		if from := h.Buckets[i]; !math.IsInf(from, -1) && from >= busyWait.Seconds() {
			longer += n
		}
	}
	wanted, waited := all-c.all, longer-c.longer
	c.all, c.longer = all, longer
	return wanted > 0 && waited*10 >= wanted
}

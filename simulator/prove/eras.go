package prove

import "sync"

// eras tells connections what they may be connected to. Without a durable installation an era ends with each fault: what
// was acknowledged on a connection of an earlier one is gone. While a fault is being made nobody can tell which side of
// it a new connection is on, so there is none.
type eras struct {
	durable bool

	mu    sync.Mutex // guards what follows
	era   int
	dying bool
}

// enter returns the era of a connection that is made now; false means that it has none, and must not be made.
func (e *eras) enter() (int, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.era, e.durable || !e.dying
}

// is tells whether the era still is the same, so that a connection made since enter is one of it.
func (e *eras) is(era int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.durable || (e.era == era && !e.dying)
}

func (e *eras) begin() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dying = true
}

func (e *eras) end(era int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.era, e.dying = era, false
}

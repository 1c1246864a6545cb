package ws

import (
	"context"
	"fmt"
	"time"

	"github.com/fleetcast/fleetcast/sse"
)

const (
	// reconnectRate is how many clients a second may be sent to the servers that remain.
	reconnectRate = 2000
	drainStep     = 20 * time.Millisecond
	// drainGrace is how long connections that stand in a write may take after the last was told to end.
	drainGrace = 2 * time.Second
	// closeWait bounds the wait for connections that were cut.
	closeWait = time.Second
	// Clients of a server that stops are told to come back after a time between these, and more where they are many.
	minReturn = time.Second
	maxReturn = 3 * time.Second
)

// Drain refuses new connections, ends the open ones a few at a time, each with a close frame (1001) that says when to come
// back, and returns when none is left or ctx ends. It may be called twice, and beside Close.
func (h *Handler) Drain(ctx context.Context) error {
	conns := h.beginDrain()
	spread := time.Duration(len(conns)) * time.Second / reconnectRate
	window := spread
	if deadline, ok := ctx.Deadline(); ok {
		window = min(window, time.Until(deadline)/2)
	}
	steps := max(1, int(window/drainStep))
	tick := time.NewTicker(drainStep)
	defer tick.Stop()
	for i := range steps {
		for _, c := range conns[len(conns)*i/steps : len(conns)*(i+1)/steps] {
			c.drain(sse.Jitter(minReturn, max(maxReturn, minReturn+spread)))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	grace, cancel := context.WithTimeout(ctx, drainGrace)
	defer cancel()
	select {
	case <-h.empty:
	case <-grace.Done():
	}
	return h.Close()
}

// Close refuses new connections, cuts the open ones and waits until they are gone. It may be called twice.
func (h *Handler) Close() error {
	for _, c := range h.beginDrain() {
		c.drain(sse.Jitter(minReturn, maxReturn))
		c.wire.cut()
	}
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	select {
	case <-h.empty:
		return nil
	case <-timer.C:
		return fmt.Errorf("close websockets: %d are still open", h.Stats().Open)
	}
}

// beginDrain refuses what comes from now on and returns what is there.
func (h *Handler) beginDrain() []*conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.draining {
		h.draining = true
		if h.open == 0 {
			close(h.empty)
		}
	}
	conns := make([]*conn, 0, len(h.conns))
	for c := range h.conns {
		conns = append(conns, c)
	}
	return conns
}

package sse

import (
	"context"
	"fmt"
	"time"
)

const (
	// reconnectRate is how many clients a second may be sent to the servers that remain.
	reconnectRate = 2000
	drainStep     = 20 * time.Millisecond
	// drainGrace is how long streams that stand in a write may take after the last was told to end.
	drainGrace = 2 * time.Second
	// closeWait bounds the wait for streams that were cut.
	closeWait = time.Second
	// minReturn is the least time of reconnection after a drain. The clients of a server that restarts find it back.
	minReturn = time.Second
)

// Drain refuses new streams, ends the open ones a few at a time so that their clients do not all come back at one
// moment, and returns when none is left. It takes half a second per thousand streams, and cuts what is left when ctx
// ends or drainGrace has passed. It is to be called before http.Server.Shutdown, which does not know connections that
// were taken over. It may be called twice, and beside Close.
func (h *Handler) Drain(ctx context.Context) error {
	streams := h.beginDrain()
	spread := time.Duration(len(streams)) * time.Second / reconnectRate
	window := spread
	if deadline, ok := ctx.Deadline(); ok {
		window = min(window, time.Until(deadline)*3/4)
	}
	h.drainOver(ctx, streams, window, max(spread, minReturn))
	grace, cancel := context.WithTimeout(ctx, drainGrace)
	defer cancel()
	select {
	case <-h.empty:
	case <-grace.Done():
	}
	return h.Close()
}

// drainOver ends the streams spread over the window.
func (h *Handler) drainOver(ctx context.Context, streams []*stream, window, spread time.Duration) {
	steps := max(1, int(window/drainStep))
	tick := time.NewTicker(drainStep)
	defer tick.Stop()
	for i := range steps {
		for _, s := range streams[len(streams)*i/steps : len(streams)*(i+1)/steps] {
			s.drain(jitter(minReturn, minReturn+spread))
		}
		if i == steps-1 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Close refuses new streams, cuts the open ones and waits until they are gone. It may be called twice. An error says
// that some would not go within a bounded time: only streams over HTTP/2 that stand in a write, which go with their
// http.Server.
func (h *Handler) Close() error {
	for _, s := range h.beginDrain() {
		s.drain(jitter(minRetry, maxRetry))
		s.sink.abort()
	}
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	select {
	case <-h.empty:
		return nil
	case <-timer.C:
		return fmt.Errorf("close streams: %d are still open", h.Stats().Open)
	}
}

// beginDrain refuses what comes from now on and returns what is there.
func (h *Handler) beginDrain() []*stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.draining {
		h.draining = true
		if h.open == 0 {
			close(h.empty)
		}
	}
	streams := make([]*stream, 0, len(h.streams))
	for s := range h.streams {
		streams = append(streams, s)
	}
	return streams
}

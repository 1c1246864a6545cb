package ws

import "context"

// Drain refuses new connections, ends the open ones a few at a time, each with a close frame (1001) that says when to come
// back, and returns when none is left or ctx ends: see roster.Roster. It may be called twice, and beside Close.
func (h *Handler) Drain(ctx context.Context) error { return h.conns.Drain(ctx) }

// Close refuses new connections, cuts the open ones and waits until they are gone. It may be called twice.
func (h *Handler) Close() error { return h.conns.Close() }

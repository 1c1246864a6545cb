package sse

import "context"

// Drain refuses new streams, ends the open ones a few at a time so that their clients do not all come back at one
// moment, and returns when none is left or ctx ends: see roster.Roster. It is to be called before http.Server.Shutdown,
// which does not know connections that were taken over. It may be called twice, and beside Close.
func (h *Handler) Drain(ctx context.Context) error { return h.streams.Drain(ctx) }

// Close refuses new streams, cuts the open ones and waits until they are gone. It may be called twice. An error says
// that some would not go within a bounded time: only streams over HTTP/2 that stand in a write, which go with their
// http.Server.
func (h *Handler) Close() error { return h.streams.Close() }

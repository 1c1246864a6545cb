package roster

import (
	"context"
	"time"
)

const (
	// reconnectRate is how many clients a second may be sent to the servers that remain.
	reconnectRate = 2000
	drainStep     = 20 * time.Millisecond
	// Grace is how long connections that stand in a write may take after the last was told to end.
	Grace = 2 * time.Second
	// closeWait bounds the wait for connections that were cut.
	closeWait = time.Second
	// minReturn is the least time of reconnection after a drain, and the least over which reconnections are spread. The
	// clients of a server that restarts find it back.
	minReturn = time.Second
)

// Drain refuses new connections, ends the open ones a few at a time so that their clients do not all come back at one
// moment, and returns when none is left. It takes half a second per thousand connections, and cuts what is left when ctx
// ends or Grace has passed. It may be called twice, and beside Close.
func (r *Roster[M]) Drain(ctx context.Context) error {
	members := r.stop()
	spread := spreadOf(len(members))
	window := spread
	if deadline, ok := ctx.Deadline(); ok {
		window = min(window, time.Until(deadline)*3/4)
	}
	drainOver(ctx, members, window, spread)
	grace, cancel := context.WithTimeout(ctx, Grace)
	defer cancel()
	select {
	case <-r.empty:
	case <-grace.Done():
	}
	return r.Close()
}

// drainOver ends the connections spread over the window.
func drainOver[M Member](ctx context.Context, members []M, window, spread time.Duration) {
	steps := max(1, int(window/drainStep))
	tick := time.NewTicker(drainStep)
	defer tick.Stop()
	for i := range steps {
		for _, m := range members[len(members)*i/steps : len(members)*(i+1)/steps] {
			m.Drain(back(spread))
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

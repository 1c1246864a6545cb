package floor

import (
	"context"
	"net"
	"sync"
	"time"
)

// writer writes to its share of the viewers, one after the other.
type writer struct {
	floor *Floor

	mu      sync.Mutex // guards joining and closed; never held across I/O
	joining []net.Conn
	closed  bool

	// Owned by run.
	conns     []net.Conn
	tick      int64
	few, many chunk
}

// add gives the writer a viewer from the next tick on.
func (w *writer) add(conn net.Conn) {
	w.mu.Lock()
	closed := w.closed
	if !closed {
		w.joining = append(w.joining, conn)
	}
	w.mu.Unlock()
	if closed {
		conn.Close()
	}
}

func (w *writer) run(ctx context.Context) {
	defer w.close()
	window := w.floor.options.Window
	start := time.Now()
	timer := time.NewTimer(window)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		w.join()
		due := start.Add(time.Duration(w.tick+1) * window)
		w.write(w.chunk(), due)
		next := int64(time.Since(start) / window)
		if next > w.tick { // the ticks that passed while writing
			w.floor.missed.Add(next - w.tick)
			w.tick = next
		}
		timer.Reset(time.Duration(w.tick+1)*window - time.Since(start))
	}
}

// chunk counts a tick and returns what it writes: the rate is kept over several ticks where it is no whole number a tick.
func (w *writer) chunk() *chunk {
	f := w.floor
	perTick := float64(f.options.Rate) * f.options.Window.Seconds()
	before := int64(float64(w.tick) * perTick)
	w.tick++
	if n := int64(float64(w.tick)*perTick) - before; n == w.few.updates {
		return &w.few
	}
	return &w.many
}

func (w *writer) join() {
	w.mu.Lock()
	w.conns = append(w.conns, w.joining...)
	w.joining = w.joining[:0]
	w.mu.Unlock()
}

// write writes the tick that was due to all viewers.
func (w *writer) write(c *chunk, due time.Time) {
	if len(c.bytes) == 0 {
		return
	}
	c.stamp(due)
	f, kept := w.floor, w.conns[:0]
	extend := w.tick%deadlineTicks == 0
	deadline := time.Now().Add(writeTimeout + time.Duration(deadlineTicks)*f.options.Window)
	for _, conn := range w.conns {
		if extend || w.tick < deadlineTicks {
			_ = conn.SetWriteDeadline(deadline) // a closed connection fails at the write
		}
		if _, err := conn.Write(c.bytes); err != nil {
			conn.Close()
			f.dropped.Add(1)
			f.viewers.Add(-1)
			continue
		}
		kept = append(kept, conn)
	}
	clear(w.conns[len(kept):])
	w.conns = kept
	n := int64(len(kept))
	f.writes.Add(n)
	f.updates.Add(n * c.updates)
	f.bytes.Add(n * int64(len(c.bytes)))
}

func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.join()
	for _, conn := range w.conns {
		conn.Close()
	}
}

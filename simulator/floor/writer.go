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
	conns []net.Conn
	tick  int64
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
		w.write(w.chunk())
		next := int64(time.Since(start) / window)
		if next > w.tick { // the ticks that passed while writing
			w.floor.missed.Add(next - w.tick)
			w.tick = next
		}
		timer.Reset(time.Duration(w.tick+1)*window - time.Since(start))
	}
}

// chunk counts a tick and returns its bytes and how many updates they are: the rate is kept over several ticks where it
// is no whole number a tick.
func (w *writer) chunk() ([]byte, int64) {
	f := w.floor
	perTick := float64(f.options.Rate) * f.options.Window.Seconds()
	before := int64(float64(w.tick) * perTick)
	w.tick++
	n := int64(float64(w.tick)*perTick) - before
	if n == int64(perTick) {
		return f.few, n
	}
	return f.many, int64(perTick) + 1
}

func (w *writer) join() {
	w.mu.Lock()
	w.conns = append(w.conns, w.joining...)
	w.joining = w.joining[:0]
	w.mu.Unlock()
}

func (w *writer) write(chunk []byte, updates int64) {
	if len(chunk) == 0 {
		return
	}
	f, kept := w.floor, w.conns[:0]
	extend := w.tick%deadlineTicks == 0
	deadline := time.Now().Add(writeTimeout + time.Duration(deadlineTicks)*f.options.Window)
	for _, conn := range w.conns {
		if extend || w.tick < deadlineTicks {
			_ = conn.SetWriteDeadline(deadline) // a closed connection fails at the write
		}
		if _, err := conn.Write(chunk); err != nil {
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
	f.updates.Add(n * updates)
	f.bytes.Add(n * int64(len(chunk)))
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

package proxy

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// chunk is what was read at once, and when it may arrive.
type chunk struct {
	bytes []byte
	due   time.Time
}

var buffers = sync.Pool{New: func() any { b := make([]byte, chunkBytes); return &b }}

// carry takes one direction to its end, and then ends both.
func (p *Proxy) carry(ctx context.Context, to, from net.Conn, total *atomic.Int64) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	way := make(chan chunk, heldChunks)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer from.Close() // which ends the reading
	defer to.Close()
	reading.Go(func() {
		defer close(way)
		p.read(ctx, from, way)
	})
	for c := range way {
		if !p.arrive(ctx, to, c) {
			return
		}
		total.Add(int64(len(c.bytes)))
		p.recycle(c.bytes)
	}
}

func (p *Proxy) recycle(b []byte) {
	b = b[:cap(b)]
	buffers.Put(&b)
}

// read puts what comes on its way. When that is full it does not read, and the sender is held up as by a narrow line.
func (p *Proxy) read(ctx context.Context, from net.Conn, way chan<- chunk) {
	last := time.Time{}
	for {
		b := *buffers.Get().(*[]byte)
		n, err := from.Read(b)
		if n > 0 {
			conditions, _ := p.now()
			due := time.Now().Add(conditions.Latency)
			if conditions.Jitter > 0 {
				due = due.Add(rand.N(conditions.Jitter))
			}
			if due.Before(last) { // what is behind waits: it is a stream
				due = last
			}
			last = due
			select {
			case way <- chunk{b[:n], due}:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return // io.EOF among them: what is on its way still arrives
		}
	}
}

// arrive writes a chunk at its time and at the pace of the line; false means that the connection is over.
func (p *Proxy) arrive(ctx context.Context, to net.Conn, c chunk) bool {
	if !until(ctx, c.due) {
		return false
	}
	for rest := c.bytes; len(rest) > 0; {
		conditions, open := p.now()
		select {
		case <-open:
		case <-ctx.Done():
			return false
		}
		part := rest
		if b := int64(conditions.Bandwidth); b > 0 {
			part = rest[:min(int64(len(rest)), max(b/20, 1))] // a twentieth of a second of it
		}
		began := time.Now()
		if _, err := to.Write(part); err != nil {
			return false
		}
		rest = rest[len(part):]
		if b := int64(conditions.Bandwidth); b > 0 && !until(ctx, began.Add(time.Duration(int64(len(part))*int64(time.Second)/b))) {
			return false
		}
	}
	return true
}

// until waits for a time; false means that ctx ended first.
func until(ctx context.Context, at time.Time) bool {
	left := time.Until(at)
	if left <= 0 {
		return true
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

package sse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"
)

// stream is one viewer's connection. Its fields are set before run starts and are not changed but for bye.
type stream struct {
	h      *Handler
	viewer viewer
	sink   sink
	client netip.Prefix
	coding *coding      // how its pieces are packed; nil for not at all
	bye    atomic.Int64 // set by drain: the time of reconnection that the client is told, in ns

	viewed  *Viewed     // its place among those whose view can be changed; nil for none
	unwatch func()      // ends the watch over the caller's proof; nil where there is none
	over    atomic.Bool // set by expire
}

// sink is where the bytes of a stream go. Its methods are for the stream's goroutine, but abort may be called from any.
type sink interface {
	// write returns when all of p went, or nothing moved for the stall time (errStalled), or an error ended it.
	write(p []byte) (int, error)
	last(p []byte) // tries for a short time, then closes
	close()
	abort() // makes a write that waits return
}

var errStalled = errors.New("nothing moved for the stall time")

// goodbyeWait bounds the last write of a stream, which is a few bytes.
const goodbyeWait = time.Second

// run delivers until the stream ends, and gives back all that it took.
func (s *stream) run(ctx context.Context) {
	why := Panicked
	defer func() {
		if p := recover(); p != nil {
			s.h.log.Error("a stream panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
		if s.unwatch != nil {
			s.unwatch()
		}
		s.viewed.Remove()
		s.viewer.Close()
		s.sink.close()
		s.h.streams.Remove(s)
		s.h.ended[why].Add(1)
		s.h.streams.Release(s.client)
	}()
	why = s.deliver(ctx)
}

// deliver is the whole life of a viewer. There is nobody who reads the connection: a client that closed it is found by
// the second write after that, so two heartbeats of the hub at the latest; one whose host vanished by the kernel's own
// time for what was never acknowledged (see boundKernel). A reading goroutine would cost as much as all the rest.
func (s *stream) deliver(ctx context.Context) Reason {
	for {
		b, err := s.viewer.Next(ctx)
		if err != nil || s.bye.Load() != 0 {
			return s.farewell(ctx)
		}
		began := time.Now()
		n, err := s.sink.write(b)
		took := time.Since(began)
		s.viewer.Took(n, took)
		s.h.wrote(n, took)
		if err != nil {
			return s.reason(ctx, err)
		}
	}
}

// farewell ends a stream between two messages, and says when to come back.
func (s *stream) farewell(ctx context.Context) Reason {
	if ctx.Err() != nil {
		return Gone // only the fallback has a context that ends, with the client
	}
	why, retry := Stopped, jitter(minRetry, maxRetry)
	switch bye := s.bye.Load(); {
	case s.over.Load():
		why = Expired // and nothing more is told; who comes back without a proof hears why
	case bye != 0:
		why, retry = Drained, time.Duration(bye)
	}
	last := appendRetry(nil, retry)
	if s.coding != nil {
		last = s.coding.pack(last)
	}
	s.sink.last(last)
	return why
}

func (s *stream) reason(ctx context.Context, err error) Reason {
	switch {
	case s.over.Load():
		return Expired
	case s.bye.Load() != 0:
		return Drained
	case errors.Is(err, errStalled):
		return Stalled
	case ctx.Err() != nil, errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, io.ErrClosedPipe):
		return Gone
	}
	s.h.log.Debug("a stream could not be written", "error", err)
	return Failed
}

// Drain makes the stream end after the write that it may be in, and tell the client to come back after retry.
func (s *stream) Drain(retry time.Duration) {
	s.bye.CompareAndSwap(0, int64(retry))
	s.viewer.Close()
}

// Cut ends the stream now, also in a write.
func (s *stream) Cut() { s.sink.abort() }

// expireWait is how long a stream whose caller's proof has ended may stand in a write before it is cut.
const expireWait = 2 * time.Second

// expire ends the stream: its caller may see it no longer. It does not block.
func (s *stream) expire() {
	s.over.Store(true)
	s.viewer.Close()
	time.AfterFunc(expireWait, s.sink.abort) // closing twice is nothing
}

// abandon gives back what a stream that never began has taken.
func (s *stream) abandon() {
	if s.viewer != nil {
		s.viewer.Close()
	}
	s.h.streams.Release(s.client)
}

// connSink writes to a connection that was taken over, the bytes of the hub as they are.
type connSink struct {
	conn     net.Conn
	stall    time.Duration
	deadline time.Time // what is set on the connection
}

// write goes on as long as bytes move, however slowly: a deadline that passes after some of p went is set anew. So a
// stream in which nothing moves is closed after one to about two and a half times stall.
func (c *connSink) write(p []byte) (int, error) {
	for done := 0; ; {
		if err := c.renew(); err != nil {
			return done, err
		}
		n, err := c.conn.Write(p[done:])
		done += n
		switch {
		case err == nil:
			return done, nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return done, err
		case n == 0:
			return done, errStalled
		}
	}
}

// renew makes sure that at least stall is left. Setting a deadline costs a fifth of a write, so it is set with some to
// spare, and only the writes that find too little left pay for it.
func (c *connSink) renew() error {
	now := time.Now()
	if c.deadline.Sub(now) >= c.stall {
		return nil
	}
	c.deadline = now.Add(c.stall + c.stall/8)
	return c.conn.SetWriteDeadline(c.deadline)
}

func (c *connSink) last(p []byte) {
	if c.conn.SetWriteDeadline(time.Now().Add(goodbyeWait)) == nil {
		_, _ = c.conn.Write(p) // the stream ends either way
	}
}

func (c *connSink) close() { c.conn.Close() }
func (c *connSink) abort() { c.conn.Close() }

// pieceBytes is how much a pieceSink writes at once. It has to go within the stall time: 28 bytes a second by default.
const pieceBytes = 4 << 10

// pieceSink writes where a deadline that passed has broken the writer for good, so that it cannot be told whether
// something moved: TLS (crypto/tls.Conn.SetWriteDeadline says so) and HTTP/2, where the stream is reset. It writes small
// pieces, each of which must go whole.
type pieceSink struct {
	w           io.Writer
	stall       time.Duration
	setDeadline func(time.Time) error
	flush       func() error
	end         func()
	cut         func() // from any goroutine
}

func (s *pieceSink) write(p []byte) (done int, err error) {
	for done < len(p) {
		n, err := s.piece(p[done:min(done+pieceBytes, len(p))], s.stall)
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

func (s *pieceSink) piece(p []byte, limit time.Duration) (int, error) {
	began := time.Now()
	if err := s.setDeadline(began.Add(limit)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	n, err := s.w.Write(p)
	if err == nil {
		err = s.flush()
	}
	if err != nil && time.Since(began) >= limit { // HTTP/2 has its own words for a deadline that passed
		err = errStalled
	}
	return n, err
}

func (s *pieceSink) last(p []byte) { _, _ = s.piece(p, goodbyeWait) } // the stream ends either way
func (s *pieceSink) close()        { s.end() }
func (s *pieceSink) abort()        { s.cut() }

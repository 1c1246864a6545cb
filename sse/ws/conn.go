package ws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/sse"
	"github.com/fleetcast/fleetcast/sse/hub"
)

// conn is one client. One goroutine reads what it says; while it has a subscription another one writes.
//
//	client ─▶ wire ─▶ library ─▶ read ─▶ act        hub ─▶ deliver ─▶ wire ─▶ client
type conn struct {
	h       *Handler
	ws      *websocket.Conn
	wire    *wire
	client  netip.Prefix
	caller  *devices.Caller
	unwatch func()       // ends the watch over the caller's proof; nil where there is none
	ending  atomic.Int32 // 1 + the Reason of the end; 0 while there is none
	closing sync.WaitGroup

	// The reading goroutine's.
	sub   *subscription // nil: there is none
	spare float64       // messages that the client may send now
	last  time.Time

	mu     sync.Mutex
	viewer *hub.Viewer // of sub, for those who end it; guarded by mu
}

// subscription is what a client listens to.
type subscription struct {
	viewer *hub.Viewer
	viewed *sse.Viewed
	done   chan struct{} // closed when nothing is written any more
}

// run is the whole life of a connection, and gives back all that it took.
func (c *conn) run() {
	defer func() {
		if p := recover(); p != nil {
			c.h.log.Error("a websocket panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			c.end(Panicked)
		}
		if c.unwatch != nil {
			c.unwatch()
		}
		c.closing.Wait() // bounded by goodbyeTime
		c.wire.cut()     // a write that waits returns
		c.drop()
		_ = c.ws.CloseNow() // it may be closed
		c.h.conns.Remove(c)
		c.h.ended[c.why()].Add(1)
		c.h.conns.Release(c.client)
	}()
	stop := c.watch()
	defer stop()
	c.end(c.read())
}

// read takes messages until the connection ends, and tells why it did.
func (c *conn) read() Reason {
	c.spare, c.last = MessagesAtOnce, time.Now()
	for {
		text, err := c.message()
		if err != nil {
			return c.reason(err)
		}
		now := time.Now()
		c.spare, c.last = min(c.spare+now.Sub(c.last).Seconds()*MessagesPerSecond, MessagesAtOnce)-1, now
		if c.spare < 0 {
			c.goodbye(TooMuch, websocket.StatusPolicyViolation, "too many messages")
			return TooMuch
		}
		if err := c.aside(text); err != nil {
			return c.reason(err)
		}
	}
}

var errPanicked = errors.New("a message panicked")

// aside acts on a goroutine of its own and waits: the stack that grows for it, 8 kB, goes with it, while this one waits for
// the client for as long as the connection lasts.
func (c *conn) aside(text []byte) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				c.h.log.Error("a message over websocket panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				c.end(Panicked)
				err = errPanicked
			}
		}()
		err = c.act(text)
	}()
	<-done
	return err
}

var errNotText = errors.New("a message that is no text")

// message reads one, however long its first byte takes, and not longer from there on than messageTime.
func (c *conn) message() ([]byte, error) {
	kind, r, err := c.ws.Reader(context.Background())
	if err != nil {
		return nil, err
	}
	if kind != websocket.MessageText {
		return nil, errNotText
	}
	late := time.AfterFunc(messageTime, c.wire.cut)
	defer late.Stop()
	return io.ReadAll(r)
}

// reason tells why reading or writing ended, and says so where the client can still hear.
func (c *conn) reason(err error) Reason {
	switch {
	case c.ending.Load() != 0:
		return c.why()
	case errors.Is(err, errTooMuch) || c.wire.tooMuch.Load():
		c.goodbye(TooMuch, websocket.StatusPolicyViolation, "too much sent")
		return TooMuch
	case errors.Is(err, websocket.ErrMessageTooBig):
		return TooBig
	case errors.Is(err, errNotText):
		c.goodbye(BadFrame, websocket.StatusUnsupportedData, "text only")
		return BadFrame
	case errors.Is(err, sse.ErrStalled):
		return Stalled
	case websocket.CloseStatus(err) != -1, errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, io.ErrUnexpectedEOF):
		return Gone
	}
	if _, isNet := errors.AsType[net.Error](err); isNet {
		return Failed
	}
	return BadFrame
}

// end notes why the connection ends, once, and ends its subscription's waiting.
func (c *conn) end(why Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over(why)
}

// over is end where mu is held; it tells whether it was the first.
func (c *conn) over(why Reason) bool {
	first := c.ending.CompareAndSwap(0, int32(why)+1)
	if c.viewer != nil {
		c.viewer.Close()
	}
	return first
}

func (c *conn) why() Reason { return Reason(max(c.ending.Load()-1, 0)) }

// goodbye ends the connection with a close frame. It returns at once; the frame is tried for a bounded time.
func (c *conn) goodbye(why Reason, code websocket.StatusCode, text string) {
	c.mu.Lock()
	defer c.mu.Unlock() // so that who ends the connection, and waits for closing, sees it begun
	if !c.over(why) {
		return
	}
	c.closing.Go(func() {
		cut := time.AfterFunc(goodbyeTime, c.wire.cut)
		defer cut.Stop()
		_ = c.ws.Close(code, text) // the client may be gone
	})
}

// goodbyeTime bounds the handshake of closing.
const goodbyeTime = 2 * time.Second

// Codes of our own (RFC 6455 section 7.4.2).
const statusExpired websocket.StatusCode = 4401 // the proof has ended; show another

// Drain says goodbye, and when to come back.
func (c *conn) Drain(retry time.Duration) {
	c.goodbye(Drained, websocket.StatusGoingAway, fmt.Sprintf(`{"retry_ms":%d}`, retry.Milliseconds()))
}

// Cut ends the connection now, also in a write.
func (c *conn) Cut() { c.wire.cut() }

// expire ends the connection: its caller may see it no longer. It does not block.
func (c *conn) expire() { c.goodbye(Expired, statusExpired, "the proof has ended") }

// pinged answers a client's ping without waiting: the library's own answer would end a connection whose client is slow.
func (c *conn) pinged(_ context.Context, payload []byte) bool {
	c.wire.say(func() { c.wire.pong = append(make([]byte, 0, len(payload)), payload...) })
	return false
}

// watch asks a silent client whether it is there, and ends the connection where it does not answer. A timer costs less than
// a goroutine.
func (c *conn) watch() (stop func()) {
	o := &c.h.options
	var mu sync.Mutex
	var timer *time.Timer
	over := false
	look := func() {
		silent := time.Since(time.Unix(0, c.wire.heard.Load()))
		mu.Lock()
		defer mu.Unlock()
		if over {
			return
		}
		switch {
		case silent >= o.Pong:
			c.end(Silent)
			c.wire.cut()
			return
		case silent >= o.Ping:
			c.wire.say(func() { c.wire.ping = true })
		}
		timer.Reset(max(min(o.Ping, o.Pong-silent), time.Millisecond))
	}
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(o.Ping, look)
	return func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		timer.Stop()
	}
}

// drop ends the subscription, and waits until nothing of it is written any more.
func (c *conn) drop() {
	if c.sub == nil {
		return
	}
	c.sub.viewed.Remove()
	c.sub.viewer.Close()
	<-c.sub.done
	c.mu.Lock()
	c.sub, c.viewer = nil, nil
	c.mu.Unlock()
}

// listen begins a subscription.
func (c *conn) listen(q hub.Query, f hub.Format, position string) error {
	v, err := c.h.options.Hub.Attach(q, f, position)
	if err != nil {
		return err
	}
	c.sub = &subscription{viewer: v, viewed: c.h.options.Views.Add(v, c.caller, q), done: make(chan struct{})}
	c.mu.Lock()
	c.viewer = v
	c.mu.Unlock()
	if c.ending.Load() != 0 { // it was ended before it was known
		v.Close()
	}
	go c.deliver(v, c.sub.done)
	return nil
}

// deliver writes what a viewer is given until the subscription or the connection ends.
func (c *conn) deliver(v *hub.Viewer, done chan struct{}) {
	defer close(done)
	defer func() {
		if p := recover(); p != nil {
			c.h.log.Error("a websocket panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			c.end(Panicked)
			c.wire.cut()
		}
	}()
	for {
		b, err := v.Next(context.Background())
		if err != nil {
			return
		}
		began := time.Now()
		n, err := c.wire.frames(b)
		v.Took(n, time.Since(began))
		if err != nil {
			c.end(c.reason(err))
			c.wire.cut()
			return
		}
	}
}

package sseclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// NewHTTP2 returns a transport for many clients that share connections, over TLS and without. A connection holds as many
// streams as the server allows, then another one is opened.
func NewHTTP2() *http.Transport {
	t := &http.Transport{Protocols: &http.Protocols{}, DisableCompression: true, ForceAttemptHTTP2: true}
	t.Protocols.SetHTTP2(true)
	t.Protocols.SetUnencryptedHTTP2(true)
	return t
}

// sharedStreams is how many streams a connection of HTTP/2 holds at the least, if it may hold as many as servers usually allow
// (RFC 9113 section 6.5.2 recommends no less).
const sharedStreams = 100

// SharedConnections is how many connections so many streams over a transport of NewHTTP2 have at the most.
func SharedConnections(streams int) int { return (streams + sharedStreams - 1) / sharedStreams }

// slowReceive is what HTTP/2 lets a server send ahead to a slow reader, in bytes: the least that Go has.
const slowReceive = 64 << 10

// Slow has a transport of one slow stream take little ahead of its reader: what lies in buffers is not read slowly.
func Slow(t *http.Transport) {
	t.DialContext = (&net.Dialer{KeepAlive: -1, Control: SmallReceiveBuffer}).DialContext
	t.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerConnection: slowReceive, MaxReceiveBufferPerStream: slowReceive}
}

// closeFunc is a Closer.
type closeFunc func()

// Close calls it.
func (f closeFunc) Close() error {
	f()
	return nil
}

// onceShared is one stream over a transport. What a connection of its own does with deadlines is done here by ending the
// request's context, since a stream has none.
func (c *Client) onceShared(ctx context.Context) (opened bool, err error) {
	c.obey() // without a connection there was nothing to drop, but perhaps something to forget
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	closer := io.Closer(closeFunc(func() { end(ErrDropped) }))
	c.conn.Store(&closer)
	defer c.conn.Store(nil)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url.String(), nil)
	if err != nil {
		return false, fmt.Errorf("request stream: %w", err)
	}
	request.Header = c.header()
	opening := time.AfterFunc(openTimeout, func() { end(context.DeadlineExceeded) })
	response, err := c.options.Transport.RoundTrip(request)
	opening.Stop()
	if err != nil {
		return false, fmt.Errorf("request stream: %w", cause(ctx, err))
	}
	defer response.Body.Close()
	if err := check(response); err != nil {
		return false, err
	}
	body := &sharedReader{ctx: ctx, body: response.Body, end: end, silence: c.options.Silence, pace: c.options.Pace, total: &c.bytes}
	if age := c.options.MaxAge; age > 0 {
		defer time.AfterFunc(age-rand.N(age/4+1), func() { end(ErrCut) }).Stop()
	}
	if body.silence > 0 {
		body.watchdog = time.AfterFunc(body.silence, func() { end(ErrSilent) })
		defer body.watchdog.Stop()
	}
	response.Body = body
	if c.options.OnOpen != nil {
		c.options.OnOpen()
	}
	if c.options.Raw {
		return true, cause(ctx, drain(body))
	}
	plain, err := decoded(response)
	if err != nil {
		return true, cause(ctx, err)
	}
	return true, cause(ctx, c.read(plain))
}

// cause says why the context ended where it did, and err otherwise.
func cause(ctx context.Context, err error) error {
	if ended := context.Cause(ctx); ended != nil {
		return errors.Join(ended, err)
	}
	return err
}

// sharedReader is the body of a stream with the client's limits.
type sharedReader struct {
	ctx      context.Context //nolint:containedctx // it ends the waits of a paced Read, which has no other way in
	body     io.ReadCloser
	end      context.CancelCauseFunc
	watchdog *time.Timer
	silence  time.Duration
	moved    time.Time
	pace     int64
	total    *atomic.Int64
}

// Close ends the stream.
func (r *sharedReader) Close() error { return r.body.Close() }

// Read reads within the limits.
func (r *sharedReader) Read(p []byte) (int, error) {
	if r.pace > 0 {
		if err := rest(r.ctx); err != nil {
			return 0, err
		}
		p = p[:min(int64(len(p)), max(r.pace/slowReadsASecond, 1))]
	}
	n, err := r.body.Read(p)
	r.total.Add(int64(n))
	if r.watchdog != nil {
		if now := time.Now(); now.Sub(r.moved) > time.Second { // not at each read, which would cost as much as the read
			r.moved = now
			r.watchdog.Reset(r.silence)
		}
	}
	return n, err
}

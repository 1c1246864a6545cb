package sseclient

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Defaults and bounds of a client.
const (
	DefaultRetry = 3 * time.Second
	// maxRetry bounds the doubling of the retry time while nothing answers.
	maxRetry = 30 * time.Second
	// openTimeout bounds the time from dialing to the response's headers.
	openTimeout = 30 * time.Second
	// maxHeaderBytes bounds a response's headers.
	maxHeaderBytes = 64 << 10
	// headerBuffer is the buffer of headers and of chunk sizes; bodies go past it into the parser's.
	headerBuffer = 4 << 10
)

// Why a connection ended, besides what the network said. They come wrapped.
var (
	ErrCut    = errors.New("connection cut by the client as planned")
	ErrSilent = errors.New("nothing was received for too long")
	// ErrDropped is a connection that Drop ended.
	ErrDropped = errors.New("connection dropped by the client as it was told")
)

// StatusError is an answer that ends an EventSource for good (WHATWG HTML, section 9.2.3).
type StatusError struct {
	Status      int
	ContentType string
}

// Error names the status and the type.
func (e *StatusError) Error() string {
	return fmt.Sprintf("stream answered with status %d and type %q", e.Status, e.ContentType)
}

// Options of a client.
type Options struct {
	URL         string
	LastEventID string // of the first request; "" is none
	Header      http.Header
	TLS         *tls.Config // for https://; nil trusts what the system trusts

	// Retry is the reconnection time until the stream names one.
	Retry time.Duration
	// MaxAge cuts each connection when it is so old, or up to a quarter less, at random; 0 never does.
	MaxAge time.Duration
	// Silence ends a connection on which nothing came for so long; 0 waits for ever.
	Silence time.Duration
	// Pace bounds the bytes read a second; 0 does not. A slow reader also gets a small receive buffer.
	Pace int64
	// Gzip says that a compressed stream is welcome. Bytes counts what came over the wire.
	Gzip bool
	// Raw reads and counts bytes and takes nothing apart: no event is told, and no id is known. It is for many viewers
	// of which a few others, that read the same, are the sample.
	Raw bool

	// Transport, where there is one, opens the streams, which may then share connections as HTTP/2 has it.
	Transport http.RoundTripper

	Buffer, MaxLine int // of the parser

	// The callbacks come from Run's goroutine. An error of OnEvent ends Run with it.
	OnOpen  func()
	OnEvent func(Event, time.Time) error // with the time when its last byte was read
	OnClose func(error)                  // why a connection ended, or was none
}

// Client is one EventSource. It is for one goroutine.
type Client struct {
	options Options
	url     *url.URL
	tls     *tls.Config
	lastID  string
	retry   time.Duration
	bytes   atomic.Int64

	conn    atomic.Pointer[io.Closer] // the open one
	dropped atomic.Int32              // what Drop wants of Run
}

// What Drop wants.
const (
	notDropped = iota
	dropAndResume
	dropAndForget
)

// New checks the options. It opens nothing.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("read stream address: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("read stream address %q: it begins with http:// or https://", o.URL)
	}
	c := &Client{options: o, url: u, lastID: o.LastEventID, retry: o.Retry}
	if u.Scheme == "https" {
		c.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		if o.TLS != nil {
			c.tls = o.TLS.Clone()
		}
		c.tls.ServerName = u.Hostname()
	}
	if c.retry <= 0 {
		c.retry = DefaultRetry
	}
	return c, nil
}

// LastEventID is what the next request will send.
func (c *Client) LastEventID() string { return c.lastID }

// Bytes is how many bytes of answers, headers included, were read so far. It may be called from any goroutine.
func (c *Client) Bytes() int64 { return c.bytes.Load() }

// Drop ends the connection as a network does, and Run connects anew at once: with the last id, or without it where forget
// is set. It may be called from any goroutine.
func (c *Client) Drop(forget bool) {
	want := int32(dropAndResume)
	if forget {
		want = dropAndForget
	}
	c.dropped.Store(want)
	if conn := c.conn.Load(); conn != nil {
		(*conn).Close()
	}
}

// obey does what Drop wanted, and tells whether it wanted something.
func (c *Client) obey() bool {
	want := c.dropped.Swap(notDropped)
	if want == dropAndForget {
		c.lastID = ""
	}
	return want != notDropped
}

// Run reads the stream and reconnects until ctx ends, which is no error, the answer is a *StatusError, or OnEvent fails.
func (c *Client) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		once := c.once
		if c.options.Transport != nil {
			once = c.onceShared
		}
		opened, err := once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		dropped := c.obey()
		if dropped {
			err = ErrDropped
		}
		if c.options.OnClose != nil {
			c.options.OnClose(err)
		}
		if dropped {
			failures = 0
			timer.Reset(0)
			continue
		}
		if _, fatal := errors.AsType[*StatusError](err); fatal {
			return err
		}
		if handler, failed := errors.AsType[*handlerError](err); failed {
			return handler.err
		}
		if failures++; opened {
			failures = 0
		}
		timer.Reset(c.wait(failures))
	}
}

// wait is the time until the next request: the stream's own retry time, doubled for each failure in a row, of which a
// random part of a quarter is left out.
func (c *Client) wait(failures int) time.Duration {
	d := min(c.retry<<min(failures, 10), max(maxRetry, c.retry))
	return d - rand.N(d/4+1)
}

type handlerError struct{ err error }

func (e *handlerError) Error() string { return e.err.Error() }

// once is one connection; opened tells whether a stream began.
func (c *Client) once(ctx context.Context) (opened bool, err error) {
	c.obey() // without a connection there was nothing to drop, but perhaps something to forget
	opening, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	conn, err := c.dial(opening)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	closer := io.Closer(conn)
	c.conn.Store(&closer)
	defer c.conn.Store(nil)
	if c.dropped.Load() != notDropped { // while it was dialed: Drop saw no connection
		return false, ErrDropped
	}
	reader := &streamReader{ctx: ctx, conn: conn, silence: c.options.Silence, headerLeft: maxHeaderBytes, total: &c.bytes}
	if err := conn.SetDeadline(time.Now().Add(openTimeout)); err != nil {
		return false, fmt.Errorf("set deadline: %w", err)
	}
	response, err := c.request(conn, reader)
	if err != nil {
		return false, err
	}
	defer closeBody(conn, response)
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return false, fmt.Errorf("set deadline: %w", err)
	}
	reader.opened(c.options.MaxAge, c.options.Pace)
	if c.options.OnOpen != nil {
		c.options.OnOpen()
	}
	if c.options.Raw {
		return true, drain(response.Body)
	}
	body, err := decoded(response)
	if err != nil {
		return true, err
	}
	return true, c.read(body)
}

// decoded is the body without its compression. A reader of gzip gives what was written before a flush as soon as it came.
func decoded(response *http.Response) (io.Reader, error) {
	if response.Header.Get("Content-Encoding") != "gzip" {
		return response.Body, nil
	}
	plain, err := gzip.NewReader(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read compressed stream: %w", err)
	}
	return plain, nil
}

// drain reads a raw stream to its end.
func drain(body io.Reader) error {
	if _, err := io.Copy(io.Discard, body); err != nil {
		return fmt.Errorf("read stream: %w", err)
	}
	return io.EOF
}

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	address := c.url.Host
	if c.url.Port() == "" {
		address = net.JoinHostPort(c.url.Hostname(), map[string]string{"http": "80", "https": "443"}[c.url.Scheme])
	}
	d := net.Dialer{KeepAlive: -1}
	if c.options.Pace > 0 {
		d.Control = SmallReceiveBuffer
	}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("dial stream: %w", err)
	}
	if c.tls == nil {
		return conn, nil
	}
	secure := tls.Client(conn, c.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("dial stream: %w", err)
	}
	return secure, nil
}

func (c *Client) request(conn net.Conn, reader io.Reader) (*http.Response, error) {
	request := http.Request{Method: http.MethodGet, URL: c.url, Host: c.url.Host, Header: c.header()}
	if err := request.Write(conn); err != nil {
		return nil, fmt.Errorf("request stream: %w", err)
	}
	response, err := http.ReadResponse(bufio.NewReaderSize(reader, headerBuffer), &request)
	if err != nil {
		return nil, fmt.Errorf("request stream: %w", err)
	}
	if err := check(response); err != nil {
		closeBody(conn, response)
		return nil, err
	}
	return response, nil
}

// header is what a request says.
func (c *Client) header() http.Header {
	h := c.options.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("Accept", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("Sec-Fetch-Mode", "cors") // as a browser's EventSource says: a server that has no stream now tells it when to come back
	if c.options.Gzip {
		h.Set("Accept-Encoding", "gzip")
	}
	if h.Get("User-Agent") == "" {
		h.Set("User-Agent", "fleetcast-simulator")
	}
	if c.lastID != "" {
		h.Set("Last-Event-ID", c.lastID)
	}
	return h
}

// check refuses an answer that is no stream.
func check(response *http.Response) error {
	contentType := response.Header.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(contentType); response.StatusCode != http.StatusOK || err != nil || !strings.EqualFold(kind, "text/event-stream") {
		return &StatusError{Status: response.StatusCode, ContentType: contentType}
	}
	return nil
}

// closeBody closes the connection first: a body that is closed reads on to its end, and a stream has none.
func closeBody(conn net.Conn, response *http.Response) {
	conn.Close()
	response.Body.Close()
}

func (c *Client) read(body io.Reader) error {
	p := NewParser(body, c.options.Buffer, c.options.MaxLine)
	p.id, p.final = c.lastID, c.lastID
	for {
		e, err := p.Next()
		c.lastID = p.LastEventID()
		if retry := p.Retry(); retry >= 0 {
			c.retry = max(retry, time.Millisecond)
		}
		if err != nil {
			return fmt.Errorf("read stream: %w", err)
		}
		if c.options.OnEvent == nil {
			continue
		}
		if err := c.options.OnEvent(e, p.Arrived()); err != nil {
			return &handlerError{err}
		}
	}
}

package wsclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/simulator/sseclient"
)

// Bounds of a client.
const (
	DefaultRetry = 3 * time.Second
	maxRetry     = 30 * time.Second
	openTimeout  = 30 * time.Second
	// maxMessage bounds a message: a snapshot comes as several.
	maxMessage = 16 << 20
	// slowPause is how long a slow reader waits between two messages at the least.
	slowPause = 100 * time.Millisecond
)

// Options of a client. The times and the callbacks mean what they mean in sseclient.Options.
type Options struct {
	// URL is the WebSocket's, ws:// or wss://, or http:// or https:// of the same place. Its query is what is subscribed
	// to, as it would be for a stream of events: fleet, device, bbox, fields, every. Without every it is told of changes as
	// soon as a stream of events is, and not once a second, which is what a WebSocket gets that says nothing of it: the
	// latencies of both would not be of the same thing.
	URL    string
	Header http.Header
	TLS    *tls.Config // for wss://; nil trusts what the system trusts

	Retry, MaxAge, Silence time.Duration
	Pace                   int64 // bytes a second, by pauses between messages

	OnOpen  func()
	OnEvent func(sseclient.Event, time.Time) error
	OnClose func(error)
}

// Client is one dashboard. Run is for one goroutine; the other methods may be called from any.
type Client struct {
	options   Options
	address   string
	subscribe subscription
	transport *http.Client
	bytes     atomic.Int64
	dropped   atomic.Int32
	end       atomic.Pointer[context.CancelCauseFunc]
}

// subscription is the first message. Envelopes carry the position, without which nothing resumes.
type subscription struct {
	Action   string    `json:"action"`
	Fleets   []string  `json:"fleets,omitempty"`
	Devices  []string  `json:"devices,omitempty"`
	BBox     []float64 `json:"bbox,omitempty"`
	Fields   []string  `json:"fields,omitempty"`
	Every    *int      `json:"every"` // null is the gateway's own tick
	Position string    `json:"position,omitempty"`
	Envelope bool      `json:"envelope"`
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
		return nil, fmt.Errorf("read address: %w", err)
	}
	if scheme, ok := map[string]string{"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}[u.Scheme]; ok && u.Host != "" {
		u.Scheme = scheme
	} else {
		return nil, fmt.Errorf("read address %q: it begins with ws:// or wss://", o.URL)
	}
	c := &Client{options: o, subscribe: subscription{Action: "subscribe", Envelope: true}}
	if err := c.subscribe.read(u.Query()); err != nil {
		return nil, err
	}
	u.RawQuery = ""
	c.address = u.String()
	if c.options.Retry <= 0 {
		c.options.Retry = DefaultRetry
	}
	// A transport of its own: what is hijacked is never idle, and nothing is kept open behind the client's back.
	dialer := &net.Dialer{KeepAlive: -1}
	if o.Pace > 0 {
		dialer.Control = sseclient.SmallReceiveBuffer
	}
	c.transport = &http.Client{Transport: &http.Transport{TLSClientConfig: o.TLS.Clone(), DisableKeepAlives: true, DialContext: dialer.DialContext}}
	return c, nil
}

func (s *subscription) read(q url.Values) error {
	s.Fleets, s.Devices = q["fleet"], q["device"]
	if f := q.Get("fields"); f != "" {
		s.Fields = strings.Split(f, ",")
	}
	if e := q.Get("every"); e != "" {
		ms, err := strconv.Atoi(e)
		if err != nil {
			return fmt.Errorf("read every: %w", err)
		}
		s.Every = &ms
	}
	if b := q.Get("bbox"); b != "" {
		for part := range strings.SplitSeq(b, ",") {
			n, err := strconv.ParseFloat(part, 64)
			if err != nil {
				return fmt.Errorf("read bbox: %w", err)
			}
			s.BBox = append(s.BBox, n)
		}
	}
	return nil
}

// Bytes is how many bytes of messages were read so far.
func (c *Client) Bytes() int64 { return c.bytes.Load() }

// Drop ends the connection, and Run connects anew at once: with its position, or without where forget is set.
func (c *Client) Drop(forget bool) {
	want := int32(dropAndResume)
	if forget {
		want = dropAndForget
	}
	c.dropped.Store(want)
	if end := c.end.Load(); end != nil {
		(*end)(sseclient.ErrDropped)
	}
}

// Run listens and reconnects until ctx ends, which is no error, or OnEvent fails.
func (c *Client) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		opened, err := c.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		want := c.dropped.Swap(notDropped)
		if want == dropAndForget {
			c.subscribe.Position = ""
		}
		if c.options.OnClose != nil {
			c.options.OnClose(err)
		}
		if handler, failed := errors.AsType[*handlerError](err); failed {
			return handler.err
		}
		if failures++; opened {
			failures = 0
		}
		wait := min(c.options.Retry<<min(failures, 10), max(maxRetry, c.options.Retry))
		if want != notDropped {
			wait = 0
		}
		timer.Reset(wait - rand.N(wait/4+1))
	}
}

type handlerError struct{ err error }

func (e *handlerError) Error() string { return e.err.Error() }

func (c *Client) once(ctx context.Context) (opened bool, err error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	c.end.Store(&end)
	defer c.end.Store(nil)
	defer func() {
		if why := context.Cause(ctx); why != nil {
			err = errors.Join(why, err)
		}
	}()
	conn, err := c.dial(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if c.options.OnOpen != nil {
		c.options.OnOpen()
	}
	if age := c.options.MaxAge; age > 0 {
		defer time.AfterFunc(age-rand.N(age/4+1), func() { end(sseclient.ErrCut) }).Stop()
	}
	return true, c.read(ctx, conn, end)
}

func (c *Client) read(ctx context.Context, conn *Conn, end context.CancelCauseFunc) error {
	var watchdog *time.Timer
	if s := c.options.Silence; s > 0 {
		watchdog = time.AfterFunc(s, func() { end(sseclient.ErrSilent) })
		defer watchdog.Stop()
	}
	for {
		e, size, err := conn.next(ctx)
		if err != nil {
			return err
		}
		arrived := time.Now()
		c.bytes.Add(int64(size))
		if watchdog != nil {
			watchdog.Reset(c.options.Silence)
		}
		if err := c.tell(e, arrived); err != nil {
			return err
		}
	}
}

// tell passes an event on. A reset means that the position is worth nothing.
func (c *Client) tell(e sseclient.Event, arrived time.Time) error {
	if e.HasID {
		c.subscribe.Position = e.ID
	}
	if c.options.OnEvent == nil {
		return nil
	}
	if err := c.options.OnEvent(e, arrived); err != nil {
		return &handlerError{err}
	}
	return nil
}

package ws

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/problem"
	"github.com/fleetcast/fleetcast/sse"
	"github.com/fleetcast/fleetcast/sse/hub"
	"github.com/fleetcast/fleetcast/sse/roster"
)

// Commander takes a command for a device as POST /api/devices/{id}/commands does, and returns what that answers. key is the
// Idempotency-Key; "" is none. Its errors are devices.Errors.
type Commander interface {
	Command(ctx context.Context, c *devices.Caller, device devices.DeviceID, body []byte, key string) (accepted []byte, err error)
}

// Options of a Handler. Hub and Views must be set; a zero value elsewhere means the default.
type Options struct {
	Hub   *hub.Hub
	Views *sse.Views
	// Admit says who a request is of, as for streams of events. nil: everybody sees everything.
	Admit func(w http.ResponseWriter, r *http.Request) (sse.Admission, error)
	// Commander takes commands; nil: nobody can send any.
	Commander Commander
	// Hosts are host names whose pages may connect, besides a page's own host.
	Hosts []string
	// Origins are those whose pages may connect, exactly; see SetOrigins.
	Origins []string
	Client  func(*http.Request) netip.Addr // as for streams of events

	MaxConnections, MaxPerClient int
	// Ping is the silence of a client after which it is asked whether it is there, and Pong the one after which it is taken
	// for gone. A reader that is slow finds the question behind what it has not read: Pong is not less than Stall.
	Ping, Pong, Stall time.Duration
	Logger            *slog.Logger
}

// Handler serves WebSocket to any number of viewers. It may stand behind the middleware that a stream of events may.
type Handler struct {
	options  Options
	log      *slog.Logger
	messages [actions]atomic.Uint64
	errors   atomic.Uint64
	origins  atomic.Pointer[[]string]

	conns   *roster.Roster[*conn]
	ended   [reasons]atomic.Uint64
	refused [refusals]atomic.Uint64
}

// New checks the options and makes a handler. It starts nothing.
func New(o Options) (*Handler, error) {
	if o.Hub == nil || o.Views == nil {
		return nil, errors.New("make websocket handler: a hub and views are needed")
	}
	if o.MaxConnections < 0 || o.MaxPerClient < 0 || o.Stall < 0 || o.Ping < 0 || o.Pong < 0 {
		return nil, errors.New("make websocket handler: limits must not be negative")
	}
	o.MaxConnections = orDefault(o.MaxConnections, DefaultMaxConnections)
	o.MaxPerClient = orDefault(o.MaxPerClient, DefaultMaxPerClient)
	o.Stall = orDefault(o.Stall, sse.DefaultStall)
	o.Ping = orDefault(o.Ping, DefaultPing)
	o.Pong = orDefault(o.Pong, max(o.Stall, 2*o.Ping))
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Admit == nil {
		o.Admit = func(http.ResponseWriter, *http.Request) (sse.Admission, error) {
			return sse.Admission{Caller: &devices.Caller{Subject: "local", Role: devices.Admin, Scope: devices.AllFleets()}}, nil
		}
	}
	h := &Handler{options: o, log: o.Logger, conns: roster.New[*conn](o.MaxConnections, o.MaxPerClient)}
	h.SetOrigins(o.Origins)
	return h, nil
}

// SetOrigins replaces those whose pages may connect. It may be called at any time; connections that are open stay.
func (h *Handler) SetOrigins(origins []string) { h.origins.Store(&origins) }

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// ServeHTTP opens a connection and returns at once: what follows runs on goroutines of its own.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		h.refuse(BadRequest)
		problem.MethodNotAllowed(http.MethodGet).Write(w, r)
		return
	}
	if !h.mayOrigin(r) {
		h.refuse(ForeignOrigin)
		problem.Write(w, r, devices.Errorf(devices.Forbidden, "Origin", "is of another site; add its host to http-hosts (--http-hosts, FLEETCAST_HTTP_HOSTS) where it is yours"))
		return
	}
	admission, err := h.options.Admit(w, r)
	if err != nil {
		h.refuse(NotAdmitted)
		problem.Write(w, r, err)
		return
	}
	if !isUpgrade(r) {
		h.refuse(BadRequest)
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		p := problem.Of(devices.Errorf(devices.Invalid, "Upgrade", "is not websocket over HTTP/1.1: this is no place to read from; /stream/assets is"))
		p.Status = http.StatusUpgradeRequired
		p.Write(w, r)
		return
	}
	client := sse.ClientOf(h.options.Client, r)
	if err := h.admit(client); err != nil {
		p := problem.Of(err)
		p.RetryAfter = sse.Jitter(minShed, maxShed)
		p.Write(w, r)
		return
	}
	h.serve(w, r, admission, client) //nolint:contextcheck // what it starts outlives the request on purpose
}

// A client for which there is no place is told to come back after minShed to maxShed.
const (
	minShed = 5 * time.Second
	maxShed = 15 * time.Second
)

func isUpgrade(r *http.Request) bool {
	return r.ProtoMajor == 1 && strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, admission sse.Admission, client netip.Prefix) {
	c := &conn{h: h, client: client, caller: admission.Caller}
	started := false
	defer func() {
		if !started {
			h.conns.Release(client)
		}
	}()
	u := &upgrade{ResponseWriter: w, request: r, stall: h.options.Stall, log: h.log}
	ws, err := websocket.Accept(u, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the origin was checked above
		CompressionMode:    websocket.CompressionDisabled,
		OnPingReceived:     c.pinged,
	})
	if err != nil {
		h.refuse(BadRequest) // the library has answered
		h.log.Debug("a websocket could not begin", "error", err)
		if u.wire != nil {
			u.wire.cut()
		}
		return
	}
	ws.SetReadLimit(MaxMessageBytes)
	c.ws, c.wire = ws, u.wire
	started = true
	if admission.Watch != nil {
		c.unwatch = admission.Watch(c.expire)
	}
	h.conns.Add(c)
	go c.run()
}

// mayOrigin tells whether a page may connect: one of the host that it asks, or of a configured one. A browser sends the
// user's cookie with a page of any site, and says only here whose page it is; other programs say nothing.
func (h *Handler) mayOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	if len(origins) == 1 && slices.Contains(*h.origins.Load(), origins[0]) {
		return true
	}
	u, err := url.Parse(origins[0])
	if len(origins) > 1 || err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" { // "null" too
		return false
	}
	if port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]; strings.EqualFold(strings.TrimSuffix(u.Host, port), strings.TrimSuffix(r.Host, port)) {
		return true
	}
	return slices.ContainsFunc(h.options.Hosts, func(host string) bool { return strings.EqualFold(host, u.Hostname()) })
}

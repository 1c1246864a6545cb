package sse

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/latency"
	"github.com/fleetcast/fleetcast/gateway/problem"
	"github.com/fleetcast/fleetcast/sse/hub"
	"github.com/fleetcast/fleetcast/sse/roster"
)

// DefaultStall is how long a stream may stand without a single byte moving before it is closed. It is not a time for a
// write: a reader may be as slow as it likes. It is this long because a kernel whose application reads slowly does not
// open its window byte by byte: with the usual receive buffer of 128 KiB a reader of 1 kB/s was seen to let nothing
// through for 130 s, then 64 KiB at once. What it costs is a goroutine and two kernel buffers; the hub queues nothing.
const DefaultStall = 150 * time.Second

// Options of a Handler. Hub must be set; a zero value elsewhere means the default.
type Options struct {
	Hub                 *hub.Hub
	Logger              *slog.Logger
	MaxStreams          int
	MaxStreamsPerClient int
	Stall               time.Duration
	NoGzip              bool // no stream is compressed with gzip, whatever the client takes
	Zstd                bool // streams are compressed with zstd for clients that take it, see zstd.go
	// Client returns the address that a request counts for. The default is the connection's other end; behind a proxy
	// on another machine it must read what that proxy, and nobody else, writes.
	Client func(*http.Request) netip.Addr
	// Admit says what of the fleets a request may see, before anything else is looked at. nil: everybody sees everything,
	// which is for loopback.
	Admit func(w http.ResponseWriter, r *http.Request) (Admission, error)
	// Views has the streams' views changed; nil: they are what they were opened with.
	Views *Views
}

// Admission is who opens a stream, which shows what is in their scope, and for how long.
type Admission struct {
	Caller *devices.Caller
	// Watch calls end when the caller's proof no longer holds; what it returns ends the watch. nil: it holds for ever.
	Watch func(end func()) (unwatch func())
}

// viewer is the part of hub.Viewer that a stream needs; tests have another.
type viewer interface {
	mover
	Next(ctx context.Context) ([]byte, error)
	Took(n int, d time.Duration)
	Close()
}

// Handler serves the stream to any number of viewers. It may be mounted behind middleware that sets headers or counts,
// but none that buffers, compresses or limits the time of an answer. It compresses streams itself, see compress.go.
type Handler struct {
	options Options
	log     *slog.Logger
	attach  func(q hub.Query, f hub.Format, lastEventID string) (viewer, error)

	writes latency.Histogram // what writes to viewers took
	bytes  atomic.Uint64     // that viewers took

	streams *roster.Roster[*stream]
	ended   [reasons]atomic.Uint64
	refused [refusals]atomic.Uint64
}

// New checks the options and makes a handler. It starts nothing.
func New(o Options) (*Handler, error) {
	if o.Hub == nil {
		return nil, errors.New("make stream handler: a hub is needed")
	}
	return newHandler(o, func(q hub.Query, f hub.Format, lastEventID string) (viewer, error) {
		v, err := o.Hub.Attach(q, f, lastEventID)
		if err != nil {
			return nil, err // a nil *hub.Viewer must not become a viewer
		}
		return v, nil
	})
}

func newHandler(o Options, attach func(hub.Query, hub.Format, string) (viewer, error)) (*Handler, error) {
	if o.MaxStreams < 0 || o.MaxStreamsPerClient < 0 || o.Stall < 0 {
		return nil, errors.New("make stream handler: limits must not be negative")
	}
	if o.MaxStreams == 0 {
		o.MaxStreams = DefaultMaxStreams
	}
	if o.MaxStreamsPerClient == 0 {
		o.MaxStreamsPerClient = DefaultMaxStreamsPerClient
	}
	if o.Stall == 0 {
		o.Stall = DefaultStall
	}
	if o.Client == nil {
		o.Client = peer
	}
	if o.Admit == nil {
		o.Admit = func(http.ResponseWriter, *http.Request) (Admission, error) {
			return Admission{Caller: &openCaller}, nil
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Handler{options: o, log: o.Logger, attach: attach, streams: roster.New[*stream](o.MaxStreams, o.MaxStreamsPerClient)}, nil
}

// openCaller is everybody where nobody is asked.
var openCaller = devices.Caller{Subject: "local", Role: devices.Admin, Scope: devices.AllFleets()}

// streamHeader is what every stream says about itself besides what middleware set.
var streamHeader = http.Header{
	"Content-Type": {ContentType},
	// no-transform: a proxy that compresses holds back what it has not enough of yet.
	"Cache-Control": {"no-cache, no-transform"},
	// nginx, and others after its example, pass each write on at once.
	"X-Accel-Buffering": {"no"},
}

// ServeHTTP opens a stream. It returns at once where the connection was taken over, and with the stream's end elsewhere.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		h.refuse(BadRequest)
		problem.MethodNotAllowed("GET", "HEAD", "OPTIONS").Write(w, r)
		return
	}
	admission, err := h.options.Admit(w, r)
	if err != nil {
		h.refuse(NotAdmitted)
		switch devices.KindOf(err) {
		case devices.Exhausted, devices.Unavailable: // not now, but later
			h.shed(w, r, problem.Of(err))
		default:
			problem.Write(w, r, err)
		}
		return
	}
	req, err := parseRequest(r)
	if err == nil {
		err = narrow(&req.query, admission.Caller.Scope)
	}
	if err != nil {
		h.refuse(BadRequest)
		problem.Write(w, r, err)
		return
	}
	req.watch, req.caller = admission.Watch, admission.Caller
	if req.coding = h.options.codingFor(r.Header.Values("Accept-Encoding")); req.coding != nil {
		req.format = req.coding.format(req.format)
	}
	if r.Method == http.MethodHead {
		h.describe(w.Header(), req.coding)
		return
	}
	h.serve(w, r, req)
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, req request) {
	client := clientOf(h.options.Client(r))
	if err := h.admit(client); err != nil {
		h.shed(w, r, busy(err))
		return
	}
	s := &stream{h: h, client: client, coding: req.coding}
	started := false
	defer func() {
		if !started { // also when something panics: the place and the viewer are given back
			s.abandon()
		}
	}()
	var err error
	if s.viewer, err = h.attach(req.query, req.format, req.lastEventID); err != nil {
		h.refuse(HubRefused)
		if kind := devices.KindOf(err); kind == devices.Exhausted || kind == devices.Unavailable {
			h.shed(w, r, busy(err))
		} else {
			h.log.Error("the hub refused a stream", "error", err)
			problem.Write(w, r, err)
		}
		return
	}
	var hijacked bool
	if s.sink, hijacked, err = h.connect(w, r, req.coding); err != nil {
		h.refuse(NoConnection)
		h.log.Debug("a stream could not begin", "error", err)
		return
	}
	started = true
	if req.watch != nil {
		s.unwatch = req.watch(s.expire)
	}
	s.viewed = h.options.Views.Add(s.viewer, req.caller, req.query)
	h.streams.Add(s)
	if hijacked {
		// The request's context ends with this call. The goroutine ends with the viewer or the connection, both of which
		// Close reaches; it is counted in open until then.
		go s.run(context.Background()) //nolint:contextcheck // outlives the request on purpose
		return
	}
	s.run(r.Context())
}

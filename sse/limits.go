package sse

import (
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/latency"
	"github.com/fleetcast/fleetcast/gateway/problem"
	"github.com/fleetcast/fleetcast/sse/roster"
)

// The defaults of the limits.
const (
	// DefaultMaxStreams bounds the streams of the process: each is a descriptor, a goroutine and what the kernel holds
	// for a connection.
	DefaultMaxStreams = 20_000
	// DefaultMaxStreamsPerClient bounds the streams of one client address, so that one page that opens streams in a loop
	// does not take all there are. An office behind one address has to fit. Loopback addresses are exempt: a proxy or a
	// load test on this machine stands for many clients.
	DefaultMaxStreamsPerClient = 500
)

// A client that is refused is told to come back after minShed to maxShed: later than one that lost its connection.
const (
	minShed = 5 * time.Second
	maxShed = 15 * time.Second
)

// Reason says why a stream ended.
type Reason uint8

// The reasons.
const (
	Gone     Reason = iota // the client closed the connection, or its host is away
	Stalled                // nothing moved for the stall time
	Failed                 // a write failed in another way
	Stopped                // the hub stopped, or closed the viewer
	Drained                // this server is stopping
	Panicked               // a defect of ours, logged; the others are not affected
	Expired                // the caller's proof has ended or was revoked
	reasons
)

var reasonNames = [reasons]string{"gone", "stalled", "write_failed", "hub_stopped", "drained", "panicked", "expired"}

// String returns the reason as it stands in metrics.
func (r Reason) String() string { return reasonNames[r] }

// Refusal says why a stream was not opened.
type Refusal uint8

// The refusals.
const (
	TooMany       Refusal = iota // streams in all
	TooManyClient                // streams of one client address
	HubRefused                   // the hub is full or stopping
	Draining                     // this server is stopping
	BadRequest                   // the query, or the method
	NoConnection                 // the connection could not be taken over or written
	NotAdmitted                  // the caller's proof is missing, wrong or over
	refusals
)

var refusalNames = [refusals]string{"too_many", "too_many_of_client", "hub_refused", "draining", "bad_request", "no_connection", "not_admitted"}

// String returns the refusal as it stands in metrics.
func (r Refusal) String() string { return refusalNames[r] }

// Stats is what the handler counts.
type Stats struct {
	Open    int               `json:"open"`    // places taken now: streams, and requests that are becoming one
	Opened  uint64            `json:"opened"`  // streams ever
	Ended   map[string]uint64 `json:"ended"`   // by Reason
	Refused map[string]uint64 `json:"refused"` // by Refusal
	// Write is what a write to a viewer took, and Bytes what they took in all.
	Write latency.Snapshot `json:"-"`
	Bytes uint64           `json:"bytes"`
}

// wrote counts a write to a viewer.
func (h *Handler) wrote(n int, took time.Duration) {
	h.bytes.Add(uint64(max(n, 0)))
	h.writes.Observe(took)
}

// Stats returns the counters as they are now.
func (h *Handler) Stats() Stats {
	s := Stats{Ended: map[string]uint64{}, Refused: map[string]uint64{}, Write: h.writes.Snapshot(), Bytes: h.bytes.Load()}
	s.Open, s.Opened = h.streams.Counts()
	for r := range reasons {
		s.Ended[r.String()] = h.ended[r].Load()
	}
	for r := range refusals {
		s.Refused[r.String()] = h.refused[r].Load()
	}
	return s
}

// clientOf is whom the limit per client counts: an IPv4 address, or the /64 that one IPv6 subscriber has to choose
// addresses from. Without an address (a Unix socket) and from loopback nobody is counted.
func clientOf(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() || addr.IsLoopback() {
		return netip.Prefix{}
	}
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(addr, bits).Masked()
}

// peer is the address of the connection's other end.
func peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr()
}

// admit takes a place for a stream of the client, or says why there is none. It is given back by the roster's Release.
func (h *Handler) admit(client netip.Prefix) error {
	switch h.streams.Admit(client) {
	case roster.Stopping:
		h.refuse(Draining)
		return devices.Errorf(devices.Unavailable, "", "the server is stopping")
	case roster.Full:
		h.refuse(TooMany)
		return devices.Errorf(devices.Unavailable, "", "all streams of this server are in use")
	case roster.ClientFull:
		h.refuse(TooManyClient)
		return devices.Errorf(devices.Unavailable, "", "all streams of this client address are in use")
	case roster.Admitted:
	}
	return nil
}

func (h *Handler) refuse(why Refusal) { h.refused[why].Add(1) }

// shed answers a client for whom there is no stream now. Any answer but 200 ends a native EventSource for good (WHATWG
// 9.2.3), and its page would show yesterday until somebody reloads it: it gets a stream that only says when to come back.
// Everybody else gets the truth.
func (h *Handler) shed(w http.ResponseWriter, r *http.Request, p problem.Problem) {
	after := jitter(minShed, maxShed)
	if !isEventSource(r) {
		p.RetryAfter = after
		p.Write(w, r)
		return
	}
	maps.Copy(w.Header(), streamHeader)
	_, _ = w.Write(appendRetry(nil, after)) // a client that is gone needs no answer
}

// busy is the problem of a server that has no place, whatever in it is full.
func busy(err error) problem.Problem {
	p := problem.Of(err)
	p.Status = http.StatusServiceUnavailable
	return p
}

// isEventSource tells whether a browser's own EventSource asks. It sends exactly this Accept (WHATWG 9.2.2); scripts
// that read the stream through fetch send it too sometimes, and come back from an ended body just as well.
func isEventSource(r *http.Request) bool {
	return r.Header.Get("Accept") == ContentType &&
		(r.Header.Get("Sec-Fetch-Mode") != "" || strings.HasPrefix(r.UserAgent(), "Mozilla/"))
}

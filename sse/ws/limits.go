package ws

import (
	"net/netip"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/sse/roster"
)

// The defaults of the limits.
const (
	// DefaultMaxConnections bounds those of the process. Each costs about twice a stream of events.
	DefaultMaxConnections = 10_000
	// DefaultMaxPerClient bounds those of one client address, as for streams of events.
	DefaultMaxPerClient = 500
	// MaxMessageBytes bounds what a client says at once.
	MaxMessageBytes = 64 << 10
	// MessagesPerSecond and MessagesAtOnce bound how often.
	MessagesPerSecond = 10
	MessagesAtOnce    = 40
	// messageTime bounds how long one message may be on its way.
	messageTime = 30 * time.Second
	// DefaultPing is the silence of a client after which it is asked whether it is there.
	DefaultPing = 30 * time.Second
	// DefaultEvery is the tick of who asks for none.
	DefaultEvery = time.Second
)

// Reason says why a connection ended.
type Reason uint8

// The reasons.
const (
	Gone     Reason = iota // the client closed it, or its host is away
	Stalled                // nothing moved for the stall time
	Silent                 // no pong came, nor anything else
	Failed                 // it failed in another way
	Stopped                // the hub stopped
	Drained                // this server is stopping
	Panicked               // a defect of ours
	Expired                // the caller's proof has ended or was revoked
	TooBig                 // a message above MaxMessageBytes
	TooMuch                // more messages or bytes than a client may send
	BadFrame               // what came is not WebSocket, or no text
	reasons
)

var reasonNames = [reasons]string{
	"gone", "stalled", "no_pong", "failed", "hub_stopped", "drained", "panicked", "expired", "message_too_big", "too_much_sent", "bad_frame",
}

// String returns the reason as it stands in metrics.
func (r Reason) String() string { return reasonNames[r] }

// Refusal says why a connection was not opened.
type Refusal uint8

// The refusals.
const (
	TooMany       Refusal = iota // connections in all
	TooManyClient                // of one client address
	Draining                     // this server is stopping
	ForeignOrigin                // a page of another site
	NotAdmitted                  // the caller's proof is missing, wrong or over
	BadRequest                   // no upgrade that we know
	refusals
)

var refusalNames = [refusals]string{"too_many", "too_many_of_client", "draining", "foreign_origin", "not_admitted", "bad_request"}

// String returns the refusal as it stands in metrics.
func (r Refusal) String() string { return refusalNames[r] }

// action is what a client asks for.
type action uint8

const (
	subscribe action = iota
	unsubscribe
	changeView
	command
	unknown
	actions
)

var actionNames = [actions]string{"subscribe", "unsubscribe", "view", "command", "unknown"}

// Stats is what the handler counts.
type Stats struct {
	Open     int               `json:"open"` // now
	Opened   uint64            `json:"opened"`
	Ended    map[string]uint64 `json:"ended"`    // by Reason
	Refused  map[string]uint64 `json:"refused"`  // by Refusal
	Messages map[string]uint64 `json:"messages"` // by action
	Errors   uint64            `json:"errors"`   // messages that were answered with one
}

// Stats returns the counters as they are now.
func (h *Handler) Stats() Stats {
	s := Stats{Ended: map[string]uint64{}, Refused: map[string]uint64{}, Messages: map[string]uint64{}, Errors: h.errors.Load()}
	for a := range actions {
		s.Messages[actionNames[a]] = h.messages[a].Load()
	}
	s.Open, s.Opened = h.conns.Counts()
	for r := range reasons {
		s.Ended[r.String()] = h.ended[r].Load()
	}
	for r := range refusals {
		s.Refused[r.String()] = h.refused[r].Load()
	}
	return s
}

// admit takes a place for a connection of the client, or says why there is none. It is given back by the roster's Release.
func (h *Handler) admit(client netip.Prefix) error {
	switch h.conns.Admit(client) {
	case roster.Stopping:
		h.refuse(Draining)
		return devices.Errorf(devices.Unavailable, "", "the server is stopping")
	case roster.Full:
		h.refuse(TooMany)
		return devices.Errorf(devices.Unavailable, "", "all WebSocket connections of this server are in use")
	case roster.ClientFull:
		h.refuse(TooManyClient)
		return devices.Errorf(devices.Exhausted, "", "all WebSocket connections of this client address are in use")
	case roster.Admitted:
	}
	return nil
}

func (h *Handler) refuse(why Refusal) { h.refused[why].Add(1) }

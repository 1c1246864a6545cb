package problem

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// TypePrefix begins the type of every problem: a path on this server (RFC 9457 section 3.1.1 allows relative references,
// and an absolute path means the same from every route).
const TypePrefix = "/problems/"

// Problem is what a client is told. The zero value is an internal error without detail.
type Problem struct {
	Type   string `json:"type"` // a reference below TypePrefix (RFC 9457 section 3.1.1)
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Parameter is the query parameter, header, member or setting that is wrong (an extension, RFC 9457 section 3.2).
	Parameter string `json:"parameter,omitempty"`
	// Reasons lists what is in the way of readiness (an extension).
	Reasons []Reason `json:"reasons,omitempty"`

	RetryAfter time.Duration `json:"-"` // Retry-After where it is positive, in whole seconds, rounded up
	Allow      []string      `json:"-"` // Allow of a 405
}

// Reason says why a role is not ready, for people.
type Reason struct {
	Role   string `json:"role"`
	Check  string `json:"check"`
	Reason string `json:"reason"`
}

// Meaning is a row of the table of kinds.
type Meaning struct {
	Status int
	Title  string
	Text   string // what somebody who follows the type reads
}

// meanings is the one table from kinds to HTTP.
var meanings = map[devices.Kind]Meaning{
	devices.Internal:     {http.StatusInternalServerError, "Internal error", "Something in the gateway failed. What it was stands in its log."},
	devices.Invalid:      {http.StatusBadRequest, "Invalid request", "A part of the request cannot be understood or is out of bounds; the member parameter names it."},
	devices.NotFound:     {http.StatusNotFound, "Not found", "There is no such thing, or not for this caller."},
	devices.Conflict:     {http.StatusConflict, "Conflict", "The request contradicts what is there."},
	devices.Unauthorized: {http.StatusUnauthorized, "Credentials needed", "It is not known who asks."},
	devices.Forbidden:    {http.StatusForbidden, "Forbidden", "It is known who asks, and the answer is no."},
	devices.TooLarge:     {http.StatusRequestEntityTooLarge, "Too large", "The request is above a stated limit of size."},
	devices.Exhausted:    {http.StatusTooManyRequests, "Limit reached", "A stated limit of number or rate is reached."},
	devices.Unavailable:  {http.StatusServiceUnavailable, "Not available now", "The gateway is starting, stopping, or waits for something that it depends on."},
}

// The problems that HTTP has beside the kinds.
const (
	methodNotAllowed = "method_not_allowed"
	misdirected      = "misdirected"
	keyReused        = "key_reused"
	mediaType        = "unsupported_media_type"
)

var others = map[string]Meaning{
	mediaType:        {http.StatusUnsupportedMediaType, "Unsupported media type", "The body is of a Content-Type that this resource does not take. A form of a web page could send it without asking."},
	keyReused:        {http.StatusUnprocessableEntity, "Key of another request", "The Idempotency-Key was used with another request before. A key stands for one request; take a new one for a new one."},
	methodNotAllowed: {http.StatusMethodNotAllowed, "Method not allowed", "The resource is there, but not with this method; the header Allow lists those that it has."},
	misdirected:      {http.StatusMisdirectedRequest, "Host not served", "Without credentials the gateway answers only for host names of its own machine and for those that its settings list, so that no web page can reach it under a name of its author's choice (DNS rebinding)."},
}

// Explain returns the row of a problem by the name that its type ends with.
func Explain(name string) (Meaning, bool) {
	for kind, m := range meanings {
		if kind.String() == name {
			return m, true
		}
	}
	m, ok := others[name]
	return m, ok
}

// Of makes the problem that err is to a client. Only the text of a devices.Error is shown; whatever else err says, and
// the text of an internal error, stays here.
func Of(err error) Problem {
	kind := devices.KindOf(err)
	m, ok := meanings[kind]
	if !ok {
		kind = devices.Internal
		m = meanings[kind]
	}
	p := Problem{Type: TypePrefix + kind.String(), Title: m.Title, Status: m.Status}
	if e, ok := errors.AsType[*devices.Error](err); ok && kind != devices.Internal {
		p.Detail, p.Parameter = e.Detail, shorten(e.Field)
		if e.Field != "" {
			p.Detail = p.Parameter + " " + e.Detail
		}
	}
	return p
}

// shorten bounds what an answer repeats of a name that the caller chose: an unknown parameter may be a megabyte long.
func shorten(name string) string {
	const enough = 64
	if len(name) <= enough {
		return name
	}
	return strings.ToValidUTF8(name[:enough], "") + "…"
}

// MethodNotAllowed is the problem of a route that has other methods.
func MethodNotAllowed(allow ...string) Problem {
	m := others[methodNotAllowed]
	return Problem{
		Type: TypePrefix + methodNotAllowed, Title: m.Title, Status: m.Status,
		Detail: "this resource has " + strings.Join(allow, ", "), Allow: allow,
	}
}

// Misdirected is the problem of a request for a host that this server does not answer for (RFC 9110 section 15.5.20).
func Misdirected(detail string) Problem {
	m := others[misdirected]
	return Problem{Type: TypePrefix + misdirected, Title: m.Title, Status: m.Status, Detail: detail, Parameter: "Host"}
}

// UnsupportedMediaType is the problem of a body whose Content-Type is not one that is taken (RFC 9110 section 15.5.16).
func UnsupportedMediaType(taken string) Problem {
	m := others[mediaType]
	return Problem{Type: TypePrefix + mediaType, Title: m.Title, Status: m.Status, Detail: "Content-Type is not " + taken, Parameter: "Content-Type"}
}

// KeyReused is the problem of a key that stands for another request (draft-ietf-httpapi-idempotency-key-header section 2.7).
func KeyReused(header string) Problem {
	m := others[keyReused]
	return Problem{Type: TypePrefix + keyReused, Title: m.Title, Status: m.Status, Detail: header + " was used with another request", Parameter: header}
}

// Write answers with the problem. To HEAD it answers without the body.
func (p Problem) Write(w http.ResponseWriter, r *http.Request) {
	if p.Status == 0 {
		p = Of(nil)
	}
	body, err := json.Marshal(p)
	if err != nil { // strings and numbers only; invalid UTF-8 is replaced
		body = []byte(`{}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	if p.Status == http.StatusUnauthorized {
		challenge := "Bearer" // RFC 9110 section 15.5.2
		if r.Header.Get("Authorization") != "" {
			challenge = `Bearer error="invalid_token"` // RFC 6750 section 3.1
		}
		h.Set("WWW-Authenticate", challenge)
	}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((p.RetryAfter+time.Second-1)/time.Second), 10))
	}
	if len(p.Allow) > 0 {
		h.Set("Allow", strings.Join(p.Allow, ", "))
	}
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(append(body, '\n')) // a client that is gone needs no answer
	}
}

// Write answers with the problem that err is.
func Write(w http.ResponseWriter, r *http.Request, err error) { Of(err).Write(w, r) }

package trace

import (
	"context"
	"encoding/hex"
	"strings"
)

// Context names a span, for those who go on from it.
type Context struct {
	TraceID [16]byte
	SpanID  [8]byte
	Flags   byte
	State   string // tracestate, of other systems: handed on as it is
}

// The members of traceparent and tracestate, and what we keep of the latter at most (W3C Trace Context, sections 3.2 and 3.3).
const (
	ParentKey = "traceparent"
	StateKey  = "tracestate"

	MaxStateBytes = 512

	flagSampled = 1
	parentBytes = 55 // of version 00
)

// IsSampled tells whether who made the span keeps it.
func (c *Context) IsSampled() bool { return c.Flags&flagSampled != 0 }

// IsZero tells whether there is no span.
func (c *Context) IsZero() bool { return c.TraceID == [16]byte{} }

// String is the traceparent.
func (c *Context) String() string {
	b := make([]byte, 0, parentBytes)
	b = hex.AppendEncode(append(b, "00-"...), c.TraceID[:])
	b = hex.AppendEncode(append(b, '-'), c.SpanID[:])
	b = hex.AppendEncode(append(b, '-'), []byte{c.Flags})
	return string(b)
}

// Parse reads what a header or a user property says. A traceparent of a later version is read as far as it is known (section
// 3.2.4); a tracestate that is too long or no printable text is left out, as the standard wants.
func Parse(parent, state string) (c Context, ok bool) {
	if len(parent) < parentBytes || parent[2] != '-' || parent[35] != '-' || parent[52] != '-' {
		return Context{}, false
	}
	version := parent[:2]
	if strings.ToLower(parent) != parent || version == "ff" || version == "00" && len(parent) != parentBytes ||
		len(parent) > parentBytes && parent[parentBytes] != '-' {
		return Context{}, false
	}
	var v, flags [1]byte
	for _, part := range []struct {
		dst []byte
		src string
	}{{v[:], version}, {c.TraceID[:], parent[3:35]}, {c.SpanID[:], parent[36:52]}, {flags[:], parent[53:55]}} {
		if _, err := hex.Decode(part.dst, []byte(part.src)); err != nil {
			return Context{}, false
		}
	}
	if c.IsZero() || c.SpanID == [8]byte{} {
		return Context{}, false
	}
	c.Flags = flags[0] & flagSampled
	if len(state) <= MaxStateBytes && isPrintable(state) {
		c.State = strings.Clone(state) // it may lie in a packet
	}
	return c, true
}

func isPrintable(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

type contextKey struct{}

// With puts the span into ctx, for what is done under it.
func With(ctx context.Context, s *Span) context.Context {
	if s == nil {
		return ctx
	}
	return context.WithValue(ctx, contextKey{}, s.Context())
}

// From is the span under which ctx is; nil for none.
func From(ctx context.Context) *Context {
	c, _ := ctx.Value(contextKey{}).(*Context)
	return c
}

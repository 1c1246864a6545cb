package trace

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Kind is the part that a span plays, as OpenTelemetry has it.
type Kind uint8

// The kinds.
const (
	Internal Kind = iota
	Server        // answers somebody
	Producer      // hands on to who works later
	Consumer      // takes what somebody handed on
)

// Attr is what a span tells beside its name: a text or a number. Never a payload, a parameter or a proof.
type Attr struct {
	Key      string
	Text     string
	Number   int64
	IsNumber bool
}

// Text is an Attr of a text.
func Text(key, value string) Attr { return Attr{Key: key, Text: value} }

// Number is an Attr of a number.
func Number[T int | int64](key string, value T) Attr {
	return Attr{Key: key, Number: int64(value), IsNumber: true}
}

// Backend keeps spans. Its method may be called concurrently.
type Backend interface {
	// Start begins a span that began at a time. A zero parent makes a trace of its own.
	Start(name string, kind Kind, parent *Context, at time.Time, attrs []Attr) Ongoing
}

// Ongoing is a span of a backend, for one goroutine at a time.
type Ongoing interface {
	Context() Context
	// End ends it at a time. failed says why what it did failed; "" where it did not.
	End(at time.Time, failed string, attrs []Attr)
}

// DefaultPerSecond is how many messages and requests are traced a second at most, whatever they ask for: a device that
// says of each message that it is sampled must not cost more than others.
const DefaultPerSecond = 100

// Options of a Tracer. Backend must be set.
type Options struct {
	Backend Backend
	// Ratio is the part that is traced of what says nothing itself: from 0 to 1.
	Ratio     float64
	PerSecond int // 0: DefaultPerSecond
}

// Tracer says what is traced. nil is one that traces nothing. Its methods may be called concurrently.
type Tracer struct {
	backend Backend
	ratio   float64
	most    int

	entered, limited, spans atomic.Uint64

	mu     sync.Mutex // guards what follows
	second int64
	count  int
}

// New makes a tracer.
func New(o Options) *Tracer {
	if o.PerSecond == 0 {
		o.PerSecond = DefaultPerSecond
	}
	return &Tracer{backend: o.Backend, ratio: o.Ratio, most: o.PerSecond}
}

// Stats are what a tracer counts.
type Stats struct {
	Entered uint64 `json:"entered"` // messages and requests that are traced
	Limited uint64 `json:"limited"` // that were to be, and were too many
	Spans   uint64 `json:"spans"`   // that this process began
}

// Stats reads the counters.
func (t *Tracer) Stats() Stats {
	return Stats{Entered: t.entered.Load(), Limited: t.limited.Load(), Spans: t.spans.Load()}
}

// Enter tells whether what comes in is traced, and from where. parent and state are its own word, which may be empty or
// anything; where it says whether it is sampled, that holds, and else the ratio.
func (t *Tracer) Enter(parent, state string) (from Context, traced bool) {
	if t == nil {
		return Context{}, false
	}
	from, said := Parse(parent, state)
	if said && !from.IsSampled() || !said && (t.ratio <= 0 || rand.Float64() >= t.ratio) {
		return Context{}, false
	}
	if !t.hasRoom(time.Now().Unix()) {
		t.limited.Add(1)
		return Context{}, false
	}
	t.entered.Add(1)
	return from, true
}

func (t *Tracer) hasRoom(second int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if second != t.second {
		t.second, t.count = second, 0
	}
	t.count++
	return t.count <= t.most
}

// Start begins a span at a time. Its parent is of Enter, or came with what it is about; a nil one, as whatever is not traced
// has, begins nothing: the nil *Span does nothing.
func (t *Tracer) Start(name string, kind Kind, parent *Context, at time.Time, attrs ...Attr) *Span {
	if t == nil || parent == nil {
		return nil
	}
	t.spans.Add(1)
	s := &Span{ongoing: t.backend.Start(name, kind, parent, at, attrs)}
	s.context = s.ongoing.Context()
	return s
}

// Span is something that is done with what is traced, for one goroutine at a time.
type Span struct {
	ongoing Ongoing
	context Context
}

// Context is what goes on with the message; nil of a nil span. It must not be changed.
func (s *Span) Context() *Context {
	if s == nil {
		return nil
	}
	return &s.context
}

// End ends the span at a time.
func (s *Span) End(at time.Time, attrs ...Attr) {
	if s != nil {
		s.ongoing.End(at, "", attrs)
	}
}

// Fail ends the span at a time, and says why what it did failed: a word of a fixed set, never what a client sent.
func (s *Span) Fail(at time.Time, why string, attrs ...Attr) {
	if s != nil {
		s.ongoing.End(at, why, attrs)
	}
}

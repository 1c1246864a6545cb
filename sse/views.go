package sse

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/sse/hub"
)

// Bounds of how often the view of one stream may be changed. A map that is dragged changes it a few times a second; each
// costs an entry in the hub's index and a look at all that is in both boxes.
const (
	ViewsPerSecond = 10
	ViewsAtOnce    = 20
)

// ViewsOptions are how edges reach one another. Edges must be set.
type ViewsOptions struct {
	Edge   bus.EdgeID // the one that ids of this edge's streams begin with
	Edges  bus.Edges
	Logger *slog.Logger
}

// Views changes what streams show: those of this edge, and by the bus those of the others. Its methods may be called
// concurrently.
type Views struct {
	o ViewsOptions

	mu      sync.Mutex
	streams map[string]*Viewed
	counts  [viewOutcomes]uint64
}

// ViewOutcome says what became of a change of a view.
type ViewOutcome uint8

// The outcomes.
const (
	ViewChanged   ViewOutcome = iota
	ViewOld                   // a newer one came before it
	ViewUnknown               // no stream of the caller's has the id, or its edge does not answer
	ViewTooOften              // the stream's rate
	ViewRefused               // the filter is wrong, or not within the scope
	ViewForwarded             // to another edge, whatever came of it
	viewOutcomes
)

var viewOutcomeNames = [viewOutcomes]string{"changed", "old", "unknown", "too_often", "refused", "forwarded"}

// String returns the outcome as it stands in metrics.
func (o ViewOutcome) String() string { return viewOutcomeNames[o] }

// NewViews checks the options. It starts nothing.
func NewViews(o ViewsOptions) (*Views, error) {
	if o.Edge == 0 || o.Edges == nil {
		return nil, errors.New("make views: an edge and a way to the others are needed")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Views{o: o, streams: map[string]*Viewed{}}, nil
}

// Run answers the other edges until ctx ends.
func (v *Views) Run(ctx context.Context) error { return v.o.Edges.AnswerEdge(ctx, v.o.Edge, v.answer) }

// Stats are the counts by outcome.
func (v *Views) Stats() map[string]uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := make(map[string]uint64, viewOutcomes)
	for o, n := range v.counts {
		out[ViewOutcome(o).String()] = n
	}
	return out
}

func (v *Views) count(o ViewOutcome) {
	v.mu.Lock()
	v.counts[o]++
	v.mu.Unlock()
}

// Viewed is a stream whose view can be changed.
type Viewed struct {
	views  *Views
	sid    string
	viewer mover
	caller *devices.Caller
	base   hub.Query // what it was opened with

	mu    sync.Mutex // held over a change, so that the order of seq is the order of changes
	begun bool       // seq counts
	seq   uint64
	spare float64 // changes that it may make now
	last  time.Time
}

// mover is the part of hub.Viewer that changes.
type mover interface {
	ID() string
	Move(q hub.Query, seq uint64) error
}

// Add makes a stream's view changeable until Remove. A nil Views has none.
func (v *Views) Add(w mover, caller *devices.Caller, base hub.Query) *Viewed {
	if v == nil {
		return nil
	}
	s := &Viewed{views: v, sid: w.ID(), viewer: w, caller: caller, base: base, spare: ViewsAtOnce}
	v.mu.Lock()
	v.streams[s.sid] = s
	v.mu.Unlock()
	return s
}

// Remove takes the stream out. It may be called on nil.
func (s *Viewed) Remove() {
	if s == nil {
		return
	}
	s.views.mu.Lock()
	delete(s.views.streams, s.sid)
	s.views.mu.Unlock()
}

// errNoStream is what everybody is told who names a stream that is not there or not theirs.
var errNoStream = devices.Errorf(devices.NotFound, "", "there is no such stream of yours; open one, and take the sid that its ready tells")

// Change has a stream of the caller's show what body says: {"seq", "bbox", "fleets", "devices", "fields", "every"}. It
// tells whether the change was taken; one that is not newer than the last is left out without a word.
//
// Errors are devices.Errors: NotFound where there is no such stream of the caller's, or its edge does not answer within
// bus.EdgeWait; Invalid and Forbidden for the filter; Exhausted above the stream's rate.
func (v *Views) Change(ctx context.Context, c *devices.Caller, sid string, body []byte) (taken bool, err error) {
	name, _, _ := strings.Cut(sid, ".")
	edge, ok := bus.ParseEdgeID(name)
	switch {
	case !ok:
		err = errNoStream
	case edge == v.o.Edge:
		return v.change(c, sid, body)
	default:
		taken, err = v.forward(ctx, edge, c, sid, body)
	}
	if devices.KindOf(err) == devices.NotFound && err != nil {
		v.count(ViewUnknown)
		err = errNoStream
	}
	return taken, err
}

// change is Change at the edge that has the stream.
func (v *Views) change(c *devices.Caller, sid string, body []byte) (taken bool, err error) {
	v.mu.Lock()
	s := v.streams[sid]
	v.mu.Unlock()
	if s == nil || s.caller.Subject != c.Subject || s.caller.Proof != c.Proof {
		v.count(ViewUnknown)
		return false, errNoStream
	}
	outcome, err := s.change(body)
	v.count(outcome)
	return outcome == ViewChanged, err
}

// change reads a change of the stream's own caller and makes it.
func (s *Viewed) change(body []byte) (ViewOutcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.may(time.Now()) {
		return ViewTooOften, devices.Errorf(devices.Exhausted, "", "the view of this stream changes more than %d times a second", ViewsPerSecond)
	}
	var c change
	if err := DecodeStrict(body, &c); err != nil {
		return ViewRefused, err
	}
	if c.Seq == nil {
		return ViewRefused, devices.Errorf(devices.Invalid, "seq", "is missing: number the changes of a stream upwards")
	}
	return s.to(*c.Seq, &c.Filter)
}

// Turn is a change that comes by the stream's own connection, where its rate is bounded as all that is said there.
func (s *Viewed) Turn(seq uint64, f *Filter) (taken bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	outcome, err := s.to(seq, f)
	s.views.count(outcome)
	return outcome == ViewChanged, err
}

// to makes a change. mu is held.
func (s *Viewed) to(seq uint64, f *Filter) (ViewOutcome, error) {
	q, err := f.over(s.base, s.caller.Scope)
	switch {
	case err != nil:
		return ViewRefused, err
	case s.begun && seq <= s.seq:
		return ViewOld, nil
	}
	switch err := s.viewer.Move(q, seq); {
	case devices.KindOf(err) == devices.NotFound && err != nil:
		return ViewUnknown, errNoStream
	case err != nil:
		return ViewRefused, err
	}
	s.begun, s.seq = true, seq
	return ViewChanged, nil
}

// may takes one change from what the stream may make.
func (s *Viewed) may(now time.Time) bool {
	if !s.last.IsZero() {
		s.spare = min(s.spare+now.Sub(s.last).Seconds()*ViewsPerSecond, ViewsAtOnce)
	}
	s.last = now
	if s.spare < 1 {
		return false
	}
	s.spare--
	return true
}

// viewVersion is the version of what edges ask one another; another one is answered with an error.
const viewVersion = 1

// viewQuestion is a change that was put to another edge than the stream's. The caller's proof was checked there.
type viewQuestion struct {
	Version int             `json:"v"`
	SID     string          `json:"sid"`
	Subject string          `json:"subject"`
	Proof   string          `json:"proof"`
	Body    json.RawMessage `json:"body"`
}

type viewAnswer struct {
	Taken  bool   `json:"taken,omitempty"`
	Kind   string `json:"kind,omitempty"` // of the error; "" where there is none
	Field  string `json:"field,omitempty"`
	Detail string `json:"detail,omitempty"`
}

func (v *Views) forward(ctx context.Context, edge bus.EdgeID, c *devices.Caller, sid string, body []byte) (bool, error) {
	v.count(ViewForwarded)
	if !json.Valid(body) {
		return false, DecodeStrict(body, &change{})
	}
	q, err := json.Marshal(&viewQuestion{viewVersion, sid, c.Subject, c.Proof, body})
	if err != nil {
		return false, err
	}
	text, err := v.o.Edges.AskEdge(ctx, edge, q)
	if err != nil {
		return false, err
	}
	var a viewAnswer
	if err := json.Unmarshal(text, &a); err != nil {
		return false, err
	}
	if a.Kind == "" {
		return a.Taken, nil
	}
	return false, &devices.Error{Kind: kindOf(a.Kind), Field: a.Field, Detail: a.Detail}
}

// kindOf is the kind of a name; Internal of one that is not known.
func kindOf(name string) devices.Kind {
	for k := devices.Internal; k <= devices.Unavailable; k++ {
		if k.String() == name {
			return k
		}
	}
	return devices.Internal
}

// answer is what this edge says to another's question.
func (v *Views) answer(_ context.Context, text []byte) []byte {
	var q viewQuestion
	var a viewAnswer
	err := json.Unmarshal(text, &q)
	switch {
	case err != nil || q.Version != viewVersion:
		a.Kind, a.Detail = devices.Unavailable.String(), "the edges are of different versions"
	default:
		a.Taken, err = v.change(&devices.Caller{Subject: q.Subject, Proof: q.Proof}, q.SID, q.Body)
		if told, ok := errors.AsType[*devices.Error](err); ok {
			a.Kind, a.Field, a.Detail = told.Kind.String(), told.Field, told.Detail
		} else if err != nil {
			v.o.Logger.Error("a view could not be changed", "error", err)
			a.Kind = devices.Internal.String()
		}
	}
	out, err := json.Marshal(&a)
	if err != nil { // strings only
		return []byte(`{"kind":"internal"}`)
	}
	return out
}

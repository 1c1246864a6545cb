package bus

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// EdgeID names one run of one edge; it is random. The ids of streams begin with it.
type EdgeID uint64

// NewEdgeID makes one; it is never 0.
func NewEdgeID() EdgeID {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		if id := EdgeID(binary.BigEndian.Uint64(b[:])); id != 0 {
			return id
		}
	}
}

// String is 16 digits.
func (id EdgeID) String() string {
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(id)))
}

// ParseEdgeID reads what String wrote.
func ParseEdgeID(s string) (EdgeID, bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 8 {
		return 0, false
	}
	return EdgeID(binary.BigEndian.Uint64(b)), true
}

// Bounds of what edges ask one another.
const (
	// EdgeWait is how long an edge is waited for.
	EdgeWait = 2 * time.Second
	// MaxQuestionBytes bounds a question, and an answer.
	MaxQuestionBytes = 128 << 10
)

// Edges carries short questions from an edge to the one that has a stream.
type Edges interface {
	// AnswerEdge has answer called with what is asked of the edge, until ctx ends; it returns when no call runs any more.
	// Calls are concurrent, the bus bounds how many; the context of a call ends with its time. A question may come twice.
	AnswerEdge(ctx context.Context, edge EdgeID, answer func(ctx context.Context, question []byte) []byte) error
	// AskEdge returns the edge's answer. It waits EdgeWait at most; a NotFound error says that no such edge answered, an
	// Invalid one that the question is too long.
	AskEdge(ctx context.Context, edge EdgeID, question []byte) (answer []byte, err error)
}

// errNoEdge is what is told of an edge that does not answer.
var errNoEdge = devices.Errorf(devices.NotFound, "", "the server that has it does not answer")

// CheckQuestion refuses what no bus carries.
func CheckQuestion(edge EdgeID, question []byte) error {
	switch {
	case edge == 0:
		return errNoEdge
	case len(question) > MaxQuestionBytes:
		return devices.Errorf(devices.Invalid, "question", "is longer than %d bytes", MaxQuestionBytes)
	}
	return nil
}

// NoEdge is the error of an edge that does not answer.
func NoEdge() error { return errNoEdge }

// liveEdges are the edges of a bus of one process.
type liveEdges struct {
	mu     sync.Mutex
	answer map[EdgeID]*liveEdge
}

type liveEdge struct {
	answer func(ctx context.Context, question []byte) []byte
	ctx    context.Context //nolint:containedctx // the edge's life, which bounds what is asked of it
	calls  sync.WaitGroup
}

// AnswerEdge implements Edges.
func (m *Memory) AnswerEdge(ctx context.Context, edge EdgeID, answer func(context.Context, []byte) []byte) error {
	if err := m.checkDoor(ctx, 1); err != nil {
		return err
	}
	if edge == 0 {
		return devices.Errorf(devices.Invalid, "edge", "is missing")
	}
	e, l := &liveEdge{answer: answer, ctx: ctx}, &m.edges
	l.mu.Lock()
	if l.answer == nil {
		l.answer = map[EdgeID]*liveEdge{}
	}
	l.answer[edge] = e
	l.mu.Unlock()
	var err error
	select {
	case <-ctx.Done():
	case <-m.closed:
		err = ErrClosed
	}
	l.mu.Lock()
	if l.answer[edge] == e {
		delete(l.answer, edge)
	}
	l.mu.Unlock()
	e.calls.Wait()
	return err
}

// AskEdge implements Edges.
func (m *Memory) AskEdge(ctx context.Context, edge EdgeID, question []byte) ([]byte, error) {
	if err := m.checkDoor(ctx, 1); err != nil {
		return nil, err
	}
	if err := CheckQuestion(edge, question); err != nil {
		return nil, err
	}
	m.edges.mu.Lock()
	e := m.edges.answer[edge]
	if e == nil || e.ctx.Err() != nil {
		m.edges.mu.Unlock()
		return nil, errNoEdge
	}
	e.calls.Add(1)
	m.edges.mu.Unlock()
	timed, cancel := context.WithTimeout(ctx, EdgeWait)
	defer cancel()
	answers := make(chan []byte, 1)
	go func() {
		defer e.calls.Done()
		answers <- e.answer(timed, question)
	}()
	select {
	case a := <-answers:
		return a, nil
	case <-timed.Done():
	case <-e.ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, errNoEdge
}

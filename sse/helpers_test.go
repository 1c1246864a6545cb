package sse

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/sse/hub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test on a condition; it is no expectation of speed.
const patience = 20 * time.Second

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for !condition() {
		select {
		case <-poll.C:
		case <-deadline.C:
			t.Fatalf("it never came true that %s", what)
		}
	}
}

var errFakeClosed = errors.New("fake viewer: closed")

// fakeViewer gives what the test puts into chunks.
type fakeViewer struct {
	query  hub.Query
	format hub.Format
	lastID string
	chunks chan []byte
	closed chan struct{}
	once   sync.Once
	panics bool

	sid string

	mu     sync.Mutex
	took   []int
	moves  []move
	refuse error
}

// move is a change of view that a viewer was asked for.
type move struct {
	query hub.Query
	seq   uint64
}

func newFakeViewer() *fakeViewer {
	return &fakeViewer{chunks: make(chan []byte, 64), closed: make(chan struct{})}
}

func (v *fakeViewer) Next(ctx context.Context) ([]byte, error) {
	if v.panics {
		panic("a defect")
	}
	select {
	case <-v.closed:
		return nil, errFakeClosed
	default:
	}
	select {
	case b := <-v.chunks:
		return b, nil
	case <-v.closed:
		return nil, errFakeClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (v *fakeViewer) Took(n int, _ time.Duration) {
	v.mu.Lock()
	v.took = append(v.took, n)
	v.mu.Unlock()
}

func (v *fakeViewer) ID() string { return v.sid }

func (v *fakeViewer) Move(q hub.Query, seq uint64) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.moves = append(v.moves, move{q, seq})
	return v.refuse
}

func (v *fakeViewer) Close() { v.once.Do(func() { close(v.closed) }) }

func (v *fakeViewer) isClosed() bool {
	select {
	case <-v.closed:
		return true
	default:
		return false
	}
}

func (v *fakeViewer) total() (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, took := range v.took {
		n += took
	}
	return n
}

// testEdge is the edge of fake viewers.
const testEdge bus.EdgeID = 7

// fakeHub remembers its viewers, or refuses.
type fakeHub struct {
	mu      sync.Mutex
	viewers []*fakeViewer
	refuse  error
	panics  bool
}

func (f *fakeHub) attach(q hub.Query, format hub.Format, lastEventID string) (viewer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return nil, f.refuse
	}
	v := newFakeViewer()
	v.query, v.format, v.lastID, v.panics = q, format, lastEventID, f.panics
	v.sid = testEdge.String() + "." + strconv.Itoa(len(f.viewers))
	f.viewers = append(f.viewers, v)
	return v, nil
}

func (f *fakeHub) viewer(t testing.TB, i int) *fakeViewer {
	t.Helper()
	var v *fakeViewer
	eventually(t, "the viewer is attached", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		if i < len(f.viewers) {
			v = f.viewers[i]
		}
		return v != nil
	})
	return v
}

// newTestHandler makes a handler over a fake hub; the test fails if streams are left.
func newTestHandler(t testing.TB, o Options) (*Handler, *fakeHub) {
	t.Helper()
	f := &fakeHub{}
	h, err := newHandler(o, f.attach)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		for i, v := range f.viewers {
			if !v.isClosed() {
				t.Errorf("viewer %d was never closed", i)
			}
		}
	})
	return h, f
}

// serve serves over real TCP and returns host:port.
func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

// rawClient is a client that sees the bytes of the connection.
type rawClient struct {
	net.Conn
	r *bufio.Reader
}

func dial(t testing.TB, addr, request string) *rawClient {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	return &rawClient{conn, bufio.NewReader(conn)}
}

// until reads up to and with the end.
func (c *rawClient) until(t testing.TB, end string) string {
	t.Helper()
	var b strings.Builder
	for !strings.HasSuffix(b.String(), end) {
		ch, err := c.r.ReadByte()
		if err != nil {
			t.Fatalf("after %q: %v", b.String(), err)
		}
		b.WriteByte(ch)
	}
	return b.String()
}

const get = "GET /stream/assets HTTP/1.1\r\nHost: localhost\r\n\r\n"

// ended waits for the end of a stream with the reason, and that nothing else ended.
func ended(t testing.TB, h *Handler, why Reason, n uint64) {
	t.Helper()
	eventually(t, "a stream ended as "+why.String(), func() bool { return h.Stats().Ended[why.String()] == n })
	eventually(t, "nothing is open", func() bool { return h.Stats().Open == 0 })
	for other, count := range h.Stats().Ended {
		if other != why.String() && count != 0 {
			t.Errorf("%d streams ended as %s", count, other)
		}
	}
}

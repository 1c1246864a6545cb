package ws

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/sse"
)

// wire is the connection below the library: what the library writes, which are control frames, and the hub's frames go
// through it one after the other, and what the client sends is counted.
type wire struct {
	net.Conn
	taken sse.Taken
	head  []byte // what came with the request

	heard   atomic.Int64 // when the client last sent something, unix ns
	tooMuch atomic.Bool  // it sent more than it may

	spare float64 // bytes that it may send now; the reading goroutine's
	last  time.Time

	writing sync.Mutex // held over whole frames

	mu   sync.Mutex // guards what is to be said when nothing is written
	pong []byte     // the payload of the newest ping, which is the one to answer (RFC 6455 section 5.5.3); nil for none
	ping bool
}

// Bounds of what a client may send, in bytes: those of messages, frames and what each read costs.
const (
	readBytesPerSecond = 32 << 10
	readBytesAtOnce    = 256 << 10
	readCost           = 64
	// The library's buffers: of what clients send most is short, and longer reads go past it; control frames are written.
	readBuffer  = 512
	writeBuffer = 192
)

var errTooMuch = errors.New("more bytes than a client may send")

// Read counts what comes.
func (w *wire) Read(p []byte) (n int, err error) {
	if len(w.head) > 0 {
		n = copy(p, w.head)
		if w.head = w.head[n:]; len(w.head) == 0 {
			w.head = nil
		}
	} else if n, err = w.Conn.Read(p); n == 0 {
		return n, err
	}
	now := time.Now()
	w.heard.Store(now.UnixNano())
	w.spare = min(w.spare+now.Sub(w.last).Seconds()*readBytesPerSecond, readBytesAtOnce) - float64(n+readCost)
	w.last = now
	if w.spare < 0 {
		w.tooMuch.Store(true)
		return 0, errTooMuch
	}
	return n, err
}

// Write takes the library's frames, each of which comes in one call: they fit its buffer.
func (w *wire) Write(p []byte) (int, error) { return w.frames(p) }

// frames writes whole frames, and after them what was to be said meanwhile.
func (w *wire) frames(p []byte) (int, error) {
	w.writing.Lock()
	n, err := w.taken.Write(p)
	w.writing.Unlock()
	if err == nil {
		w.utter()
	}
	return n, err
}

// say has something said between two frames, which may be now. It never waits for a client that does not read.
func (w *wire) say(what func()) {
	w.mu.Lock()
	what()
	w.mu.Unlock()
	w.utter()
}

// utter says what is to be said unless something is written: whoever writes looks again afterwards.
func (w *wire) utter() {
	for w.toSay() && w.writing.TryLock() {
		_, _ = w.taken.Write(w.take()) // an error shows at the next frame, and when it is read
		w.writing.Unlock()
	}
}

func (w *wire) toSay() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ping || w.pong != nil
}

// take is the frames of what is to be said.
func (w *wire) take() (b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pong != nil {
		b = append(appendHeader(b, opPong, len(w.pong)), w.pong...)
	}
	if w.ping {
		b = appendHeader(b, opPing, 0)
	}
	w.pong, w.ping = nil, false
	return b
}

// Close implements net.Conn, for the library.
func (w *wire) Close() error {
	w.cut()
	return nil
}

// cut ends the connection; a write that waits returns.
func (w *wire) cut() { w.taken.Cut() }

// upgrade is the http.ResponseWriter that the library is given: it takes the connection over into a wire.
type upgrade struct {
	http.ResponseWriter
	request *http.Request
	stall   time.Duration
	log     *slog.Logger
	wire    *wire
}

// Hijack implements http.Hijacker with buffers of the size that is needed.
func (u *upgrade) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("take over connection: %w", err)
	}
	now := time.Now()
	u.wire = &wire{Conn: conn, spare: readBytesAtOnce, last: now}
	u.wire.heard.Store(now.UnixNano())
	if n := rw.Reader.Buffered(); n > 0 {
		u.wire.head = make([]byte, n)
		if _, err := rw.Read(u.wire.head); err != nil {
			conn.Close()
			return nil, nil, fmt.Errorf("take over connection: %w", err)
		}
	}
	u.wire.taken = sse.Take(conn, u.request.TLS != nil, u.stall, u.log)
	return u.wire, bufio.NewReadWriter(bufio.NewReaderSize(u.wire, readBuffer), bufio.NewWriterSize(u.wire, writeBuffer)), nil
}

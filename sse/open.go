package sse

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"
)

// connect begins the answer and returns where the stream goes on, and whether the connection was taken over: then the
// handler's goroutine is not needed, and with it go 27 kB a viewer that net/http holds for a request in progress (its
// goroutine, a second one that reads, and buffers both ways). What remains is a goroutine that waits.
func (h *Handler) connect(w http.ResponseWriter, r *http.Request, c *coding) (_ sink, taken bool, err error) {
	h.describe(w.Header(), c)
	rc := http.NewResponseController(w)
	if r.ProtoMajor == 1 {
		conn, _, err := rc.Hijack() // what the client sent after its request nobody wants; the buffers are dropped
		if err == nil {
			s, err := h.takeOver(conn, w.Header(), r, c)
			return s, true, err
		}
		if !errors.Is(err, http.ErrNotSupported) {
			return nil, false, fmt.Errorf("take over connection: %w", err)
		}
	}
	s, err := h.answer(w, rc, c)
	return s, false, err
}

// describe sets what the head of a stream says.
func (h *Handler) describe(header http.Header, c *coding) {
	for _, name := range []string{"Content-Length", "Transfer-Encoding", "Trailer", "Content-Encoding"} {
		header.Del(name) // middleware knows nothing about a stream; its security headers stay
	}
	maps.Copy(header, streamHeader)
	if h.options.compresses() {
		header.Add("Vary", "Accept-Encoding")
	}
	if c != nil {
		header.Set("Content-Encoding", c.name)
	}
}

// opening is what a stream begins with.
func opening(c *coding) []byte {
	retry := appendRetry(nil, jitter(minRetry, maxRetry))
	if c != nil {
		return append(bytes.Clone(c.header), c.pack(retry)...)
	}
	return retry
}

// takeOver writes the head of the answer by hand. The body has no length and no chunks, so it ends with the connection
// (RFC 9112 section 6.3, rule 8): the hub's bytes, shared by all viewers of a view, then go out as they are and in one
// write. Chunks would need two more pieces around them for each viewer, and would buy the client only that it could
// tell a cut stream from an ended one, which mean the same to an EventSource: reconnect. HTTP/1.0 clients read it as
// well, and so do nginx and HAProxy, which frame it anew for theirs.
func (h *Handler) takeOver(conn net.Conn, header http.Header, r *http.Request, c *coding) (sink, error) {
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	header.Set("Connection", "close") // RFC 9112 section 9.6
	proto := "HTTP/1.1"
	if !r.ProtoAtLeast(1, 1) {
		proto = "HTTP/1.0"
	}
	var head bytes.Buffer
	head.WriteString(proto + " 200 OK\r\n")
	err := header.Write(&head) // line ends in names and values do not get through it
	head.WriteString("\r\n")
	if err == nil {
		err = conn.SetWriteDeadline(time.Now().Add(goodbyeWait))
	}
	if err == nil {
		_, err = conn.Write(append(head.Bytes(), opening(c)...))
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("write head: %w", err)
	}
	if err := boundKernel(conn); err != nil {
		h.log.Debug("the kernel's buffers are not bounded", "error", err)
	}
	return takenSink(conn, r.TLS != nil, h.options.Stall), nil
}

// answer begins an answer that net/http writes: on HTTP/2, and where the connection cannot be taken over.
func (h *Handler) answer(w http.ResponseWriter, rc *http.ResponseController, c *coding) (sink, error) {
	// The answer ends with the handler's return, after which nobody may touch the writer; until then a deadline that has
	// passed resets a stream of HTTP/2, also one that stands in a write.
	var ending sync.Mutex // held while the stream is reset, so that the handler does not return meanwhile
	isOver := false
	s := &pieceSink{
		w: w, stall: h.options.Stall, setDeadline: rc.SetWriteDeadline, flush: rc.Flush,
		end: func() {
			ending.Lock()
			defer ending.Unlock()
			isOver = true
		},
		cut: func() {
			ending.Lock()
			defer ending.Unlock()
			if !isOver {
				_ = rc.SetWriteDeadline(time.Unix(1, 0)) // a writer that has none is a test's
			}
		},
	}
	// The connection is shared, and its other streams may be slow: this one may wait for its turn as any later write does.
	if _, err := s.piece(opening(c), s.stall); err != nil {
		return nil, fmt.Errorf("write head: %w", err)
	}
	return s, nil
}

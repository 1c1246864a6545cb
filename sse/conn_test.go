package sse

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// pipeWriter is a response writer whose connection is a pipe, so that a test has all of it inside its bubble of time.
type pipeWriter struct {
	header http.Header
	conn   net.Conn
}

func (w *pipeWriter) Header() http.Header         { return w.header }
func (w *pipeWriter) Write(p []byte) (int, error) { return w.conn.Write(p) }
func (w *pipeWriter) WriteHeader(int)             {}
func (w *pipeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.conn, nil, nil
}

// openPipe opens a stream on a pipe and reads its head.
func openPipe(t *testing.T, h *Handler) (client net.Conn) {
	t.Helper()
	server, client := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.ServeHTTP(&pipeWriter{header: http.Header{}, conn: server}, httptest.NewRequest(http.MethodGet, "/s", nil))
	}()
	r := &rawClient{client, bufio.NewReader(client)} // nothing follows the head and its retry yet that it could hold back
	r.until(t, "\r\n\r\n")
	r.until(t, "\n\n")
	<-done
	return client
}

func TestAReaderMayBeAsSlowAsItLikes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := newTestHandler(t, Options{Stall: 30 * time.Second})
		client := openPipe(t, h)
		sent := bytes.Repeat([]byte("0123456789"), 100)
		v := f.viewer(t, 0)
		v.chunks <- sent
		var got []byte
		for b := make([]byte, 1); len(got) < len(sent); {
			<-time.After(29 * time.Second)
			if _, err := client.Read(b); err != nil {
				t.Fatalf("cut after %d bytes: %v", len(got), err)
			}
			got = append(got, b...)
		}
		synctest.Wait()
		if !bytes.Equal(got, sent) || v.total() != len(sent) {
			t.Errorf("got %q, took %d", got, v.total())
		}
		client.Close()
	})
}

func TestAReaderThatStandsIsClosedAsStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := newTestHandler(t, Options{Stall: 30 * time.Second})
		client := openPipe(t, h)
		v := f.viewer(t, 0)
		v.chunks <- make([]byte, 100)
		if _, err := io.ReadFull(client, make([]byte, 40)); err != nil { // and then no more
			t.Fatal(err)
		}
		began := time.Now()
		<-v.closed
		if waited := time.Since(began); waited < 30*time.Second || waited > 75*time.Second {
			t.Errorf("closed after %v", waited)
		}
		synctest.Wait()
		if s := h.Stats(); s.Ended[Stalled.String()] != 1 || s.Open != 0 || v.total() != 40 {
			t.Errorf("%+v, took %d", s, v.total())
		}
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the connection is still there: %v", err)
		}
	})
}

// A deadline that passed while nothing was to be written must not fail the next write.
func TestAStreamThatWasIdleForHoursGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := newTestHandler(t, Options{Stall: time.Second})
		client := openPipe(t, h)
		for range 3 {
			f.viewer(t, 0).chunks <- []byte("data: 1\n\n")
			if _, err := io.ReadFull(client, make([]byte, 9)); err != nil {
				t.Fatal(err)
			}
			<-time.After(5 * time.Hour)
		}
		client.Close()
	})
}

// HTTP/2 and TLS cannot go on after a deadline: each piece must go whole.
func TestAPieceThatDoesNotGoIsAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer client.Close()
		s := &pieceSink{
			w: server, stall: 30 * time.Second, setDeadline: server.SetWriteDeadline,
			flush: func() error { return nil }, end: func() { server.Close() },
		}
		defer s.close()
		go io.CopyN(io.Discard, client, pieceBytes+10) //nolint:errcheck // the pipe ends with the test
		if n, err := s.write(make([]byte, 3*pieceBytes)); !errors.Is(err, errStalled) || n != pieceBytes+10 {
			t.Errorf("%d, %v", n, err)
		}
	})
}

func TestDeliveryAllocatesNothing(t *testing.T) {
	s := &stream{sink: &connSink{conn: nullConn{}, stall: time.Minute}}
	v := &countedViewer{chunk: make([]byte, 512)}
	s.viewer, s.h = v, &Handler{}
	if n := testing.AllocsPerRun(20, func() { v.left = 100; s.deliver(t.Context()) }); n > 5 { // the farewell's
		t.Errorf("100 writes allocate %v times", n)
	}
}

package sse

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// One test an abuse. "The others" are viewers of the same handler.

// A browser stops reading and its TCP stays open: its goroutine stands in one write, and nobody else waits for it.
func TestAReaderThatStandsHoldsNobodyElseUp(t *testing.T) {
	h, f := newTestHandler(t, Options{})
	addr := serve(t, h)
	slow := dial(t, addr, get)
	slow.until(t, "\n\n")
	good := dial(t, addr, get)
	good.until(t, "\n\n")
	chunk := append(bytes.Repeat([]byte("x"), 32<<10), "\n\n"...)
	stands := f.viewer(t, 0)
	eventually(t, "the slow one takes no more", func() bool {
		before := stands.total()
		select {
		case stands.chunks <- chunk:
			return false
		default:
			return len(stands.chunks) == cap(stands.chunks) && stands.total() == before
		}
	})
	for range 100 {
		f.viewer(t, 1).chunks <- []byte("data: 1\n\n")
		good.until(t, "data: 1\n\n")
	}
	if s := h.Stats(); s.Open != 2 {
		t.Errorf("%+v", s)
	}
}

// The kernel must not become the queue: what a reader that stands has not taken is stale for as long as it takes to
// read it.
func TestTheKernelHoldsLittleOfAStream(t *testing.T) {
	h, f := newTestHandler(t, Options{})
	conn, err := net.Dial("tcp", serve(t, h))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(16 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, get); err != nil {
		t.Fatal(err)
	}
	v := f.viewer(t, 0)
	// Made of small chunks, Took tells exactly what the kernels took.
	eventually(t, "the kernels are full", func() bool {
		for len(v.chunks) < cap(v.chunks) {
			v.chunks <- make([]byte, 1<<10)
		}
		before := v.total()
		timer := time.NewTimer(100 * time.Millisecond)
		<-timer.C
		return v.total() == before
	})
	if held := v.total(); held > 300<<10 { // 4 MB where nothing is bounded
		t.Errorf("%d bytes lie in the kernels", held)
	}
}

// 1 MB of position, or garbage with NULs and line ends, is a snapshot; net/http itself refuses raw control characters.
func TestGarbageInThePositionIsASnapshot(t *testing.T) {
	h, f := newTestHandler(t, Options{})
	addr := serve(t, h)
	for i, id := range []string{
		strings.Repeat("A", 500<<10), "../../etc/passwd", "\xff\xfe\x80", "9999999999999999999999", "%00%0d%0a", "\u2028é", "id: x",
	} {
		head := dial(t, addr, "GET /s HTTP/1.1\r\nHost: x\r\nLast-Event-ID: "+id+"\r\n\r\n").until(t, "\r\n\r\n")
		if !strings.HasPrefix(head, "HTTP/1.1 200 ") {
			t.Errorf("%.20q gives %q", id, head)
		}
		if got := f.viewer(t, i).lastID; len(got) > MaxLastEventID {
			t.Errorf("the hub is given %d bytes", len(got))
		}
	}
}

// A client that goes on talking after its request is not listened to, and costs nothing but its receive buffer.
func TestWhatAClientSendsAfterItsRequestIsIgnored(t *testing.T) {
	h, f := newTestHandler(t, Options{})
	c := dial(t, serve(t, h), "GET /s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET /other HTTP/1.1\r\nHost: x\r\n\r\n")
	c.until(t, "\n\n")
	f.viewer(t, 0).chunks <- []byte("data: 1\n\n")
	if got := c.until(t, "data: 1\n\n"); got != "data: 1\n\n" {
		t.Errorf("%q", got)
	}
}

// Many clients that connect and go at once leave nothing behind.
func TestClientsThatComeAndGoLeaveNothing(t *testing.T) {
	h, f := newTestHandler(t, Options{})
	addr := serve(t, h)
	const clients = 200
	for range clients {
		dial(t, addr, get).Close()
	}
	eventually(t, "all were there", func() bool { return h.Stats().Opened+h.Stats().Refused[NoConnection.String()] == clients })
	eventually(t, "all are gone", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, v := range f.viewers {
			select {
			case v.chunks <- []byte("event: heartbeat\ndata: {}\n\n"):
			default:
			}
		}
		return h.Stats().Open == 0
	})
}

package sse

import (
	"context"
	"io"
	"net"
	"runtime"
	"testing"
	"time"
)

// countedViewer gives the same chunk a number of times.
type countedViewer struct {
	chunk []byte
	left  int
}

func (v *countedViewer) Next(context.Context) ([]byte, error) {
	if v.left == 0 {
		return nil, errFakeClosed
	}
	v.left--
	return v.chunk, nil
}
func (v *countedViewer) Took(int, time.Duration) {}
func (v *countedViewer) Close()                  {}

// nullConn takes everything.
type nullConn struct{ net.Conn }

func (nullConn) Write(p []byte) (int, error)      { return len(p), nil }
func (nullConn) SetWriteDeadline(time.Time) error { return nil }
func (nullConn) Close() error                     { return nil }

// BenchmarkDelivery is a tick to one viewer over a real connection: what is left is the kernel's.
func BenchmarkDelivery(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	go io.Copy(io.Discard, client) //nolint:errcheck // ends with the connection
	s := &stream{h: &Handler{}, sink: &connSink{conn: server, stall: DefaultStall}}
	s.viewer = &countedViewer{chunk: make([]byte, 2048), left: b.N}
	b.ReportAllocs()
	b.ResetTimer()
	s.deliver(context.Background())
	b.StopTimer()
	client.Close()
	server.Close()
}

// BenchmarkIdleStream reports what an idle stream costs this process: the handler, the connection, and both a fake
// viewer and the client's end of the connection, which live here too. Run it with -benchtime 1x.
func BenchmarkIdleStream(b *testing.B) {
	const streams = 1000
	h, f := newTestHandler(b, Options{})
	addr := serve(b, h)
	heap, stack := memory()
	clients := make([]net.Conn, streams)
	for i := range clients {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		clients[i] = conn
		if _, err := conn.Write([]byte(get)); err != nil {
			b.Fatal(err)
		}
	}
	eventually(b, "all are open", func() bool { return h.Stats().Opened == streams })
	for i := range streams { // a write each, which is what stacks grow for
		f.viewer(b, i).chunks <- []byte("event: heartbeat\ndata: {}\n\n")
	}
	eventually(b, "all have written", func() bool { return f.viewer(b, streams-1).total() > 0 })
	for range b.N {
		heap2, stack2 := memory()
		b.ReportMetric((heap2-heap)/streams, "heap-B/stream")
		b.ReportMetric((stack2-stack)/streams, "stack-B/stream")
	}
}

func memory() (heap, stack float64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc), float64(m.StackInuse)
}

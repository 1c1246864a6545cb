package sse

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"
)

// countedViewer gives the same chunk a number of times.
type countedViewer struct {
	mover
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
// viewer and the client's end of the connection, which live here too. Run it with -benchtime 1x. HTTP/2 is without TLS,
// one stream a connection, as a browser has it.
func BenchmarkIdleStream(b *testing.B) {
	for name, request := range map[string]string{"HTTP/1.1": get, "HTTP/2": http2Get()} {
		b.Run(name, func(b *testing.B) { idleStreams(b, request) })
	}
}

func idleStreams(b *testing.B, request string) {
	b.Helper()
	const streams = 1000
	h, f := newTestHandler(b, Options{})
	srv := httptest.NewUnstartedServer(h)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	b.Cleanup(srv.Close)
	heap, stack := memory()
	clients := make([]net.Conn, streams)
	for i := range clients {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		clients[i] = conn
		if _, err := io.WriteString(conn, request); err != nil {
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

// http2Get is the first bytes of a client of RFC 9113: the preface (3.4), empty SETTINGS and the HEADERS of a GET.
func http2Get() string {
	fields := "\x82\x86" + "\x44\x02/s" + "\x41\x09localhost" // RFC 7541: GET and http from the table, path, authority
	return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" +
		"\x00\x00" + string(rune(len(fields))) + "\x01\x05\x00\x00\x00\x01" + fields
}

func memory() (heap, stack float64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc), float64(m.StackInuse)
}

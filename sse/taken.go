package sse

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Taken is a connection that was taken over, as the other transport writes to it: in pieces that are the same for every
// viewer of a view, for as long as bytes move, and with little in the kernel.
type Taken struct{ sink sink }

// ErrStalled is what Write returns where nothing moved for the stall time.
var ErrStalled = errStalled

// Take bounds what the kernel holds of a connection and returns it.
func Take(conn net.Conn, isTLS bool, stall time.Duration, log *slog.Logger) Taken {
	if err := boundKernel(conn); err != nil {
		log.Debug("the kernel's buffers are not bounded", "error", err)
	}
	return Taken{takenSink(conn, isTLS, stall)}
}

// Write returns when all of p went, or nothing moved for the stall time, or an error ended it. It is for one goroutine at a
// time.
func (t Taken) Write(p []byte) (int, error) { return t.sink.write(p) }

// Cut closes the connection; a Write that waits returns. It may be called from any goroutine, and twice.
func (t Taken) Cut() { t.sink.abort() }

func takenSink(conn net.Conn, isTLS bool, stall time.Duration) sink {
	if isTLS {
		return &pieceSink{
			w: conn, stall: stall, setDeadline: conn.SetWriteDeadline,
			flush: func() error { return nil }, end: func() { conn.Close() }, cut: func() { conn.Close() },
		}
	}
	return &connSink{conn: conn, stall: stall}
}

// ClientOf is whom limits by client count for a request from the connection's other end, see Options.Client.
func ClientOf(client func(*http.Request) netip.Addr, r *http.Request) netip.Prefix {
	if client == nil {
		client = peer
	}
	return clientOf(client(r))
}

// Jitter is a random time from low to high.
func Jitter(low, high time.Duration) time.Duration { return jitter(low, high) }

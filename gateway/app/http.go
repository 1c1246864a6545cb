package app

import (
	"context"
	"fmt"
	stdlog "log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/gateway/certs"
	"github.com/fleetcast/fleetcast/sse"
)

// Bounds of the HTTP side. There is no write timeout: a stream is written for as long as it is watched, and sets a
// deadline of its own for every write.
const (
	// readHeaderTimeout bounds who opens connections and sends headers a byte at a time.
	readHeaderTimeout = 5 * time.Second
	// idleTimeout bounds kept-alive connections that ask nothing.
	idleTimeout = 2 * time.Minute
	// maxHeaderBytes holds the longest legal stream: a filter of a thousand device ids of 128 bytes, every byte of them
	// escaped, and a Last-Event-ID. It bounds what a connection may make us hold before it is known what it wants.
	maxHeaderBytes = 512 << 10
	// maxConnections bounds the connections that are not streams (the hub bounds those), so that whoever opens more
	// does not take the file descriptors that devices need.
	maxConnections = 4096
)

// Bounds of HTTP/2, beside net/http's own.
const (
	// maxConcurrent bounds the requests of one connection, streams among them: a browser has one for all its tabs.
	maxConcurrent = 256
	// pingAfter is how long nothing has come before a connection is asked whether it lives, and pingWait how long the
	// answer may take: a host that vanished is found by nothing else, as no goroutine of a stream reads.
	pingAfter = time.Minute
	pingWait  = 30 * time.Second
	// receiveBuffer bounds what is taken of the bodies of a connection, and of one, before it is read.
	receiveBuffer = 64 << 10
)

// An httpDoor is the bound port and the server behind it.
type httpDoor struct {
	log      *slog.Logger
	listener net.Listener
	server   *http.Server
	secure   bool
	cancel   context.CancelFunc // ends the context of every request

	open    atomic.Int64
	refused atomic.Uint64

	mu     sync.Mutex
	silent map[net.Conn]struct{} // connections on which no request has begun
}

// listen binds the address. Where nobody is asked who they are, what it is bound to must be loopback, whatever a name
// stands for on this machine.
func listen(ctx context.Context, o *Options) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.HTTP.Listen)
	if err != nil || o.requiresViewers() {
		return l, err
	}
	if err := requireLoopback(l.Addr()); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func requireLoopback(addr net.Addr) error {
	if tcp, ok := addr.(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		return fmt.Errorf("%s is no loopback address, and nobody is asked who they are", addr)
	}
	return nil
}

// newHTTPDoor puts a server with the handler behind the listener. Requests live in a context of ctx's values that
// ends when the door closes. files make it HTTPS, with HTTP/2 for who knows it; nil is plain HTTP/1.1.
func newHTTPDoor(ctx context.Context, l net.Listener, handler http.Handler, files *certs.Files, log *slog.Logger) *httpDoor {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d := &httpDoor{log: log, listener: l, cancel: cancel, silent: map[net.Conn]struct{}{}}
	d.server = &http.Server{
		Handler:           d.carry(handler),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          stdlog.New(&complaints{log: log}, "", 0),
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnState:         d.count,
		ConnContext:       d.connected,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxConcurrent, SendPingTimeout: pingAfter, PingTimeout: pingWait,
			MaxReceiveBufferPerConnection: receiveBuffer, MaxReceiveBufferPerStream: receiveBuffer,
		},
	}
	if files != nil {
		d.server.TLSConfig, d.secure = files.Server(), true
	}
	return d
}

// carrier is a connection of HTTP/2, as far as it carries streams: those are bounded by who serves them, as the ones
// that were taken over are, so that a viewer takes no place here.
type carrier struct{ streams atomic.Int64 }

type carrierKey struct{}

// connected prepares a connection for what may come over it.
func (d *httpDoor) connected(ctx context.Context, conn net.Conn) context.Context {
	if !d.secure {
		return ctx // a stream takes the connection over, and bounds its buffers then
	}
	if err := sse.BoundUnsent(conn); err != nil {
		d.log.Debug("the kernel's buffers are not bounded", "error", err)
	}
	return context.WithValue(ctx, carrierKey{}, new(carrier))
}

// carry leaves connections of HTTP/2 out of the count while they carry streams.
func (d *httpDoor) carry(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(carrierKey{}).(*carrier)
		if !ok || r.ProtoMajor < 2 || !strings.HasPrefix(r.URL.Path, "/stream/") {
			next.ServeHTTP(w, r)
			return
		}
		if c.streams.Add(1) == 1 {
			d.open.Add(-1)
		}
		defer func() {
			if c.streams.Add(-1) == 0 {
				d.open.Add(1)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// count bounds the open connections. The connection is not wrapped: a stream takes it over and sets socket options.
func (d *httpDoor) count(conn net.Conn, state http.ConnState) {
	d.note(conn, state == http.StateNew)
	switch state {
	case http.StateNew:
		if d.open.Add(1) > maxConnections {
			d.refused.Add(1)
			conn.Close()
		}
	case http.StateClosed, http.StateHijacked:
		d.open.Add(-1)
	default: // active and idle: still open
	}
}

func (d *httpDoor) note(conn net.Conn, isSilent bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if isSilent {
		d.silent[conn] = struct{}{}
	} else {
		delete(d.silent, conn)
	}
}

// hangUp closes the connections on which no request has begun. Browsers keep such ones in reserve, and Shutdown would
// wait seconds for each.
func (d *httpDoor) hangUp() {
	d.mu.Lock()
	silent := slices.Collect(maps.Keys(d.silent))
	d.mu.Unlock()
	for _, conn := range silent {
		conn.Close()
	}
}

// accept serves connections until ctx ends, and then no new ones.
func (d *httpDoor) accept(ctx context.Context) error {
	unbind := context.AfterFunc(ctx, func() { d.listener.Close() })
	defer unbind()
	serve := d.server.Serve
	if d.secure {
		serve = func(l net.Listener) error { return d.server.ServeTLS(l, "", "") } // the configuration has the files
	}
	err := serve(d.listener)
	if ctx.Err() != nil {
		return nil // closed by us
	}
	return fmt.Errorf("serve %s: %w", d.listener.Addr(), err)
}

// finish waits for the requests that are being answered, as long as ctx lasts, and then ends them.
func (d *httpDoor) finish(ctx context.Context) error {
	defer d.cancel()
	d.hangUp()
	if err := d.server.Shutdown(ctx); err != nil {
		d.cancel()
		if err := d.server.Close(); err != nil {
			return fmt.Errorf("close connections: %w", err)
		}
		d.log.Warn("requests were cut off at the end of their time")
	}
	return nil
}

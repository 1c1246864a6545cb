package app

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
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

// An httpDoor is the bound port and the server behind it.
type httpDoor struct {
	log      *slog.Logger
	listener net.Listener
	server   *http.Server
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

// newHTTPDoor puts a server with the handler behind the listener. Requests live in a context of ctx's values that ends
// when the door closes.
func newHTTPDoor(ctx context.Context, l net.Listener, handler http.Handler, log *slog.Logger) *httpDoor {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d := &httpDoor{log: log, listener: l, cancel: cancel, silent: map[net.Conn]struct{}{}}
	d.server = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnState:         d.count,
	}
	return d
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
	err := d.server.Serve(d.listener)
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

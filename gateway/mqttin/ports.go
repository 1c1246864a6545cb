package mqttin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// Ports are the ways to the broker besides plain TCP. Each is closed where its address is empty.
type Ports struct {
	// TLS and WebSocket are addresses; SecureWebSocket is for WebSocket over TLS.
	TLS, WebSocket, SecureWebSocket string
	// Certificate and Key are PEM files, for the ports with TLS. They are read again when they change.
	Certificate, Key string
	// ClientCA is a PEM file of authorities: a client may show a certificate of theirs in place of a password.
	ClientCA string
	// Origins are the web pages that may connect by WebSocket: host, host:port, scheme://host or "*". Those of loopback
	// always may, and so may what is no browser and sends no Origin.
	Origins []string
	// Proxies are the addresses whose connections begin with a PROXY header (version 1 or 2), which is believed and must
	// be there. From any other address there is none.
	Proxies []netip.Prefix
}

// port is one address that is listened on, and what its bytes go through before they are MQTT.
type port struct {
	name      string // for people
	address   string
	secure    bool
	webSocket bool
	listener  net.Listener
}

// makePorts says what is to be listened on.
func makePorts(o *Options) ([]*port, error) {
	all := []*port{
		{name: "mqtt", address: o.Listen},
		{name: "mqtt over tls", address: o.Ports.TLS, secure: true},
		{name: "mqtt over websocket", address: o.Ports.WebSocket, webSocket: true},
		{name: "mqtt over secure websocket", address: o.Ports.SecureWebSocket, secure: true, webSocket: true},
	}
	var ports []*port
	for _, p := range all {
		if p.address == "" {
			continue
		}
		if p.secure && (o.Ports.Certificate == "" || o.Ports.Key == "") {
			return nil, devices.Errorf(devices.Invalid, "certificate", "is missing, and %s has an address", p.name)
		}
		ports = append(ports, p)
	}
	if len(ports) == 0 {
		return nil, devices.Errorf(devices.Invalid, "listen", "is empty")
	}
	return ports, nil
}

// Listen binds the addresses. Calling it before Run tells of an address that is in use; Run does it otherwise.
func (b *Broker) Listen() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bound {
		return nil
	}
	for _, p := range b.ports {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", p.address)
		if err != nil {
			b.unbind()
			return fmt.Errorf("listen for %s: %w", p.name, err)
		}
		p.listener = l
	}
	b.bound = true
	return nil
}

// unbind closes what is bound. It needs b.mu, or a broker that accepts nothing any more.
func (b *Broker) unbind() {
	for _, p := range b.ports {
		if p.listener != nil {
			_ = p.listener.Close() // it may be what failed
		}
	}
}

// Addr is the first address that Listen bound, which is that of plain TCP where there is one, or nil before.
func (b *Broker) Addr() net.Addr {
	if all := b.Addrs(); len(all) > 0 {
		return all[0]
	}
	return nil
}

// Addrs are the addresses that Listen bound, in the order of Options: plain, TLS, WebSocket, secure WebSocket.
func (b *Broker) Addrs() []net.Addr {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.bound {
		return nil
	}
	list := make([]net.Addr, 0, len(b.ports))
	for _, p := range b.ports {
		list = append(list, p.listener.Addr())
	}
	return list
}

// The pauses after an Accept that failed: want of file descriptors passes, a listener that gave up does not come back.
const (
	acceptPause     = 5 * time.Millisecond
	acceptPauseMost = time.Second
)

// acceptAll accepts on every port. The channel gets one error, or nil, for each when it ends.
func (b *Broker) acceptAll(ctx context.Context) <-chan error {
	ended := make(chan error, len(b.ports))
	for _, p := range b.ports {
		go func() { ended <- b.accept(ctx, p) }()
	}
	return ended
}

// accept takes connections until ctx ends. It returns an error when the listener is closed by somebody else.
func (b *Broker) accept(ctx context.Context, p *port) error {
	pause := acceptPause
	for {
		nc, err := p.listener.Accept()
		switch {
		case err == nil:
			pause = acceptPause
			b.serve(ctx, nc, p)
			continue
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the listener was closed to end this
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept %s connection: %w", p.name, err)
		}
		b.counters.note(AcceptFailed, "")
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		pause = min(2*pause, acceptPauseMost)
	}
}

// serve has a connection read by a goroutine of its own, if the guard lets it in.
func (b *Broker) serve(ctx context.Context, nc net.Conn, p *port) {
	if c := b.guard.admit(watchable(nc, p)); c != nil {
		b.talking.Go(func() { b.talk(ctx, c, p) })
	}
}

// open takes a connection to its first byte of MQTT. All of it lies within the time for the first packet.
func (b *Broker) open(ctx context.Context, c *conn, p *port) error {
	if err := c.SetWriteDeadline(c.opened.Add(b.limits.FirstPacket)); err != nil {
		return err
	}
	if err := b.unwrapProxy(c); err != nil {
		return b.explainOpening(c, ProxyHeaderBad, err)
	}
	if p.secure {
		secure := tls.Server(c.Conn, b.certs.Current(time.Now()))
		if err := secure.HandshakeContext(ctx); err != nil {
			return b.explainOpening(c, TLSFailed, fmt.Errorf("shake hands: %w", err))
		}
		c.Conn = secure
	}
	if p.webSocket {
		if err := b.upgrade(c); err != nil {
			return b.explainOpening(c, UpgradeRefused, err)
		}
	}
	return nil
}

// explainOpening counts why a connection did not come to speak MQTT.
func (b *Broker) explainOpening(c *conn, why Reason, err error) error {
	switch {
	case errors.Is(err, errCounted):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		why = FirstPacketLate
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		why = LeftEarly
	}
	b.counters.note(why, c.remote)
	return errCounted
}

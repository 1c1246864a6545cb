package mqttin

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// upstreamConn is the connection to the external broker as paho sees it. Reads go through a buffer, where paho makes
// four system calls a packet; the parts of a packet are written together, where paho makes one call for each; a write
// has a deadline, and a packet a largest size, which paho announces and does not hold the broker to.
type upstreamConn struct {
	net.Conn
	host   string
	write  time.Duration
	most   int
	reader *bufio.Reader
	packet framing
	closed chan struct{} // by the first Close
	close  func() error

	// paho starts to read and only then empties its list of what is to be acknowledged. What came in between would never be
	// acknowledged, and the broker, whose window stays full, would send nothing more. So nothing but the broker's answer is
	// read until paho is up.
	answered bool // owned by the reader
	up       chan struct{}

	given, written atomic.Uint64 // acknowledgements that paho was given, and those that it has written

	mu  sync.Mutex
	out []byte // guarded by mu: the parts of the packet that is being written
}

var errPacketTooLarge = errors.New("the broker sent a packet that is larger than we announced")

func newUpstreamConn(nc net.Conn, host string, write time.Duration, most int) *upstreamConn {
	c := &upstreamConn{Conn: nc, host: host, write: write, most: most, reader: bufio.NewReader(nc), closed: make(chan struct{}), up: make(chan struct{})}
	c.close = sync.OnceValue(func() error {
		close(c.closed)
		return nc.Close()
	})
	return c
}

// Close closes the connection, once.
func (c *upstreamConn) Close() error { return c.close() }

// Lock begins a packet: paho locks a connection that is a sync.Locker while it writes the parts of one.
func (c *upstreamConn) Lock() { c.mu.Lock() }

// Unlock writes the packet. Where that fails the connection is closed, and its reader sees it.
func (c *upstreamConn) Unlock() {
	defer c.mu.Unlock()
	if len(c.out) == 0 {
		return
	}
	err := c.SetWriteDeadline(time.Now().Add(c.write))
	if err == nil {
		_, err = c.Conn.Write(c.out)
	}
	if err != nil {
		_ = c.Close()
	}
	if kind := c.out[0] & 0xf0; kind == pubackByte || kind == pubrecByte {
		c.written.Add(1)
	}
	c.out = c.out[:0]
}

// Write adds a part to the packet that is being written. The lock is held.
func (c *upstreamConn) Write(b []byte) (int, error) {
	c.out = append(c.out, b...)
	return len(b), nil
}

// Read reads no further than the end of a packet, or of its header, and refuses one that is too large before memory is
// taken for it. After the first packet it waits for start.
func (c *upstreamConn) Read(b []byte) (int, error) {
	if c.answered {
		select {
		case <-c.up:
		case <-c.closed:
			return 0, net.ErrClosed
		}
	}
	n, err := c.reader.Read(b[:min(len(b), c.packet.next())])
	if !c.packet.pass(b[:n], c.most) {
		_ = c.Close()
		return 0, errPacketTooLarge
	}
	c.answered = c.answered || n > 0 && c.packet.isBetween()
	return n, err
}

// start lets what follows the broker's answer through. It is called once.
func (c *upstreamConn) start() { close(c.up) }

// drained waits until paho has written every acknowledgement that it was given, the connection is closed, or ctx ends.
// paho gathers them, forgets at once those that it has when it is told to disconnect, and tells nobody.
func (c *upstreamConn) drained(ctx context.Context) {
	tick := time.NewTicker(sendAcks / 2)
	defer tick.Stop()
	for c.written.Load() < c.given.Load() {
		select {
		case <-tick.C:
		case <-c.closed:
			return
		case <-ctx.Done():
			return
		}
	}
}

// framing follows the packets in a stream of bytes (MQTT 5.0 section 2.1). The zero value stands before a packet.
type framing struct {
	inLength bool
	length   int
	shift    uint
	left     int // of the body
}

// next is how many bytes may be passed at once.
func (f *framing) next() int { return max(f.left, 1) }

// isBetween tells whether the last byte was the end of a packet.
func (f *framing) isBetween() bool { return !f.inLength && f.left == 0 }

// pass notes bytes that were read, at most next of them, and tells whether the packet is still within its bound.
func (f *framing) pass(b []byte, most int) bool {
	switch {
	case len(b) == 0:
	case f.left > 0:
		f.left -= len(b)
	case !f.inLength:
		f.inLength, f.length, f.shift = true, 0, 0
	default:
		f.length |= int(b[0]&0x7f) << f.shift
		f.shift += 7
		if f.length > most || f.shift > 28 {
			return false
		}
		if b[0] < 0x80 {
			f.inLength, f.left = false, f.length
		}
	}
	return true
}

// dialError is an error of ours: its text is an address and what the system said.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// dial connects to a broker and remembers the connection as the newest.
func (u *Upstream) dial(ctx context.Context, to *url.URL) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	e := u.endpoints[to]
	dialer := &net.Dialer{KeepAliveConfig: keepAlive}
	var nc net.Conn
	var err error
	if e.secure {
		nc, err = (&tls.Dialer{NetDialer: dialer, Config: u.tlsConfig()}).DialContext(ctx, "tcp", e.address)
	} else {
		nc, err = dialer.DialContext(ctx, "tcp", e.address)
	}
	if err != nil {
		return nil, &dialError{err}
	}
	c := newUpstreamConn(nc, e.address, u.limits.Write, u.limits.PacketBytes)
	u.mu.Lock()
	u.conn = c
	u.mu.Unlock()
	return c, nil
}

// tlsConfig is the caller's, or one with the system's roots. The dialer fills in the name of the server.
func (u *Upstream) tlsConfig() *tls.Config {
	if u.options.TLS != nil {
		return u.options.TLS.Clone()
	}
	return &tls.Config{MinVersion: tls.VersionTLS12}
}

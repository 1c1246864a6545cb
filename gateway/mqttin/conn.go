package mqttin

import (
	"bufio"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// conn is a device's connection as mochi sees it. It gives reading and writing deadlines of their own: mochi sets one
// deadline for both and moves it with every packet that it reads, so a peer that sends and never reads would block
// whoever writes to it for ever.
type conn struct {
	net.Conn          // the stream of MQTT; set by the reading goroutine before the first packet
	raw      net.Conn // what was accepted; not changed
	opened   time.Time
	number   uint64 // unique in this run of the door: the Conn of connection events
	remote   string
	address  netip.Addr   // of the peer; invalid where it is not known
	group    netip.Prefix // what PerAddress counts by; invalid where the address is not counted
	counters *counters
	write    atomic.Int64 // how long a write may take, ns

	// Owned by the reading goroutine.
	in      *bufio.Reader // of the stream, from the first packet on
	allowed int           // bytes of it that mochi may read
	worker  leaver        // whose turn the connection is in; nil: a goroutine of its own reads it

	identified bool     // guarded by guard.mu
	session    *session // set once by the reading goroutine, before mochi knows the client
}

// leaver is who processes packets of many connections, and must not be kept from the others.
type leaver interface{ leave() }

// leave is called by the reading goroutine before it may have to wait.
func (c *conn) leave() {
	if w := c.worker; w != nil {
		c.worker = nil
		w.leave()
	}
}

// SetDeadline sets the reading deadline only.
func (c *conn) SetDeadline(t time.Time) error { return c.raw.SetReadDeadline(t) }

// SetReadDeadline sets it on what was accepted, as all of these: whatever the stream goes through reads from there.
func (c *conn) SetReadDeadline(t time.Time) error { return c.raw.SetReadDeadline(t) }

// SetWriteDeadline is like SetReadDeadline.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.raw.SetWriteDeadline(t) }

// Close may be called by any goroutine at any time.
func (c *conn) Close() error { return c.raw.Close() }

// Write writes all of b within the limit, or closes the connection: after a part of a packet nothing that follows would
// be understood. Calls are serialised by the client's lock.
func (c *conn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(time.Duration(c.write.Load()))); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(b)
	if err == nil {
		_ = c.SetWriteDeadline(time.Time{}) // one that has passed would refuse writeNow, and a live connection has none to lose
		return n, nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.counters.note(WriteStalled, c.remote)
	}
	_ = c.Close() // the error of the write is the one that counts
	return n, err
}

// writeNow writes as much of b as there is room for at once, and returns how much that was: 0 also where there is no telling,
// as through TLS, or where the connection is gone. What is left is Write's. Calls are serialised with Write's by the
// client's lock.
func (c *conn) writeNow(d *directWriter, b []byte) int {
	if c.Conn != c.raw {
		return 0
	}
	return d.write(c.raw, b)
}

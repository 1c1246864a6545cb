package mqttlite

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Serve reads until the connection ends, keeps it alive and calls the callbacks. It returns nil after Close, Disconnect or
// Vanish and otherwise why the connection ended, which is then closed. It is called once.
func (c *Client) Serve() error {
	err := c.serve()
	ours := c.gone.Swap(true)
	if c.left.Load() {
		return nil
	}
	_ = c.conn.Close() // what ended the connection says more
	if ours {
		return nil
	}
	return fmt.Errorf("serve client: %w", err)
}

func (c *Client) serve() error {
	if err := c.arm(); err != nil {
		return err
	}
	for {
		p, err := c.in.next()
		if err != nil {
			return err
		}
		if err := c.handle(&p); err != nil {
			return err
		}
	}
}

func (c *Client) handle(p *packet) error {
	switch p.kind {
	case typePuback:
		token, ok := c.release(p.id)
		if ok && c.onAck != nil {
			c.onAck(token, p.code)
		}
	case typePublish:
		if c.onMsg != nil {
			c.onMsg(p.message)
		}
		if p.message.QoS > 0 {
			c.sent.Store(true)
			return c.out.write(appendPuback(nil, p.id), true)
		}
	case typeSuback:
		if c.onSub != nil {
			c.onSub(p.id, p.codes)
		}
	case typePingresp:
		c.pinging = false
	case typeDisconnect:
		return &RefusedError{Packet: "DISCONNECT", Code: p.code}
	case typeConnack:
		return malformed("second CONNACK")
	}
	return nil
}

func (c *Client) arm() error {
	var deadline time.Time // zero: none
	if c.period > 0 {
		deadline = time.Now().Add(c.period)
	}
	if err := c.conn.SetReadDeadline(deadline); err != nil {
		return fmt.Errorf("set read deadline: %w", err)
	}
	if c.left.Load() { // looked at last: its deadline in the past may have been the one before
		return net.ErrClosed
	}
	return nil
}

// idleReader is the connection as the packet reader sees it: a read deadline that passes is where the keep-alive is
// looked after, so that it needs no goroutine, no timer of its own and no call per packet.
type idleReader Client

// Read returns at least a byte or the error that ends the connection.
func (r *idleReader) Read(p []byte) (int, error) {
	c := (*Client)(r)
	for {
		n, err := c.conn.Read(p)
		if n > 0 {
			c.heard = true
			return n, nil
		}
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || c.gone.Load() {
			return 0, err
		}
		if err := c.keepAlive(); err != nil {
			return 0, err
		}
	}
}

// keepAlive is called every third of the keep-alive, so that two packets of ours are never further apart than two thirds
// of it, and a broker that is gone is seen within a whole one.
func (c *Client) keepAlive() error {
	if c.pinging && !c.heard {
		return ErrNoResponse
	}
	if err := c.out.flush(); err != nil {
		return err
	}
	if !c.sent.Swap(false) || !c.heard {
		if err := c.out.write(pingreq, true); err != nil {
			return err
		}
		c.pinging = true
	}
	c.heard = false
	return c.arm()
}

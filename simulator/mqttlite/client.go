package mqttlite

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of Options.
const (
	DefaultHandshakeTimeout = 10 * time.Second
	DefaultWindow           = 16
)

// Options of one connection.
type Options struct {
	Version       Version // V311 unless set
	ClientID      string
	Username      string
	Password      []byte // nil: none is sent
	KeepAlive     time.Duration
	CleanStart    bool
	SessionExpiry time.Duration // MQTT 5 only
	Will          *Will

	// Window bounds the QoS 1 messages without a PUBACK; the broker's Receive Maximum bounds it further.
	Window int
	// MaxPacket bounds a received packet.
	MaxPacket int

	// OnAck is called for each PUBACK with the token of its Publish. Codes below 0x80 are success.
	OnAck func(token int64, code byte)
	// OnMessage is called for each received message, which is valid until it returns; at QoS 1 the PUBACK follows it.
	OnMessage func(Message)
	// OnSubscribed is called with the id that Subscribe returned and the broker's reason codes.
	OnSubscribed func(id uint16, codes []byte)
}

// Errors of a client. They come wrapped.
var (
	// ErrWindowFull says that as many QoS 1 messages wait for their PUBACK as may.
	ErrWindowFull = errors.New("too many messages without a PUBACK")
	// ErrNoResponse says that the broker was silent for longer than the keep-alive allows.
	ErrNoResponse = errors.New("no PINGRESP in time")
)

// RefusedError is a CONNACK or a DISCONNECT with a reason code.
type RefusedError struct {
	Packet string
	Code   byte
}

// Error names the packet and the code.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("broker sent %s with code 0x%02x", e.Packet, e.Code)
}

type unacked struct {
	token int64
	id    uint16
}

// Client is one connection. Publish, Subscribe, Disconnect and Close may be called from any goroutine, Serve once.
// Callbacks come from Serve's goroutine and must not wait.
type Client struct {
	// Static after Connect.
	conn    net.Conn
	version Version
	connack Connack
	period  time.Duration // a third of the keep-alive; 0: none
	window  int
	onAck   func(int64, byte)
	onMsg   func(Message)
	onSub   func(uint16, []byte)

	out  writer
	in   packetReader
	sent atomic.Bool // a packet was sent since the last look; the look is the keep-alive's
	gone atomic.Bool // Close, Disconnect or Vanish was called
	left atomic.Bool // Vanish was

	// Owned by the goroutine of Serve.
	heard   bool
	pinging bool

	mu      sync.Mutex // guards what follows; never held across I/O
	nextID  uint16
	waiting []unacked
}

// Connect does the handshake over conn, which it owns from then on and closes on failure. It starts no goroutine. A
// refusal is a *RefusedError. The deadline is ctx's, at most DefaultHandshakeTimeout.
func Connect(ctx context.Context, conn net.Conn, o Options) (*Client, error) {
	c := &Client{conn: conn, version: o.Version, window: o.Window, onAck: o.OnAck, onMsg: o.OnMessage, onSub: o.OnSubscribed}
	if o.Version == 0 {
		o.Version, c.version = V311, V311
	}
	if c.window <= 0 {
		c.window = DefaultWindow
	}
	if err := c.handshake(ctx, &o); err != nil {
		_ = conn.Close() // the handshake's error says more
		return nil, fmt.Errorf("connect client: %w", err)
	}
	return c, nil
}

func (c *Client) handshake(ctx context.Context, o *Options) error {
	packet, err := appendConnect(nil, o)
	if err != nil {
		return err
	}
	if err := c.out.init(c.conn); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, DefaultHandshakeTimeout)
	defer cancel()
	// A deadline in the past is how a blocked read learns that ctx ended.
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := c.conn.Write(packet); err != nil {
		return errors.Join(ctx.Err(), err)
	}
	maxPacket := o.MaxPacket
	if maxPacket <= 0 {
		maxPacket = DefaultMaxPacket
	}
	c.in = packetReader{src: c.conn, version: c.version, max: maxPacket}
	p, err := c.in.next()
	if err != nil {
		return errors.Join(ctx.Err(), err)
	}
	if p.kind != typeConnack {
		return malformed("first packet is not CONNACK")
	}
	if p.connack.Code != 0 {
		return &RefusedError{Packet: "CONNACK", Code: p.connack.Code}
	}
	c.connack = p.connack
	c.settle(o)
	if !stop() { // the deadline in the past was set or is being set
		return context.Cause(ctx)
	}
	return nil
}

// settle takes the broker's limits.
func (c *Client) settle(o *Options) {
	if limit := int(c.connack.ReceiveMaximum); limit > 0 {
		c.window = min(c.window, limit)
	}
	keepAlive := o.KeepAlive
	if c.connack.KeepAlive >= 0 {
		keepAlive = c.connack.KeepAlive
	}
	c.period = keepAlive / 3
	c.in.src = (*idleReader)(c)
}

// Connack returns the broker's answer.
func (c *Client) Connack() Connack { return c.connack }

// Publish sends m without waiting, whole or not at all: ErrBusy and ErrWindowFull mean that nothing was sent and the
// connection stands; any other error means that it does not. token is handed to OnAck with the PUBACK at QoS 1.
func (c *Client) Publish(m Message, token int64) error {
	if err := fits(len(m.Topic)); err != nil {
		return fmt.Errorf("publish message: %w", err)
	}
	if c.left.Load() {
		return fmt.Errorf("publish message: %w", net.ErrClosed)
	}
	var id uint16
	if m.QoS > 0 {
		if id = c.reserve(token); id == 0 {
			return ErrWindowFull
		}
	}
	buf := packets.Get().(*[]byte)
	*buf = appendPublish((*buf)[:0], c.version, &m, id)
	err := c.out.write(*buf, false)
	packets.Put(buf)
	if err != nil {
		if id != 0 {
			c.release(id)
		}
		return err
	}
	c.sent.Store(true)
	return nil
}

var packets = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

// reserve takes a place in the window and returns a packet id that no other message in it has, or 0.
func (c *Client) reserve(token int64) uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) >= c.window {
		return 0
	}
	for {
		c.nextID++
		if c.nextID != 0 && !c.isWaitingLocked(c.nextID) {
			c.waiting = append(c.waiting, unacked{token, c.nextID})
			return c.nextID
		}
	}
}

func (c *Client) isWaitingLocked(id uint16) bool {
	for i := range c.waiting {
		if c.waiting[i].id == id {
			return true
		}
	}
	return false
}

// release takes id out of the window; ok is false where the window does not hold it.
func (c *Client) release(id uint16) (token int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.waiting {
		if c.waiting[i].id == id {
			token = c.waiting[i].token
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			return token, true
		}
	}
	return 0, false
}

// Unacked returns how many QoS 1 messages wait for their PUBACK.
func (c *Client) Unacked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting)
}

// Subscribe asks for filter and returns the id that OnSubscribed will be called with.
func (c *Client) Subscribe(filter string, qos byte) (uint16, error) {
	if err := fits(len(filter)); err != nil {
		return 0, fmt.Errorf("subscribe filter: %w", err)
	}
	c.mu.Lock()
	for c.nextID++; c.nextID == 0 || c.isWaitingLocked(c.nextID); {
		c.nextID++
	}
	id := c.nextID
	c.mu.Unlock()
	c.sent.Store(true)
	return id, c.out.write(appendSubscribe(nil, c.version, id, filter, qos), true)
}

// Disconnect says goodbye, so that the broker drops the will, and closes the connection. It is idempotent.
func (c *Client) Disconnect() error {
	if c.gone.Swap(true) {
		return nil
	}
	err := c.out.write(disconnect, true)
	if closeErr := c.conn.Close(); !errors.Is(closeErr, net.ErrClosed) { // the broker was quicker, and Serve closed it
		err = errors.Join(err, closeErr)
	}
	return err
}

// Close ends the connection without a goodbye: the broker publishes the will. It is idempotent.
func (c *Client) Close() error {
	if c.gone.Swap(true) {
		return nil
	}
	return c.conn.Close()
}

// Vanish leaves the connection as a device does that has lost its network: nothing is said on it any more, and nothing
// read, but it stands. Serve ends as after Close. The caller closes what it returns, which is nil where the client was
// gone before.
func (c *Client) Vanish() net.Conn {
	if c.gone.Swap(true) {
		return nil
	}
	c.left.Store(true)
	_ = c.conn.SetReadDeadline(time.Unix(1, 0)) // wakes Serve; a connection that has ended wakes it too
	return c.conn
}

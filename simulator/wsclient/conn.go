package wsclient

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/coder/websocket"

	"github.com/fleetcast/fleetcast/simulator/sseclient"
)

// Conn is one connection with its subscription, for a user that reconnects by himself. It is for one goroutine, but for
// Send and Close.
type Conn struct {
	ws   *websocket.Conn
	pace int64
	rest time.Duration // of a slow reader, before it reads again
}

// Dial opens a connection and subscribes, from a position where there is one. Of the options, the address, the header, TLS
// and the pace count. It ends with ctx, or with Close.
func Dial(ctx context.Context, o Options, position string) (*Conn, error) {
	c, err := New(o)
	if err != nil {
		return nil, err
	}
	c.subscribe.Position = position
	return c.dial(ctx)
}

func (c *Client) dial(ctx context.Context) (*Conn, error) {
	opening, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	ws, _, err := websocket.Dial(opening, c.address, &websocket.DialOptions{HTTPClient: c.transport, HTTPHeader: c.options.Header}) //nolint:bodyclose // the library closes it
	if err != nil {
		return nil, fmt.Errorf("dial websocket: %w", err)
	}
	ws.SetReadLimit(maxMessage)
	conn := &Conn{ws: ws, pace: c.options.Pace}
	if err := conn.Send(opening, &c.subscribe); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// Send says something to the server, as JSON.
func (c *Conn) Send(ctx context.Context, message any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	if err := c.ws.Write(ctx, websocket.MessageText, text); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	return nil
}

// Next returns what the server says next. Where ctx ends, so does the connection.
func (c *Conn) Next(ctx context.Context) (sseclient.Event, error) {
	e, _, err := c.next(ctx)
	return e, err
}

// next also tells the size of the message.
func (c *Conn) next(ctx context.Context) (sseclient.Event, int, error) {
	if c.rest > 0 {
		if err := pause(ctx, c.rest); err != nil {
			return sseclient.Event{}, 0, err
		}
	}
	_, text, err := c.ws.Read(ctx)
	if err != nil {
		return sseclient.Event{}, 0, fmt.Errorf("read websocket: %w", err)
	}
	if c.pace > 0 {
		c.rest = max(time.Duration(int64(len(text))*int64(time.Second)/c.pace), slowPause)
	}
	return decode(text), len(text), nil
}

// Close ends the connection without a goodbye. It may be called twice, from any goroutine.
func (c *Conn) Close() { _ = c.ws.CloseNow() } // it may be closed

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("read slowly: %w", ctx.Err())
	case <-timer.C:
		return nil
	}
}

// envelope is a message that is no bare array.
type envelope struct {
	Event    string          `json:"event"`
	Position string          `json:"position"`
	Data     json.RawMessage `json:"data"`
}

// decode makes an event of a message. After a reset the position is worth nothing, which an empty id says.
func decode(text []byte) sseclient.Event {
	e := sseclient.Event{Type: "batch", Data: text}
	if len(text) > 0 && text[0] == '[' {
		return e
	}
	var m envelope
	if err := json.Unmarshal(text, &m); err != nil || m.Event == "" {
		return e // whoever reads the batch says that it is malformed
	}
	if e.Type, e.Data = m.Event, m.Data; e.Type == "assets" {
		e.Type = "batch"
	}
	e.ID, e.HasID = m.Position, m.Position != "" || e.Type == "reset"
	return e
}

package prove

import (
	"context"
	"fmt"
	"time"

	"github.com/fleetcast/fleetcast/simulator/sseclient"
	"github.com/fleetcast/fleetcast/simulator/wsclient"
)

// Of a WebSocket.
const (
	webSocketPath = "/stream/ws"
	// webSocketEvery is the tick that is asked for, in ms: the usual one is a second, and a viewer that is often cut would
	// see little but snapshots.
	webSocketEvery = "250"
)

// socket is a stream over WebSocket.
type socket struct {
	ctx      context.Context //nolint:containedctx // it ends the waits of next, which has no other way in
	cancel   context.CancelFunc
	watchdog *time.Timer
	silence  time.Duration
	conn     *wsclient.Conn
	id       string
}

func (r *run) openWebSocket(ctx context.Context, l listening) (stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	query := "?every=" + webSocketEvery + "&" + l.ask.query.Encode()
	conn, err := wsclient.Dial(ctx, wsclient.Options{URL: l.base + webSocketPath + query, Header: r.options.Header, TLS: r.options.TLS.Clone(), Pace: l.pace}, l.id)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("open stream: %w", err)
	}
	return &socket{ctx: ctx, cancel: cancel, watchdog: time.AfterFunc(r.options.Silence, cancel), silence: r.options.Silence, conn: conn, id: l.id}, nil
}

func (s *socket) next() (sseclient.Event, error) {
	e, err := s.conn.Next(s.ctx)
	s.watchdog.Reset(s.silence)
	if err == nil && e.HasID {
		s.id = e.ID
	}
	return e, err
}

func (s *socket) at() (string, time.Duration) { return s.id, 0 }

// look says what moves the box over the connection itself.
func (s *socket) look(ctx context.Context, v view) error {
	return s.conn.Send(ctx, struct {
		Action string `json:"action"`
		view
	}{"view", v})
}

func (s *socket) end() {
	s.watchdog.Stop()
	s.cancel()
	s.conn.Close()
}

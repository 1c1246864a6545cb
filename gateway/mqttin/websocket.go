package mqttin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// MQTT over WebSocket (MQTT 5.0 chapter 6). The request is read by us and not by an http.Server, so that the same caps,
// deadlines and counters stand before it as before any other connection.

// Bounds of the request, and the buffers of a connection.
const (
	maxUpgradeBytes = 8 << 10
	webSocketBuffer = 1 << 10
	pongEvery       = time.Second // a ping that comes sooner is not answered
)

// subprotocols are the names under which MQTT is asked for [MQTT-6.0.0-3]; the second is that of old clients.
var subprotocols = []string{"mqtt", "mqttv3.1"}

// upgrade makes a connection one of WebSocket.
func (b *Broker) upgrade(c *conn) error {
	limit := &io.LimitedReader{R: c.Conn, N: maxUpgradeBytes}
	r := bufio.NewReaderSize(limit, webSocketBuffer)
	request, err := http.ReadRequest(r)
	if err != nil {
		return fmt.Errorf("read upgrade: %w", err)
	}
	limit.N = math.MaxInt64
	w := &upgradeWriter{conn: c.Conn, reader: r, header: http.Header{}}
	if status := b.mayUpgrade(c, request); status != 0 {
		http.Error(w, http.StatusText(status), status)
		return errCounted
	}
	var ponged time.Time
	ws, err := websocket.Accept(w, request, &websocket.AcceptOptions{
		Subprotocols: subprotocols, CompressionMode: websocket.CompressionDisabled,
		InsecureSkipVerify: true, // the origin was checked above, more strictly: a page's own host is no proof of anything
		OnPingReceived: func(context.Context, []byte) bool {
			now := time.Now()
			if now.Sub(ponged) < pongEvery {
				return false
			}
			ponged = now
			return true
		},
	})
	if err != nil {
		return err
	}
	ws.SetReadLimit(-1) // a message is a piece of a stream: the limits of MQTT's packets hold
	c.Conn = &webSocketConn{Conn: c.Conn, ws: ws}
	return nil
}

// mayUpgrade counts and returns the status of a request that is refused, or returns 0.
func (b *Broker) mayUpgrade(c *conn, r *http.Request) int {
	switch {
	case r.URL.Path != "/mqtt" && r.URL.Path != "/":
		b.counters.note(UpgradeRefused, c.remote)
		return http.StatusNotFound
	case !asksFor(r.Header, subprotocols):
		b.counters.note(UpgradeRefused, c.remote)
		return http.StatusBadRequest
	case !mayOrigin(r.Header.Values("Origin"), b.origins):
		b.counters.note(OriginRefused, c.remote)
		return http.StatusForbidden
	}
	return 0
}

func asksFor(h http.Header, names []string) bool {
	for _, line := range h.Values("Sec-WebSocket-Protocol") {
		for name := range strings.SplitSeq(line, ",") {
			if slices.Contains(names, strings.ToLower(strings.TrimSpace(name))) {
				return true
			}
		}
	}
	return false
}

// mayOrigin tells whether a page may connect. That its host is the one that it asks for proves nothing, because a name
// may come to stand for this machine after the page was loaded.
func mayOrigin(origins, allowed []string) bool {
	switch {
	case len(origins) == 0:
		return true
	case len(origins) > 1:
		return false
	}
	u, err := url.Parse(origins[0])
	if err != nil || u.Host == "" { // "null" too: a sandboxed page, or a file
		return slices.Contains(allowed, "*")
	}
	if addr, err := netip.ParseAddr(u.Hostname()); u.Hostname() == "localhost" || err == nil && addr.IsLoopback() {
		return true
	}
	host := strings.ToLower(u.Host)
	for _, a := range allowed {
		if a = strings.ToLower(a); a == "*" || a == host || a == u.Scheme+"://"+host || a == strings.ToLower(u.Hostname()) {
			return true
		}
	}
	return false
}

// upgradeWriter is the http.ResponseWriter of a connection that has no http.Server.
type upgradeWriter struct {
	conn   net.Conn
	reader *bufio.Reader
	header http.Header
	status int
}

// Header is what the answer will have.
func (w *upgradeWriter) Header() http.Header { return w.header }

// WriteHeader writes the answer's head, once.
func (w *upgradeWriter) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	if status >= http.StatusBadRequest {
		w.header.Set("Connection", "close")
	}
	var head strings.Builder
	fmt.Fprintf(&head, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = w.header.Write(&head) // a strings.Builder takes all
	head.WriteString("\r\n")
	_, _ = io.WriteString(w.conn, head.String()) // a peer that is gone shows when it is read from
}

// Write writes of the answer's body.
func (w *upgradeWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.conn.Write(p)
}

// Hijack hands over the connection, with what was read of it already.
func (w *upgradeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.conn, bufio.NewReadWriter(w.reader, bufio.NewWriterSize(w.conn, webSocketBuffer)), nil
}

// webSocketConn carries MQTT's stream in binary messages. Deadlines are those of the connection below.
type webSocketConn struct {
	net.Conn
	ws      *websocket.Conn
	message io.Reader // what is left of the message that is read; nil between two
}

var errNotBinary = errors.New("a message of text") // [MQTT-6.0.0-1]

// Read reads on in the stream, wherever messages begin and end.
func (c *webSocketConn) Read(p []byte) (int, error) {
	for {
		if c.message == nil {
			kind, message, err := c.ws.Reader(context.Background())
			switch {
			case websocket.CloseStatus(err) != -1:
				return 0, io.EOF
			case err != nil:
				return 0, err
			case kind != websocket.MessageBinary:
				return 0, errNotBinary
			}
			c.message = message
		}
		n, err := c.message.Read(p)
		if errors.Is(err, io.EOF) {
			c.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Write sends p as one message.
func (c *webSocketConn) Write(p []byte) (int, error) {
	if err := c.ws.Write(context.Background(), websocket.MessageBinary, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

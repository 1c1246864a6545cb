package ws

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/fleetcast/fleetcast/sse"
)

// One test an abuse. "The others" are clients of the same handler.

// raw is a client that says what bytes it likes, after a handshake that is right.
func (s *site) raw() net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	head := make([]byte, 0, 512)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		b := make([]byte, 1)
		if _, err := io.ReadFull(conn, b); err != nil {
			s.t.Fatalf("after %q: %v", head, err)
		}
		head = append(head, b...)
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		s.t.Fatalf("%q", head)
	}
	return conn
}

// masked is a client's frame, with a mask of zeros.
func masked(op byte, fin bool, payload []byte) []byte {
	b := []byte{op}
	if fin {
		b[0] |= 0x80
	}
	switch n := len(payload); {
	case n <= shortLength:
		b = append(b, 0x80|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|twoBytes), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|eightBytes), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// flood writes until the connection does not take more.
func flood(t *testing.T, conn net.Conn, piece []byte) {
	t.Helper()
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	for {
		if _, err := conn.Write(piece); err != nil {
			return
		}
	}
}

// Row 45: a page of another site has the user's cookie, and is refused by its Origin, before anything else is looked at.
func TestRow45AForeignOriginIsRefused(t *testing.T) {
	asked := 0
	s := newSite(t, func(o *Options) {
		o.Hosts = []string{"fleet.example"}
		admit := admitAs(3)
		o.Admit = func(w http.ResponseWriter, r *http.Request) (a sse.Admission, err error) { asked++; return admit(w, r) }
	})
	own := strings.TrimPrefix(s.url, "http://")
	foreign := []string{"https://evil.example", "http://localhost", "http://127.0.0.1:1", "null", "http://", "file:///x", "https://fleet.example.evil", "http://evil@" + own + ".evil"}
	for _, origin := range foreign {
		_, resp, err := dialWith(t, s.url, http.Header{"Origin": {origin}, "Cookie": {"fleetcast=x"}})
		if err == nil || resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %v, %v", origin, resp, err)
		}
	}
	if _, resp, err := dialWith(t, s.url, http.Header{"Origin": {"http://" + own, "http://evil.example"}}); err == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("two origins: %v", err)
	}
	if asked != 0 || s.h.Stats().Refused[ForeignOrigin.String()] != uint64(len(foreign)+1) {
		t.Errorf("asked %d times, %+v", asked, s.h.Stats())
	}
	for _, origin := range []string{"http://" + own, "HTTP://" + own, "https://fleet.example", "https://FLEET.example:8443"} {
		if _, _, err := dialWith(t, s.url, http.Header{"Origin": {origin}}); err != nil {
			t.Errorf("%s: %v", origin, err)
		}
	}
}

// Row 46: a frame that claims a gigabyte is refused when its first bytes above the limit come.
func TestRow46AFrameOfAGigabyteIsRefused(t *testing.T) {
	s := newSite(t, nil)
	conn := s.raw()
	if _, err := conn.Write(append([]byte{opText, 0x80 | eightBytes, 0, 0, 0, 0, 0x40, 0, 0, 0}, 0, 0, 0, 0)); err != nil {
		t.Fatal(err)
	}
	flood(t, conn, make([]byte, 16<<10))
	s.ended(TooBig)
}

// Row 46: a message of one-byte fragments for ever costs its sender the connection.
func TestRow46AMessageOfEndlessFragmentsIsRefused(t *testing.T) {
	for name, payload := range map[string][]byte{"of one byte": {'x'}, "of none": {}} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			conn := s.raw()
			if _, err := conn.Write(masked(1, false, []byte("{"))); err != nil {
				t.Fatal(err)
			}
			flood(t, conn, bytes.Repeat(masked(0, false, payload), 100))
			s.ended(TooMuch)
		})
	}
}

// Row 46: pings are answered, but not at any rate; the others are not held up.
func TestRow46AFloodOfPingsIsRefused(t *testing.T) {
	s := newSite(t, nil)
	good := s.dial()
	good.say(`{"action":"subscribe","every":100}`)
	good.untilEvent("ready")
	conn := s.raw()
	if _, err := conn.Write(masked(9, true, []byte("hello"))); err != nil {
		t.Fatal(err)
	}
	pong := make([]byte, 7)
	if _, err := io.ReadFull(conn, pong); err != nil || string(pong) != "\x8a\x05hello" {
		t.Fatalf("%q, %v", pong, err)
	}
	flood(t, conn, bytes.Repeat(masked(9, true, make([]byte, 125)), 100))
	eventually(t, "the flood ended", func() bool { return s.h.Stats().Ended[TooMuch.String()] == 1 })
	s.put("north", "later", 1, 1)
	good.until("what comes later", func() bool { return good.assets["later"] != "" })
}

// Row 46: messages come at a bounded rate.
func TestRow46TooManyMessagesAreRefused(t *testing.T) {
	s := newSite(t, nil)
	p := s.dial()
	for range 3 * MessagesAtOnce {
		if p.conn.Write(t.Context(), websocket.MessageText, []byte(`{"action":"unsubscribe"}`)) != nil {
			break
		}
	}
	for p.read() { // until the end
	}
	if websocket.CloseStatus(p.err) != websocket.StatusPolicyViolation {
		t.Errorf("%v", p.err)
	}
	s.ended(TooMuch)
}

// Row 46: compression is not negotiated, and a frame that says it is compressed ends the connection.
func TestRow46NothingIsCompressed(t *testing.T) {
	s := newSite(t, nil)
	conn, resp, err := websocket.Dial(t.Context(), s.url, &websocket.DialOptions{CompressionMode: websocket.CompressionContextTakeover})
	if err != nil || resp.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Fatalf("%v, %v", resp.Header, err)
	}
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Fatal(err)
	}
	raw := s.raw()
	frame := masked(1, true, []byte("bomb"))
	frame[0] |= 0x40
	if _, err := raw.Write(frame); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, raw)
	eventually(t, "it ended", func() bool { return s.h.Stats().Ended[BadFrame.String()] == 1 })
}

// What is no message of ours is answered with what is wrong, and the connection goes on; what is no text ends it.
func TestWrongMessagesAreAnswered(t *testing.T) {
	s := newSite(t, nil)
	p := s.dial()
	for _, wrong := range []string{
		``, `null`, `[]`, `{}`, `{"action":"dance"}`, `{"action":1}`, `{"action":"subscribe"`, "\xef\xbb\xbf{}", `{"action":"subscribe"}{}`,
		`{"action":"subscribe","fleets":"north"}`, `{"action":"subscribe","fleets":["a/b"]}`, `{"action":"subscribe","bbox":[1,2,3]}`,
		`{"action":"subscribe","bbox":["NaN",1,2,3]}`, `{"action":"subscribe","every":0}`, `{"action":"subscribe","surprise":true}`,
		strings.Repeat(`[`, 60000), `{"action":"subscribe","devices":[` + strings.Repeat(`"x",`, 1000) + `"x"]}`,
	} {
		p.say("%s", wrong)
		if got := p.untilEvent("error"); !strings.Contains(got, `"status":400`) {
			t.Errorf("%.60q is answered with %s", wrong, got)
		}
	}
	p.say(`{"action":"subscribe"}`)
	p.untilEvent("ready")
	if err := p.conn.Write(t.Context(), websocket.MessageBinary, []byte("x")); err != nil {
		t.Fatal(err)
	}
	for p.read() { // until the end
	}
	if websocket.CloseStatus(p.err) != websocket.StatusUnsupportedData {
		t.Errorf("%v", p.err)
	}
	s.ended(BadFrame)
}

// Row 47: a client that never answers a ping is closed at the deadline; one that does stays.
func TestRow47AClientThatNeverAnswersAPingIsClosed(t *testing.T) {
	s := newSite(t, func(o *Options) { o.Ping, o.Pong = 20*time.Millisecond, 300*time.Millisecond })
	good := s.dial()
	good.say(`{"action":"subscribe","every":100}`)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() { // reading answers pings
		defer close(done)
		for good.read() {
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	conn := s.raw()
	if _, err := conn.Write(masked(1, true, []byte(`{"action":"subscribe","every":100}`))); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
	eventually(t, "it is closed", func() bool { return s.h.Stats().Ended[Silent.String()] == 1 })
	if st := s.h.Stats(); st.Open != 1 {
		t.Errorf("%+v", st)
	}
	close(stop)
	_ = good.conn.CloseNow()
	<-done
}

// Row 47: a client that never reads keeps nobody waiting, holds a position and no queue, and is closed when nothing moves.
func TestRow47AClientThatNeverReadsIsClosedAndHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *Options) { o.Stall = 4 * time.Second }) // less, and a busy machine's pauses are stalls of the other
	stands := s.raw()
	if err := stands.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := stands.Write(masked(1, true, []byte(`{"action":"subscribe","every":100}`))); err != nil {
		t.Fatal(err)
	}
	good := s.dial()
	good.say(`{"action":"subscribe","fleets":["south"],"every":100}`) // little, so that only a server that waits keeps it from it
	var heard atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for good.read() {
			heard.Add(1)
		}
	}()
	// The kernel gives a connection up whose window stays closed for twice that time, which may come first.
	ended := func() bool { n := s.h.Stats().Ended; return n[Stalled.String()]+n[Gone.String()] > 0 }
	for i := 0; !ended(); i++ {
		before := heard.Load()
		for j := range 500 {
			s.put("north", fmt.Sprintf("%d-%s", j, strings.Repeat("x", 90)), float64(i%90), 1)
		}
		s.put("south", "small", float64(i%90), 1)
		eventually(t, "the other hears of it", func() bool { return heard.Load() > before })
	}
	if st := s.h.Stats(); st.Open != 1 {
		t.Errorf("%+v", st)
	}
	_ = good.conn.CloseNow()
	<-done
}

// A client that is as slow as it likes is only late, also when it asks whether the server is there.
func TestASlowReaderIsOnlyLate(t *testing.T) {
	s := newSite(t, nil)
	for j := range 2000 {
		s.put("north", fmt.Sprintf("%d-%s", j, strings.Repeat("x", 90)), 1, 1)
	}
	slow := s.raw()
	if err := slow.(*net.TCPConn).SetReadBuffer(8 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := slow.Write(masked(1, true, []byte(`{"action":"subscribe","every":100}`))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it listens", func() bool { return s.hub.Stats().Viewers == 1 })
	for range 5 { // pings on a connection on which a write stands
		if _, err := slow.Write(masked(9, true, []byte("there?"))); err != nil {
			t.Fatal(err)
		}
	}
	seen, buffer := []byte{}, make([]byte, 4<<10)
	for !bytes.Contains(seen, []byte(`"event":"ready"`)) || !bytes.Contains(seen, []byte("\x8a\x06there?")) {
		n, err := slow.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, buffer[:n]...)
	}
}

// What is no upgrade, by HTTP/1.0 or another method, is told what this is.
func TestWhatIsNoUpgradeIsTold(t *testing.T) {
	s := newSite(t, nil)
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(s.url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUpgradeRequired || resp.Header.Get("Upgrade") != "websocket" {
		t.Errorf("%v", resp)
	}
	resp, err = client.Post(s.url, "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("%v", resp)
	}
	for _, head := range []string{"Sec-WebSocket-Version: 8", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short", ""} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%s\r\n\r\n", head)
		answer := make([]byte, 12)
		if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 400" {
			t.Errorf("%q: %q, %v", head, answer, err)
		}
		conn.Close()
	}
}

// Caps refuse, say when to come back, and are given back.
func TestCapsOfConnectionsHold(t *testing.T) {
	s := newSite(t, func(o *Options) { o.MaxConnections = 2 })
	first, _ := s.dial(), s.dial()
	_, resp, err := dialWith(t, s.url, nil)
	if err == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%v, %v", resp, err)
	}
	if err := first.conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "there is a place", func() bool {
		_, _, err := dialWith(t, s.url, nil)
		return err == nil
	})
}

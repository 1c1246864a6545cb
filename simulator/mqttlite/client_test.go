package mqttlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/simulator/internal/testbroker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func dial(tb testing.TB, address string) net.Conn {
	tb.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	return conn
}

// serve runs Serve and returns the channel of its result.
func serve(c *Client) <-chan error {
	done := make(chan error, 1)
	go func() { done <- c.Serve() }()
	return done
}

func TestPublishesReachARealBrokerAndItsSubscribers(t *testing.T) {
	address := testbroker.Start(t)
	for _, v := range []Version{V311, V5} {
		t.Run(fmt.Sprint(v), func(t *testing.T) {
			subscribed, acked := make(chan []byte, 1), make(chan int64, 4)
			messages := make(chan Message, 4)
			c, err := Connect(t.Context(), dial(t, address), Options{
				Version: v, ClientID: "sub", CleanStart: true, KeepAlive: time.Minute,
				OnSubscribed: func(_ uint16, codes []byte) { subscribed <- bytes.Clone(codes) },
				OnAck:        func(token int64, _ byte) { acked <- token },
				OnMessage: func(m Message) {
					m.Payload = bytes.Clone(m.Payload)
					messages <- m
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			done := serve(c)
			if _, err := c.Subscribe("fleets/+/devices/+/telemetry", 1); err != nil {
				t.Fatal(err)
			}
			if codes := <-subscribed; !bytes.Equal(codes, []byte{1}) {
				t.Fatalf("SUBACK %x", codes)
			}
			topic := "fleets/north/devices/truck-17/telemetry"
			payload := bytes.Repeat([]byte("x"), 2000)
			for qos := range byte(2) {
				if err := c.Publish(Message{Topic: topic, Payload: payload, QoS: qos}, 77); err != nil {
					t.Fatal(err)
				}
				if m := <-messages; m.Topic != topic || !bytes.Equal(m.Payload, payload) || m.QoS != qos {
					t.Errorf("received %d bytes at QoS %d on %q", len(m.Payload), m.QoS, m.Topic)
				}
			}
			if token := <-acked; token != 77 || c.Unacked() != 0 {
				t.Errorf("token %d, %d unacked", token, c.Unacked())
			}
			if err := c.Disconnect(); err != nil {
				t.Error(err)
			}
			if err := <-done; err != nil {
				t.Errorf("Serve after Disconnect: %v", err)
			}
		})
	}
}

func TestTheWillIsPublishedAfterCloseAndNotAfterDisconnect(t *testing.T) {
	address := testbroker.Start(t)
	received := make(chan Message, 4)
	watcher, err := Connect(t.Context(), dial(t, address), Options{
		ClientID: "watcher", CleanStart: true,
		OnMessage: func(m Message) { received <- Message{Topic: m.Topic, Payload: bytes.Clone(m.Payload)} },
	})
	if err != nil {
		t.Fatal(err)
	}
	done := serve(watcher)
	if _, err := watcher.Subscribe("will/#", 0); err != nil {
		t.Fatal(err)
	}
	for i, end := range []func(*Client) error{(*Client).Disconnect, (*Client).Close} {
		topic := fmt.Sprintf("will/%d", i)
		c, err := Connect(t.Context(), dial(t, address), Options{
			Version: V5, ClientID: topic, CleanStart: true,
			Will: &Will{Topic: topic, Payload: []byte("offline"), QoS: 1, Retain: true},
		})
		if err != nil {
			t.Fatal(err)
		}
		cDone := serve(c)
		if err := end(c); err != nil {
			t.Error(err)
		}
		if err := <-cDone; err != nil {
			t.Error(err)
		}
	}
	if m := <-received; m.Topic != "will/1" || string(m.Payload) != "offline" {
		t.Errorf("first will is %q on %q: the client that said goodbye has one too", m.Payload, m.Topic)
	}
	if err := watcher.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestARefusalTellsItsCode(t *testing.T) {
	address := testbroker.Start(t, "password_file /dev/null", "allow_anonymous false")
	for v, code := range map[Version]byte{V311: 5, V5: 0x87} {
		_, err := Connect(t.Context(), dial(t, address), Options{Version: v, ClientID: "d", Username: "u", Password: []byte("p")})
		refused, ok := errors.AsType[*RefusedError](err)
		if !ok || refused.Code != code || refused.Packet != "CONNACK" {
			t.Errorf("version %d: %v", v, err)
		}
	}
}

// fakeBroker answers on one end of a pipe with what reply returns for each packet type.
func fakeBroker(conn net.Conn, connack []byte, reply func(kind byte) []byte) <-chan []byte {
	kinds := make(chan []byte, 1)
	go func() {
		var seen []byte
		defer func() { kinds <- seen }()
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf) // each of the client's writes is one packet
			if err != nil {
				return
			}
			kind := buf[:n][0] >> 4
			seen = append(seen, kind)
			answer := connack
			if kind != typeConnect {
				answer = reply(kind)
			}
			if len(answer) > 0 {
				if _, err := conn.Write(answer); err != nil {
					return
				}
			}
		}
	}()
	return kinds
}

var accepted = []byte{0x20, 2, 0, 0}

func TestTheKeepAliveIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		seen := fakeBroker(theirs, accepted, func(kind byte) []byte {
			if kind == typePingreq {
				return []byte{typePingresp << 4, 0}
			}
			return nil
		})
		c, err := Connect(t.Context(), ours, Options{ClientID: "d", KeepAlive: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		done := serve(c)
		<-time.After(65 * time.Second)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		pings := bytes.Count(<-seen, []byte{typePingreq})
		if pings != 6 {
			t.Errorf("%d PINGREQs in 65 s with a keep-alive of 30 s", pings)
		}
	})
}

func TestASilentBrokerIsLeftWithinTheKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		fakeBroker(theirs, accepted, func(byte) []byte { return nil })
		c, err := Connect(t.Context(), ours, Options{ClientID: "d", KeepAlive: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now() // the bubble's time is exact
		err = c.Serve()
		if !errors.Is(err, ErrNoResponse) || time.Since(start) > 30*time.Second {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
	})
}

func TestTheBrokersLimitsAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		seen := fakeBroker(theirs, unhex(t, "20 09 00 00 06  21 0002  13 0006"), func(byte) []byte { return nil })
		c, err := Connect(t.Context(), ours, Options{Version: V5, ClientID: "d", KeepAlive: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		if c.period != 2*time.Second {
			t.Errorf("the server's keep-alive of 6 s gives a period of %v", c.period)
		}
		m := Message{Topic: "t", QoS: 1}
		for i := range int64(2) {
			if err := c.Publish(m, i); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Publish(m, 2); !errors.Is(err, ErrWindowFull) {
			t.Errorf("third message with a receive maximum of two: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if got := <-seen; !bytes.Equal(got, []byte{typeConnect, typePublish, typePublish}) {
			t.Errorf("the broker saw %v", got)
		}
	})
}

func TestConnectGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		fakeBroker(theirs, nil, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := Connect(ctx, ours, Options{ClientID: "d"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if _, err := ours.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the connection is open: %v", err)
		}
	})
}

// pair returns the two ends of a TCP connection.
func pair(tb testing.TB) (client, server net.Conn) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	client = dial(tb, l.Addr().String())
	if server, err = l.Accept(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = server.Close() })
	return client, server
}

func TestABrokerThatStopsReadingNeverBlocksPublish(t *testing.T) {
	ours, theirs := pair(t)
	if _, err := theirs.Write(accepted); err != nil {
		t.Fatal(err)
	}
	c, err := Connect(t.Context(), ours, Options{ClientID: "d"})
	if err != nil {
		t.Fatal(err)
	}
	payload := bytes.Repeat([]byte("x"), 60000)
	count := 0
	for err == nil {
		if err = c.Publish(Message{Topic: "t", Payload: payload}, 0); err == nil {
			count++
		}
	}
	if !errors.Is(err, ErrBusy) {
		t.Fatalf("after %d messages: %v", count, err)
	}
	// What was taken arrives whole, though the last of it was cut by the full socket.
	reader := packetReader{src: theirs, version: V311, max: 1 << 20}
	if p := skipConnect(t, theirs); p != typeConnect<<4 {
		t.Fatalf("first byte %x", p)
	}
	var got atomic.Int64
	read := make(chan error, 1)
	go func() {
		for {
			if _, err := reader.next(); err != nil {
				read <- err
				return
			}
			got.Add(1)
		}
	}()
	testbroker.Eventually(t, "the rest is flushed", func() bool {
		return c.out.flush() == nil && got.Load() == int64(count)
	})
	if err := c.Disconnect(); err != nil {
		t.Error(err)
	}
	if err := <-read; !errors.Is(err, ErrMalformed) { // DISCONNECT, which is no packet for a client
		t.Errorf("reading ended with %v", err)
	}
}

// skipConnect reads the CONNECT off the broker's end and returns its first byte.
func skipConnect(tb testing.TB, conn net.Conn) byte {
	tb.Helper()
	head := make([]byte, 2)
	if _, err := io.ReadFull(conn, head); err != nil {
		tb.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, head[1])); err != nil {
		tb.Fatal(err)
	}
	return head[0]
}

func TestPacketIDsInFlightAreNotUsedTwice(t *testing.T) {
	c := &Client{window: 4}
	first := c.reserve(1)
	seen := map[uint16]bool{}
	for range 70000 {
		id := c.reserve(2)
		if id == 0 || id == first {
			t.Fatalf("id %d while %d waits", id, first)
		}
		seen[id] = true
		if token, ok := c.release(id); !ok || token != 2 {
			t.Fatalf("released %d, %v", token, ok)
		}
	}
	if len(seen) != 65534 {
		t.Errorf("%d different ids", len(seen))
	}
	if _, ok := c.release(9999); ok {
		t.Error("an id that nobody waits for was released")
	}
}

func TestAPublishAllocatesNothing(t *testing.T) {
	ours, theirs := pair(t)
	if _, err := theirs.Write(accepted); err != nil {
		t.Fatal(err)
	}
	c, err := Connect(t.Context(), ours, Options{ClientID: "d"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	drained := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, theirs)
		drained <- err
	}()
	m := Message{Topic: "fleets/north/devices/truck-17/telemetry", Payload: bytes.Repeat([]byte("x"), 150)}
	n := testing.AllocsPerRun(200, func() {
		if err := c.Publish(m, 0); err != nil && !errors.Is(err, ErrBusy) {
			t.Error(err)
		}
	})
	if n >= 1 {
		t.Errorf("a publish allocates %v times", n)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

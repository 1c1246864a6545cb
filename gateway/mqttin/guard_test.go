package mqttin

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// fakeConn is a connection from an address of one's choice.
type fakeConn struct {
	net.Conn
	from net.Addr
}

func (c fakeConn) RemoteAddr() net.Addr { return c.from }

func from(t testing.TB, address string) fakeConn {
	t.Helper()
	a, b := net.Pipe()
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	addr, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return fakeConn{a, addr}
}

func TestConnectionsAreCappedBeforeTheySayAnything(t *testing.T) {
	var c counters
	limits := Limits{Connections: 6, PerAddress: 3, Unidentified: 5, UnidentifiedPerAddress: 2}.withDefaults()
	g := newGuard(limits, &c)
	let := func(address string) *conn { t.Helper(); return g.admit(from(t, address)) }
	refused := func(address string, want Reason) {
		t.Helper()
		before := c.events[want].Load()
		if let(address) != nil || c.events[want].Load() != before+1 {
			t.Errorf("%s is not refused for %v", address, want)
		}
	}
	one, two := let("192.0.2.1:1"), let("192.0.2.1:2")
	refused("192.0.2.1:3", UnidentifiedByAddress)
	g.identify(one)
	g.identify(two)
	g.identify(two)
	three := let("192.0.2.1:4")
	refused("192.0.2.1:5", AddressLimit)
	let("[2001:db8::1]:1")
	let("[2001:db8::ffff:1]:2") // the same /64
	refused("[2001:db8::2]:3", UnidentifiedByAddress)
	let("127.0.0.1:1")
	refused("127.0.0.1:2", ConnectionLimit)
	g.leave(one)
	let("[::1]:1")
	g.leave(two)
	refused("192.0.2.9:1", UnidentifiedLimit)
	g.leave(three)
	if all, unidentified := g.gauges(); all != 4 || unidentified != 4 {
		t.Errorf("%d connections, %d unidentified", all, unidentified)
	}
	for _, left := range g.list(false) {
		g.leave(left)
	}
	if len(g.byAddress) != 0 || g.unidentified != 0 {
		t.Errorf("left: %v, %d", g.byAddress, g.unidentified)
	}
}

// flaky is a listener that fails before it accepts.
type flaky struct {
	net.Listener
	mu    sync.Mutex
	fails int
}

func (f *flaky) Accept() (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails > 0 {
		f.fails--
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return f.Listener.Accept()
}

func TestWantOfFileDescriptorsPasses(t *testing.T) {
	inlet := new(fakeInlet)
	b, err := New(Options{Inlet: inlet, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	b.ports[0].listener = &flaky{Listener: b.ports[0].listener, fails: 3}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	h := &harness{Broker: b, inlet: inlet}
	h.well(t)
	if n := h.event(AcceptFailed); n != 3 {
		t.Errorf("%d failures counted", n)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAListenerThatIsClosedByOthersEndsRun(t *testing.T) {
	b, err := New(Options{Inlet: new(fakeInlet), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- b.Run(context.Background()) }()
	_ = b.ports[0].listener.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run returns %v", err)
	}
}

// pipe opens a session over a pipe, which takes no byte that nobody reads.
func (h *harness) pipe(t testing.TB, o connectOptions) *raw {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _ = theirs.Close() })
	h.serve(context.Background(), ours, h.ports[0])
	r := &raw{Conn: theirs, t: t, version: o.version}
	_ = theirs.SetDeadline(time.Now().Add(patience))
	o.keepalive = 60
	r.send(connectPacket(o))
	r.read()
	return r
}

func TestAPeerThatDoesNotReadHoldsUpNobodyAndIsCutOff(t *testing.T) {
	h := start(t, Limits{Write: 50 * time.Millisecond})
	r := h.pipe(t, connectOptions{version: 4, id: "deaf"})
	r.publish(topicOne, `{}`, 1, 1) // its PUBACK will never be read
	h.well(t)
	h.counted(t, WriteStalled)
	eventually(t, "the end", func() bool { return h.Stats().Connections == 0 })
}

// mochi moves one deadline for both directions with every packet that it reads.
func TestAPeerThatSendsOnAndNeverReadsIsCutOff(t *testing.T) {
	h := start(t, Limits{Write: 50 * time.Millisecond})
	r := h.pipe(t, connectOptions{version: 4, id: "deaf"})
	r.publish(topicOne, `{}`, 1, 1)
	packet := publishPacket(4, topicOne, `{}`, 0, 0, false)
	for {
		if _, err := r.Write(packet); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the connection was not closed")
			}
			break
		}
	}
	h.counted(t, WriteStalled)
	h.well(t)
}

func TestMessagesOfADeafPeerCountUntilTheirAcksAreWritten(t *testing.T) {
	h := start(t, Limits{Unacked: 2, Write: time.Minute})
	r := h.pipe(t, connectOptions{version: 4, id: "deaf"})
	r.publish(topicOne, `{"n":1}`, 1, 1)
	r.publish(topicOne, `{"n":2}`, 1, 2)
	eventually(t, "both commits", func() bool { return len(h.inlet.metric("n")) == 2 })
	r.publish(topicOne, `{"n":3}`, 1, 3) // taken off the wire, and held
	h.well(t)
	if got := h.inlet.metric("n"); len(got) != 2 {
		t.Fatalf("readings %v", got)
	}
	for id := range uint16(3) {
		r.expect(0x40, id+1)
	}
	if got := h.inlet.metric("n"); len(got) != 3 {
		t.Fatalf("readings %v", got)
	}
}

func TestStopFlushesWhatWasTakenAndTellsTheEnds(t *testing.T) {
	h := start(t, Limits{})
	silent := dial(t, h)
	v4, _ := connect(t, h, connectOptions{id: "v4", willTopic: "fleets/f/devices/d/status", will: "offline"})
	v5, _ := connect(t, h, connectOptions{id: "v5", version: 5})
	v5.publish("fleets/f/devices/e/telemetry", `{}`, 1, 1)
	v5.expect(0x40, 1)
	release := h.inlet.hold()
	defer release()
	v4.publish(topicOne, `{"n":1}`, 1, 9)
	eventually(t, "the append", h.inlet.isWaiting)
	stopped := make(chan error, 1)
	go func() { stopped <- h.stop() }()
	silent.gone()
	release()
	v4.expect(0x40, 9) // acknowledged although we stop
	v4.gone()
	if first, body := v5.read(); first != 0xe0 || body[0] != 0x8b {
		t.Errorf("got %#x % x", first, body)
	}
	v5.gone()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	down := 0
	for _, e := range h.inlet.entries() {
		if e.Kind == 2 && !e.Connection.Up {
			down++
		}
		if e.Kind == 3 {
			t.Errorf("our own stop is told as the device's will: %+v", e)
		}
	}
	if down != 2 {
		t.Errorf("%d ends", down)
	}
	if err := h.Run(context.Background()); err == nil {
		t.Error("a broker runs twice")
	}
}

func TestStopIsBoundedWhenTheInletIsAway(t *testing.T) {
	inlet := new(fakeInlet)
	b, err := New(Options{Inlet: inlet, Listen: "127.0.0.1:0", Limits: Limits{Stop: 100 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	go func() { done <- b.Run(ctx) }()
	h := &harness{Broker: b, inlet: inlet}
	release := inlet.hold()
	defer release()
	r, _ := connect(t, h, connectOptions{id: "c"})
	r.publish(topicOne, `{}`, 1, 1)
	eventually(t, "the append", inlet.isWaiting)
	cancel()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "did not take") {
		t.Errorf("Run returns %v", err)
	}
	h.counted(t, Uncommitted)
	r.gone()
}

func TestAnAddressInUseIsAnError(t *testing.T) {
	h := start(t, Limits{})
	b, err := New(Options{Inlet: new(fakeInlet), Listen: h.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Listen(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen returns %v", err)
	}
	if b.Addr() != nil {
		t.Errorf("address %v", b.Addr())
	}
}

func TestLogsAreRareAndHoldNoPayload(t *testing.T) {
	var mu sync.Mutex
	var buf bytes.Buffer
	log := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return buf.Write(p)
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	b, err := New(Options{Inlet: new(fakeInlet), Listen: "127.0.0.1:0", Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	h := &harness{Broker: b, inlet: new(fakeInlet)}
	for i := range 20 {
		r, _ := connect(t, h, connectOptions{id: "secret-id"})
		r.publish(topicOne, `{"secret-payload"`, 1, uint16(i+1))
		r.expect(0x40, uint16(i+1))
		r.publish("secret-topic", `x`, 1, 99)
		r.expect(0x40, 99)
		r.publish("secret-topic/+", `secret-payload`, 1, 100) // mochi logs this packet whole
		r.gone()
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if strings.Contains(buf.String(), "secret") {
		t.Errorf("the log holds what it must not:\n%s", buf.String())
	}
	if lines := strings.Count(buf.String(), "\n"); lines == 0 || lines > 6 {
		t.Errorf("%d lines:\n%s", lines, buf.String())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

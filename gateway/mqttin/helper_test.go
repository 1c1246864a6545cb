package mqttin

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come about. It is never measured.
const patience = 20 * time.Second

// commitAtOnce is a CommitEvery for tests that say one message after the other and wait for each: the time from one commit to the
// next would be most of theirs.
const commitAtOnce = 200 * time.Microsecond

// eventually waits until ok, which is asked again and again.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("did not happen: %s", what)
		case <-tick.C:
		}
	}
}

// fakeInlet records what it is given, and like a real one it keeps nothing of an append whose number it had before. It can
// be held, and it can fail.
type fakeInlet struct {
	mu      sync.Mutex
	appends []bus.Append
	kept    []bus.Entry
	last    uint64 // the number of the last append that was kept
	fail    int    // the next so many appends fail
	failed  []bus.Append
	held    chan struct{} // appends wait until it is closed
	refuse  func(bus.Append) error
	waiting int
}

var errInlet = errors.New("the inlet is away")

func (f *fakeInlet) Partitions() int { return 1 }

func (f *fakeInlet) Append(ctx context.Context, a bus.Append) error {
	f.mu.Lock()
	held := f.held
	f.waiting++
	f.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting--
	a.Entries = append([]bus.Entry(nil), a.Entries...)
	if f.fail > 0 {
		f.fail--
		f.failed = append(f.failed, a)
		return errInlet
	}
	for i := range a.Entries {
		if err := a.Entries[i].Check(); err != nil {
			return err
		}
	}
	if f.refuse != nil {
		if err := f.refuse(a); err != nil {
			return err
		}
	}
	if a.Seq <= f.last {
		return nil
	}
	f.last = a.Seq
	f.appends = append(f.appends, a)
	f.kept = append(f.kept, a.Entries...)
	return nil
}

// hold makes appends wait until release is called.
func (f *fakeInlet) hold() (release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	held := make(chan struct{})
	f.held = held
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.held = nil
		close(held)
	})
}

func (f *fakeInlet) failNext(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = n
}

func (f *fakeInlet) isWaiting() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.waiting > 0
}

func (f *fakeInlet) entries() []bus.Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]bus.Entry(nil), f.kept...)
}

func (f *fakeInlet) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.appends)
}

// of returns the kept entries of a kind and a device, or of all devices.
func (f *fakeInlet) of(kind bus.EntryKind, device string) []bus.Entry {
	var list []bus.Entry
	for _, e := range f.entries() {
		if e.Kind == kind && (device == "" || e.Device.String() == device) {
			list = append(list, e)
		}
	}
	return list
}

// metric returns the values of a metric in all readings, in order.
func (f *fakeInlet) metric(name string) []float64 {
	var list []float64
	for _, e := range f.of(bus.KindReading, "") {
		for _, m := range e.Reading.Metrics {
			if m.Name == name {
				list = append(list, m.Value.Num)
			}
		}
	}
	return list
}

type harness struct {
	*Broker
	inlet *fakeInlet
	stop  func() error
}

// start runs a broker on a free port until the test ends.
func start(t testing.TB, limits Limits) *harness {
	t.Helper()
	return startWith(t, Options{Limits: limits})
}

// startWith does the same with other options.
func startWith(t testing.TB, o Options) *harness {
	t.Helper()
	inlet := new(fakeInlet)
	o.Inlet, o.Listen = inlet, "127.0.0.1:0"
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	h := &harness{Broker: b, inlet: inlet}
	h.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := h.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return h
}

func (h *harness) event(r Reason) uint64 { return h.Stats().Events[r] }

// sessionOf is the session of a client id, or nil.
func (h *harness) sessionOf(id string) *session {
	h.registry.mu.Lock()
	defer h.registry.mu.Unlock()
	return h.registry.sessions[id]
}

// counted waits until a reason was counted at least once.
func (h *harness) counted(t testing.TB, r Reason) {
	t.Helper()
	eventually(t, "a count of "+r.String(), func() bool { return h.event(r) > 0 })
}

// raw is an MQTT client that says exactly what it is told to.
type raw struct {
	net.Conn
	t       testing.TB
	version byte
	id      string
}

type connectOptions struct {
	version   byte // 4 unless given
	id        string
	keep      bool // no clean session, no clean start
	expiry    uint32
	keepalive uint16
	willTopic string
	will      string
	retain    bool
	user      string
	password  string
}

func dial(t testing.TB, h *harness) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", h.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetReadDeadline(time.Now().Add(patience))
	return &raw{Conn: nc, t: t, version: 4}
}

func str(s string) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...) }

func frame(first byte, body []byte) []byte {
	return append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...)
}

func connectPacket(o connectOptions) []byte {
	flags := byte(2)
	if o.keep {
		flags = 0
	}
	if o.willTopic != "" {
		flags |= 4 | 1<<3
		if o.retain {
			flags |= 1 << 5
		}
	}
	if o.user != "" {
		flags |= 1<<7 | 1<<6
	}
	body := append(str("MQTT"), o.version, flags, byte(o.keepalive>>8), byte(o.keepalive))
	if o.version == 5 {
		if o.expiry > 0 {
			body = binary.BigEndian.AppendUint32(append(body, 5, 0x11), o.expiry)
		} else {
			body = append(body, 0)
		}
	}
	body = append(body, str(o.id)...)
	if o.willTopic != "" {
		if o.version == 5 {
			body = append(body, 0)
		}
		body = append(append(body, str(o.willTopic)...), str(o.will)...)
	}
	if o.user != "" {
		body = append(append(body, str(o.user)...), str(o.password)...)
	}
	return frame(0x10, body)
}

// connect opens a session and returns it with the CONNACK.
func connect(t testing.TB, h *harness, o connectOptions) (*raw, []byte) {
	t.Helper()
	r, body := attempt(t, h, o)
	if body == nil || body[1] != 0 {
		t.Fatalf("connack % x", body)
	}
	return r, body
}

// attempt sends a CONNECT and returns what the CONNACK says; nil: there was none.
func attempt(t testing.TB, h *harness, o connectOptions) (*raw, []byte) {
	t.Helper()
	if o.version == 0 {
		o.version = 4
	}
	if o.keepalive == 0 {
		o.keepalive = 60
	}
	r := dial(t, h)
	r.version, r.id = o.version, o.id
	r.send(connectPacket(o))
	first, body, err := r.tryRead()
	if err != nil {
		return r, nil
	}
	if first != 0x20 || len(body) < 2 {
		t.Fatalf("got %#x % x instead of a CONNACK", first, body)
	}
	return r, body
}

func (r *raw) send(b []byte) {
	r.t.Helper()
	if _, err := r.Write(b); err != nil {
		r.t.Fatalf("write: %v", err)
	}
}

func publishPacket(version byte, topic, payload string, qos byte, id uint16, dup bool) []byte {
	body := str(topic)
	if qos > 0 {
		body = append(body, byte(id>>8), byte(id))
	}
	if version == 5 {
		body = append(body, 0)
	}
	first := 0x30 | qos<<1
	if dup {
		first |= 8
	}
	return frame(first, append(body, payload...))
}

func (r *raw) publish(topic, payload string, qos byte, id uint16) {
	r.t.Helper()
	r.send(publishPacket(r.version, topic, payload, qos, id, false))
}

// read returns the next packet.
func (r *raw) read() (first byte, body []byte) {
	r.t.Helper()
	first, body, err := r.tryRead()
	if err != nil {
		r.t.Fatalf("read: %v", err)
	}
	return first, body
}

func (r *raw) tryRead() (first byte, body []byte, err error) {
	var b [1]byte
	if _, err = io.ReadFull(r, b[:]); err != nil {
		return 0, nil, err
	}
	first = b[0]
	length, shift := 0, 0
	for {
		if _, err = io.ReadFull(r, b[:]); err != nil {
			return 0, nil, err
		}
		length |= int(b[0]&127) << shift
		if shift += 7; b[0] < 128 {
			break
		}
	}
	body = make([]byte, length)
	_, err = io.ReadFull(r, body)
	return first, body, err
}

// expect reads one packet and holds it to its first byte and the packet id behind it.
func (r *raw) expect(first byte, id uint16) []byte {
	r.t.Helper()
	got, body := r.read()
	if got != first || len(body) < 2 || binary.BigEndian.Uint16(body) != id {
		r.t.Fatalf("got packet %#x % x, want %#x with id %d", got, body, first, id)
	}
	return body
}

// ping asserts that the connection is read and answered, and that nothing else is on its way to it.
func (r *raw) ping() {
	r.t.Helper()
	r.send([]byte{0xc0, 0})
	if first, body := r.read(); first != 0xd0 {
		r.t.Fatalf("got %#x % x instead of a PINGRESP", first, body)
	}
}

// gone waits until the broker has closed the connection.
func (r *raw) gone() {
	r.t.Helper()
	for {
		_, _, err := r.tryRead()
		if err == nil {
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			r.t.Fatal("the connection was not closed")
		}
		return
	}
}

// well asserts that another client still works.
func (h *harness) well(t testing.TB) {
	t.Helper()
	r, _ := connect(t, h, connectOptions{id: "witness", user: "witness", password: "right"})
	before := len(h.inlet.of(bus.KindReading, "witness"))
	r.publish("fleets/f/devices/witness/telemetry", `{"lat":1,"lon":2}`, 1, 7)
	r.expect(0x40, 7)
	if n := len(h.inlet.of(bus.KindReading, "witness")); n != before+1 {
		t.Fatalf("the witness has %d readings, want %d", n, before+1)
	}
	_ = r.Close()
}

// program is the path of a real program that a test needs.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is missing", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

const topicOne = "fleets/north/devices/truck-1/telemetry"

package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/simulator/internal/testbroker"
	"github.com/fleetcast/fleetcast/simulator/mqttlite"
	"github.com/fleetcast/fleetcast/simulator/payload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipeBroker is a broker at the ends of pipes: it accepts, acks and remembers. It speaks 3.1.1 only, which keeps it to
// the few lines that it is.
type pipeBroker struct {
	mu        sync.Mutex
	open      []net.Conn
	topics    map[string]int
	published int
	goodbyes  int
	ended     int  // connections
	refuse    bool // dials fail
	mute      bool // no PUBACKs
}

func (b *pipeBroker) dial(context.Context, string, net.Addr) (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse {
		return nil, errors.New("nobody listens")
	}
	ours, theirs := net.Pipe()
	b.open = append(b.open, theirs)
	go b.serve(theirs)
	return ours, nil
}

func (b *pipeBroker) serve(conn net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf) // one packet: the client writes each at once, and a pipe keeps writes apart
		if err != nil {
			b.mu.Lock()
			b.ended++
			b.mu.Unlock()
			return
		}
		if answer := b.answer(buf[:n]); answer != nil {
			if _, err := conn.Write(answer); err != nil {
				return
			}
		}
	}
}

func (b *pipeBroker) answer(p []byte) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch p[0] >> 4 {
	case 1:
		return []byte{0x20, 2, 0, 0}
	case 12:
		return []byte{0xd0, 0}
	case 14:
		b.goodbyes++
	case 3:
		body := p[2:]
		if p[1]&0x80 != 0 {
			body = p[3:]
		}
		length := int(body[0])<<8 | int(body[1])
		b.topics[string(body[2:2+length])]++
		if strings.HasSuffix(string(body[2:2+length]), "/telemetry") {
			b.published++
		}
		if p[0]&0x06 != 0 && !b.mute {
			return []byte{0x40, 2, body[2+length], body[3+length]}
		}
	}
	return nil
}

// cut ends all connections.
func (b *pipeBroker) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.open {
		c.Close()
	}
	b.open = nil
}

func (b *pipeBroker) telemetry() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.published
}

// cutOff is how many connections have ended.
func (b *pipeBroker) cutOff() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended
}

// said is how many goodbyes came.
func (b *pipeBroker) said() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.goodbyes
}

func newFleet(t *testing.T, b *pipeBroker, o Options) *Fleet {
	t.Helper()
	b.topics = map[string]int{}
	o.MQTT, o.Version, o.Dial = "pipe:1883", mqttlite.V311, b.dial
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func balanced(t *testing.T, c Counts) {
	t.Helper()
	if c.Offered != c.Sent+c.Failed+c.Skipped.Total() {
		t.Errorf("the ledger does not balance: %+v", c)
	}
}

func TestEveryTurnIsSentAndAcked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &pipeBroker{}
		f := newFleet(t, b, Options{Devices: 10, Rate: 2, QoS: 1, For: 30 * time.Second, Ramp: 2 * time.Second, Prefix: "sim-", Fleets: []string{"north", "south"}})
		if err := f.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the broker has counted what it read
		s := f.Summary()
		balanced(t, s.Whole)
		if s.Steady.Sent < 599 || s.Steady.Sent > 601 || s.Whole.Acked != s.Whole.Sent || s.Whole.Skipped.Total() != 0 {
			t.Errorf("20 a second for 30 s: %+v", s.Steady)
		}
		if int64(b.telemetry()) != s.Whole.Sent || b.said() != 10 {
			t.Errorf("the broker saw %d messages and %d goodbyes; sent were %d", b.telemetry(), b.said(), s.Whole.Sent)
		}
		if n := b.topics["fleets/south/devices/sim-3/telemetry"]; n < 60 {
			t.Errorf("%d messages of sim-3 in fleet south; topics %v", n, b.topics)
		}
		if n := b.topics["fleets/south/devices/sim-3/status"]; n != 2 {
			t.Errorf("%d status messages of sim-3, not online and offline", n)
		}
		if s.Whole.Connected != 10 || s.Whole.Connects != 10 || s.Lateness.Max > 2 {
			t.Errorf("%+v", s)
		}
		if f.Counts().Connected != 0 {
			t.Error("devices are connected after the end")
		}
	})
}

func TestABrokerThatIsAwayIsCountedAndComeBackTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &pipeBroker{refuse: true}
		f := newFleet(t, b, Options{Devices: 5, Rate: 1, For: 300 * time.Second})
		done := make(chan error, 1)
		go func() { done <- f.Run(t.Context()) }()
		<-time.After(60 * time.Second)
		synctest.Wait() // a turn at this very instant is over
		c := f.Counts()
		balanced(t, c)
		if c.Sent != 0 || c.Skipped.NotConnected < 270 || c.Trouble.Dial < 20 || c.Trouble.Dial > 60 {
			t.Errorf("after a minute without a broker: %+v", c)
		}
		b.mu.Lock()
		b.refuse = false
		b.mu.Unlock()
		<-time.After(60 * time.Second)
		synctest.Wait() // a turn at this very instant is over
		back := f.Counts()
		if back.Connected != 5 || back.Sent == 0 || back.Reconnects < 20 {
			t.Errorf("after the broker came: %+v", back)
		}
		b.cut()
		<-time.After(60 * time.Second)
		synctest.Wait() // a turn at this very instant is over
		again := f.Counts()
		balanced(t, again)
		if again.Trouble.Lost != 5 || again.Connected != 5 || again.Connects != 10 {
			t.Errorf("after the connections were cut: %+v", again)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestAckslessMessagesFillTheWindowAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &pipeBroker{mute: true}
		f := newFleet(t, b, Options{Devices: 2, Rate: 1, QoS: 1, Window: 3, For: 60 * time.Second})
		if err := f.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		c := f.Counts()
		balanced(t, c)
		if c.Sent != 6 || c.Skipped.Window < 110 || c.Acked != 0 || c.Unacked != 6 {
			t.Errorf("%+v", c)
		}
	})
}

func TestAnIdleFleetSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &pipeBroker{}
		f := newFleet(t, b, Options{Devices: 3})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := f.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if c := f.Counts(); c.Offered != 0 || c.Connects != 3 || c.Trouble.Lost != 0 {
			t.Errorf("%+v", c)
		}
		if err := f.Run(ctx); !errors.Is(err, ErrRunTwice) {
			t.Errorf("second run: %v", err)
		}
	})
}

// A goroutine that cannot run when it should is what a busy machine makes of the pacer: fake it by a late look.
func TestTurnsMissedByAnIntervalAreSkippedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &pipeBroker{}
		f := newFleet(t, b, Options{Devices: 1, Rate: 1})
		f.start = time.Now()
		ours, err := b.dial(t.Context(), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		client, err := mqttlite.Connect(t.Context(), ours, mqttlite.Options{ClientID: "d"})
		if err != nil {
			t.Fatal(err)
		}
		d := &f.devices[0]
		d.client.Store(client)
		d.active.Store(true)
		s := &shard{fleet: f, devices: []*device{d}, pacer: pacer{interval: time.Second, members: 1}}
		<-time.After(3500 * time.Millisecond)
		for k := range s.pacer.due(f.elapsed()) {
			s.turn(d, s.pacer.intended(k))
		}
		c := f.Counts()
		balanced(t, c)
		if c.Offered != 4 || c.Skipped.Behind != 3 || c.Sent != 1 || c.Late != 1 {
			t.Errorf("four turns, looked at after 3.5 s: %+v", c)
		}
		if err := client.Disconnect(); err != nil {
			t.Error(err)
		}
	})
}

func TestAFleetRunsAgainstARealBroker(t *testing.T) {
	address := testbroker.Start(t)
	var progress bytes.Buffer
	f, err := New(Options{MQTT: "mqtt://" + address, Devices: 40, Rate: 20, QoS: 1, Mix: mix(t, "native=3,owntracks=1"), ConnectRate: 2000, Progress: &progress})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	testbroker.Eventually(t, "1000 messages are acked", func() bool { return f.Counts().Acked >= 1000 })
	if c := f.Counts(); c.Connected != 40 {
		t.Errorf("%+v", c)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	s := f.Summary()
	balanced(t, s.Whole)
	if s.Whole.Unacked != 0 || s.Whole.Acked != s.Whole.Sent || s.Whole.Trouble != (Trouble{}) || s.Connect.Count != 40 {
		t.Errorf("%+v", s.Whole)
	}
	var text bytes.Buffer
	if err := s.WriteText(&text); err != nil || !strings.HasPrefix(text.String(), "generator") {
		t.Errorf("%v: %s", err, text.String())
	}
	var back Summary
	if b, err := json.Marshal(s); err != nil || json.Unmarshal(b, &back) != nil || back.Whole != s.Whole {
		t.Errorf("the summary does not survive JSON: %v", err)
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	for name, o := range map[string]Options{
		"no address":   {Devices: 1},
		"no devices":   {MQTT: "h:1"},
		"QoS 2":        {MQTT: "h:1", Devices: 1, QoS: 2},
		"MQTT 3.1":     {MQTT: "h:1", Devices: 1, Version: 3},
		"a bad fleet":  {MQTT: "h:1", Devices: 1, Fleets: []string{"a/b"}},
		"a bad prefix": {MQTT: "h:1", Devices: 1, Prefix: "a+"},
		"too fast":     {MQTT: "h:1", Devices: MaxDevices, Rate: 1000},
		"before zero":  {MQTT: "h:1", Devices: 1, StartIndex: -1},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestManyConnectionsLeaveFromSeveralAddresses(t *testing.T) {
	for _, c := range []struct {
		broker   string
		i, total int
		want     string
	}{
		{"127.0.0.1:1883", 0, 25000, "<nil>"},
		{"127.0.0.1:1883", 0, 25001, "127.0.0.2:0"},
		{"127.0.0.1:1883", 25000, 25001, "127.0.0.3:0"},
		{"localhost:1883", 6249999, 9999999, "127.0.0.251:0"},
		{"localhost:1883", 6250000, 9999999, "127.0.1.2:0"},
		{"192.0.2.1:1883", 25000, 30000, "<nil>"},
		{"[::1]:1883", 25000, 30000, "<nil>"},
	} {
		got := "<nil>"
		if a := sourceAddress(c.broker, c.i, c.total); a != nil {
			got = a.String()
		}
		if got != c.want {
			t.Errorf("device %d of %d to %s leaves from %s, want %s", c.i, c.total, c.broker, got, c.want)
		}
	}
}

func TestPreflightSaysWhatIsMissing(t *testing.T) {
	const ports = "32768\t60999\n" // 28,232
	far, two := "192.0.2.1:1883", []netip.Addr{netip.MustParseAddr("192.0.2.8"), netip.MustParseAddr("192.0.2.9")}
	for name, c := range map[string]struct {
		ways  []Way
		ports string
		lacks int
	}{
		"as many as there are":            {[]Way{{To: far, Connections: 28232}}, ports, 0},
		"one more":                        {[]Way{{To: far, Connections: 28233}}, ports, 1},
		"one more, of two groups":         {[]Way{{To: far, Connections: 28000}, {To: far, Connections: 233}}, ports, 1},
		"the same to two ports":           {[]Way{{To: far, Connections: 28232}, {To: "192.0.2.1:1884", Connections: 28232}}, ports, 0},
		"the same to two addresses":       {[]Way{{To: far, Connections: 28232}, {To: "192.0.2.2:1883", Connections: 28232}}, ports, 0},
		"from two addresses":              {[]Way{{To: far, Connections: 2 * 28232, Sources: two}}, ports, 0},
		"one more from two addresses":     {[]Way{{To: far, Connections: 2*28232 + 1, Sources: two}}, ports, 1},
		"a fleet on loopback":             {[]Way{{To: "127.0.0.1:1883", Connections: 100_000, Spread: true}}, ports, 0},
		"viewers on loopback":             {[]Way{{To: "127.0.0.1:8080", Connections: 28233}}, ports, 1},
		"a fleet on loopback, few ports":  {[]Way{{To: "127.0.0.1:1883", Connections: 100_000, Spread: true}}, "1 24999", 1},
		"two names of an address":         {[]Way{{To: "localhost:1", Connections: 20_000}, {To: "127.0.0.1:1", Connections: 20_000}}, ports, 1},
		"two of three destinations lack":  {[]Way{{To: "a:1", Connections: 30_000}, {To: "b:1", Connections: 1}, {To: "c:1", Connections: 30_000}}, ports, 2},
		"a kernel that says it otherwise": {[]Way{{To: far, Connections: 99_999}}, "nonsense", 0},
	} {
		if got := lackOfPorts(c.ways, c.ports); len(got) != c.lacks {
			t.Errorf("%s: %q", name, got)
		}
	}
	ways := []Way{{To: far, Connections: 600}, {To: "b:1", Connections: 300}}
	if got := lackOfFiles(100, ways, 1064); got != nil {
		t.Errorf("%q", got)
	}
	if got := lackOfFiles(101, ways, 1064); len(got) != 1 || !strings.Contains(got[0], "ulimit -n 1065") {
		t.Errorf("%q", got)
	}
	if got := lackOfHolding("{gateway}", 1000, 1063); len(got) != 1 || !strings.Contains(got[0], "{gateway}") || lackOfHolding("", 1000, 1064) != nil {
		t.Errorf("%q", got)
	}
	if got := Preflight(1, Way{To: far, Connections: 1, Sources: append(two, two...)}); len(got) != 1 || !strings.Contains(got[0], "192.0.2.8 and 1 more to connect from") {
		t.Errorf("%q", got)
	}
	if got := Preflight(1, Way{To: "127.0.0.1:1883", Connections: 1, Sources: []netip.Addr{netip.MustParseAddr("127.9.9.9")}}); got != nil {
		t.Errorf("from loopback: %q", got)
	}
	if got := Preflight(1, Way{To: "127.0.0.1:1883", Connections: 1}); got != nil {
		t.Errorf("one connection: %q", got)
	}
}

func mix(t *testing.T, text string) (m payload.Mix) {
	t.Helper()
	if err := m.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestATurnAllocatesNothing(t *testing.T) {
	f, err := New(Options{MQTT: "h:1", Devices: 1})
	if err != nil {
		t.Fatal(err)
	}
	d, at, buf, m := &f.devices[0], time.Now(), make([]byte, 0, 512), payload.Message{}
	n := testing.AllocsPerRun(100, func() {
		for _, fix := range d.tracker.Look(at) {
			m.Fix = fix
			buf = d.format.Append(buf[:0], &d.device, &m)
		}
	})
	if n != 0 {
		t.Errorf("a report allocates %v times", n)
	}
}

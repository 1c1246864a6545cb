package hostile

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/simulator/mqttlite"
	"github.com/fleetcast/fleetcast/simulator/units"
)

// Bounds of an attempt.
const (
	dialTimeout = 5 * time.Second
	// lasts is how long an attempt goes on at most, and pause how long its worker waits after it.
	lasts = 5 * time.Second
	pause = 50 * time.Millisecond
	// MaxConnections bounds the attempts at the same time.
	MaxConnections = 5_000
)

// abuse does one attempt over a connection. It ends with ctx.
type abuse struct {
	name, about string
	do          func(ctx context.Context, conn net.Conn, r *rand.Rand) error
}

var kinds = []abuse{
	{"garbage", "random bytes where a CONNECT should be", garbage},
	{"silent", "a connection that says nothing", silent},
	{"slow", "a CONNECT, a byte at a time", slow},
	{"huge", "a packet that announces 256 MB", huge},
	{"malformed", "a client that connects and then sends packets with errors", malformed},
	{"flood", "a client that sends QoS 0 as fast as it can, or may", nil}, // New says how fast
	{"thief", "a client that publishes for other fleets and subscribes to everything", thief},
	{"nested", "a client whose payloads are deep, wide or not what they say", nested},
}

// Kinds are the names of all kinds.
func Kinds() (names []string) {
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

// Options of hostile devices.
type Options struct {
	MQTT        string
	Kinds       []string // all where there is none
	Connections int      // at the same time
	// FloodRate is what each flooding connection sends at most; 0 is as fast as it can, which takes as much of the generator's
	// processors as it takes of the server's.
	FloodRate units.Rate
	Seed      uint64
}

// Hostile are devices that mean harm.
type Hostile struct {
	options  Options
	kinds    []abuse
	attempts atomic.Int64
	refused  atomic.Int64
	ended    atomic.Int64
}

// Counts are what became of the attempts.
type Counts struct {
	Attempts int64 `json:"attempts"`
	Refused  int64 `json:"refused"` // no connection was made, or no session
	Ended    int64 `json:"ended"`   // by the other side, before the attempt was over
}

// New checks the options. It opens nothing.
func New(o Options) (*Hostile, error) {
	h := &Hostile{options: o}
	for _, name := range o.Kinds {
		i := slices.IndexFunc(kinds, func(a abuse) bool { return a.name == name })
		if i < 0 {
			return nil, fmt.Errorf("read options: there is no kind %q; there are %s", name, strings.Join(Kinds(), ", "))
		}
		h.kinds = append(h.kinds, kinds[i])
	}
	if len(h.kinds) == 0 {
		h.kinds = slices.Clone(kinds)
	}
	for i := range h.kinds {
		if h.kinds[i].name == "flood" {
			h.kinds[i].do = flood(o.FloodRate)
		}
	}
	if o.Connections < 1 || o.Connections > MaxConnections {
		return nil, fmt.Errorf("read options: 1 to %d connections are possible", MaxConnections)
	}
	return h, nil
}

// Counts returns the sums now.
func (h *Hostile) Counts() Counts {
	return Counts{h.attempts.Load(), h.refused.Load(), h.ended.Load()}
}

// Run does harm until ctx ends, and waits until the last attempt is over.
func (h *Hostile) Run(ctx context.Context) {
	var running sync.WaitGroup
	for i := range h.options.Connections {
		running.Go(func() { h.worker(ctx, h.kinds[i%len(h.kinds)], rand.New(rand.NewPCG(h.options.Seed, uint64(i)))) })
	}
	running.Wait()
}

func (h *Hostile) worker(ctx context.Context, a abuse, r *rand.Rand) {
	for {
		h.attempt(ctx, a, r)
		if !wait(ctx, pause/2+time.Duration(r.Int64N(int64(pause)))) {
			return
		}
	}
}

func (h *Hostile) attempt(ctx context.Context, a abuse, r *rand.Rand) {
	ctx, cancel := context.WithTimeout(ctx, lasts)
	defer cancel()
	h.attempts.Add(1)
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", h.options.MQTT)
	if err != nil {
		h.refused.Add(1)
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := a.do(ctx, conn, r); err != nil && ctx.Err() == nil {
		h.ended.Add(1)
	}
}

// wait is a pause; false means that ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// hear reads until the other side ends the connection.
func hear(conn net.Conn) error {
	buf := make([]byte, 512)
	for {
		if _, err := conn.Read(buf); err != nil {
			return fmt.Errorf("hear: %w", err)
		}
	}
}

func write(conn net.Conn, b []byte) error {
	if _, err := conn.Write(b); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func garbage(_ context.Context, conn net.Conn, r *rand.Rand) error {
	if err := write(conn, noise(r, 1+r.IntN(4000))); err != nil {
		return err
	}
	return hear(conn)
}

func silent(_ context.Context, conn net.Conn, _ *rand.Rand) error { return hear(conn) }

func slow(ctx context.Context, conn net.Conn, _ *rand.Rand) error {
	for _, b := range []byte("\x10\x1a\x00\x04MQTT\x04\x02\x00\x3c\x00\x0ehostile-slowly") {
		if err := write(conn, []byte{b}); err != nil {
			return err
		}
		if !wait(ctx, 200*time.Millisecond) {
			return nil
		}
	}
	return hear(conn)
}

func huge(_ context.Context, conn net.Conn, r *rand.Rand) error {
	if err := write(conn, append([]byte{0x10, 0xff, 0xff, 0xff, 0x7f}, noise(r, 2000)...)); err != nil {
		return err
	}
	return hear(conn)
}

// name makes a client id that nobody else has.
func name(r *rand.Rand) string { return fmt.Sprintf("hostile-%08x", r.Uint32()) }

// session connects properly; serve must be waited for.
func session(ctx context.Context, conn net.Conn, r *rand.Rand, version mqttlite.Version) (client *mqttlite.Client, wait func() error, err error) {
	client, err = mqttlite.Connect(ctx, conn, mqttlite.Options{ClientID: name(r), CleanStart: true, KeepAlive: time.Minute, Version: version})
	if err != nil {
		return nil, nil, fmt.Errorf("connect: %w", err)
	}
	served := make(chan error, 1)
	go func() { served <- client.Serve() }() // ends with the connection, which wait ends
	return client, func() error {
		_ = client.Close() // it may be gone
		return <-served
	}, nil
}

func malformed(ctx context.Context, conn net.Conn, r *rand.Rand) error {
	connect := []byte("\x10\x14\x00\x04MQTT\x04\x02\x00\x3c\x00\x08")
	if err := write(conn, append(connect, name(r)[:8]...)); err != nil {
		return err
	}
	if !wait(ctx, 100*time.Millisecond) {
		return nil
	}
	for _, packet := range [][]byte{
		{0x3f, 0x05, 0x00, 0x01, 't', 'x', 'x'},            // QoS 3
		{0x32, 0x03, 0x00, 0x01, 't'},                      // no packet id
		{0x82, 0x02, 0x00, 0x00},                           // SUBSCRIBE without a filter
		append([]byte{0x30, 0x80, 0x01}, noise(r, 128)...), // a topic that is none
	} {
		if err := write(conn, packet); err != nil {
			return err
		}
	}
	return hear(conn)
}

func flood(rate units.Rate) func(ctx context.Context, conn net.Conn, r *rand.Rand) error {
	return func(ctx context.Context, conn net.Conn, r *rand.Rand) error {
		client, end, err := session(ctx, conn, r, mqttlite.V311)
		if err != nil {
			return err
		}
		topic, gap := "fleets/hostile/devices/"+name(r)+"/telemetry", time.Duration(0)
		if rate > 0 {
			gap = time.Duration(float64(time.Second) / float64(rate))
		}
		for i := 0; ctx.Err() == nil; i++ {
			text := fmt.Appendf(nil, `{"lat":%d.5,"lon":%d.5,"n":%d}`, i%80, i%170, i)
			err := client.Publish(mqttlite.Message{Topic: topic, Payload: text}, 0)
			if (err != nil || gap > 0) && !wait(ctx, max(gap, time.Millisecond)) {
				break
			}
		}
		return end()
	}
}

func thief(ctx context.Context, conn net.Conn, r *rand.Rand) error {
	client, end, err := session(ctx, conn, r, mqttlite.V5)
	if err != nil {
		return err
	}
	for _, filter := range []string{"#", "+/+/+/+/commands/+", "$SYS/#", "$share/a/#"} {
		if _, err := client.Subscribe(filter, 1); err != nil {
			return end()
		}
	}
	for _, topic := range []string{"fleets//devices/x/telemetry", "fleets/a/devices/b/commands/1", "fleets/+/devices/#/telemetry", "$SYS/broker", strings.Repeat("a/", 400)} {
		_ = client.Publish(mqttlite.Message{Topic: topic, Payload: []byte(`{"lat":1,"lon":1}`), QoS: 1, Retain: true}, 0) // whether it is taken is the server's
	}
	wait(ctx, time.Second)
	return end()
}

func nested(ctx context.Context, conn net.Conn, r *rand.Rand) error {
	client, end, err := session(ctx, conn, r, mqttlite.V311)
	if err != nil {
		return err
	}
	topic := "fleets/hostile/devices/" + name(r) + "/telemetry"
	for _, text := range []string{
		strings.Repeat("[", 60_000), strings.Repeat(`{"a":`, 10_000), `{"lat":1e999,"lon":-1e999,"speed":NaN}`, `{"` + strings.Repeat("k", 50_000) + `":1}`,
		wide(5000), "\xff\xfe\x00", `{"at":99999999999999999999}`, `{"lat":"12","lon":{"x":[]}}`,
	} {
		if err := client.Publish(mqttlite.Message{Topic: topic, Payload: []byte(text), QoS: 1}, 0); err != nil && !wait(ctx, 10*time.Millisecond) {
			break
		}
	}
	wait(ctx, 500*time.Millisecond)
	return end()
}

func wide(members int) string {
	var b strings.Builder
	for i := range members {
		fmt.Fprintf(&b, `,"m%d":%d`, i, i)
	}
	return "{" + b.String()[1:] + "}"
}

package prove

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/simulator/mqttlite"
)

// Bounds of a device.
const (
	// maxBuffer is how many messages a device keeps without their PUBACK. One whose buffer is full numbers no more until
	// there is room, so that no loss is the device's own.
	maxBuffer   = 2000
	inFlight    = 32
	keepAlive   = 15 * time.Second
	firstRetry  = 100 * time.Millisecond
	lastRetry   = 2 * time.Second
	dialTimeout = 5 * time.Second
)

// message is one that has no PUBACK yet.
type message struct {
	seq     uint32
	payload []byte
}

// device is a tracker with a buffer: it numbers messages at its rate, connected or not, sends them in order at QoS 1, and
// after a lost connection sends again what has no PUBACK.
type device struct {
	run   *run
	index int
	topic string
	door  int // index of the broker that it connects to next

	quiet atomic.Bool // it neither numbers nor sends nor connects
	wake  chan struct{}

	connected atomic.Bool

	mu     sync.Mutex // guards what follows; not held across I/O but writes that do not wait
	buffer []message  // in order of their numbers
	next   int        // index of the first that was not sent on this connection
	lastAt time.Time
}

func (d *device) init(r *run, index int) {
	d.run, d.index, d.door, d.wake = r, index, index, make(chan struct{}, 1)
	d.topic = "fleets/" + r.options.Fleet + "/devices/" + r.names.id(index) + "/telemetry"
}

func (d *device) poke() {
	select {
	case d.wake <- struct{}{}:
	default: // it will look
	}
}

func (d *device) setQuiet(quiet bool) {
	d.quiet.Store(quiet)
	d.poke()
}

// pace numbers messages until ctx ends.
func (d *device) pace(ctx context.Context) {
	interval := d.run.options.Rate.Interval()
	timer := time.NewTimer(rand.N(interval))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(interval)
		if !d.quiet.Load() {
			d.number()
		}
	}
}

func (d *device) number() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.buffer) >= maxBuffer {
		d.run.heldBack.Add(1)
		return
	}
	at := time.Now()
	if !at.After(d.lastAt.Add(time.Millisecond)) { // the order of a device's messages is that of their times
		at = d.lastAt.Add(time.Millisecond)
	}
	d.lastAt = at
	seq := d.run.ledger.Sent(d.index)
	d.buffer = append(d.buffer, message{seq, appendMessage(nil, d.index, seq, at)})
	d.poke()
}

// unacked is how many messages have no PUBACK.
func (d *device) unacked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.buffer)
}

// connect keeps the device connected until ctx ends.
func (d *device) connect(ctx context.Context) {
	retry := firstRetry
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		for d.quiet.Load() {
			select {
			case <-ctx.Done():
				return
			case <-d.wake:
			}
		}
		if d.session(ctx) {
			retry = firstRetry
		}
		timer.Reset(retry/2 + rand.N(retry/2+1))
		retry = min(2*retry, lastRetry)
	}
}

// session is one connection; it tells whether there was one.
func (d *device) session(ctx context.Context) bool {
	era, ok := d.run.eras.enter()
	if !ok {
		return false
	}
	doors := d.run.options.MQTT
	address := doors[d.door%len(doors)]
	d.door++
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	var client *mqttlite.Client
	username, password := d.access()
	made := make(chan struct{}) // closed when client is set, which the callbacks read
	client, err = mqttlite.Connect(ctx, conn, mqttlite.Options{
		ClientID: d.run.names.id(d.index), CleanStart: true, KeepAlive: keepAlive, Window: inFlight, Version: d.version(),
		Username: username, Password: password,
		OnAck: func(token int64, code byte) {
			<-made
			d.onAck(client, era, uint32(token), code)
		},
	})
	if err != nil {
		return false
	}
	close(made)
	if !d.run.eras.is(era) { // it may be connected to what is gone, or to what came after
		_ = client.Close()
		return false
	}
	d.mu.Lock()
	d.next = 0
	d.mu.Unlock()
	d.connected.Store(true)
	defer d.connected.Store(false)
	served := make(chan struct{})
	go func() { // ends with the connection; this function waits for it
		defer close(served)
		_ = client.Serve() // a lost connection is what the device expects
	}()
	d.send(ctx, client, era, served)
	_ = client.Close()
	<-served
	return true
}

// access is what the device shows; a nil password is none.
func (d *device) access() (username string, password []byte) {
	if len(d.run.options.Identities) == 0 {
		return "", nil
	}
	i := d.run.options.Identities[d.index]
	return i.Username, []byte(i.Password)
}

// version makes every other device speak MQTT 5.
func (d *device) version() mqttlite.Version {
	if d.index%2 == 1 {
		return mqttlite.V5
	}
	return mqttlite.V311
}

// retryBusy is when a device whose send buffer is full tries again.
const retryBusy = 50 * time.Millisecond

// send sends what there is until the connection or ctx ends.
func (d *device) send(ctx context.Context, client *mqttlite.Client, era int, served <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			_ = client.Disconnect()
			return
		case <-served:
			return
		case <-d.wake:
		case <-timer.C:
		}
		if d.quiet.Load() {
			continue
		}
		busy, err := d.pump(client, era)
		if err != nil {
			return
		}
		if busy {
			timer.Reset(retryBusy)
		}
	}
}

func (d *device) onAck(client *mqttlite.Client, era int, seq uint32, code byte) {
	if code >= 0x80 { // it goes out again, on a new connection and behind what was in flight with it
		d.run.ledger.Refused(d.index, seq)
		_ = client.Close()
		return
	}
	d.run.ledger.Acked(d.index, seq, era, d.run.now())
	d.mu.Lock()
	for i := range d.buffer {
		if d.buffer[i].seq != seq {
			continue
		}
		d.buffer = append(d.buffer[:i], d.buffer[i+1:]...)
		if i < d.next {
			d.next--
		}
		break
	}
	d.mu.Unlock()
	d.poke()
}

// pump sends what was not sent on this connection, as far as the window goes. busy says that the send buffer is full.
func (d *device) pump(client *mqttlite.Client, era int) (busy bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ; d.next < len(d.buffer); d.next++ {
		m := d.buffer[d.next]
		d.run.ledger.Published(d.index, m.seq, era)
		err := client.Publish(mqttlite.Message{Topic: d.topic, Payload: m.payload, QoS: 1}, int64(m.seq))
		switch {
		case errors.Is(err, mqttlite.ErrWindowFull):
			return false, nil // a PUBACK wakes it
		case errors.Is(err, mqttlite.ErrBusy):
			return true, nil
		case err != nil:
			return false, err
		}
	}
	return false, nil
}

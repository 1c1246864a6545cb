package fleet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/simulator/mqttlite"
	"github.com/fleetcast/fleetcast/simulator/payload"
	"github.com/fleetcast/fleetcast/simulator/tracker"
)

// Back-off of a device that lost its connection or got none: doubled from the first to the last, and a random half of it
// is left out, so that a fleet does not come back as one wave.
const (
	firstBackoff = 500 * time.Millisecond
	lastBackoff  = 30 * time.Second
	// stableAfter is how long a connection must have stood for the next back-off to be the first again.
	stableAfter = 10 * time.Second
)

// device is one simulated device. Its run method is one goroutine; its turns come from a pacing goroutine.
type device struct {
	// Static.
	fleet    *Fleet
	device   payload.Device
	format   *payload.Format
	identity *Identity // nil: the fleet's
	position int       // its number in this process
	version  mqttlite.Version
	qos      byte
	clock    time.Duration // how far its clock is off

	client  atomic.Pointer[mqttlite.Client] // nil while not connected
	met     atomic.Bool                     // was connected at least once since it was started
	active  atomic.Bool                     // started, and not stopped since
	due     atomic.Int64                    // when it was to be started, since the run's start
	hurry   atomic.Int64                    // 1 more than the time within which it is to come back; 0: as its back-off says
	dark    atomic.Int64                    // how long it has no network before it comes back
	ackedTo atomic.Int64                    // unix ms of the newest live fix that has its PUBACK

	// Owned by the goroutine that goes through the stages.
	cancel context.CancelFunc
	ended  chan struct{} // closed when its run has ended

	// Owned by the pacing goroutine.
	tracker tracker.Tracker
	later   []byte // a message that is to be sent after the one behind it
}

func (d *device) init(f *Fleet, position int) {
	o := &f.options
	index := o.StartIndex + position
	vehicle := f.atlas.Vehicle(index)
	d.fleet, d.position, d.version, d.qos, d.format = f, position, o.Version, o.QoS, o.Mix.Format(index)
	d.tracker = tracker.New(vehicle, index, &f.options.Tracker)
	if d.version == 0 {
		d.version = []mqttlite.Version{mqttlite.V311, mqttlite.V5}[index%2]
	}
	if o.QoS1.Has(index) {
		d.qos = 1
	}
	if o.ClockShare.Has(index) {
		d.clock = o.ClockOffset
	}
	prefix := o.Prefix
	if prefix == "" {
		prefix = vehicle.Kind().String() + "-"
	}
	name, group := prefix+strconv.Itoa(index), o.Fleets[index%len(o.Fleets)]
	if len(o.Identities) > 0 {
		d.identity = &o.Identities[position]
		if name = d.identity.Username; d.identity.Fleet != "" {
			group = d.identity.Fleet
		}
	}
	d.device = d.format.Device(group, name, index)
}

// start lets the device live until ctx ends or it is stopped; due is when that was meant to be.
func (d *device) start(ctx context.Context, due time.Duration) {
	before := d.ended
	ctx, d.cancel = context.WithCancel(ctx)
	ended := make(chan struct{})
	d.ended = ended
	d.met.Store(false)
	d.due.Store(int64(due))
	d.active.Store(true)
	d.fleet.running.Go(func() {
		defer close(ended)
		if before != nil {
			<-before
		}
		d.run(ctx)
	})
}

// stop lets the device say goodbye. It does not wait for it.
func (d *device) stop() {
	d.active.Store(false)
	d.cancel()
	if client := d.client.Load(); client != nil {
		d.goodbye(client)
	}
}

// run keeps the device connected until ctx ends.
func (d *device) run(ctx context.Context) {
	backoff := firstBackoff
	timer := time.NewTimer(0)
	defer timer.Stop()
	for first := true; ; first = false {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if !first {
			d.fleet.count.reconnects.Add(1)
		}
		if stood := d.session(ctx); stood > stableAfter {
			backoff = firstBackoff
		}
		timer.Reset(d.pause(backoff))
		backoff = min(backoff*2, lastBackoff)
	}
}

// session is one connection; it returns how long that stood, which is 0 where there was none.
func (d *device) session(ctx context.Context) time.Duration {
	c := d.fleet.count
	began := time.Now()
	client, err := d.connect(ctx)
	if err != nil {
		if ctx.Err() == nil {
			d.fleet.complain("connect", err)
		}
		return 0
	}
	connected := time.Now()
	c.connect.Record(connected.Sub(began))
	c.connects.Add(1)
	c.connected.Add(1)
	d.client.Store(client)
	d.met.Store(true)
	d.listen(client)
	d.announce(client, "online")
	if ctx.Err() != nil { // the fleet says goodbye to all clients after this ends, and may not have met this one
		d.goodbye(client)
	}
	err = client.Serve()
	d.client.Store(nil)
	c.connected.Add(-1)
	c.unacked.Add(int64(client.Unacked()))
	if err != nil {
		c.lost.Add(1)
		d.fleet.complain("connection lost", err)
	}
	return time.Since(connected)
}

func (d *device) connect(ctx context.Context) (*mqttlite.Client, error) {
	conn, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	client, err := mqttlite.Connect(ctx, conn, d.connectOptions())
	if err != nil {
		if _, ok := errors.AsType[*mqttlite.RefusedError](err); ok {
			d.fleet.count.refused.Add(1)
		} else {
			d.fleet.count.handshakes.Add(1)
		}
		return nil, fmt.Errorf("connect device: %w", err)
	}
	return client, nil
}

func (d *device) dial(ctx context.Context) (net.Conn, error) {
	o := &d.fleet.options
	conn, err := o.Dial(ctx, o.MQTT, o.source(d.position))
	if err != nil {
		d.fleet.count.dialFailed.Add(1)
		return nil, err
	}
	if o.TLS == nil {
		return conn, nil
	}
	ctx, cancel := context.WithTimeout(ctx, mqttlite.DefaultHandshakeTimeout)
	defer cancel()
	config, err := d.secure()
	if err != nil {
		d.fleet.count.handshakes.Add(1)
		return nil, errors.Join(err, conn.Close())
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		d.fleet.count.handshakes.Add(1)
		return nil, errors.Join(fmt.Errorf("dial broker: %w", err), conn.Close())
	}
	return secure, nil
}

// secure is how the device speaks TLS: as all do, but for a certificate of its own.
func (d *device) secure() (*tls.Config, error) {
	o := &d.fleet.options
	if o.Certificate == nil {
		return o.TLS, nil
	}
	pair, err := o.Certificate(d.device.ID)
	if err != nil {
		return nil, fmt.Errorf("dial broker: %w", err)
	}
	config := o.TLS.Clone()
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

func (d *device) connectOptions() mqttlite.Options {
	o := &d.fleet.options
	m := mqttlite.Options{
		Version: d.version, ClientID: d.device.ID, CleanStart: true, KeepAlive: o.KeepAlive, Window: o.Window,
		Username: o.Username, OnAck: d.onAck,
	}
	if o.Commands {
		m.OnMessage = d.onMessage
	}
	password := o.Password
	if d.identity != nil {
		m.Username, password = d.identity.Username, d.identity.Password
	}
	if password != "" {
		m.Password = []byte(password)
		if m.Username == "" {
			m.Username = d.device.ID
		}
	}
	if d.device.Will != "" {
		m.Will = &mqttlite.Will{
			Topic: d.device.Will, Payload: d.format.AppendWill(nil, time.Now().Unix()), QoS: 1, Retain: d.device.Will == d.device.Status,
		}
	}
	return m
}

// announce publishes the retained status. It is not part of the load.
func (d *device) announce(client *mqttlite.Client, status string) {
	if d.device.Status == "" {
		return
	}
	m := mqttlite.Message{Topic: d.device.Status, Payload: []byte(status), Retain: !client.Connack().RetainRefused}
	if err := client.Publish(m, 0); err != nil {
		d.fleet.complain("status", err)
	}
}

func (d *device) goodbye(client *mqttlite.Client) {
	d.announce(client, "offline")
	if err := client.Disconnect(); err != nil && !errors.Is(err, net.ErrClosed) {
		d.fleet.complain("disconnect", err)
	}
}

// complain logs at most one line a second, however many devices have the same trouble: the counters have them all.
func (f *Fleet) complain(trouble string, err error) {
	now, last := time.Now().UnixNano(), f.count.lastLogged.Load()
	if now-last < int64(time.Second) || !f.count.lastLogged.CompareAndSwap(last, now) {
		return
	}
	f.options.Logger.Warn("device has trouble", "trouble", trouble, "error", err)
}

package fleet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/simulator/mqttlite"
	"github.com/fleetcast/fleetcast/simulator/routes"
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
	fleet     *Fleet
	vehicle   routes.Vehicle
	id        string
	topic     string // telemetry
	status    string // "" where the format has no status topic
	position  int    // its number in this process
	version   mqttlite.Version
	ownTracks bool

	client atomic.Pointer[mqttlite.Client] // nil while not connected
	met    atomic.Bool                     // was connected at least once

	seq uint64 // owned by the pacing goroutine
}

func (d *device) init(f *Fleet, position int) {
	o := &f.options
	index := o.StartIndex + position
	d.fleet, d.vehicle, d.position, d.version = f, f.atlas.Vehicle(index), position, o.Version
	if d.version == 0 {
		d.version = []mqttlite.Version{mqttlite.V311, mqttlite.V5}[index%2]
	}
	prefix := o.Prefix
	if prefix == "" {
		prefix = d.vehicle.Kind().String() + "-"
	}
	name, group := prefix+strconv.Itoa(index), o.Fleets[index%len(o.Fleets)]
	if d.ownTracks = o.OwnTracks.Has(index); d.ownTracks {
		d.topic = "owntracks/" + group + "/" + name
		d.id = group + ":" + name
		return
	}
	d.id = name
	d.topic = "fleets/" + group + "/devices/" + name + "/telemetry"
	d.status = "fleets/" + group + "/devices/" + name + "/status"
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
		timer.Reset(backoff/2 + rand.N(backoff/2+1))
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
	o, c := &d.fleet.options, d.fleet.count
	conn, err := o.Dial(ctx, o.MQTT, sourceAddress(o.MQTT, d.position, o.Devices))
	if err != nil {
		c.dialFailed.Add(1)
		return nil, err
	}
	client, err := mqttlite.Connect(ctx, conn, d.connectOptions())
	if err != nil {
		if _, ok := errors.AsType[*mqttlite.RefusedError](err); ok {
			c.refused.Add(1)
		} else {
			c.handshakes.Add(1)
		}
		return nil, fmt.Errorf("connect device: %w", err)
	}
	return client, nil
}

func (d *device) connectOptions() mqttlite.Options {
	o := &d.fleet.options
	m := mqttlite.Options{
		Version: d.version, ClientID: d.id, CleanStart: true, KeepAlive: o.KeepAlive, Window: o.Window,
		Username: o.Username, OnAck: d.fleet.onAck,
	}
	if o.Password != "" {
		m.Password = []byte(o.Password)
		if m.Username == "" {
			m.Username = d.id
		}
	}
	m.Will = &mqttlite.Will{Topic: d.status, Payload: []byte("offline"), QoS: 1, Retain: true}
	if d.ownTracks { // as the apps do: on the device's own topic, with the time of the connection
		payload := strconv.AppendInt([]byte(`{"_type":"lwt","tst":`), time.Now().Unix(), 10)
		m.Will = &mqttlite.Will{Topic: d.topic, Payload: append(payload, '}'), QoS: 1}
	}
	return m
}

// announce publishes the retained status. It is not part of the load.
func (d *device) announce(client *mqttlite.Client, status string) {
	if d.status == "" {
		return
	}
	m := mqttlite.Message{Topic: d.status, Payload: []byte(status), Retain: !client.Connack().RetainRefused}
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

// turn sends what the device has to say at an intended instant. buf is scratch memory, which is returned.
func (d *device) turn(client *mqttlite.Client, intended time.Duration, buf []byte) ([]byte, error) {
	f := d.fleet
	at := f.start.Add(intended)
	r := report{at: at, motion: d.vehicle.At(at), parked: d.vehicle.Parked(), seq: d.seq}
	r.energy = d.vehicle.Energy(at, r.motion.Odometer)
	d.seq++
	m := mqttlite.Message{Topic: d.topic, QoS: min(f.options.QoS, client.Connack().MaximumQoS)}
	if d.ownTracks {
		r.trackID = d.id[len(d.id)-min(2, len(d.id)):]
		m.Retain = !client.Connack().RetainRefused
		buf = r.appendOwnTracks(buf[:0])
	} else {
		buf = r.appendNative(buf[:0])
	}
	m.Payload = buf
	return buf, client.Publish(m, int64(intended))
}

// complain logs at most one line a second, however many devices have the same trouble: the counters have them all.
func (f *Fleet) complain(trouble string, err error) {
	now, last := time.Now().UnixNano(), f.count.lastLogged.Load()
	if now-last < int64(time.Second) || !f.count.lastLogged.CompareAndSwap(last, now) {
		return
	}
	f.options.Logger.Warn("device has trouble", "trouble", trouble, "error", err)
}

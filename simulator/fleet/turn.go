package fleet

import (
	"time"

	"github.com/fleetcast/fleetcast/simulator/mqttlite"
	"github.com/fleetcast/fleetcast/simulator/payload"
	"github.com/fleetcast/fleetcast/simulator/tracker"
)

// notMeasured is the lateness of what is late on purpose.
const notMeasured = time.Duration(-1)

// token is what a PUBACK brings back: the instant at which a device meant to send, how late it did, and whether the fix
// was a live one. It is packed into the 63 bits that the client keeps for each message.
type token int64

// Parts of a token: a bit, lateness in µs, and the instant in µs. A lateness beyond 4 s is said as 4 s.
const (
	tokenLateBits = 22
	tokenMaxLate  = 1<<tokenLateBits - 1
)

func newToken(intended, late time.Duration, live bool) token {
	t := token(intended.Microseconds())<<tokenLateBits | token(min(max(late.Microseconds(), 0), tokenMaxLate))
	t <<= 1
	if live {
		t |= 1
	}
	return t
}

func (t token) intended() time.Duration {
	return time.Duration(t>>(tokenLateBits+1)) * time.Microsecond
}

func (t token) sent() time.Duration {
	return t.intended() + time.Duration(t>>1&tokenMaxLate)*time.Microsecond
}

func (t token) isLive() bool { return t&1 != 0 }

// onAck takes a PUBACK. Its latency counts from the intended instant, so that a send that waited for its turn is not
// flattered; that from the sending is told beside it.
func (d *device) onAck(bits int64, code byte) {
	f, t := d.fleet, token(bits)
	if code >= 0x80 {
		f.count.ackRefused.Add(1)
		return
	}
	now := f.elapsed()
	f.count.acked.Add(1)
	if int64(t.intended()) >= f.steadyFrom.Load() { // what the ramp left behind is not the steady time's
		f.count.puback.Record(now - t.intended())
		f.count.acking.Record(now - t.sent())
	}
	if at := f.start.Add(t.intended()).UnixMilli(); t.isLive() && at > d.ackedTo.Load() {
		d.ackedTo.Store(at) // nobody else does
	}
}

// turn sends what the device has to say at an intended instant: usually one message. It is the ledger's entry of each.
// The tracker is asked in any case, so that what a device says does not depend on the load.
func (s *shard) turn(d *device, intended time.Duration) {
	client := d.client.Load()
	if !d.active.Load() {
		return
	}
	if client == nil && !d.met.Load() && intended < time.Duration(d.due.Load())+connectGrace {
		return // its turn to connect just came: not offered
	}
	c := s.fleet.count
	fixes := d.tracker.Look(s.fleet.start.Add(intended))
	n := int64(len(fixes))
	c.offered.Add(n)
	if n > 1 {
		c.buffered.Add(n - 1)
	}
	switch late := s.fleet.elapsed() - intended; {
	case n == 0:
		c.quiet.Add(1)
	case late > s.pacer.interval:
		c.behind.Add(n) // the device's next turn is due already
	case client == nil:
		c.notConnected.Add(n)
	default:
		for i := range fixes {
			s.send(d, client, &fixes[i], intended)
		}
	}
}

// send writes one fix, with what may go wrong with it.
func (s *shard) send(d *device, client *mqttlite.Client, fix *tracker.Fix, intended time.Duration) {
	f := s.fleet
	faults := f.faults.Load()
	clock := d.clockOf(faults)
	s.message = payload.Message{Fix: *fix, Stamp: clock == 0}
	s.message.At = fix.At.Add(clock)
	s.buf = d.format.Append(s.buf[:0], &d.device, &s.message)
	late := f.elapsed() - intended
	live := !fix.Buffered && clock == 0
	if faults == nil || *faults == (Faults{}) {
		s.settle(s.publish(d, client, s.buf, newToken(intended, late, live)), late)
		return
	}
	if faults.Malformed > 0 && d.chance(fix.Seq, forMalformed) < float64(faults.Malformed) {
		s.buf, live = malform(s.buf, d.chance(fix.Seq, forKind)), false
		f.count.malformed.Add(1)
	}
	t := newToken(intended, late, live)
	if d.later == nil && faults.Disorder > 0 && d.chance(fix.Seq, forDisorder) < float64(faults.Disorder) {
		d.later = append([]byte(nil), s.buf...) // it is offered when it goes out
		f.count.offered.Add(-1)
		f.count.disordered.Add(1)
		return
	}
	s.settle(s.publish(d, client, s.buf, t), late)
	if faults.Duplicates > 0 && d.chance(fix.Seq, forDuplicate) < float64(faults.Duplicates) {
		f.count.duplicated.Add(1)
		f.count.offered.Add(1)
		s.settle(s.publish(d, client, s.buf, t), late)
	}
	if later := d.later; later != nil {
		d.later = nil
		f.count.offered.Add(1)
		s.settle(s.publish(d, client, later, newToken(f.elapsed(), 0, false)), notMeasured)
	}
}

func (s *shard) publish(d *device, client *mqttlite.Client, text []byte, t token) error {
	return client.Publish(mqttlite.Message{
		Topic: d.device.Topic, Payload: text, QoS: min(d.qos, client.Connack().MaximumQoS),
		Retain: d.format.Retain && !client.Connack().RetainRefused,
	}, int64(t))
}

// IDs are the devices' ids, as a gateway should call them.
func (f *Fleet) IDs() (all []string) {
	for i := range f.devices {
		all = append(all, f.devices[i].device.ID)
	}
	return all
}

// Owed is what a gateway must hold of a device: something as new as this, since it was acknowledged.
type Owed struct {
	ID string
	At int64 // unix ms
}

// Owed returns what was acknowledged of the devices that speak the gateway's own JSON and whose clocks are right. It is
// empty at QoS 0.
func (f *Fleet) Owed() (all []Owed) {
	for i := range f.devices {
		d := &f.devices[i]
		if at := d.ackedTo.Load(); at > 0 && d.format.Name == payload.Native().Name {
			all = append(all, Owed{d.device.ID, at})
		}
	}
	return all
}

package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/fleetcast/fleetcast/simulator/mqttlite"
)

const (
	// lateAfter is the lateness from which a send is counted as late.
	lateAfter = 50 * time.Millisecond
	// connectGrace is how long after its turn to connect a device may still be without a connection before its sends are
	// part of the load, and skipped. Without it every device's first send would be a skip, and with an endless one a
	// broker that accepts nobody would look like a load of nothing.
	connectGrace = 5 * time.Second
	// granularity is the shortest wait between two looks at the clock: at high rates a look sends several.
	granularity = time.Millisecond
	// lateBatch is how many lateness values are recorded at the price of one lock.
	lateBatch = 256
)

// shard is the part of the devices that one pacing goroutine serves: every shards-th.
type shard struct {
	fleet   *Fleet
	devices []*device
	pacer   pacer
	buf     []byte
	late    []time.Duration
}

// run gives the devices their turns until ctx ends.
func (s *shard) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for k := uint64(0); ; {
		select {
		case <-ctx.Done():
			s.flush()
			return
		case <-timer.C:
		}
		for due := s.pacer.due(s.fleet.elapsed()); k < due; k++ {
			s.turn(s.devices[k%uint64(len(s.devices))], s.pacer.intended(k))
		}
		s.flush()
		timer.Reset(max(s.pacer.intended(k)-s.fleet.elapsed(), granularity))
	}
}

// turn is one entry of the ledger.
func (s *shard) turn(d *device, intended time.Duration) {
	c := s.fleet.count
	client := d.client.Load()
	if client == nil && !d.met.Load() && intended < s.fleet.connectAt(d.position)+connectGrace {
		return // its turn to connect is still to come, or just came: not offered
	}
	c.offered.Add(1)
	lateness := s.fleet.elapsed() - intended
	switch {
	case lateness > s.pacer.interval:
		c.behind.Add(1) // the device's next turn is due already
		return
	case client == nil:
		c.notConnected.Add(1)
		return
	}
	var err error
	s.buf, err = d.turn(client, intended, s.buf)
	s.settle(err, lateness)
}

func (s *shard) settle(err error, lateness time.Duration) {
	c := s.fleet.count
	switch {
	case err == nil:
		c.sent.Add(1)
		if lateness > lateAfter {
			c.late.Add(1)
		}
		if s.late = append(s.late, lateness); len(s.late) == lateBatch {
			s.flush()
		}
	case errors.Is(err, mqttlite.ErrBusy):
		c.busy.Add(1)
	case errors.Is(err, mqttlite.ErrWindowFull):
		c.window.Add(1)
	default: // the reader sees the end of the connection too, and counts that
		c.failed.Add(1)
	}
}

func (s *shard) flush() {
	if len(s.late) > 0 {
		s.fleet.count.lateness.RecordAll(s.late)
		s.late = s.late[:0]
	}
}

// onAck takes a PUBACK; token is the intended instant of its message, from which the latency counts, so that a send that
// waited for its turn is not flattered.
func (f *Fleet) onAck(token int64, code byte) {
	if code >= 0x80 {
		f.count.ackRefused.Add(1)
		return
	}
	f.count.acked.Add(1)
	f.count.puback.Record(f.elapsed() - time.Duration(token))
}

// ramp starts the devices, each at its turn to connect, and returns when all are started or ctx ends. They live on until
// connected ends.
func (f *Fleet) ramp(ctx, connected context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for next := 0; next < len(f.devices); {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		for ; next < len(f.devices) && f.connectAt(next) <= f.elapsed(); next++ {
			d := &f.devices[next]
			f.running.Go(func() { d.run(connected) })
		}
		if next < len(f.devices) {
			timer.Reset(max(f.connectAt(next)-f.elapsed(), granularity))
		}
	}
}

// connectAt is the turn of the device at a position to connect for the first time.
func (f *Fleet) connectAt(position int) time.Duration {
	return time.Duration(float64(position) / float64(f.options.ConnectRate) * float64(time.Second))
}

func (f *Fleet) elapsed() time.Duration { return time.Since(f.start) }

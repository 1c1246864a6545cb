package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/fleetcast/fleetcast/simulator/mqttlite"
	"github.com/fleetcast/fleetcast/simulator/payload"
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
	message payload.Message // scratch, as buf is
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

func (s *shard) settle(err error, lateness time.Duration) {
	c := s.fleet.count
	switch {
	case err == nil:
		c.sent.Add(1)
		if lateness == notMeasured {
			return
		}
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

func (f *Fleet) elapsed() time.Duration { return time.Since(f.start) }

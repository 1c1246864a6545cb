package command

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// reporter tells the inlet what a door saw of commands. What it holds is bounded by the commands that are open: of each at
// most that it was sent and that it arrived. What is lost with the process is seen again: a command that is not known to
// have arrived is sent again.
type reporter struct {
	door    *appender
	wake    chan struct{}
	refused atomic.Uint64

	mu      *sync.Mutex // guards what follows
	waiting map[devices.CommandID]*sighting
	order   []devices.CommandID
}

// sighting is what was seen of a command and not said.
type sighting struct {
	device      devices.DeviceID
	fleet       devices.FleetID
	state       devices.CommandState
	unconfirmed bool
}

func newReporter(inlet bus.Inlet) reporter {
	door := newAppender(inlet)
	return reporter{door: &door, wake: make(chan struct{}, 1), mu: new(sync.Mutex), waiting: map[devices.CommandID]*sighting{}}
}

// note takes a sighting. It does not block.
func (r *reporter) note(o *Order, state devices.CommandState, unconfirmed bool) {
	r.mu.Lock()
	s := r.waiting[o.ID]
	if s == nil {
		s = &sighting{device: o.Device, fleet: o.Fleet}
		r.waiting[o.ID] = s
		r.order = append(r.order, o.ID)
	}
	s.state = max(s.state, state)
	s.unconfirmed = s.unconfirmed || unconfirmed
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default: // there is a token already
	}
}

const (
	maxReports  = 1024        // commands of one Append
	lastReports = time.Second // how long what was seen is said after the end
)

// run says what was seen until ctx ends, and the rest then for a moment.
func (r *reporter) run(ctx context.Context) {
	for {
		select {
		case <-r.wake:
			r.say(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastReports)
			defer cancel()
			r.say(last)
			return
		}
	}
}

func (r *reporter) say(ctx context.Context) {
	for ctx.Err() == nil {
		entries := r.take()
		if len(entries) == 0 {
			return
		}
		if err := r.door.append(ctx, entries); err != nil {
			if isRefused(err) {
				r.refused.Add(uint64(len(entries)))
				continue
			}
			return // ctx ended: who comes after this process sends again
		}
	}
}

// take returns the entries of what waits. Of a command that arrived before it was said that it was sent, both are said.
func (r *reporter) take() []bus.Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(r.order), maxReports)
	entries := make([]bus.Entry, 0, 2*n)
	for _, id := range r.order[:n] {
		s := r.waiting[id]
		delete(r.waiting, id)
		for state := devices.CommandSent; state <= s.state; state++ {
			entries = append(entries, bus.Entry{
				Device: s.device, Fleet: s.fleet, Kind: bus.KindCommandState,
				Report: &bus.CommandReport{ID: id, State: state, Unconfirmed: s.unconfirmed},
			})
		}
	}
	r.order = append(r.order[:0:0], r.order[n:]...)
	return entries
}

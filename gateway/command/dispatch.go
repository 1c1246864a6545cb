package command

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/trace"
)

// Order is a command on its way to its device, as a door needs it.
type Order struct {
	ID      devices.CommandID
	Device  devices.DeviceID
	Fleet   devices.FleetID
	Topic   string // fleets/{fleet}/devices/{device}/commands/{command}
	Reply   string // the topic of the answer
	Payload []byte
	Expires time.Time
	Trace   *trace.Context // nil: it is not traced
}

// Door sends orders. Its methods may be called concurrently.
type Door interface {
	// Deliver sends an order, or returns why it cannot: an error of the kind NotFound where nobody is there who would
	// take it (the dispatcher tries again when it is told that somebody listens), and any other where it is worth to try
	// again soon. seen is called with what is seen of the order, from any goroutine, during Deliver or later: at most once
	// with each state. unconfirmed says that nobody will acknowledge it.
	Deliver(o *Order, seen func(state devices.CommandState, unconfirmed bool)) error
}

// Dispatcher sends the open commands to the devices that a door holds, and tells what it saw of them. It sends at least
// once: whatever is not known to have arrived is sent again when the device listens again. It is made by NewDispatcher
// and runs in Run, once.
type Dispatcher struct {
	desk  *Desk
	door  Door
	turn  func(devices.CommandID) time.Duration
	pause time.Duration
	width int
	log   *slog.Logger
	trace *trace.Tracer
	seen  reporter
	stats [statCount]atomic.Uint64

	wake chan struct{} // a token where there is something to do

	mu       sync.Mutex // guards what follows
	changed  map[devices.CommandID]struct{}
	filters  map[string]struct{} // on which somebody listens since
	everyone bool                // there were too many to note

	// Run's own: of the open commands that are known here, and those of them that are to be tried.
	tries map[devices.CommandID]*try
	due   map[*try]struct{}
}

// try is what this door did with a command.
type try struct {
	row  *Row
	away bool      // it was sent, and nobody was heard to listen again since
	at   time.Time // when it is worth to try again; zero: when somebody listens

	arrived atomic.Bool // set by the door
}

// DispatcherOptions configure a Dispatcher.
type DispatcherOptions struct {
	Desk *Desk // required
	Door Door  // required
	// Turn says how long to leave a command to other doors, where any door can send any. nil: not at all.
	Turn func(devices.CommandID) time.Duration
	// Together is to how many devices commands are given at once, for a door whose Deliver waits; 0: to one. Those of one
	// device keep their order.
	Together int
	// Again is the pause before a command is tried again for which the door found nobody; 0: not before Listening.
	Again time.Duration
	// Tracer tells of commands that are traced; nil: nothing does.
	Tracer *trace.Tracer
	Logger *slog.Logger
}

// Bounds of a dispatcher.
const (
	tryAgain    = time.Second // after a door had no room
	maxFilters  = 65_536      // noted between two rounds; above it every open command is tried
	dispatchGap = 5 * time.Millisecond
)

// stat counts what a dispatcher did.
type stat uint8

const (
	statSent      stat = iota // orders that the door took
	statAgain                 // of them, those that it had taken before
	statDelivered             // that the door saw arrive
	statNobody                // tries that found nobody
	statRefused               // tries for which the door had no room
	statCount
)

// Stats are what a dispatcher holds and counts.
type Stats struct {
	Open      int    `json:"open"` // commands that wait, now
	Sent      uint64 `json:"sent"`
	Again     uint64 `json:"sent_again"`
	Delivered uint64 `json:"delivered"`
	Nobody    uint64 `json:"nobody_listens"`
	Refused   uint64 `json:"no_room"`
	Unsaid    uint64 `json:"reports_refused"` // what was seen and the inlet refused for good
}

// NewDispatcher wires a dispatcher. It starts nothing.
func NewDispatcher(o DispatcherOptions) *Dispatcher {
	d := &Dispatcher{
		desk: o.Desk, door: o.Door, turn: o.Turn, pause: o.Again, width: max(o.Together, 1), log: o.Logger, trace: o.Tracer, wake: make(chan struct{}, 1),
		changed: map[devices.CommandID]struct{}{}, filters: map[string]struct{}{}, tries: map[devices.CommandID]*try{}, due: map[*try]struct{}{},
		seen: newReporter(o.Desk.bus),
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.desk.mu.Lock()
	defer d.desk.mu.Unlock()
	d.desk.followers = append(d.desk.followers, d.note)
	return d
}

// Stats reads the counters.
func (d *Dispatcher) Stats() Stats {
	n := func(s stat) uint64 { return d.stats[s].Load() }
	return Stats{
		Open: d.desk.allOpen(), Sent: n(statSent), Again: n(statAgain), Delivered: n(statDelivered), Nobody: n(statNobody),
		Refused: n(statRefused), Unsaid: d.seen.refused.Load(),
	}
}

func (d *Desk) allOpen() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	n := 0
	for _, r := range d.rows {
		if !r.State.IsFinal() {
			n++
		}
	}
	return n
}

// Listening says that somebody listens from now on for commands that match a filter. It does not block.
func (d *Dispatcher) Listening(filter string) {
	d.mu.Lock()
	if len(d.filters) >= maxFilters {
		d.everyone = true
	} else {
		d.filters[filter] = struct{}{}
	}
	d.mu.Unlock()
	d.kick()
}

// note hears from the desk what changed.
func (d *Dispatcher) note(ids []devices.CommandID) {
	d.mu.Lock()
	for _, id := range ids {
		d.changed[id] = struct{}{}
	}
	d.mu.Unlock()
	d.kick()
}

func (d *Dispatcher) kick() {
	select {
	case d.wake <- struct{}{}:
	default: // there is a token already
	}
}

// Run sends until ctx ends, and then says for a moment what it saw.
func (d *Dispatcher) Run(ctx context.Context) error {
	var reporting sync.WaitGroup
	reporting.Go(func() { d.seen.run(ctx) })
	defer reporting.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if next := d.round(time.Now()); next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(max(time.Until(next), dispatchGap))
		}
		select {
		case <-d.wake:
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// round does what there is to do, and returns when there is more.
func (d *Dispatcher) round(now time.Time) time.Time {
	d.mu.Lock()
	changed, filters, everyone := d.changed, d.filters, d.everyone
	d.changed, d.filters, d.everyone = map[devices.CommandID]struct{}{}, map[string]struct{}{}, false
	d.mu.Unlock()
	d.refresh(changed, now)
	for filter := range filters {
		d.hear(filter, now)
	}
	if everyone {
		for _, t := range d.tries {
			d.again(t, now)
		}
	}
	due := make([]*try, 0, len(d.due))
	for t := range d.due {
		if !now.Before(t.at) {
			due = append(due, t)
		}
	}
	slices.SortFunc(due, func(a, b *try) int { return compare(&Row{Command: a.row.Command}, &Row{Command: b.row.Command}) })
	d.send(due, now)
	var next time.Time
	for t := range d.due {
		if next.IsZero() || t.at.Before(next) {
			next = t.at
		}
	}
	return next
}

// plan has a command tried at a time; the zero time: not before somebody listens.
func (d *Dispatcher) plan(t *try, at time.Time) {
	t.at = at
	if at.IsZero() {
		delete(d.due, t)
	} else {
		d.due[t] = struct{}{}
	}
}

// refresh looks at the commands that changed.
func (d *Dispatcher) refresh(changed map[devices.CommandID]struct{}, now time.Time) {
	d.desk.mu.RLock()
	defer d.desk.mu.RUnlock()
	for id := range changed {
		r, t := d.desk.rows[id], d.tries[id]
		switch {
		case r == nil || r.State >= devices.CommandDelivered || r.Unconfirmed: // it arrived, or nothing more can be done
			if t != nil {
				delete(d.tries, id)
				d.plan(t, time.Time{})
			}
		case t == nil:
			t = &try{row: r}
			d.tries[id] = t
			if d.turn == nil {
				d.plan(t, now)
			} else if r.State == devices.CommandAccepted { // what another door sent is its own
				d.plan(t, now.Add(d.turn(id)))
			}
		default:
			t.row = r
			if d.turn != nil && r.State != devices.CommandAccepted {
				d.plan(t, time.Time{})
			}
		}
	}
}

// hear tries again what is for somebody who listens now.
func (d *Dispatcher) hear(filter string, now time.Time) {
	fleet, device, ok := parseFilter(filter)
	if !ok {
		return
	}
	if device == "+" {
		for _, t := range d.tries {
			if fleet == "+" || fleet == t.row.Fleet.String() {
				d.again(t, now)
			}
		}
		return
	}
	id, err := devices.ParseDeviceID(device)
	if err != nil {
		return
	}
	d.desk.mu.RLock()
	defer d.desk.mu.RUnlock()
	for command := range d.desk.devices[id] {
		if t := d.tries[command]; t != nil && (fleet == "+" || fleet == t.row.Fleet.String()) {
			d.again(t, now)
		}
	}
}

// again has a command tried, whether or not it is on its way: the connection on which it was may be gone.
func (d *Dispatcher) again(t *try, now time.Time) {
	if t.arrived.Load() || d.turn != nil && d.turn(t.row.ID) > 0 {
		return
	}
	d.plan(t, now)
}

// parseFilter reads fleets/{fleet}/devices/{device}/commands/…, of which a level may be '+'.
func parseFilter(filter string) (fleet, device string, ok bool) {
	levels := strings.Split(filter, "/")
	if len(levels) < 5 || levels[0] != "fleets" || levels[2] != "devices" || levels[4] != "commands" {
		return "", "", false
	}
	return levels[1], levels[3], true
}

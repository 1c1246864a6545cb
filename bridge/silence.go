package bridge

import (
	"context"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/rules"
	"github.com/fleetcast/fleetcast/devices"
)

// How silence is judged, where nobody says after how long a device of the fleet is offline.
const (
	// silentTimes is how many of its own longest pauses a device without a connection may be silent. Two lost messages in
	// a row are no news; a third is.
	silentTimes = 3
	// firstSilence is for a device that was heard once only. Then it is unknown.
	firstSilence = 10 * time.Minute
	// leastSilence is what is allowed to any device: less is what a network loses in passing.
	leastSilence = 30 * time.Second
	// maxEvery is the longest pause that is learned. A device that says something once a day says nothing about a day.
	maxEvery = 24 * time.Hour
	// everyDecay is how fast a longest pause is forgotten: what remains of it falls by one for as many units of time. Bursts,
	// which take no time, change nothing.
	everyDecay = 16
	// sweepEvery is how often every device is looked at for silence, for connections of dead doors and for its age. It is
	// done in sweepSteps, so that nothing waits for a look at 100,000 devices.
	sweepEvery = 5 * time.Second
	sweepSteps = 10
	// doorsTimeout bounds how long it is waited for the bus to say which doors live.
	doorsTimeout = 5 * time.Second
)

// learn takes the pause before a message into what is known of the device's pauses. Only pauses of a device that was
// online tell something; one that came back before its time was over, or just after, may have slowed down.
func (d *device) learn(received int64) {
	gap := received - d.asset.Received
	if gap <= 0 || d.asset.Received == 0 {
		return
	}
	if d.asset.Status != devices.Online {
		gap = min(gap, 2*d.every)
	}
	d.every = min(max(gap, d.every-gap/everyDecay), maxEvery.Milliseconds())
}

// allowed is how long a device may be silent, and what it is taken for then. 0 is for ever.
func (d *device) allowed(set FleetTimes) (limit int64, then devices.Status) {
	switch {
	case set.Silence > 0:
		return set.Silence.Milliseconds(), devices.Offline
	case len(d.conns) > 0: // a connection is proof of life by its keep-alive
		return 0, devices.Online
	case d.every == 0: // it was heard once: who knows when it speaks again
		return firstSilence.Milliseconds(), devices.Unknown
	}
	return max(silentTimes*d.every, leastSilence.Milliseconds()), devices.Offline
}

// doorsNow are the doors that live, as the bus says.
type doorsNow struct {
	generation uint64              // grows with each answer of the bus
	hears      map[bus.DoorID]bool // true: it takes in what devices say
}

// isDeaf tells whether a door that lives does not take in what devices say: their silence proves nothing then.
func (n *doorsNow) isDeaf() bool {
	for _, hears := range n.hears {
		if !hears {
			return true
		}
	}
	return false
}

// round is one time that all devices are looked at, in steps.
type round struct {
	next   int                   // the place in state.all of the next
	absent map[bus.DoorID]uint64 // doors with connections that the bus did not have, and in which of its answers
	fleets map[devices.FleetID]FleetTimes
}

func newRound() round {
	return round{absent: map[bus.DoorID]uint64{}, fleets: map[devices.FleetID]FleetTimes{}}
}

// sweep looks at the next part of the devices: whose door is dead, who is silent for too long, who has been for so long
// that it is forgotten. It is called where the inlet is read to its end. now is the inlet's clock, as far as it is known;
// quiet is since when all was well with what stands between the devices and here, by the same clock; doors is nil where
// nobody knows them.
func (s *state) sweep(now, quiet int64, owner time.Duration, doors *doorsNow) {
	r := &s.round
	if r.next >= len(s.all) {
		s.absent = r.absent
		*r = newRound()
	}
	for end := min(r.next+len(s.all)/sweepSteps+1, len(s.all)); r.next < end; {
		d := s.all[r.next]
		if d.gone { // the last takes its place
			last := len(s.all) - 1
			s.all[r.next], s.all[last] = s.all[last], nil
			s.all = s.all[:last]
			end = min(end, last)
			continue
		}
		s.look(d, now, quiet, owner, doors)
		r.next++
	}
}

// look looks at one device.
func (s *state) look(d *device, now, quiet int64, owner time.Duration, doors *doorsNow) {
	set, known := s.round.fleets[d.asset.Fleet]
	if !known {
		if s.opts.Registry != nil {
			set = s.opts.Registry.Fleet(d.asset.Fleet)
		}
		s.round.fleets[d.asset.Fleet] = set
	}
	if doors != nil && len(d.conns) > 0 {
		s.dropDead(d, doors, s.round.absent, now, owner)
	}
	limit, then := d.allowed(set)
	silent := now - max(d.asset.Received, quiet)
	if limit > 0 && silent > limit && (then == devices.Offline && d.asset.Status != devices.Offline || d.asset.Status == devices.Online) {
		s.counters.add(countSilent)
		s.stay(d)
		d.asset.Status = then
		s.touch(d)
		s.judge(d, rules.ByStatus, now)
	}
	s.tidyAlerts(d, now, set.AlertsKept)
	if set.RetireAfter > 0 && now-d.asset.Received > set.RetireAfter.Milliseconds() {
		s.counters.add(countRetired)
		s.drop(d)
	}
}

// dropDead takes the connections of dead doors out of a device's set. A door is dead where two answers of the bus in a
// row do not have it: the first may be older than the door. Nobody saw how its connections ended, so a device that has no
// other is unknown after the grace, until it is heard or its silence has lasted.
func (s *state) dropDead(d *device, doors *doorsNow, absent map[bus.DoorID]uint64, now int64, owner time.Duration) {
	kept := d.conns[:0]
	for _, c := range d.conns {
		_, lives := doors.hears[c.door]
		first, missed := s.absent[c.door]
		if !lives {
			if !missed {
				first = doors.generation
			}
			absent[c.door] = first
		}
		if lives || !missed || first == doors.generation {
			kept = append(kept, c)
		}
	}
	if len(kept) == len(d.conns) {
		return
	}
	s.counters[countDeadConns].Add(uint64(len(d.conns) - len(kept)))
	d.conns = kept
	s.touch(d)
	if len(kept) == 0 && d.asset.Status == devices.Online && d.presence.leaving == nil {
		d.unseen = true
		s.leave(d, now+s.opts.OfflineGrace.Milliseconds(), owner+s.opts.OfflineGrace)
	}
}

// watchDoors asks the bus which doors live, until ctx ends.
func (b *Bridge) watchDoors(ctx context.Context) {
	var generation uint64
	for ctx.Err() == nil {
		asking, cancel := context.WithTimeout(ctx, doorsTimeout)
		leases, err := b.opts.Bus.LiveDoors(asking)
		cancel()
		if err != nil {
			b.doors.Store(nil)
		} else {
			generation++
			now := &doorsNow{generation: generation, hears: make(map[bus.DoorID]bool, len(leases))}
			for _, l := range leases {
				now.hears[l.Door] = l.Hears
			}
			b.doors.Store(now)
		}
		wait(ctx, bus.DoorBeat)
	}
}

// sweep looks at the devices where the inlet is read to its end, and moves the beginning of the quiet where something
// stands between the devices and here.
func (o *ownership) sweep(now time.Time, atEnd bool) {
	o.swept = now
	clock := o.inletClock(now)
	doors := o.doors.Load()
	if !atEnd || !o.retryAt.IsZero() || doors == nil || doors.isDeaf() {
		o.quiet = clock
	}
	if atEnd {
		o.state.sweep(clock, o.quiet, now.Sub(o.start), doors)
	}
}

// inletClock is what the inlet's clock shows now, as far as its last entry tells.
func (o *ownership) inletClock(now time.Time) int64 {
	if o.state.lastTime == 0 {
		return now.UnixMilli()
	}
	return o.state.lastTime + now.Sub(o.heardAt).Milliseconds()
}

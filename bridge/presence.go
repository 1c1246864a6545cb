package bridge

import (
	"container/list"
	"slices"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/rules"
	"github.com/fleetcast/fleetcast/devices"
)

// maxConns bounds the live connections that a device's record keeps, against doors that lost track of some. Past it the
// oldest goes: it is the likeliest to be dead.
const maxConns = 8

// conn is one live connection: a connection of one run of one door.
type conn struct {
	door bus.DoorID
	conn uint64
}

// presence is what only the present owner needs to know of a device's presence.
type presence struct {
	// leaving is the device's place among those that go offline after their grace, nil where it is not one.
	leaving *list.Element
	// due is when the grace ends by the owner's clock, counted from the start of the ownership. device.offline says it
	// by the inlet's clock. While entries are read the inlet's clock decides, so that a backlog gives what it would have
	// given in time; once the inlet is read to its end, the owner's does.
	due time.Duration
}

// heard says that the device itself gave a sign of life: it is online until something says otherwise.
func (s *state) heard(d *device, received int64) {
	d.learn(received)
	d.asset.Received = max(d.asset.Received, received)
	d.asset.Status = devices.Online
	s.stay(d)
}

func (s *state) applyConnection(d *device, e *bus.Entry, now time.Duration) {
	s.counters.add(countConnections)
	c := conn{e.Connection.Door, e.Connection.Conn}
	if e.Connection.Up {
		s.connected(d, c)
		s.heard(d, e.Time)
		return
	}
	d.conns = removeConn(d.conns, c)
	if len(d.conns) == 0 && d.asset.Status != devices.Offline {
		s.leave(d, e.Time+s.opts.OfflineGrace.Milliseconds(), now+s.opts.OfflineGrace)
	}
}

func (s *state) connected(d *device, c conn) {
	if slices.Contains(d.conns, c) {
		return
	}
	if len(d.conns) == maxConns {
		s.counters.add(reasonConnLimit)
		d.conns = append(d.conns[:0], d.conns[1:]...)
	}
	d.conns = append(d.conns, c)
}

func removeConn(conns []conn, c conn) []conn {
	kept := conns[:0]
	for _, known := range conns {
		if known != c {
			kept = append(kept, known)
		}
	}
	return kept
}

// applyStatus applies what a status topic said. An offline report holds until the device is heard again; live
// connections stay in the set, since the doors will say when they end.
func (s *state) applyStatus(d *device, e *bus.Entry) {
	s.counters.add(countStatuses)
	switch {
	case e.Status.Retained:
		// It was kept by a broker for we do not know how long. At most it proves unknown, which is what a device of
		// which nothing better is known is already.
		s.counters.add(reasonRetained)
	case e.Status.Status == devices.Online:
		s.heard(d, e.Time)
	case e.Status.Status == devices.Offline && e.Status.Will && len(d.conns) > 1:
		// The last will of a connection that another one replaced. What is said live holds, whoever else is connected: a
		// platform says it of the devices behind it, and in open mode nobody knows whose a connection is.
		s.counters.add(reasonTakeover)
	case e.Status.Status == devices.Offline:
		d.asset.Status = devices.Offline
		s.stay(d)
	default:
		s.counters.add(reasonBadEntry)
	}
}

// leave makes the device go offline at a time, if it is not due already.
func (s *state) leave(d *device, offline int64, due time.Duration) {
	if d.presence.leaving != nil {
		return
	}
	d.offline, d.presence.due = offline, due
	// Entries come in the order of their times and the grace is the same for all, so the back is the latest.
	d.presence.leaving = s.leaving.PushBack(d)
}

// stay undoes leave.
func (s *state) stay(d *device) {
	if d.presence.leaving != nil {
		s.leaving.Remove(d.presence.leaving)
		d.presence.leaving = nil
	}
	d.offline, d.unseen = 0, false
}

// expireBefore sets offline whose grace ended before an entry of this time.
func (s *state) expireBefore(received int64) {
	for d := s.nextLeaving(); d != nil && d.offline <= received; d = s.nextLeaving() {
		s.goOffline(d)
	}
}

// expire sets offline whose grace has ended by the owner's clock. It is called where the inlet is read to its end.
func (s *state) expire(now time.Duration) {
	for d := s.nextLeaving(); d != nil && d.presence.due <= now; d = s.nextLeaving() {
		s.goOffline(d)
	}
}

func (s *state) nextLeaving() *device {
	if front := s.leaving.Front(); front != nil {
		return front.Value.(*device) // the list holds nothing else
	}
	return nil
}

func (s *state) goOffline(d *device) {
	status := devices.Offline
	if d.unseen {
		status = devices.Unknown
	}
	at := d.offline
	s.stay(d)
	d.asset.Status = status
	s.touch(d)
	s.judge(d, rules.ByStatus, at)
}

package prove

import (
	"slices"
	"time"
)

// viewerBook is what one viewer was told.
type viewerBook struct {
	held     []uint32 // since the last reset; 0: nothing
	at       []int64
	written  []uint32 // messages up to here have an end in the books
	resetTop []uint32 // messages up to here were sent before the last reset
	lost     map[entry]struct{}

	era       int
	resetEra  int // of the connection on which the last reset came, or the last stream without an id began
	owesReset bool
	ready     bool
	floor     []uint32
	sees      []bool // the devices that it is owed; nil is all
	wanders   bool   // it has a box, and may be told a reset

	delivered, superseded, declared, missing, unpromised, overtaken, unasked int64
}

func (v *viewerBook) isOwed(device int) bool { return v.sees == nil || v.sees[device] }

type entry struct {
	device int
	seq    uint32
}

func (v *viewerBook) init(devices int) {
	v.held, v.at = make([]uint32, devices), make([]int64, devices)
	v.written, v.resetTop = make([]uint32, devices), make([]uint32, devices)
	v.lost = map[entry]struct{}{}
}

// Open says that a viewer has a stream, whose connection is of an era; floor is what Floor returned before it asked.
// idEra is the era in which the id was told that it resumes with, -1 for none: then it begins with nothing.
func (l *Ledger) Open(viewer, era, idEra int, floor []uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := &l.viewers[viewer]
	v.era, v.floor, v.ready = era, floor, false
	v.owesReset = !l.terms.Durable && idEra >= 0 && idEra < l.lossEra && l.lossEra <= era
	if idEra < 0 {
		l.forgetLocked(v)
	}
}

// Closed says that a viewer's stream has ended.
func (l *Ledger) Closed(viewer int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.viewers[viewer].ready = false
}

// Reset says that a viewer was told to drop everything.
func (l *Ledger) Reset(viewer int, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := &l.viewers[viewer]
	l.totals.Resets++
	if l.terms.NoResets && !v.wanders {
		l.breaches.add(Declared, "viewer %d: reset (%s), where none may be", viewer, reason)
	}
	v.owesReset, v.ready = false, false
	l.forgetLocked(v)
}

func (l *Ledger) forgetLocked(v *viewerBook) {
	clear(v.held)
	clear(v.at)
	v.resetEra = v.era
	for i := range l.devices {
		v.resetTop[i] = uint32(len(l.devices[i].acks))
	}
}

// Look says which devices a viewer is owed from now on; nil is all. What was sent of a device while it was not is nothing
// that the viewer asked for: when it is seen again, its newest state is owed, and no message before.
func (l *Ledger) Look(viewer int, sees []bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := &l.viewers[viewer]
	before := v.sees
	v.sees = sees
	for d := range l.devices {
		if v.isOwed(d) == (before == nil || before[d]) {
			continue
		}
		sent := uint32(len(l.devices[d].acks))
		v.unasked += int64(sent - v.written[d])
		v.written[d] = sent
	}
}

// Wanders says that a viewer's view is one that a device can leave, or that moves: an edge that does not know what it had
// shown says reset after a reconnection, which no term forbids.
func (l *Ledger) Wanders(viewer int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.viewers[viewer].wanders = true
}

// Moving says that a viewer asked for another view; it is ready when that is whole.
func (l *Ledger) Moving(viewer int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.viewers[viewer].ready = false
}

// Promise says what the next Ready has to hold, as Open does.
func (l *Ledger) Promise(viewer int, floor []uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.viewers[viewer].floor = floor
}

// Removed says that a viewer was told that a device is gone.
func (l *Ledger) Removed(viewer, device int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.totals.Removed++
	v := &l.viewers[viewer]
	v.held[device], v.at[device] = 0, 0
}

// Ready says that a viewer was told ready.
func (l *Ledger) Ready(viewer int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := &l.viewers[viewer]
	v.ready = true
	if v.owesReset {
		v.owesReset = false
		l.breaches.add(Unannounced, "viewer %d: resumed without a reset across a fault that lost everything", viewer)
	}
	if v.floor == nil || !l.holdsLocked(v.era) {
		return
	}
	for d, floor := range v.floor {
		if v.held[d] < floor && v.isOwed(d) {
			l.breaches.add(Hole, "viewer %d: ready with device %d at %d, but %d had been shown before it asked", viewer, d, v.held[d], floor)
		}
	}
	v.floor = nil
}

// Shown says that a viewer was told a device's state.
func (l *Ledger) Shown(viewer, device int, s State, now time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := &l.viewers[viewer]
	switch {
	case s.Silent && v.held[device] > 0:
		l.breaches.add(Backwards, "viewer %d: device %d went from %d back to nothing", viewer, device, v.held[device])
		return
	case !l.isKnownLocked("viewer", device, s):
		return
	case s.Seq < v.held[device]:
		l.breaches.add(Backwards, "viewer %d: device %d went from %d back to %d", viewer, device, v.held[device], s.Seq)
		return
	case s.At < v.at[device]:
		l.breaches.add(Backwards, "viewer %d: device %d at %d: its time went from %d back to %d", viewer, device, s.Seq, v.at[device], s.At)
	}
	isNew := s.Seq > v.held[device]
	v.held[device], v.at[device] = s.Seq, s.At
	l.showLocked(device, s.Seq, v.era)
	if s.Seq > v.written[device] && v.isOwed(device) {
		l.writeLocked(v, device, s.Seq, now)
	}
	if !isNew {
		return
	}
	lost := l.overtakenLocked(device, s)
	fresh := slices.DeleteFunc(lost, func(j uint32) bool {
		_, known := v.lost[entry{device, j}]
		v.lost[entry{device, j}] = struct{}{}
		return known
	})
	if len(fresh) > 0 {
		v.overtaken += int64(len(fresh))
		l.devices[device].lost += int64(len(fresh))
		l.breaches.add(Overtaken, "viewer %d: device %d is at %d without %v", viewer, device, s.Seq, fresh)
	}
}

// writeLocked gives all messages up to seq, which was shown, their end.
func (l *Ledger) writeLocked(v *viewerBook, device int, seq uint32, now time.Duration) {
	from, d := v.written[device], &l.devices[device]
	v.delivered++
	before := seq - 1 - from
	declared := uint32(0)
	if top := min(v.resetTop[device], seq-1); top > from {
		declared = top - from
	}
	v.declared += int64(declared)
	v.superseded += int64(before - declared)
	v.written[device] = seq
	for _, a := range d.acks[from:seq] {
		if a.era != 0 {
			d.stale = max(d.stale, now-a.at)
			break
		}
	}
}

func (l *Ledger) loseLocked(v *viewerBook, e entry) {
	v.lost[e] = struct{}{}
	v.missing++
	l.devices[e.device].lost++
}

// IsReady tells whether a viewer is past ready.
func (l *Ledger) IsReady(viewer int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.viewers[viewer].ready
}

// Behind tells whether a viewer holds a device older than owed.
func (l *Ledger) Behind(viewer int, owed []uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for d, n := range owed {
		if v := &l.viewers[viewer]; v.held[d] < n && v.isOwed(d) {
			return true
		}
	}
	return false
}

// Settle says that a viewer has had all the time that it may need to be told what is owed: what it does not hold now is
// lost.
func (l *Ledger) Settle(viewer int, owed []uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := &l.viewers[viewer]
	for d, n := range owed {
		if v.held[d] < n && v.isOwed(d) {
			l.breaches.add(Lost, "viewer %d: device %d is at %d, and %d was acknowledged", viewer, d, v.held[d], n)
			l.endLocked(v, d, n)
		}
	}
}

// endLocked gives the messages up to top that nobody showed their end.
func (l *Ledger) endLocked(v *viewerBook, device int, top uint32) {
	d := &l.devices[device]
	if !v.isOwed(device) {
		v.unasked += int64(top - min(v.written[device], top))
		v.written[device] = max(v.written[device], top)
		return
	}
	for j := v.written[device] + 1; j <= top; j++ {
		a := d.acks[j-1]
		switch {
		case a.era == 0:
			v.unpromised++
		case !l.terms.Durable && int(a.era)-1 < v.resetEra:
			v.declared++
		default:
			l.loseLocked(v, entry{device, j})
		}
	}
	v.written[device] = max(v.written[device], top)
}

// Close gives every message its end. Nothing may be said after it.
func (l *Ledger) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.viewers {
		v := &l.viewers[i]
		for d := range l.devices {
			before := v.missing
			l.endLocked(v, d, uint32(len(l.devices[d].acks)))
			if n := v.missing - before; n > 0 {
				l.breaches.add(Lost, "viewer %d: device %d ends at %d, and %d acknowledged messages after it were never shown", i, d, v.held[d], n)
			}
		}
	}
}

// Totals are the sums of the books. Entries are one for each message and viewer: after Close, Delivered, Superseded,
// Declared, Lost, Unpromised and Unasked make messages times viewers. Overtaken ones are in Superseded or Delivered as well: a newer
// state was shown, which lacks what they had set.
type Totals struct {
	Sent    int64 `json:"sent"`
	Acked   int64 `json:"acked"`
	Refused int64 `json:"refused"` // answers to a message with an error
	Resets  int64 `json:"resets"`
	Removed int64 `json:"removed"`

	Delivered  int64 `json:"delivered"`
	Superseded int64 `json:"superseded"`
	Declared   int64 `json:"declared"`
	Lost       int64 `json:"silently_lost"`
	Unpromised int64 `json:"not_promised"`
	Unasked    int64 `json:"not_asked_for"` // of a device that the viewer's filter left out when it was sent, or after it left
	Overtaken  int64 `json:"overtaken"`
}

// Totals returns the sums so far.
func (l *Ledger) Totals() Totals {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.totals
	for i := range l.devices {
		t.Sent += int64(len(l.devices[i].acks))
	}
	for i := range l.viewers {
		v := &l.viewers[i]
		t.Delivered += v.delivered
		t.Superseded += v.superseded
		t.Declared += v.declared
		t.Lost += v.missing
		t.Unpromised += v.unpromised
		t.Unasked += v.unasked
		t.Overtaken += v.overtaken
	}
	return t
}

// Worst returns the n devices that lost most, then those that were stale longest.
func (l *Ledger) Worst(n int) []DeviceWorst {
	l.mu.Lock()
	defer l.mu.Unlock()
	worst := make([]DeviceWorst, len(l.devices))
	for i := range l.devices {
		worst[i] = DeviceWorst{Device: i, Lost: l.devices[i].lost, Stale: l.devices[i].stale}
	}
	sortWorst(worst)
	return worst[:min(n, len(worst))]
}

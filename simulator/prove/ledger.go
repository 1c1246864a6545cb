package prove

import (
	"fmt"
	"sync"
	"time"
)

// Ring is how many messages of a device can be told apart in its state: message n sets the metric n modulo Ring.
const Ring = 16

// State is what somebody was told about a device.
type State struct {
	Seq   uint32 // the newest message; the first is 1
	At    int64  // unix ms
	Slots [Ring]uint32
	// Silent is the state of a device that is connected and has said nothing yet: no message made it, and it shows none.
	Silent bool
}

// Terms are what a ledger holds the installation to.
type Terms struct {
	// Durable says that an acknowledged message survives every fault. Without it a new era begins with each fault, and
	// what was acknowledged before is gone, which a reset declares.
	Durable bool
	// OneEdge says that all viewers and readers are at the same edge, so that nobody may be shown less than another one
	// was shown before.
	OneEdge bool
	// NoResets makes each reset a breach.
	NoResets bool
}

// Ledger is the record of all messages and viewers. It is data only: it reads no clock and starts nothing. Its methods
// may be called from any goroutine. Devices and viewers are numbers from 0; now is the time since the run began.
type Ledger struct {
	terms Terms

	mu       sync.Mutex // guards what follows
	devices  []deviceBook
	viewers  []viewerBook
	era      int // of what is acknowledged and shown now; without Durable it begins anew with each fault
	lossEra  int // the last era that began with everything lost for sure
	breaches breaches
	totals   Totals // of what ended already
}

// deviceBook is what one device did. Index 0 of the slices is message 1.
type deviceBook struct {
	acks    []ack
	refused map[uint32]struct{} // messages that were answered with an error: their order is not kept
	acked   uint32              // the highest acknowledged
	owed    uint32              // the highest acknowledged that must be there now
	shown   uint32              // the highest that was shown to anybody in this era
	stale   time.Duration       // the longest that an acknowledged message waited to be seen, or a newer one
	lost    int64
}

type ack struct {
	at   time.Duration
	era  int32 // 1 + that of the PUBACK; 0: none
	sent int32 // the last era in which it was sent
}

// NewLedger makes an empty ledger.
func NewLedger(devices, viewers int, t Terms) *Ledger {
	l := &Ledger{terms: t, devices: make([]deviceBook, devices), viewers: make([]viewerBook, viewers)}
	for i := range l.viewers {
		l.viewers[i].init(devices)
	}
	return l
}

// Sent gives a device's next message its number.
func (l *Ledger) Sent(device int) uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := &l.devices[device]
	d.acks = append(d.acks, ack{})
	return uint32(len(d.acks))
}

// Published says that a message goes out, perhaps again, on a connection of an era.
func (l *Ledger) Published(device int, seq uint32, era int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.devices[device].acks[seq-1].sent = int32(era)
}

// Acked says that a message's PUBACK came on a connection of an era.
func (l *Ledger) Acked(device int, seq uint32, era int, now time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := &l.devices[device]
	if a := &d.acks[seq-1]; a.era == 0 {
		a.at, a.era = now, int32(era)+1
		l.totals.Acked++
	}
	d.acked = max(d.acked, seq)
	if l.terms.Durable || era == l.era {
		d.owed = max(d.owed, seq)
	}
}

// Refused says that a message was answered with an error. It is sent again, out of order.
func (l *Ledger) Refused(device int, seq uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := &l.devices[device]
	if d.refused == nil {
		d.refused = map[uint32]struct{}{}
	}
	d.refused[seq] = struct{}{}
	l.totals.Refused++
}

// NextEra says that a fault has happened and that nobody can be connected to what was before. With lost set the
// installation has forgotten everything for sure. It means nothing to a durable one.
func (l *Ledger) NextEra(lost bool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.era++
	if l.terms.Durable {
		return l.era
	}
	if lost {
		l.lossEra = l.era
	}
	for i := range l.devices {
		l.devices[i].owed, l.devices[i].shown = 0, 0
	}
	return l.era
}

// Owed returns for each device the highest message that must be there: it was acknowledged and nothing excuses its loss.
func (l *Ledger) Owed() []uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	owed := make([]uint32, len(l.devices))
	for i := range l.devices {
		owed[i] = l.devices[i].owed
	}
	return owed
}

// Floor returns the least that somebody who asks now must be told of each device: what anybody was told before. It is
// nil where nothing can be said.
func (l *Ledger) Floor() []uint32 {
	if !l.terms.OneEdge {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	floor := make([]uint32, len(l.devices))
	for i := range l.devices {
		floor[i] = l.devices[i].shown
	}
	return floor
}

// Read says that a reader who is no viewer was told a device's state on a connection of an era; who names it in a breach.
func (l *Ledger) Read(who string, device int, s State, era int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isKnownLocked(who, device, s) {
		return
	}
	l.showLocked(device, s.Seq, era)
	if lost := l.overtakenLocked(device, s); len(lost) > 0 {
		l.breaches.add(Overtaken, "%s: device %d is at %d without %v", who, device, s.Seq, lost)
	}
}

// Told says that a reader who is no viewer has been told all that there is, on a connection of an era, and asked when floor
// held; sees are the devices that it asked for, nil for all.
func (l *Ledger) Told(who string, held []uint32, era int, floor []uint32, sees []bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if floor == nil || !l.holdsLocked(era) {
		return
	}
	for d, n := range floor {
		if held[d] < n && (sees == nil || sees[d]) {
			l.breaches.add(Hole, "%s: device %d is at %d, but %d had been shown before it asked", who, d, held[d], n)
		}
	}
}

// NotKept says that a reader found a device older than what it owes after every patience.
func (l *Ledger) NotKept(who string, device int, has, owes uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.breaches.add(NotKept, "%s: device %d is at %d, and %d was acknowledged", who, device, has, owes)
	l.devices[device].lost++
}

// Breach records a breach that the ledger cannot see itself.
func (l *Ledger) Breach(k Kind, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.breaches.add(k, format, args...)
}

// holdsLocked tells whether what was told on a connection of this era says something about now.
func (l *Ledger) holdsLocked(era int) bool { return l.terms.Durable || era == l.era }

func (l *Ledger) showLocked(device int, seq uint32, era int) {
	if l.holdsLocked(era) {
		l.devices[device].shown = max(l.devices[device].shown, seq)
	}
}

// isKnownLocked refuses states that no message of ours can make.
func (l *Ledger) isKnownLocked(who string, device int, s State) bool {
	if s.Silent {
		return false // who was told more before finds it gone: see Shown and Told
	}
	if s.Seq == 0 || int(s.Seq) > len(l.devices[device].acks) {
		l.breaches.add(Invented, "%s: device %d is at %d, and %d were sent", who, device, s.Seq, len(l.devices[device].acks))
		return false
	}
	if s.Slots[s.Seq%Ring] != s.Seq {
		l.breaches.add(Invented, "%s: device %d at %d shows %d in that message's own metric", who, device, s.Seq, s.Slots[s.Seq%Ring])
		return false
	}
	return true
}

// overtakenLocked returns the messages before s that the state must show and does not. A device sends in order, and again
// in order from the first without a PUBACK, so what it sent before s was merged before s, or is lost.
func (l *Ledger) overtakenLocked(device int, s State) (lost []uint32) {
	d := &l.devices[device]
	sent := d.acks[s.Seq-1].sent
	first := uint32(1)
	if s.Seq > Ring-1 {
		first = s.Seq - (Ring - 1)
	}
	for j := first; j < s.Seq; j++ {
		if s.Slots[j%Ring] == j {
			continue
		}
		if _, refused := d.refused[j]; refused {
			continue
		}
		if a := d.acks[j-1]; !l.terms.Durable && a.era != 0 && a.era-1 < sent {
			continue // acknowledged before a fault after which this one was sent
		}
		lost = append(lost, j)
	}
	return lost
}

// DeviceWorst is one of the devices that fared worst.
type DeviceWorst struct {
	Device int           `json:"device"`
	Prefix string        `json:"prefix,omitempty"` // of its id, where that is not the report's
	Lost   int64         `json:"lost"`
	Stale  time.Duration `json:"longest_stale_ns"`
}

func (l *Ledger) String() string {
	t := l.Totals()
	return fmt.Sprintf("sent %d, acked %d, lost %d", t.Sent, t.Acked, t.Lost)
}

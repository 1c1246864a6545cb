package bridge

import (
	"cmp"
	"container/heap"
	"container/list"
	"slices"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/trace"
)

// Commands of people to devices. Their states are the owner's, as everything of a device is; they stand in a table of
// their own beside the records, since a record is written with each message of its device and a command may hold 16 KiB.
// So a command needs no live device either: one that was never connected finds it when it comes.
//
// What enters twice changes nothing: a command is known by its id, and a state only moves up.

// Bounds of commands.
const (
	maxOpenCommands     = 64                    // of a device, that wait for it: one that never comes must not gather them
	maxFinishedCommands = 128                   // of a device, that are remembered
	maxCommands         = 10_000                // of a partition, open and finished
	maxCommandBytes     = 32 << 20              // of their rows
	commandRowBytes     = 256                   // what a row takes besides params and result, about
	commandAge          = 7 * 24 * 3600e3       // ms: how long one that is finished is remembered
	commandClock        = 10_000                // ms: by how much the clock of who accepts a command may be behind the inlet's
	expiryRetry         = 50 * time.Millisecond // between looks at a command whose time has ended while there is more to read
	commandEvent        = "command"
)

// command is one of the table.
type command struct {
	id       devices.CommandID
	device   devices.DeviceID
	fleet    devices.FleetID
	state    devices.CommandState
	at       int64 // when it reached the state
	expires  int64
	size     int
	now      *devices.Command // nil where it is finished and published
	dirty    bool
	gone     bool
	place    int           // in the heap; -1 where it is finished
	finished *list.Element // of the partition
	trace    *trace.Context
}

// commands are those of a partition. Like the state that it is a part of it has no lock.
type commands struct {
	rows     map[devices.CommandID]*command
	devices  map[devices.DeviceID]*deviceCommands
	expiry   expiryHeap // those that are open
	finished *list.List // of *command, the one that was finished first at the front
	bytes    int
	dirty    []*command
}

type deviceCommands struct {
	open     int
	finished []*command // the oldest first
}

func newCommands() commands {
	return commands{
		rows: make(map[devices.CommandID]*command), devices: make(map[devices.DeviceID]*deviceCommands), finished: list.New(),
	}
}

// loadCommands takes over the table of the owner before. A row that cannot be read is counted and left alone.
func (s *state) loadCommands(rows []bus.CommandRow) {
	var all []*devices.Command
	traced := map[devices.CommandID]*trace.Context{}
	for i := range rows {
		c, err := devices.ParseCommand(rows[i].Data)
		if err != nil {
			s.counters.add(reasonBadRecord)
			continue
		}
		all = append(all, c)
		if rows[i].Trace != nil {
			traced[c.ID] = rows[i].Trace
		}
	}
	slices.SortFunc(all, func(a, b *devices.Command) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	for _, c := range all {
		k := s.commands.add(c)
		k.trace = traced[c.ID]
		if c.State.IsFinal() {
			s.commands.finish(k)
			k.now = nil
		}
	}
}

// add takes a command in that is not finished yet.
func (t *commands) add(c *devices.Command) *command {
	k := &command{
		id: c.ID, device: c.Device, fleet: c.Fleet, state: c.State, at: c.At, expires: c.Expires, now: c, place: -1,
		size: commandRowBytes + len(c.Params) + len(c.Result),
	}
	t.rows[k.id] = k
	t.bytes += k.size
	d := t.devices[k.device]
	if d == nil {
		d = &deviceCommands{}
		t.devices[k.device] = d
	}
	d.open++
	heap.Push(&t.expiry, k)
	return k
}

// finish moves a command from those that are open to those that are remembered.
func (t *commands) finish(k *command) {
	if k.place >= 0 {
		heap.Remove(&t.expiry, k.place)
	}
	k.finished = t.finished.PushBack(k)
	d := t.devices[k.device]
	d.open--
	d.finished = append(d.finished, k)
}

func (t *commands) touch(k *command) {
	if !k.dirty {
		k.dirty = true
		t.dirty = append(t.dirty, k)
	}
}

// forget drops a command that is finished.
func (t *commands) forget(k *command) {
	t.finished.Remove(k.finished)
	delete(t.rows, k.id)
	t.bytes -= k.size
	d := t.devices[k.device]
	d.finished = slices.DeleteFunc(d.finished, func(o *command) bool { return o == k })
	if d.open == 0 && len(d.finished) == 0 {
		delete(t.devices, k.device)
	}
	k.gone = true
	t.touch(k)
}

// prune holds the bounds: what was finished first goes first.
func (t *commands) prune(now int64) {
	for e := t.finished.Front(); e != nil; e = t.finished.Front() {
		k := e.Value.(*command)
		if len(t.rows) <= maxCommands && t.bytes <= maxCommandBytes && k.at > now-commandAge {
			return
		}
		t.forget(k)
	}
}

// applyCommand takes a command in. It ends as an event in every case: whoever sent it was told that it is accepted.
func (s *state) applyCommand(e *bus.Entry) {
	o := e.Command
	if s.commands.rows[o.ID] != nil {
		s.counters.add(reasonCommandRepeated)
		return
	}
	s.counters.add(countCommands)
	at := o.At
	if at > e.Time || at < e.Time-commandClock {
		at = e.Time
	}
	c := &devices.Command{
		ID: o.ID, Device: cloneDevice(e.Device), Fleet: cloneFleet(e.Fleet), Name: o.Name, Params: o.Params, By: o.By,
		State: devices.CommandAccepted, At: at, Accepted: at, Expires: at + o.TTL,
	}
	k := s.commands.add(c)
	k.trace = s.tracing.of(e)
	s.tellCommand(k)
	s.commands.prune(e.Time)
	switch open := s.commands.devices[k.device].open; {
	case open > maxOpenCommands:
		s.counters.add(reasonCommandLimit)
		s.endCommand(k, devices.CommandFailed, e.Time, "too many commands wait for the device")
	case len(s.commands.rows) > maxCommands || s.commands.bytes > maxCommandBytes:
		s.counters.add(reasonCommandLimit)
		s.endCommand(k, devices.CommandFailed, e.Time, "too many commands wait")
	default:
		if why := s.cannotCommand(k); why != "" {
			s.endCommand(k, devices.CommandFailed, e.Time, why)
		}
	}
}

// cannotCommand says why a command will never reach its device, or "".
func (s *state) cannotCommand(k *command) string {
	reg, known := s.registered(k.device)
	d := s.live[k.device]
	switch {
	case !known && s.opts.Closed:
		return "there is no such device"
	case known && reg.Fleet != k.fleet, !known && d != nil && d.asset.Fleet != k.fleet:
		return "the device is in another fleet"
	}
	return ""
}

// applyReport moves a command to the state that a door saw.
func (s *state) applyReport(e *bus.Entry) {
	r := e.Report
	if d := s.live[e.Device]; r.State >= devices.CommandDone && d != nil && d.asset.Fleet == e.Fleet {
		s.heard(d, e.Time) // an answer is a message of the device
		s.touch(d)
	}
	k := s.commands.rows[r.ID]
	switch {
	case k == nil:
		s.counters.add(reasonCommandUnknown)
	case k.device != e.Device || k.fleet != e.Fleet:
		s.counters.add(reasonCommandForeign)
	case k.state.IsFinal():
		s.counters.add(reasonCommandLate)
	case r.State.IsFinal():
		k.now.Result, k.now.Truncated = r.Result, r.Truncated
		s.commands.bytes += len(r.Result)
		k.size += len(r.Result)
		s.endCommand(k, r.State, e.Time, r.Error)
		s.commands.prune(e.Time)
	case r.State <= k.state:
		s.counters.add(reasonCommandOvertaken) // sent once more, since nobody acknowledged it
	default:
		k.now.Unconfirmed = k.now.Unconfirmed || r.Unconfirmed
		s.advance(k, r.State, e.Time)
	}
}

func (s *state) advance(k *command, to devices.CommandState, at int64) {
	s.tracing.reached(k, to, max(at, k.at))
	k.state, k.at = to, max(at, k.at)
	k.now.State, k.now.At = k.state, k.at
	s.tellCommand(k)
}

// endCommand finishes a command. What is remembered of its device beyond the bound goes.
func (s *state) endCommand(k *command, to devices.CommandState, at int64, why string) {
	k.now.Error = why
	s.advance(k, to, at)
	s.commands.finish(k)
	s.counters.add(countCommandEnds[to])
	if finished := s.commands.devices[k.device].finished; len(finished) > maxFinishedCommands {
		s.commands.forget(finished[0])
	}
}

var countCommandEnds = map[devices.CommandState]reason{
	devices.CommandDone: countCommandsDone, devices.CommandFailed: countCommandsFailed, devices.CommandExpired: countCommandsExpired,
}

// tellCommand has a command's state published, as a row and as an event.
func (s *state) tellCommand(k *command) {
	s.commands.touch(k)
	s.judging.events = append(s.judging.events, bus.Event{Name: commandEvent, Device: k.device, Fleet: k.fleet, Data: k.now.EventJSON()})
}

// expireCommands ends commands whose time is over by the owner's clock. An answer that the inlet took in time counts: so
// the inlet must have been read to its end, or at least as far as that.
func (s *state) expireCommands(now int64, readToEnd bool) {
	for len(s.commands.expiry) > 0 {
		k := s.commands.expiry[0]
		if k.expires > now || !readToEnd && s.lastTime < k.expires {
			return
		}
		s.endCommand(k, devices.CommandExpired, max(k.expires, k.at), "")
	}
}

// nextExpiry is when the next command ends, by the owner's clock, or 0.
func (s *state) nextExpiry() int64 {
	if len(s.commands.expiry) == 0 {
		return 0
	}
	return s.commands.expiry[0].expires
}

// reviewCommands ends what waits for a device that the registry says is gone, or elsewhere.
func (s *state) reviewCommands(id devices.DeviceID, deleted bool) {
	if d := s.commands.devices[id]; d == nil || d.open == 0 {
		return
	}
	for _, k := range slices.Clone(s.commands.expiry) {
		if k.device != id {
			continue
		}
		why := s.cannotCommand(k)
		if deleted {
			why = "the device was deleted"
		}
		if why != "" {
			s.endCommand(k, devices.CommandFailed, max(s.lastTime, k.at), why)
		}
	}
}

// commandRows are the rows that changed since the last flush that was committed.
func (s *state) commandRows(dst []bus.CommandRow) []bus.CommandRow {
	clear(dst)
	dst = dst[:0]
	for _, k := range s.commands.dirty {
		row := bus.CommandRow{ID: k.id, Device: k.device, Fleet: k.fleet, Trace: k.trace}
		if !k.gone {
			row.Data = k.now.JSON()
		}
		dst = append(dst, row)
	}
	return dst
}

// committedCommands tells that they were published.
func (s *state) committedCommands() {
	for _, k := range s.commands.dirty {
		k.dirty = false
		if k.state.IsFinal() {
			k.now = nil // the bus has it, and nothing changes it any more
		}
	}
	clear(s.commands.dirty)
	s.commands.dirty = s.commands.dirty[:0]
}

// expiryHeap is a heap.Interface, the command that ends first at the front.
type expiryHeap []*command

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].expires < h[j].expires }
func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements heap.Interface.
func (h *expiryHeap) Push(x any) {
	k := x.(*command)
	k.place = len(*h)
	*h = append(*h, k)
}

// Pop implements heap.Interface.
func (h *expiryHeap) Pop() any {
	old := *h
	k := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	k.place = -1
	return k
}

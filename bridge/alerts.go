package bridge

import (
	"encoding/binary"
	"encoding/json"
	"slices"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/rules"
)

// alertEvent is the name of an alert's steps in the stream, and of its notes.
const alertEvent = "alert"

// Bounds of what is kept of a device's alerts for people to look up. What is open is bounded by the rules that are asked
// of a device; it goes only where its texts are so long that there is no room.
const (
	maxClosedNotes = 32
	maxClosedBytes = 16 << 10
	maxNotesBytes  = 48 << 10
)

// alerts are what an owner remembers of a device's rules, and its alerts as people look them up. Most devices have none.
type alerts struct {
	// Kept in the record.
	track rules.Track
	late  rules.Track // of readings that were older than what is held, in their own order
	lag   int64       // how much later than its own time the last reading was heard, ms
	notes []alertNote // in the order in which they were raised

	// The present owner's.
	due   int64 // when time alone may say something, by the inlet's clock; 0: never
	place int   // in the heap of those; -1: in none
}

// alertNote is an alert as people look it up: what it was when it was raised, with its state now.
type alertNote struct {
	id     string
	raised int64
	closed int64 // when it was cleared, by the inlet's clock; 0: it is open
	data   []byte
}

func newAlerts() *alerts { return &alerts{place: -1} }

func (w *alerts) isEmpty() bool { return w.track.IsEmpty() && w.late.IsEmpty() && len(w.notes) == 0 }

// alertsOf returns what is remembered of a device, or what may be from now on: see settleAlerts.
func (s *state) alertsOf(d *device) *alerts {
	if d.alerts != nil {
		return d.alerts
	}
	return s.judging.blank
}

// settleAlerts keeps what the rules were just asked with, where there is something to remember, and notes when time alone
// may say something.
func (s *state) settleAlerts(d *device, w *alerts) {
	j := &s.judging
	switch {
	case w.isEmpty() && d.alerts == nil:
		w.lag = 0
		return
	case w.isEmpty():
		j.dues.set(d, 0)
		d.alerts = nil
		j.watched--
		return
	case d.alerts == nil:
		d.alerts = w
		j.blank = newAlerts()
		j.watched++
	}
	j.dues.set(d, w.track.Due(w.lag))
}

// resume takes in what a record says.
func (s *state) resume(d *device) {
	if d.alerts == nil {
		return
	}
	s.judging.watched++
	s.judging.eval.Resume(&d.alerts.track)
	s.judging.dues.set(d, d.alerts.track.Due(d.alerts.lag))
}

// tell makes events and notes of steps. They are committed with the device, which has the rules' memory of them.
func (s *state) tell(d *device, steps []rules.Alert) {
	for i := range steps {
		step := &steps[i]
		w := s.alertsOf(d)
		w.note(step, s.lastTime)
		s.judging.events = append(s.judging.events, bus.Event{Name: alertEvent, Device: d.asset.ID, Fleet: d.asset.Fleet, Data: step.JSON()})
		switch step.State {
		case rules.Raised:
			s.counters.add(countRaised)
		case rules.Acknowledged:
			s.counters.add(countAcknowledged)
		case rules.Cleared:
			s.counters.add(countCleared)
		}
		s.settleAlerts(d, w)
	}
	if len(steps) == 0 {
		return
	}
	s.touch(d)
	if d.alerts != nil {
		s.counters[reasonAlertNotes].Add(d.alerts.bound())
	}
}

// note takes a step into the alert that people look up, and completes the step by what the alert said before.
func (w *alerts) note(step *rules.Alert, now int64) {
	if step.State == rules.Raised {
		w.notes = append(w.notes, alertNote{id: step.ID, raised: step.Raised, data: step.JSON()})
		return
	}
	i := slices.IndexFunc(w.notes, func(n alertNote) bool { return n.id == step.ID })
	if i < 0 {
		return
	}
	n := &w.notes[i]
	var a rules.Alert
	if json.Unmarshal(n.data, &a) != nil {
		return // it stays as it is
	}
	a.State, a.At = step.State, step.At
	if step.Name == "" && step.Severity == "" {
		step.Name, step.Severity = a.Name, a.Severity
	}
	if step.State == rules.Acknowledged {
		a.By, a.Comment = step.By, step.Comment
		step.Text, step.Value = a.Text, a.Value
	} else {
		n.closed = max(now, 1)
		step.By = a.By
	}
	n.data = a.JSON()
}

// forget drops what was cleared before a time, and tells whether there was any.
func (w *alerts) forget(before int64) bool {
	held := len(w.notes)
	w.notes = slices.DeleteFunc(w.notes, func(n alertNote) bool { return n.closed != 0 && n.closed < before })
	return len(w.notes) < held
}

// bound keeps the notes within their bounds, the oldest cleared ones going first, and returns how many went of those that
// are open.
func (w *alerts) bound() (dropped uint64) {
	closed, closedBytes, bytes := 0, 0, 0
	for i := range w.notes {
		n := &w.notes[i]
		bytes += n.bytes()
		if n.closed != 0 {
			closed++
			closedBytes += n.bytes()
		}
	}
	drop := func(isClosed bool) {
		i := slices.IndexFunc(w.notes, func(n alertNote) bool { return (n.closed != 0) == isClosed })
		if i < 0 {
			return
		}
		bytes -= w.notes[i].bytes()
		if isClosed {
			closed--
			closedBytes -= w.notes[i].bytes()
		}
		w.notes = slices.Delete(w.notes, i, i+1)
	}
	for closed > maxClosedNotes || closedBytes > maxClosedBytes || closed > 0 && bytes > maxNotesBytes {
		drop(true)
	}
	for ; bytes > maxNotesBytes; dropped++ {
		drop(false)
	}
	return dropped
}

func (n *alertNote) bytes() int { return len(alertEvent) + len(n.id) + len(n.data) }

// busNotes are the notes as the bus keeps them; w may be nil.
func (w *alerts) busNotes() []bus.Note {
	if w == nil || len(w.notes) == 0 {
		return nil
	}
	out := make([]bus.Note, len(w.notes))
	for i := range w.notes {
		n := &w.notes[i]
		out[i] = bus.Note{Name: alertEvent, ID: n.id, At: n.raised, Data: n.data}
	}
	return out
}

// The part of a device's record: both tracks (length, bytes), lag (signed), then the number of notes, and of each the id
// and the data (length, bytes), when it was raised and cleared (signed).
func (w *alerts) append(dst []byte) []byte {
	for _, track := range [...]*rules.Track{&w.track, &w.late} {
		bytes := track.Append(nil)
		dst = append(binary.AppendUvarint(dst, uint64(len(bytes))), bytes...)
	}
	dst = binary.AppendVarint(dst, w.lag)
	dst = binary.AppendUvarint(dst, uint64(len(w.notes)))
	for i := range w.notes {
		n := &w.notes[i]
		dst = appendText(dst, n.id)
		dst = append(binary.AppendUvarint(dst, uint64(len(n.data))), n.data...)
		dst = binary.AppendVarint(binary.AppendVarint(dst, n.raised), n.closed)
	}
	return dst
}

// maxTrackBytes is more than a track of as many rules as a device may have.
const maxTrackBytes = 16 << 10

// alerts reads the whole part.
func (r *recordReader) alerts() *alerts {
	w := newAlerts()
	for _, track := range [...]*rules.Track{&w.track, &w.late} {
		t, err := rules.ParseTrack(r.take(r.number(maxTrackBytes)))
		*track, r.failed = t, r.failed || err != nil
	}
	w.lag = r.signed()
	for range r.number(bus.MaxNotes) {
		n := alertNote{id: r.text(bus.MaxNoteIDBytes), data: slices.Clone(r.take(r.number(bus.MaxNoteBytes)))}
		n.raised, n.closed = r.signed(), r.signed()
		if n.id == "" || len(n.data) == 0 {
			r.failed = true
		}
		if r.failed {
			return w
		}
		w.notes = append(w.notes, n)
	}
	r.failed = r.failed || w.isEmpty()
	return w
}

package rules

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/fleetcast/fleetcast/devices"
)

// Track is what an owner remembers of one device's rules between two readings. The zero value is a device of which
// nothing was asked yet. It is part of the device's record: an owner that takes over goes on from it.
type Track struct {
	set      *Set // that it was last asked by
	memories []memory
	due      int64 // of places: by the time of the readings
	gone     int64 // of silence: by the inlet's clock
}

// memory is what is remembered of one rule.
type memory struct {
	rule    string
	version uint32
	phase   phase
	armed   bool // an edge rule: the device was seen on the other side
	acked   bool
	since   int64  // when the condition began to hold, or the alert was raised, unix ms
	alert   string // raised
}

type phase uint8

const (
	idle phase = iota
	pending
	raised
)

// Due is when time alone may raise an alert, by the inlet's clock, unix ms; 0 is never. What readings said was heard lag
// later than it was, so a device that sends what it held back is not judged by what it says a moment later.
func (t *Track) Due(lag int64) int64 {
	switch {
	case t.due == 0:
		return t.gone
	case t.gone == 0:
		return t.due + lag
	}
	return min(t.gone, t.due+lag)
}

// IsEmpty tells whether there is nothing to remember.
func (t *Track) IsEmpty() bool { return len(t.memories) == 0 }

// Open returns the ids of the alerts that are raised and not cleared.
func (t *Track) Open() []string {
	var ids []string
	for i := range t.memories {
		if t.memories[i].phase == raised {
			ids = append(ids, t.memories[i].alert)
		}
	}
	return ids
}

// Has tells whether an alert is raised and not cleared.
func (t *Track) Has(alert string) bool {
	for i := range t.memories {
		if m := &t.memories[i]; m.phase == raised && m.alert == alert {
			return true
		}
	}
	return false
}

// isRaised tells whether the rule has raised an alert.
func (t *Track) isRaised(r *rule) bool {
	m := t.recall(r)
	return m != nil && m.phase == raised
}

// Acknowledge notes that a person has seen an alert. It tells false where there is no such open alert, or it was seen
// before.
func (t *Track) Acknowledge(id, by string, at int64, a *devices.Asset) (Alert, bool) {
	for i := range t.memories {
		m := &t.memories[i]
		if m.phase != raised || m.alert != id || m.acked {
			continue
		}
		m.acked = true
		step := m.step(a, Acknowledged, at)
		step.By = by
		if t.set != nil {
			step.label(t.set.find(m.rule))
		}
		return step, true
	}
	return Alert{}, false
}

// Close clears what is open, for instance since the device is removed, and says why.
func (t *Track) Close(a *devices.Asset, at int64, why string, out []Alert) []Alert {
	for i := range t.memories {
		if m := &t.memories[i]; m.phase == raised {
			step := m.step(a, Cleared, at)
			step.Text = why
			if t.set != nil {
				step.label(t.set.find(m.rule))
			}
			out = append(out, step)
		}
	}
	*t = Track{}
	return out
}

// step is a step of the memory's alert.
func (m *memory) step(a *devices.Asset, state AlertState, at int64) Alert {
	step := Alert{ID: m.alert, Rule: m.rule, Device: a.ID, Fleet: a.Fleet, State: state, At: at, Raised: m.since}
	if a.Has.Has(devices.FieldPosition) {
		lat, lon := a.Lat, a.Lon
		step.Lat, step.Lon = &lat, &lon
	}
	return step
}

// label adds what the rule says of itself, where it is still there.
func (a *Alert) label(r *rule) {
	if r != nil {
		a.Name, a.Severity = r.Name, r.Severity
	}
}

// memory returns what is remembered of a rule, made where there is nothing yet.
func (t *Track) memory(r *rule) *memory {
	i, found := slices.BinarySearchFunc(t.memories, r.ID, func(m memory, id string) int { return cmp.Compare(m.rule, id) })
	if !found {
		t.memories = slices.Insert(t.memories, i, memory{rule: r.ID, version: r.version})
	}
	return &t.memories[i]
}

// recall is as memory, but makes nothing.
func (t *Track) recall(r *rule) *memory {
	for i := range t.memories { // a handful, without copies
		if t.memories[i].rule == r.ID {
			return &t.memories[i]
		}
	}
	return nil
}

// The bytes of a track: a version, then each memory: a length and the rule's id, its version, flags, since and alert.
const (
	trackVersion = 1

	flagArmed = 1 << 2
	flagAcked = 1 << 3
	phaseMask = 3
)

var errBadTrack = errors.New("read rules of a device: not what this version writes")

// Append appends the track's bytes; nothing where there is nothing to remember.
func (t *Track) Append(dst []byte) []byte {
	if t.IsEmpty() {
		return dst
	}
	dst = append(dst, trackVersion)
	for i := range t.memories {
		m := &t.memories[i]
		dst = append(append(dst, byte(len(m.rule))), m.rule...)
		dst = binary.LittleEndian.AppendUint32(dst, m.version)
		flags := byte(m.phase)
		if m.armed {
			flags |= flagArmed
		}
		if m.acked {
			flags |= flagAcked
		}
		dst = binary.AppendVarint(append(dst, flags), m.since)
		dst = append(append(dst, byte(len(m.alert))), m.alert...)
	}
	return dst
}

// ParseTrack reads what Append wrote, from the whole of b.
func ParseTrack(b []byte) (Track, error) {
	var t Track
	if len(b) == 0 {
		return t, nil
	}
	if b[0] != trackVersion {
		return t, errBadTrack
	}
	for b = b[1:]; len(b) > 0; {
		var m memory
		var ok bool
		if m.rule, b, ok = cutText(b, MaxIDBytes); !ok || len(b) < 5 {
			return Track{}, errBadTrack
		}
		m.version = binary.LittleEndian.Uint32(b)
		flags := b[4]
		m.phase, m.armed, m.acked = phase(flags&phaseMask), flags&flagArmed != 0, flags&flagAcked != 0
		since, n := binary.Varint(b[5:])
		if n <= 0 || m.phase > raised {
			return Track{}, errBadTrack
		}
		m.since, b = since, b[5+n:]
		if m.alert, b, ok = cutText(b, 2*alertIDBytes); !ok {
			return Track{}, errBadTrack
		}
		if last := len(t.memories) - 1; last >= 0 && t.memories[last].rule >= m.rule || last >= MaxRulesPerDevice {
			return Track{}, errBadTrack
		}
		t.memories = append(t.memories, m)
	}
	return t, nil
}

func cutText(b []byte, most int) (string, []byte, bool) {
	if len(b) == 0 || int(b[0]) > most || len(b) < 1+int(b[0]) {
		return "", nil, false
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], true
}

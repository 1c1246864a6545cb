package bus

import (
	"unicode"
	"unicode/utf8"

	"github.com/fleetcast/fleetcast/devices"
)

// Limits of what passes through a bus, besides those of the vocabulary. They bound what one message of another process
// can cost a reader, and they are checked on the way in, so that nothing that was acknowledged cannot be read back.
const (
	// MaxPartitions bounds the number of partitions of a store.
	MaxPartitions = 1024
	// MaxReadingMetrics bounds the metrics of one reading. It is above devices.MaxMetrics, which is a limit of an
	// asset: one message may delete and set more than an asset holds.
	MaxReadingMetrics = 256
	MaxEventNameBytes = 64
	MaxEventBytes     = 16 << 10 // of an event's data

	// Of an acknowledgement.
	MaxAlertIDBytes = 64
	MaxByBytes      = 512
	MaxTextBytes    = 1_000

	// Notes of a device: how many, and their bytes with ids and names, all of them together.
	MaxNotes         = 256
	MaxNoteNameBytes = 32
	MaxNoteIDBytes   = 64
	MaxNoteBytes     = 64 << 10
)

// knownFields are the members that the wire format has a place for.
const knownFields = devices.FieldSatellites<<1 - 1

// Check tells whether a bus takes the entry: its kind is known, the body of that kind is there and within its limits.
// One entry that fails makes Append refuse all of them with an Invalid error, so a door checks each before it queues it.
func (e *Entry) Check() error {
	if e.Device.IsZero() {
		return devices.Errorf(devices.Invalid, "device", "is missing in an entry")
	}
	if e.Fleet.IsZero() {
		return devices.Errorf(devices.Invalid, "fleet", "is missing in an entry")
	}
	switch e.Kind {
	case KindReading:
		return checkReading(e.Reading)
	case KindStatus:
		if s := e.Status.Status; s != devices.Online && s != devices.Offline {
			return devices.Errorf(devices.Invalid, "status", "is neither online nor offline")
		}
		return nil
	case KindCommand:
		return e.Command.check()
	case KindCommandState:
		return e.Report.check()
	case KindConnection, KindRemoval, KindErasure:
		return nil
	case KindAcknowledgement:
		return checkAcknowledgement(e.Acknowledgement)
	}
	return devices.Errorf(devices.Invalid, "kind", "%d is no kind of entry", e.Kind)
}

func checkAcknowledgement(a *Acknowledgement) error {
	switch {
	case a == nil:
		return devices.Errorf(devices.Invalid, "acknowledgement", "is missing in an entry")
	case a.Alert == "" || len(a.Alert) > MaxAlertIDBytes:
		return devices.Errorf(devices.Invalid, "alert", "is missing or longer than %d bytes", MaxAlertIDBytes)
	case len(a.By) > MaxByBytes:
		return devices.Errorf(devices.Invalid, "by", "is longer than %d bytes", MaxByBytes)
	case len(a.Text) > MaxTextBytes:
		return devices.Errorf(devices.Invalid, "text", "is longer than %d bytes", MaxTextBytes)
	}
	return nil
}

func checkReading(r *devices.Reading) error {
	if r == nil {
		return devices.Errorf(devices.Invalid, "reading", "is missing in an entry")
	}
	if r.Has&^knownFields != 0 || r.Cleared&^knownFields != 0 {
		return devices.Errorf(devices.Invalid, "reading", "has a member that the wire format does not know")
	}
	if len(r.Metrics) > MaxReadingMetrics {
		return devices.Errorf(devices.Invalid, "metrics", "are more than %d in a reading", MaxReadingMetrics)
	}
	for i := range r.Metrics {
		m := &r.Metrics[i]
		if len(m.Name) > devices.MaxMetricNameBytes {
			return devices.Errorf(devices.Invalid, "metrics", "have a name longer than %d bytes", devices.MaxMetricNameBytes)
		}
		if m.Value.Kind > devices.Bool {
			return devices.Errorf(devices.Invalid, "metrics", "have a value of unknown kind")
		}
		if m.Value.Kind == devices.Text && len(m.Value.Text) > devices.MaxMetricTextBytes {
			return devices.Errorf(devices.Invalid, "metrics", "have a text longer than %d bytes", devices.MaxMetricTextBytes)
		}
	}
	return nil
}

// CheckChange refuses what no edge could use. It looks at no content of a frame: that is the owner's, and this is the
// hot path.
func CheckChange(c *Change) error {
	switch {
	case c.Device.IsZero() || c.Fleet.IsZero():
		return devices.Errorf(devices.Invalid, "change", "names no device or no fleet")
	case !c.Removed() && len(c.Frame) == 0:
		return devices.Errorf(devices.Invalid, "change", "has an empty frame; a removal has none")
	case len(c.Frame) > devices.MaxAssetBytes:
		return devices.Errorf(devices.Invalid, "change", "has a frame of more than %d bytes", devices.MaxAssetBytes)
	case c.Notes != nil:
		return checkNotes(c)
	}
	return nil
}

func checkNotes(c *Change) error {
	if len(c.Notes) > MaxNotes || c.Removed() {
		return devices.Errorf(devices.Invalid, "notes", "are more than %d, or of a device that is removed", MaxNotes)
	}
	bytes := 0
	for i := range c.Notes {
		n := &c.Notes[i]
		bytes += len(n.Name) + len(n.ID) + len(n.Data)
		if n.Name == "" || n.ID == "" || len(n.Name) > MaxNoteNameBytes || len(n.ID) > MaxNoteIDBytes || len(n.Data) == 0 {
			return devices.Errorf(devices.Invalid, "notes", "have one without a name, an id or data")
		}
	}
	if bytes > MaxNoteBytes {
		return devices.Errorf(devices.Invalid, "notes", "have more than %d bytes", MaxNoteBytes)
	}
	return nil
}

// CheckEvent refuses an event that no stream could carry.
func CheckEvent(e *Event) error {
	switch {
	case e.Device.IsZero() || e.Fleet.IsZero():
		return devices.Errorf(devices.Invalid, "event", "names no device or no fleet")
	case !isEventName(e.Name):
		return devices.Errorf(devices.Invalid, "event", "has no usable name")
	case len(e.Data) > MaxEventBytes:
		return devices.Errorf(devices.Invalid, "event", "has more than %d bytes of data", MaxEventBytes)
	}
	return nil
}

// isEventName keeps out what would break the event field of a stream: a name is one line.
func isEventName(s string) bool {
	if s == "" || len(s) > MaxEventNameBytes || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}

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
	case KindConnection, KindRemoval:
		return nil
	}
	return devices.Errorf(devices.Invalid, "kind", "%d is no kind of entry", e.Kind)
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

// checkChange refuses what no edge could use. It looks at no content of a frame: that is the owner's, and this is the
// hot path.
func checkChange(c *Change) error {
	switch {
	case c.Device.IsZero() || c.Fleet.IsZero():
		return devices.Errorf(devices.Invalid, "change", "names no device or no fleet")
	case !c.Removed() && len(c.Frame) == 0:
		return devices.Errorf(devices.Invalid, "change", "has an empty frame; a removal has none")
	case len(c.Frame) > devices.MaxAssetBytes:
		return devices.Errorf(devices.Invalid, "change", "has a frame of more than %d bytes", devices.MaxAssetBytes)
	}
	return nil
}

func checkEvent(e *Event) error {
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

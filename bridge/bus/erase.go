package bus

import (
	"encoding/binary"
	"slices"

	"github.com/fleetcast/fleetcast/devices"
)

// MaxErased bounds the devices that one flush erases.
const MaxErased = 1024

// checkErased refuses what no edge could read.
func checkErased(ids []devices.DeviceID) error {
	if len(ids) > MaxErased || slices.ContainsFunc(ids, devices.DeviceID.IsZero) {
		return devices.Errorf(devices.Invalid, "erased", "are more than %d, or one has no name", MaxErased)
	}
	return nil
}

// CheckErased tells whether a flush may erase what it names.
func (f *Flush) CheckErased() error { return checkErased(f.Erased) }

// WithoutErased drops the events of devices that are erased, in place.
func WithoutErased(events []VersionedEvent, erased []devices.DeviceID) []VersionedEvent {
	if len(erased) == 0 {
		return events
	}
	return slices.DeleteFunc(events, func(e VersionedEvent) bool { return slices.Contains(erased, e.Device) })
}

func appendErased(dst []byte, ids []devices.DeviceID) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ids)))
	for _, id := range ids {
		dst = appendText(dst, id.String())
	}
	return dst
}

// erased reads those of a batch, of which there is at least one.
func (r *wireReader) erased() []devices.DeviceID {
	const minBytes = 2 // length and one byte
	n := r.count("erased", minBytes)
	if n == 0 || n > MaxErased {
		r.fail(ErrWireMalformed, "erased")
		return nil
	}
	out := make([]devices.DeviceID, 0, n)
	for range n {
		id := r.device()
		if r.err != nil {
			return nil
		}
		out = append(out, id)
	}
	return out
}

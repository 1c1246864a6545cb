package devices

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxIDBytes bounds the ids of devices and fleets. They stand in MQTT topics, in keys of the store and in every frame.
const MaxIDBytes = 128

// DeviceID names a device, unique in an installation. The zero value names none. A DeviceID that was parsed is one
// level of an MQTT topic, one line of an SSE field and one part of a key: it holds no '/', '+', '#' and no control
// character. It is comparable and may key maps.
type DeviceID struct{ name string }

// FleetID names a fleet under the same rules as a DeviceID.
type FleetID struct{ name string }

// ParseDeviceID checks s and returns it as an id, sharing its memory: clone s first where it points into a packet.
func ParseDeviceID(s string) (DeviceID, error) {
	if err := checkID("device", s); err != nil {
		return DeviceID{}, err
	}
	return DeviceID{s}, nil
}

// ParseFleetID checks s and returns it as an id, sharing its memory.
func ParseFleetID(s string) (FleetID, error) {
	if err := checkID("fleet", s); err != nil {
		return FleetID{}, err
	}
	return FleetID{s}, nil
}

// JoinDeviceID makes one id of the levels over which a foreign format spreads a name: ann and phone become "ann:phone".
func JoinDeviceID(levels ...string) (DeviceID, error) {
	if slices.Contains(levels, "") {
		return DeviceID{}, Errorf(Invalid, "device", "has an empty level")
	}
	return ParseDeviceID(strings.Join(levels, ":"))
}

func checkID(what, s string) error {
	switch {
	case s == "":
		return Errorf(Invalid, what, "is empty")
	case len(s) > MaxIDBytes:
		return Errorf(Invalid, what, "is longer than %d bytes", MaxIDBytes)
	case !utf8.ValidString(s):
		return Errorf(Invalid, what, "is not UTF-8")
	}
	for _, r := range s {
		if r == '/' || r == '+' || r == '#' || unicode.IsControl(r) {
			return Errorf(Invalid, what, "holds %q, which no id may hold", r)
		}
	}
	return nil
}

// String returns the id's text.
func (d DeviceID) String() string { return d.name }

// IsZero tells whether d names no device.
func (d DeviceID) IsZero() bool { return d.name == "" }

// Hash is the place of the device in the order in which a pass visits devices: the same at every edge and in every
// version. It is cut from SHA-256 so that nobody can choose ids that share a place.
// It is never 0, which stands before all devices.
func (d DeviceID) Hash() uint64 { return max(hashOf(d.name), 1) }

// MarshalText returns the id's text.
func (d DeviceID) MarshalText() ([]byte, error) { return []byte(d.name), nil }

// UnmarshalText parses as ParseDeviceID does.
func (d *DeviceID) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDeviceID(string(text))
	return err
}

// String returns the id's text.
func (f FleetID) String() string { return f.name }

// IsZero tells whether f names no fleet.
func (f FleetID) IsZero() bool { return f.name == "" }

// Partition is the partition, of count, that the fleet belongs to: for ever, as long as the store's count stands.
func (f FleetID) Partition(count int) int {
	if count <= 1 {
		return 0
	}
	return int(hashOf(f.name) % uint64(count))
}

// MarshalText returns the id's text.
func (f FleetID) MarshalText() ([]byte, error) { return []byte(f.name), nil }

// UnmarshalText parses as ParseFleetID does.
func (f *FleetID) UnmarshalText(text []byte) (err error) {
	*f, err = ParseFleetID(string(text))
	return err
}

func hashOf(s string) uint64 {
	sum := sha256.Sum256([]byte(s))
	return binary.BigEndian.Uint64(sum[:8])
}

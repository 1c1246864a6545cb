package registry

import (
	"cmp"
	"fmt"
	"maps"
	"unicode"
	"unicode/utf8"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// The kinds of records of this package in the store.
const (
	KindFleet      store.Kind = "fleet"
	KindDevice     store.Kind = "device"
	KindCredential store.Kind = "credential"
	KindStranger   store.Kind = "stranger" // quarantined
)

// Bounds of what people write about a device or a fleet.
const (
	// MaxNameBytes bounds a name as JSON with its quotes: it stands in every frame of the asset, whose bytes are bounded.
	MaxNameBytes          = 256
	MaxMetadata           = 32
	MaxMetadataKeyBytes   = 64
	MaxMetadataValueBytes = 512
	// MaxMetadataBytes bounds all of it as JSON, in which a byte may take six: a record has a bound.
	MaxMetadataBytes = 16 << 10
	MaxRate          = 1_000_000 // messages a second
	MaxByteRate      = 1 << 30   // bytes a second
	MaxBurst         = 3600      // seconds
)

// Status says whether a device may connect.
type Status string

// The statuses of a device. A quarantined one is a stranger: see Stranger.
const (
	Enabled     Status = "enabled"
	Disabled    Status = "disabled"
	Quarantined Status = "quarantined"
)

// Limits bound what a device may send. 0 stands for the fleet's, and there for the door's own.
type Limits struct {
	Messages int `json:"messages_per_second,omitempty"`
	Bytes    int `json:"bytes_per_second,omitempty"`
	Burst    int `json:"burst_s,omitempty"` // seconds' worth that may come at once
}

// Device is what people say about a device. It is the value of its record and, with the revision beside it, what the
// API shows. A Device that came out of a Registry is shared: not to be changed.
type Device struct {
	ID       devices.DeviceID  `json:"id"`
	Fleet    devices.FleetID   `json:"fleet"`
	Name     string            `json:"name,omitempty"`
	Status   Status            `json:"status"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Limits   *Limits           `json:"limits,omitempty"`
	// Auto tells that nobody created it: it spoke in open mode, or was let in from quarantine.
	Auto    bool  `json:"auto,omitempty"`
	Created int64 `json:"created"` // unix ms
	Updated int64 `json:"updated"` // unix ms

	Revision store.Revision `json:"-"` // of the record: its entity tag
}

// Check tells whether the device can be kept. The error names the member.
func (d *Device) Check() error {
	switch {
	case d.ID.IsZero():
		return devices.Errorf(devices.Invalid, "id", "is missing")
	case d.Fleet.IsZero():
		return devices.Errorf(devices.Invalid, "fleet", "is missing")
	case d.Status != Enabled && d.Status != Disabled:
		return devices.Errorf(devices.Invalid, "status", "is none of %s, %s", Enabled, Disabled)
	}
	if err := CheckName(d.Name); err != nil {
		return err
	}
	if err := checkMetadata(d.Metadata); err != nil {
		return err
	}
	return d.Limits.check()
}

// CheckName tells whether a name can stand in an asset: one line of text, MaxNameBytes as JSON. "" is none.
func CheckName(name string) error {
	if err := checkText("name", name); err != nil {
		return err
	}
	if len(devices.AppendJSONString(nil, name)) > MaxNameBytes {
		return devices.Errorf(devices.Invalid, "name", "is longer than %d bytes as JSON", MaxNameBytes)
	}
	return nil
}

func checkText(field, text string) error {
	if !utf8.ValidString(text) {
		return devices.Errorf(devices.Invalid, field, "is not UTF-8")
	}
	for _, r := range text {
		if unicode.IsControl(r) {
			return devices.Errorf(devices.Invalid, field, "holds a control character")
		}
	}
	return nil
}

func checkMetadata(m map[string]string) error {
	if len(m) > MaxMetadata {
		return devices.Errorf(devices.Invalid, "metadata", "has more than %d members", MaxMetadata)
	}
	size := 0
	for key, value := range m {
		size += len(devices.AppendJSONString(nil, key)) + len(devices.AppendJSONString(nil, value)) + 2
		switch {
		case size > MaxMetadataBytes:
			return devices.Errorf(devices.Invalid, "metadata", "is larger than %d bytes as JSON", MaxMetadataBytes)
		case key == "" || len(key) > MaxMetadataKeyBytes:
			return devices.Errorf(devices.Invalid, "metadata", "has a name that is empty or longer than %d bytes", MaxMetadataKeyBytes)
		case len(value) > MaxMetadataValueBytes:
			return devices.Errorf(devices.Invalid, "metadata", "has a value longer than %d bytes", MaxMetadataValueBytes)
		}
		if err := checkText("metadata", key); err != nil {
			return err
		}
		if err := checkText("metadata", value); err != nil {
			return err
		}
	}
	return nil
}

func (l *Limits) check() error {
	if l == nil {
		return nil
	}
	for _, bound := range []struct {
		name        string
		value, most int
	}{
		{"messages_per_second", l.Messages, MaxRate}, {"bytes_per_second", l.Bytes, MaxByteRate}, {"burst_s", l.Burst, MaxBurst},
	} {
		if bound.value < 0 || bound.value > bound.most {
			return devices.Errorf(devices.Invalid, "limits", "has a %s that is not between 0 and %d", bound.name, bound.most)
		}
	}
	return nil
}

// ratesOf are the limits of a device over those of its fleet.
func ratesOf(device, fleet *Limits) devices.Rates {
	var out devices.Rates
	for _, l := range []*Limits{device, fleet} {
		if l != nil {
			out.Messages = cmp.Or(out.Messages, l.Messages)
			out.Bytes = cmp.Or(out.Bytes, l.Bytes)
			out.Burst = cmp.Or(out.Burst, l.Burst)
		}
	}
	return out
}

// equal tells whether two devices say the same, whenever they were written.
func (d *Device) equal(o *Device) bool {
	return d.ID == o.ID && d.Fleet == o.Fleet && d.Name == o.Name && d.Status == o.Status && d.Auto == o.Auto &&
		maps.Equal(d.Metadata, o.Metadata) && (d.Limits == nil) == (o.Limits == nil) &&
		(d.Limits == nil || *d.Limits == *o.Limits)
}

// keyOf names a record as the store's conflicts do.
func keyOf(kind store.Kind, id string) string { return fmt.Sprintf("%s/%s", kind, id) }

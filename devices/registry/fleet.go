package registry

import (
	"reflect"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// Bounds of a fleet.
const (
	// MaxFleetDevices bounds the bound of devices of a fleet.
	MaxFleetDevices = 1_000_000
	minSilence      = 5
	maxSilence      = 30 * 24 * 3600
	minRetire       = 60
	maxRetire       = 10 * 365 * 24 * 3600
	minAlerts       = 60
	maxAlerts       = 30 * 24 * 3600
	minHistory      = 3600
	maxHistory      = 10 * 365 * 24 * 3600
)

// Fleet is what people say about a fleet. It is the value of its record and what the API shows. A Fleet that came out of
// a Registry is shared: not to be changed.
type Fleet struct {
	ID       devices.FleetID   `json:"id"`
	Name     string            `json:"name,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	// Limits hold for each of its devices that has none of its own.
	Limits *Limits `json:"limits,omitempty"`
	// MaxDevices bounds the devices of the fleet; 0: only the installation's bound holds.
	MaxDevices int `json:"max_devices,omitempty"`
	// Silence is after how many seconds without a message a device that has no connection of its own here is taken for
	// offline; 0: it is learned from the device.
	Silence int `json:"silence_s,omitempty"`
	// RetireAfter is after how many seconds without a sign of life an asset is removed from the live state; 0: never.
	RetireAfter int `json:"retire_after_s,omitempty"`
	// Alerts is for how many seconds its alerts can be looked up after they were cleared; 0: as long as the gateway's own
	// setting says.
	Alerts int `json:"alerts_s,omitempty"`
	// History is for how many seconds its readings are kept where history is written; 0: as the gateway's own setting says.
	History int `json:"history_s,omitempty"`
	// Hygiene says what of its readings is believed, and how much of its trails is kept; nil: what holds for all.
	Hygiene *devices.HygieneSettings `json:"hygiene,omitempty"`
	Created int64                    `json:"created"` // unix ms
	Updated int64                    `json:"updated"` // unix ms

	Revision store.Revision `json:"-"` // of the record: its entity tag
}

// Check tells whether the fleet can be kept. The error names the member.
func (f *Fleet) Check() error {
	switch {
	case f.ID.IsZero():
		return devices.Errorf(devices.Invalid, "id", "is missing")
	case f.MaxDevices < 0 || f.MaxDevices > MaxFleetDevices:
		return devices.Errorf(devices.Invalid, "max_devices", "is not between 0 and %d", MaxFleetDevices)
	case f.Silence != 0 && (f.Silence < minSilence || f.Silence > maxSilence):
		return devices.Errorf(devices.Invalid, "silence_s", "is not 0 and not between %d and %d", minSilence, maxSilence)
	case f.RetireAfter != 0 && (f.RetireAfter < minRetire || f.RetireAfter > maxRetire):
		return devices.Errorf(devices.Invalid, "retire_after_s", "is not 0 and not between %d and %d", minRetire, maxRetire)
	case f.Alerts != 0 && (f.Alerts < minAlerts || f.Alerts > maxAlerts):
		return devices.Errorf(devices.Invalid, "alerts_s", "is not 0 and not between %d and %d", minAlerts, maxAlerts)
	case f.History != 0 && (f.History < minHistory || f.History > maxHistory):
		return devices.Errorf(devices.Invalid, "history_s", "is not 0 and not between %d and %d", minHistory, maxHistory)
	}
	if err := CheckName(f.Name); err != nil {
		return err
	}
	if err := checkMetadata(f.Metadata); err != nil {
		return err
	}
	if err := f.Limits.check(); err != nil {
		return err
	}
	if f.Hygiene != nil {
		return f.Hygiene.Validate()
	}
	return nil
}

// equal tells whether two fleets say the same, whenever they were written. None is equal to nil.
func (f *Fleet) equal(o *Fleet) bool {
	if f == nil || o == nil {
		return false
	}
	a, b := *f, *o
	a.Revision, a.Updated, b.Revision, b.Updated = 0, 0, 0, 0
	return reflect.DeepEqual(a, b)
}

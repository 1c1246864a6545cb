package dialect

import (
	"strings"

	"github.com/fleetcast/fleetcast/devices"
)

// AccessTemplate is a template of topics as rules of access need it: which filter of it is a device's own, and which a
// fleet's. The levels that name a device or a fleet are filled from the credential, never from a payload; the others may
// hold anything.
//
// What a topic lets through is not yet whose message it is: where FromPayload is set, the payload names the devices (a
// platform that forwards for all of them, or a gateway's list of sensors). Compare the Device and Fleet of each Message
// that was decoded with the credential as well.
type AccessTemplate struct {
	// Preset is whose template it is; "mapping" for one of the configuration.
	Preset string
	// Down says that a device subscribes to it; it publishes on all others.
	Down bool
	// Asked says that a format sends requests of its own on it: Result.Requests.
	Asked bool
	// FromPayload says that the topic names no device.
	FromPayload bool

	row *boundRow
}

// AccessTemplates are the templates of everything that the router understands, the most specific first. A topic is a
// credential's where any of its filters matches.
func (r *Router) AccessTemplates() []AccessTemplate {
	all := make([]AccessTemplate, len(r.rows))
	for i := range r.rows {
		b := &r.rows[i]
		all[i] = AccessTemplate{Preset: b.preset, Down: b.down, Asked: b.asked, FromPayload: len(b.id) == 0, row: b}
	}
	return all
}

// Filter is the filter of all topics of the template.
func (a AccessTemplate) Filter() string { return a.row.template.filterWith(nil) }

// ForDevice returns the filter of the topics of one device, which is registered with that fleet. It tells whether there
// are any: an id that does not fit the template's levels has none, nor has a template that names no device.
func (a AccessTemplate) ForDevice(device devices.DeviceID, fleet devices.FleetID) (filter string, ok bool) {
	values := map[string]string{}
	if a.row.fleet.level == fleetLevel {
		if values[fleetLevel], ok = a.row.fleet.back(fleet); !ok {
			return "", false
		}
	}
	ids := a.row.id
	if len(ids) == 0 || device.IsZero() {
		return "", false
	}
	parts := strings.SplitN(device.String(), ":", len(ids))
	if len(parts) < len(ids) {
		return "", false
	}
	for i, name := range ids {
		if parts[i] == "" {
			return "", false
		}
		values[name] = parts[i]
		if a.row.template.isRest(name) {
			values[name] = strings.ReplaceAll(parts[i], ":", "/")
		}
	}
	return a.row.template.filterWith(values), true
}

// ForFleet returns the filter of the topics of all devices of a fleet, for a credential that speaks for it. It tells
// whether there are any.
func (a AccessTemplate) ForFleet(fleet devices.FleetID) (filter string, ok bool) {
	level, ok := a.row.fleet.back(fleet)
	if !ok {
		return "", false
	}
	if a.row.filter != "" {
		return a.row.filter, true
	}
	values := map[string]string{}
	if a.row.fleet.level != "" {
		values[a.row.fleet.level] = level
	}
	return a.row.template.filterWith(values), true
}

package registry

import "github.com/fleetcast/fleetcast/devices"

// Hygiene returns what is set for the readings of a fleet, or nil: what holds for all. It is shared: not to be changed.
func (r *Registry) Hygiene(fleet devices.FleetID) *devices.HygieneSettings {
	r.dir.mu.RLock()
	defer r.dir.mu.RUnlock()
	if f := r.dir.fleets[fleet]; f != nil {
		return f.Hygiene
	}
	return nil
}

// SettingsRevision is another number whenever a fleet changed.
func (r *Registry) SettingsRevision() uint64 { return r.dir.settings.Load() }

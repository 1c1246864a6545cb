package registry

import (
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

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

// HistoryKept returns for how long the readings of fleets are kept, for those that say so; false while the registry is not loaded.
func (r *Registry) HistoryKept() (map[string]time.Duration, bool) {
	if !r.Ready() {
		return nil, false
	}
	r.dir.mu.RLock()
	defer r.dir.mu.RUnlock()
	kept := map[string]time.Duration{}
	for id, f := range r.dir.fleets {
		if f != nil && f.History > 0 {
			kept[id.String()] = time.Duration(f.History) * time.Second
		}
	}
	return kept, true
}

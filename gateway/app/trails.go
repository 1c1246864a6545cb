package app

import (
	"github.com/fleetcast/fleetcast/bridge"
)

// trails is what an edge reads trails with. It needs the bus only, not the owner of a partition, which may be another
// process.
func (p *parts) trails() (*bridge.Trails, error) {
	if p.people == nil {
		return bridge.NewTrails(p.store, nil)
	}
	return bridge.NewTrails(p.store, settings{p.people})
}

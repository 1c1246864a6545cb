package bridge

import (
	"sync"

	"github.com/fleetcast/fleetcast/devices"
)

// fleetIndex says which fleet a device belongs to, over all partitions of one bridge: the same id in a fleet of another
// partition cannot be seen from one partition's state. It is asked only when a device is new to its partition, so one
// lock is enough.
type fleetIndex struct {
	mu     sync.Mutex
	fleets map[devices.DeviceID]devices.FleetID
}

func newFleetIndex() *fleetIndex {
	return &fleetIndex{fleets: make(map[devices.DeviceID]devices.FleetID)}
}

// claim makes device one of fleet, unless it belongs to another.
func (x *fleetIndex) claim(device devices.DeviceID, fleet devices.FleetID) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if held, ok := x.fleets[device]; ok {
		return held == fleet
	}
	x.fleets[device] = fleet
	return true
}

// release undoes claim; it does nothing where the device belongs to another fleet.
func (x *fleetIndex) release(device devices.DeviceID, fleet devices.FleetID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.fleets[device] == fleet {
		delete(x.fleets, device)
	}
}

// move makes device one of fleet, whatever it belonged to.
func (x *fleetIndex) move(device devices.DeviceID, fleet devices.FleetID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.fleets[device] = fleet
}

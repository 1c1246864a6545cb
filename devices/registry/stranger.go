package registry

import (
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// Stranger is a device that nobody registered and that asked to be let in while strangers are quarantined. It is the
// value of its record.
type Stranger struct {
	ID      devices.DeviceID `json:"id"`
	Fleet   string           `json:"fleet,omitempty"` // what a topic or a gateway named; "" where nothing did
	Via     string           `json:"via,omitempty"`   // the account of the gateway that spoke for it
	Address string           `json:"address,omitempty"`
	Seen    int64            `json:"seen"` // when it came first, unix ms
	// Password is the argon2id of what it showed, so that it can be let in as it is; "" where it showed nothing that
	// may be a password.
	Password string `json:"password,omitempty"`

	Revision store.Revision `json:"-"`
}

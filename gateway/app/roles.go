package app

import (
	"slices"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
)

// A Role is one of the things that a process does. Each can run in any number of processes that share a store.
type Role string

// The roles.
const (
	RoleBroker Role = "broker" // takes in what devices say
	RoleBridge Role = "bridge" // owns the state
	RoleEdge   Role = "edge"   // shows it
)

// Roles are what one process does.
type Roles []Role

// Has tells whether the role is among them.
func (r Roles) Has(role Role) bool { return slices.Contains(r, role) }

// String returns the roles as the setting has them.
func (r Roles) String() string {
	names := make([]string, 0, len(r))
	for _, role := range r {
		names = append(names, string(role))
	}
	return strings.Join(names, ",")
}

// roles are the setting, as it is used. The field has no type of its own, as the flags know lists by that.
func (o *Options) roles() Roles { return o.Roles }

// embedsBroker tells whether devices connect to this process.
func (o *Options) embedsBroker() bool { return o.roles().Has(RoleBroker) && len(o.MQTT.Upstream) == 0 }

func (o *Options) checkRoles() error {
	known := Roles(Defaults().Roles)
	for i, role := range o.Roles {
		if !known.Has(role) {
			return devices.Errorf(devices.Invalid, "roles", "%q is none of %s", string(role), known)
		}
		if slices.Contains(o.Roles[:i], role) {
			return devices.Errorf(devices.Invalid, "roles", "has %s twice", role)
		}
	}
	switch {
	case len(o.Roles) == 0:
		return devices.Errorf(devices.Invalid, "roles", "is empty; the roles are %s", known)
	case len(o.Roles) < len(known) && o.Store.Redis == "":
		return devices.Errorf(devices.Invalid, "roles", "is %s: without all of %s the others run elsewhere, and --redis must say where they meet", o.roles(), known)
	}
	return nil
}

package registry

import (
	"slices"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// CredentialKind says for whom a credential speaks.
type CredentialKind string

// The kinds of credentials.
const (
	// ForDevice speaks for one device, whose id is the credential's name; the fleet is the device's.
	ForDevice CredentialKind = "device"
	// ForGateway speaks for all devices of its fleets: a network server or a platform.
	ForGateway CredentialKind = "gateway"
	// ForClient is another MQTT client of the operator's, with rules of its own. It speaks for no device.
	ForClient CredentialKind = "client"
)

// Bounds of a credential.
const (
	MaxCredentialFleets = 64
	MaxRules            = 64
	MaxFilterBytes      = 512
)

// Rule lets a client publish to or subscribe to what a topic filter matches.
type Rule struct {
	Filter    string `json:"filter"`
	Publish   bool   `json:"publish,omitempty"`
	Subscribe bool   `json:"subscribe,omitempty"`
}

// Credential is what proves somebody's MQTT user name. A device has one of the same name; the others stand alone. It is
// the value of its record; the API shows no part of the secret.
type Credential struct {
	Name   string         `json:"name"` // the MQTT user name
	Kind   CredentialKind `json:"kind"`
	Fleets []string       `json:"fleets,omitempty"` // of a gateway
	Rules  []Rule         `json:"rules,omitempty"`  // of a client
	Status Status         `json:"status"`

	Token    []byte `json:"token,omitempty"`    // SHA-256 of the token
	Password string `json:"password,omitempty"` // argon2id, in its usual text form
	// Serial counts the secrets that the name had: a rotation ends what an older one opened.
	Serial uint64 `json:"serial"`

	Created int64 `json:"created"` // unix ms
	Updated int64 `json:"updated"` // unix ms

	Revision store.Revision `json:"-"`
}

// Check tells whether the credential can be kept. The error names the member.
func (c *Credential) Check() error {
	if _, err := devices.ParseDeviceID(c.Name); err != nil { // user names live under the rules of ids
		return devices.Errorf(devices.Invalid, "name", "is no id: at most %d bytes without '/', '+', '#' and control characters", devices.MaxIDBytes)
	}
	if c.Status != Enabled && c.Status != Disabled {
		return devices.Errorf(devices.Invalid, "status", "is none of %s, %s", Enabled, Disabled)
	}
	switch c.Kind {
	case ForDevice:
		if len(c.Fleets) > 0 || len(c.Rules) > 0 {
			return devices.Errorf(devices.Invalid, "kind", "device has neither fleets nor rules")
		}
	case ForGateway:
		return c.checkGateway()
	case ForClient:
		return c.checkClient()
	default:
		return devices.Errorf(devices.Invalid, "kind", "is none of %s, %s, %s", ForDevice, ForGateway, ForClient)
	}
	return nil
}

func (c *Credential) checkGateway() error {
	switch {
	case len(c.Rules) > 0:
		return devices.Errorf(devices.Invalid, "rules", "are for clients; a gateway has fleets")
	case len(c.Fleets) == 0:
		return devices.Errorf(devices.Invalid, "fleets", "are missing: a gateway speaks for the devices of its fleets")
	case len(c.Fleets) > MaxCredentialFleets:
		return devices.Errorf(devices.Invalid, "fleets", "are more than %d", MaxCredentialFleets)
	}
	for i, name := range c.Fleets {
		if _, err := devices.ParseFleetID(name); err != nil {
			return devices.Errorf(devices.Invalid, "fleets", "hold what is no id of a fleet")
		}
		if slices.Contains(c.Fleets[:i], name) {
			return devices.Errorf(devices.Invalid, "fleets", "hold one twice")
		}
	}
	return nil
}

func (c *Credential) checkClient() error {
	switch {
	case len(c.Fleets) > 0:
		return devices.Errorf(devices.Invalid, "fleets", "are for gateways; a client has rules")
	case len(c.Rules) == 0:
		return devices.Errorf(devices.Invalid, "rules", "are missing: a client may do only what they say")
	case len(c.Rules) > MaxRules:
		return devices.Errorf(devices.Invalid, "rules", "are more than %d", MaxRules)
	}
	for _, r := range c.Rules {
		if err := checkRule(r); err != nil {
			return err
		}
	}
	return nil
}

func checkRule(r Rule) error {
	switch {
	case !r.Publish && !r.Subscribe:
		return devices.Errorf(devices.Invalid, "rules", "hold one that lets neither publish nor subscribe")
	case len(r.Filter) > MaxFilterBytes:
		return devices.Errorf(devices.Invalid, "rules", "hold a filter longer than %d bytes", MaxFilterBytes)
	case !isFilter(r.Filter):
		return devices.Errorf(devices.Invalid, "rules", "hold what is no topic filter")
	case strings.HasPrefix(r.Filter, "$"):
		return devices.Errorf(devices.Invalid, "rules", "hold a filter that begins with '$', which is the broker's own")
	}
	return nil
}

// isFilter tells whether s is a topic filter (MQTT 5.0 section 4.7.1).
func isFilter(s string) bool {
	if s == "" || checkText("filter", s) != nil {
		return false
	}
	levels := strings.Split(s, "/")
	for i, level := range levels {
		switch {
		case level == "#" && i != len(levels)-1, level != "#" && strings.Contains(level, "#"):
			return false
		case level != "+" && strings.Contains(level, "+"):
			return false
		}
	}
	return true
}

// equal tells whether two credentials open the same by the same secret. None is equal to nil.
func (c *Credential) equal(o *Credential) bool {
	return c != nil && o != nil && c.Kind == o.Kind && c.Status == o.Status && c.Serial == o.Serial &&
		slices.Equal(c.Fleets, o.Fleets) && slices.Equal(c.Rules, o.Rules)
}

package devices

import (
	"slices"
	"time"
)

// PrincipalKind says what kind of credential somebody showed.
type PrincipalKind uint8

// The kinds of principals. Anonymous is the zero value: whoever asks nothing of anybody gets nothing more than open
// mode gives.
const (
	AnonymousPrincipal PrincipalKind = iota // open mode: nobody was asked
	DevicePrincipal                         // one device, and nothing else
	GatewayPrincipal                        // a network server or a platform that publishes for devices of its fleets
	ClientPrincipal                         // an operator's other MQTT client, with rules of its own
)

var principalNames = [...]string{"anonymous", "device", "gateway", "client"}

// String returns the kind's name as it is stored and shown.
func (k PrincipalKind) String() string {
	if int(k) < len(principalNames) {
		return principalNames[k]
	}
	return "unknown"
}

// ParsePrincipalKind is the reverse of String.
func ParsePrincipalKind(s string) (PrincipalKind, error) {
	if i := slices.Index(principalNames[:], s); i >= 0 {
		return PrincipalKind(i), nil
	}
	return 0, Errorf(Invalid, "kind", "%q is none of anonymous, device, gateway and client", s)
}

// Principal is who stands behind a connection, as its credential says: everything that it may do follows from this, and
// nothing of it from what it sends. It is made by whoever checked the credential and not changed afterwards; it may be
// shared by any number of goroutines.
type Principal struct {
	Kind PrincipalKind
	// Account is the stable id of the credential, the same over rotations of its secret and unique over all kinds: MQTT
	// sessions and client ids belong to it. Empty in open mode.
	Account string
	// Version is the authenticator's own: it tells by it whether the principal is still what it would say today.
	Version uint64
	// Expires is when the credential ends by itself, for example a JWT; zero: never.
	Expires time.Time

	Device DeviceID  // of a device: the one that it may speak for
	Fleet  FleetID   // of a device: its fleet, as the registry has it
	Fleets []FleetID // of a gateway: the fleets whose devices it may speak for, on every topic template

	// Publish and Subscribe are the topic filters of a client: what it may publish to and subscribe to. '+' and '#' are
	// MQTT's; anything that they do not cover is refused.
	Publish, Subscribe []string

	Rates Rates
}

// Rates bound what one connection may send. A zero member stands for the door's default.
type Rates struct {
	Messages int // a second
	Bytes    int // of payload and topic, a second
	Burst    int // seconds' worth that may come at once
}

// SpeaksFor tells whether the principal may say something about a device of a fleet. It is the whole of what stands
// between fleets on the way in: a topic, an alias and a last will are all judged by the device that they resolve to.
// fleet is the registry's where the device is registered, and else what the topic says.
func (p *Principal) SpeaksFor(device DeviceID, fleet FleetID) bool {
	switch p.Kind {
	case AnonymousPrincipal:
		return true
	case DevicePrincipal:
		return device == p.Device && fleet == p.Fleet && !device.IsZero()
	case GatewayPrincipal:
		return !device.IsZero() && slices.Contains(p.Fleets, fleet)
	case ClientPrincipal:
	}
	return false
}

// ExpiredAt tells whether the credential has ended by itself.
func (p *Principal) ExpiredAt(now time.Time) bool {
	return !p.Expires.IsZero() && !now.Before(p.Expires)
}

package mqttin

import (
	"context"
	"crypto/x509"
	"net/netip"

	"github.com/fleetcast/fleetcast/devices"
)

// Login is what a client shows of itself in its CONNECT. Its strings are copies and may be kept, which a password had
// better not be.
type Login struct {
	Username string
	Password []byte
	ClientID string
	// PeerCertificates is the client's chain, verified against the configured authorities, its own first; empty without
	// TLS or where the client showed none.
	PeerCertificates []*x509.Certificate
	RemoteAddr       netip.Addr // the client's, also behind a proxy that says so; invalid where it is not known
	Protocol         byte       // 3, 4 or 5
}

// Admission decides for whom a connection may speak.
type Admission interface {
	// Admit returns the fleet of a device that a principal wants to speak for: the registry's where the device is
	// registered, and else named, what the topic or the preset says. An error is a devices.Error whose kind says why
	// not: NotFound (unknown, and unknown devices are refused), Forbidden (disabled, retired), Exhausted (no more
	// devices may be registered now), Unavailable (not known yet: the message is not acknowledged and comes again). It may register an unknown device. It is on the path of messages: it does no I/O,
	// and its answer is remembered until Watch reports a change. The broker checks the principal's scope itself, with
	// the fleet that Admit returned.
	Admit(p *devices.Principal, device devices.DeviceID, named devices.FleetID) (devices.FleetID, error)
}

// Authenticator decides who may connect. devices/registry is one; without one the broker is open. All methods may be
// called concurrently.
type Authenticator interface {
	Admission
	// Authenticate checks a login. It is called by up to Limits.Logins connections at once, and ctx ends after
	// Limits.Login, so that a store that hangs holds up nobody else; a cheap login must not wait behind expensive ones,
	// which the authenticator bounds by itself (Exhausted where too many wait). Failed attempts were throttled before,
	// by user name and by address. Errors are devices.Errors, answered as connackCodes says:
	// Unauthorized (no such account or a wrong secret, which nobody may tell apart), Forbidden (right, but disabled),
	// Exhausted, Unavailable; anything else is ours and tells the client nothing.
	Authenticate(ctx context.Context, login Login) (devices.Principal, error)
	// Holds tells whether what Authenticate returned would be returned still: the account is neither revoked nor
	// changed. It does no I/O.
	Holds(p *devices.Principal) bool
	// Watch calls changed with the accounts that were revoked or changed, and with none where any may have been, until
	// ctx ends; then it returns nil. It calls it after the change shows in Holds and Admit, also where a device's fleet
	// changed or a gateway may have to ask Admit anew. The broker ends the connections of which Holds is false within a
	// second. Watch is called once.
	Watch(ctx context.Context, changed func(accounts []string)) error
}

package registry

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"net/netip"
	"slices"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/secret"
)

// Login is what a client shows of itself.
type Login struct {
	Username string
	Password []byte // not kept
	// Certificate is the client's own, verified against the configured authorities; nil where it showed none.
	Certificate *x509.Certificate
	Address     netip.Addr
}

// The answers to a login. No account, and an account whose secret is another, are one answer.
var (
	errWrong     = devices.Errorf(devices.Unauthorized, "", "user name or password is wrong")
	errDisabled  = devices.Errorf(devices.Forbidden, "", "the account is disabled")
	errNotLoaded = devices.Errorf(devices.Unavailable, "", "the registry is not loaded yet")
)

// nobody is what is kept of no token.
var nobody = make([]byte, sha256.Size)

// account is who a name stands for, of one instant.
type account struct {
	principal  devices.Principal
	credential *Credential // nil: a device without a secret of its own
	enabled    bool
}

// Authenticate says who shows a login. A certificate or a token costs a lookup and a hash; a password may wait for its
// turn as long as ctx lasts. A JWT costs the verification of a signature.
func (r *Registry) Authenticate(ctx context.Context, l Login) (devices.Principal, error) {
	if !r.follower.Ready() {
		return devices.Principal{}, errNotLoaded
	}
	if len(l.Username) > devices.MaxIDBytes || len(l.Password) > secret.MaxProofBytes {
		r.counts.oversized.Add(1)
		return devices.Principal{}, errWrong
	}
	if a, ok := r.byCertificate(&l); ok {
		return r.admitted(a, time.Time{}, &r.counts.certificates)
	}
	if r.jwt != nil && secret.LooksLikeJWT(l.Password) {
		return r.byJWT(&l)
	}
	a, known := r.account(l.Username)
	if !known {
		secret.VerifyToken(l.Password, nobody) // as long as for somebody
		r.counts.unknown.Add(1)
		r.noteStranger(&l)
		return devices.Principal{}, errWrong
	}
	c := a.credential
	switch {
	case c == nil: // it has no secret: a certificate or a JWT is its only proof
	case secret.VerifyToken(l.Password, c.Token): // also for what does not look like one: the time tells nobody which it is
		return r.admitted(a, time.Time{}, &r.counts.tokens)
	case c.Password != "" && !secret.IsToken(l.Password):
		right, err := r.pass.Verify(ctx, l.Password, c.Password, r.o.Now())
		if err != nil {
			return devices.Principal{}, err
		}
		if right {
			return r.admitted(a, time.Time{}, &r.counts.passwords)
		}
	}
	r.counts.wrong.Add(1)
	return devices.Principal{}, errWrong
}

// admitted ends a login whose proof is right.
func (r *Registry) admitted(a account, expires time.Time, counter interface{ Add(uint64) uint64 }) (devices.Principal, error) {
	if !a.enabled {
		r.counts.disabled.Add(1)
		return devices.Principal{}, errDisabled
	}
	counter.Add(1)
	a.principal.Expires = expires
	return a.principal, nil
}

// byCertificate finds the account that a certificate speaks for: the one that the client names, where the certificate
// has that name, or else its first name that is known. A certificate that proves nothing leaves the word to the password.
func (r *Registry) byCertificate(l *Login) (account, bool) {
	if l.Certificate == nil {
		return account{}, false
	}
	names := certificateNames(l.Certificate)
	if l.Username != "" {
		if !slices.Contains(names, l.Username) {
			return account{}, false
		}
		return r.account(l.Username)
	}
	for _, name := range names {
		if a, ok := r.account(name); ok {
			return a, true
		}
	}
	return account{}, false
}

func (r *Registry) byJWT(l *Login) (devices.Principal, error) {
	subject, expires, err := r.jwt.Verify(l.Password)
	if err != nil || (l.Username != "" && l.Username != subject) {
		r.counts.wrong.Add(1)
		return devices.Principal{}, errWrong
	}
	a, known := r.account(subject)
	if !known {
		r.counts.unknown.Add(1)
		return devices.Principal{}, errWrong
	}
	return r.admitted(a, expires, &r.counts.jwts)
}

// account looks a user name up.
func (r *Registry) account(name string) (account, bool) {
	r.dir.mu.RLock()
	defer r.dir.mu.RUnlock()
	return r.dir.account(name)
}

// account needs the lock.
func (d *directory) account(name string) (account, bool) {
	c := d.credentials[name]
	if c != nil && c.Kind != ForDevice {
		return account{c.principal(), c, c.Status == Enabled}, true
	}
	id, err := devices.ParseDeviceID(name)
	if err != nil {
		return account{}, false
	}
	v := d.devices[id]
	if v == nil {
		return account{}, false // a secret without a device opens nothing
	}
	p := devices.Principal{
		Kind: devices.DevicePrincipal, Account: accountOf(ForDevice, v.ID.String()), Device: v.ID, Fleet: v.Fleet,
		Rates: ratesOf(v.Limits, limitsOf(d.fleets[v.Fleet])),
	}
	if c != nil {
		p.Version = c.Serial
	}
	p.Version = versionOf(p.Version, p.Rates)
	return account{p, c, v.Status == Enabled}, true
}

// versionOf is another one for another secret and for other rates. The rates themselves are the door's to complete, so
// Holds does not compare them.
func versionOf(serial uint64, r devices.Rates) uint64 {
	for _, n := range []int{r.Messages, r.Bytes, r.Burst} {
		serial = serial*0x9e3779b97f4a7c15 + uint64(n)
	}
	return serial
}

// principal is that of a gateway or a client.
func (c *Credential) principal() devices.Principal {
	p := devices.Principal{Kind: devices.GatewayPrincipal, Account: accountOf(c.Kind, c.Name), Version: c.Serial}
	for _, name := range c.Fleets {
		if id, err := devices.ParseFleetID(name); err == nil {
			p.Fleets = append(p.Fleets, id)
		}
	}
	if c.Kind == ForGateway {
		return p
	}
	p.Kind = devices.ClientPrincipal
	for _, rule := range c.Rules {
		if rule.Publish {
			p.Publish = append(p.Publish, rule.Filter)
		}
		if rule.Subscribe {
			p.Subscribe = append(p.Subscribe, rule.Filter)
		}
	}
	return p
}

// Holds tells whether what Authenticate returned would be returned still.
func (r *Registry) Holds(p *devices.Principal) bool {
	if p.Kind == devices.AnonymousPrincipal {
		return true
	}
	name := p.Account[len(p.Kind.String())+1:] // see accountOf
	a, known := r.account(name)
	now := &a.principal
	return known && a.enabled && now.Kind == p.Kind && now.Version == p.Version && now.Device == p.Device && now.Fleet == p.Fleet &&
		slices.Equal(now.Fleets, p.Fleets) && slices.Equal(now.Publish, p.Publish) && slices.Equal(now.Subscribe, p.Subscribe)
}

// Watch calls changed with the accounts of which Holds or Admit may say something else now, and with none where it may
// be any, until ctx ends.
func (r *Registry) Watch(ctx context.Context, changed func(accounts []string)) error {
	feed := r.dir.feed()
	defer feed.Close()
	for {
		n, err := feed.Next(ctx)
		switch {
		case err != nil:
			return nil // ctx ended: that is how this ends
		case n.All:
			changed(nil)
		case len(n.Accounts) > 0:
			changed(n.Accounts)
		}
	}
}

// The answers to who wants to speak for a device.
var (
	errNotRegistered = devices.Errorf(devices.NotFound, "device", "is not registered")
	errDeviceOff     = devices.Errorf(devices.Forbidden, "device", "is disabled")
	errFleetFull     = devices.Errorf(devices.Exhausted, "fleet", "has as many devices as it may")
	errFull          = devices.Errorf(devices.Exhausted, "devices", "are as many as there may be")
)

// Admit returns the fleet of a device that a principal wants to speak for: the device's own where it is registered, and
// else named. It does no I/O; what it registers is written later.
func (r *Registry) Admit(p *devices.Principal, device devices.DeviceID, named devices.FleetID) (devices.FleetID, error) {
	if !r.follower.Ready() {
		return devices.FleetID{}, errNotLoaded
	}
	r.dir.mu.RLock()
	d := r.dir.devices[device]
	full := len(r.dir.devices) >= r.o.MaxDevices
	f := r.dir.fleets[named]
	fleetFull := f != nil && f.MaxDevices > 0 && r.dir.counts[named] >= f.MaxDevices
	r.dir.mu.RUnlock()
	switch {
	case d != nil && d.Status != Enabled:
		return devices.FleetID{}, errDeviceOff
	case d != nil:
		return d.Fleet, nil
	case p.Kind != devices.AnonymousPrincipal && (p.Kind != devices.GatewayPrincipal || !p.SpeaksFor(device, named)),
		r.o.Unknown == Refuse:
		return devices.FleetID{}, errNotRegistered
	case r.o.Unknown == Quarantine:
		r.waiting.stranger(&r.counts, strangerRequest{Stranger: Stranger{ID: device, Fleet: named.String(), Via: p.Account, Seen: r.nowMS()}})
		return devices.FleetID{}, errNotRegistered
	case full:
		r.counts.registerNo.Add(1)
		return devices.FleetID{}, errFull
	case fleetFull:
		r.counts.registerNo.Add(1)
		return devices.FleetID{}, errFleetFull
	}
	r.waiting.device(&r.counts, device, named)
	return named, nil
}

// noteStranger has somebody shown in quarantine whose user name is nobody's and may be a device's.
func (r *Registry) noteStranger(l *Login) {
	if r.o.Unknown != Quarantine {
		return
	}
	id, err := devices.ParseDeviceID(l.Username)
	if err != nil {
		return
	}
	s := strangerRequest{Stranger: Stranger{ID: id, Seen: r.nowMS()}}
	if l.Address.IsValid() {
		s.Address = l.Address.String()
	}
	if n := len(l.Password); n >= secret.MinPasswordBytes && n <= secret.MaxPasswordBytes {
		s.secret = slices.Clone(l.Password)
	}
	r.waiting.stranger(&r.counts, s)
}

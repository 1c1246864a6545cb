package mqttin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"strings"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fleetcast/fleetcast/devices"
)

// errCounted ends a connection whose end was counted where it was decided.
var errCounted = errors.New("refused")

// refusal is how a CONNECT is refused: the code of MQTT 5 (section 3.2.2.2) and that of 3.1.1 (section 3.2.2.3).
type refusal struct {
	reason Reason
	v5, v3 byte
}

// Return codes of MQTT 3.1.1.
const (
	v3BadClientID   byte = 2
	v3Unavailable   byte = 3
	v3NotAuthorized byte = 5
)

// refusals is the one table from why to the code in the CONNACK. Where a client may well try again later, one of 3.1.1 is
// told that the server is unavailable, as there is no other word for it.
var refusals = map[Reason]*refusal{
	LoginFailed:      {LoginFailed, 0x86, v3NotAuthorized},
	LoginForbidden:   {LoginForbidden, 0x87, v3NotAuthorized},
	LoginThrottled:   {LoginThrottled, 0x9f, v3Unavailable},
	LoginExhausted:   {LoginExhausted, 0x97, v3Unavailable},
	LoginUnavailable: {LoginUnavailable, 0x88, v3Unavailable},
	LoginRate:        {LoginRate, 0x9f, v3Unavailable},
	LoginBroken:      {LoginBroken, 0x80, v3Unavailable},
	ClientIDTaken:    {ClientIDTaken, 0x85, v3BadClientID},
	AccountLimit:     {AccountLimit, 0x97, v3Unavailable},
	Flapping:         {Flapping, 0x8a, v3Unavailable},
	WillDenied:       {WillDenied, 0x87, v3NotAuthorized},
}

// loginErrors is the one table from the kind of an authenticator's error to why a CONNECT is refused.
var loginErrors = map[devices.Kind]Reason{
	devices.Unauthorized: LoginFailed,
	devices.NotFound:     LoginFailed, // whether there is such an account is nobody's business
	devices.Invalid:      LoginFailed,
	devices.TooLarge:     LoginFailed,
	devices.Forbidden:    LoginForbidden,
	devices.Conflict:     LoginForbidden,
	devices.Exhausted:    LoginExhausted,
	devices.Unavailable:  LoginUnavailable,
	devices.Internal:     LoginBroken,
}

// What is longer is refused unseen: passwords are hashed. A JWT, the longest thing that is a password, fits.
const (
	maxUsernameBytes = 512
	maxPasswordBytes = 8 << 10
)

// anonymous is everybody in open mode.
var anonymous = &devices.Principal{}

// identify says who connects.
func (b *Broker) identify(ctx context.Context, c *conn, pk *packets.Packet) (*devices.Principal, *refusal) {
	if !b.required {
		return anonymous, nil
	}
	login := Login{
		Username: string(pk.Connect.Username), Password: pk.Connect.Password, ClientID: strings.Clone(pk.Connect.ClientIdentifier),
		PeerCertificates: c.certificates(), RemoteAddr: c.address, Protocol: pk.ProtocolVersion,
	}
	if len(login.Username) > maxUsernameBytes || len(login.Password) > maxPasswordBytes {
		return nil, refusals[LoginFailed]
	}
	name := login.Username
	if name == "" && len(login.PeerCertificates) > 0 {
		name = login.PeerCertificates[0].Subject.String()
	}
	if !b.attempts.mayTry(name, c.group, time.Now()) {
		return nil, refusals[LoginThrottled]
	}
	who, err := b.authenticate(ctx, login)
	if err == nil {
		b.attempts.succeeded(name, c.group)
		return who, nil
	}
	reason := loginErrors[devices.KindOf(err)]
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		reason = LoginUnavailable
	case reason == LoginFailed:
		b.attempts.failed(name, c.group, time.Now())
	}
	return nil, refusals[reason]
}

// authenticate asks the authenticator, as soon as there is a place.
func (b *Broker) authenticate(ctx context.Context, login Login) (*devices.Principal, error) {
	ctx, cancel := context.WithTimeout(ctx, b.limits.Login)
	defer cancel()
	select {
	case b.logins <- struct{}{}:
		defer func() { <-b.logins }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p, err := b.auth.Authenticate(ctx, login)
	switch {
	case err != nil:
		return nil, err
	case p.Account == "" || p.Kind == devices.AnonymousPrincipal || p.Kind > devices.ClientPrincipal:
		return nil, devices.Errorf(devices.Internal, "account", "has no name or no kind") // never as nobody, who may do all
	case p.ExpiredAt(time.Now()):
		return nil, devices.Errorf(devices.Unauthorized, "credential", "has expired")
	}
	p.Rates = b.limits.rates(&p)
	return &p, nil
}

// rates are what the principal may send, with the defaults of its kind.
func (l *Limits) rates(p *devices.Principal) devices.Rates {
	r, d := p.Rates, l.DeviceRates
	if p.Kind != devices.DevicePrincipal {
		d = l.GatewayRates
	}
	if r.Messages <= 0 {
		r.Messages = d.Messages
	}
	if r.Bytes <= 0 {
		r.Bytes = d.Bytes
	}
	if r.Burst <= 0 {
		r.Burst = d.Burst
	}
	return r
}

// refuseConnect answers a CONNECT with why not.
func (b *Broker) refuseConnect(c *conn, cl *mqtt.Client, r *refusal) error {
	b.counters.note(r.reason, c.remote)
	connack := []byte{0x20, 2, 0, r.v3}
	if cl.Properties.ProtocolVersion == 5 {
		connack = []byte{0x20, 3, 0, r.v5, 0}
	}
	_, _ = c.Write(connack) // the connection ends either way
	return errCounted
}

// certificates are the client's, verified, or none.
func (c *conn) certificates() []*x509.Certificate {
	under := c.Conn
	if ws, ok := under.(*webSocketConn); ok {
		under = ws.Conn
	}
	if secure, ok := under.(*tls.Conn); ok {
		return secure.ConnectionState().PeerCertificates
	}
	return nil
}

// addressOf is the peer's address, where it has one.
func addressOf(remote any) netip.Addr {
	if tcp, ok := remote.(interface{ AddrPort() netip.AddrPort }); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

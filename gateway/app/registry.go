package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/bridge"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/registry"
	"github.com/fleetcast/fleetcast/devices/secret"
	"github.com/fleetcast/fleetcast/gateway/mqttin"
)

// RegistryOptions are what becomes of devices that nobody registered, and which JWTs are taken for passwords.
type RegistryOptions struct {
	Unknown           string        `name:"device-unknown" help:"What becomes of a device that is not registered: refuse (the default), quarantine (refuse, and show it at /api/devices?status=quarantined) or register (what a gateway brings in its fleets; a device alone is refused). Only with --device-auth required: open, any registers itself." enum:",refuse,quarantine,register" default:"${device_unknown}"`
	RegisterPerMinute int           `name:"register-per-minute" help:"How many devices register themselves a minute; further ones wait for their turn, and speak meanwhile." default:"${register_per_minute}"`
	OfflineAfter      time.Duration `name:"offline-after" help:"How long a device whose last connection went stays online, so that neither a reconnect nor a restart flaps; at most 10m." default:"${offline_after}"`
	JWTKeys           []string      `name:"device-jwt-key" help:"Key of JWTs that devices show as their passwords: KID:ALGORITHM:FILE, with EdDSA, ES256 or RS256 and a public key in PEM, or HS256 and the secret." placeholder:"KID:ALG:FILE"`
	JWTIssuer         string        `name:"device-jwt-issuer" help:"Issuer that those JWTs must name." placeholder:"NAME"`
	JWTAudience       string        `name:"device-jwt-audience" help:"Audience that those JWTs must name." placeholder:"NAME"`
	JWTLeeway         time.Duration `name:"device-jwt-leeway" help:"How far clocks may differ, at most 1m." default:"${device_jwt_leeway}"`
}

// maxRegisterPerMinute bounds the setting: each costs a write of the store.
const maxRegisterPerMinute = 600_000

// maxOfflineAfter bounds the setting: what is longer is no hysteresis.
const maxOfflineAfter = 10 * time.Minute

// maxJWTKeyFile bounds a file with a key.
const maxJWTKeyFile = 64 << 10

// loadBound is how long a start waits for the registry: a door that knows nobody would turn everybody away.
const loadBound = 2 * time.Second

func (o *Options) checkRegistry() error {
	r := &o.Registry
	switch {
	case r.Unknown != "" && o.Auth.Device != AuthRequired:
		return devices.Errorf(devices.Invalid, "device-unknown", "is for --device-auth required: open, whatever connects is registered and heard")
	case r.RegisterPerMinute < 1 || r.RegisterPerMinute > maxRegisterPerMinute:
		return devices.Errorf(devices.Invalid, "register-per-minute", "is %d; it is from 1 to %d", r.RegisterPerMinute, maxRegisterPerMinute)
	case r.OfflineAfter < 0 || r.OfflineAfter > maxOfflineAfter:
		return devices.Errorf(devices.Invalid, "offline-after", "is %v; it is from 0 to %v", r.OfflineAfter, maxOfflineAfter)
	case len(r.JWTKeys) > 0 && r.JWTIssuer == "":
		return devices.Errorf(devices.Invalid, "device-jwt-issuer", "is needed with device-jwt-key")
	case len(r.JWTKeys) > 0 && r.JWTAudience == "":
		return devices.Errorf(devices.Invalid, "device-jwt-audience", "is needed with device-jwt-key")
	}
	return nil
}

// policy is what becomes of unknown devices.
func (r *RegistryOptions) policy() registry.Policy {
	if r.Unknown == "" {
		return registry.Refuse
	}
	return registry.Policy(r.Unknown)
}

// startRegistry opens the store of what people configure and follows it.
func (a *App) startRegistry(ctx context.Context) (*registry.Registry, error) {
	kept, err := a.startConfig(ctx)
	if err != nil {
		return nil, err
	}
	jwt, err := a.opts.Registry.jwt()
	if err != nil {
		return nil, err
	}
	r, err := registry.New(registry.Options{
		Store: kept, Open: a.opts.Auth.Device != AuthRequired, Unknown: a.opts.Registry.policy(),
		MaxDevices: a.opts.Fleet.MaxDevices, RegisterPerMinute: a.opts.Registry.RegisterPerMinute, JWT: jwt, Logger: a.log.With("part", "registry"),
	})
	if err != nil {
		return nil, fmt.Errorf("make registry: %w", err)
	}
	a.stack.push("registry", hubBound, a.runner.start(context.WithoutCancel(ctx), "registry", r.Run))
	loading, cancel := context.WithTimeout(ctx, loadBound)
	defer cancel()
	if err := r.Wait(loading, 0); err != nil {
		a.log.WarnContext(ctx, "the registry is not loaded yet; devices wait for it", "error", err)
	}
	return r, nil
}

// jwt reads the keys.
func (r *RegistryOptions) jwt() (secret.JWTOptions, error) {
	keys, err := readJWTKeys("device-jwt-key", r.JWTKeys)
	return secret.JWTOptions{Keys: keys, Issuer: r.JWTIssuer, Audience: r.JWTAudience, Leeway: r.JWTLeeway}, err
}

// readJWTKeys reads KID:ALGORITHM:FILE.
func readJWTKeys(field string, settings []string) (keys []secret.JWTKey, err error) {
	for _, setting := range settings {
		parts := strings.SplitN(setting, ":", 3)
		if len(parts) != 3 {
			return nil, devices.Errorf(devices.Invalid, field, "is not KID:ALGORITHM:FILE")
		}
		key, err := readKey(parts[2])
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", field, err)
		}
		if parts[1] == "HS256" {
			key = []byte(strings.TrimSpace(string(key))) // an editor's newline is no part of a secret
		}
		keys = append(keys, secret.JWTKey{ID: parts[0], Algorithm: parts[1], Key: key})
	}
	return keys, nil
}

func readKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxJWTKeyFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxJWTKeyFile)
	}
	return os.ReadFile(path) //nolint:gosec // the path is the setting itself
}

// authenticator is the registry as the devices' door knows it.
type authenticator struct{ *registry.Registry }

var _ mqttin.Authenticator = authenticator{}

// Authenticate hands over what the door read of a CONNECT.
func (a authenticator) Authenticate(ctx context.Context, l mqttin.Login) (devices.Principal, error) {
	login := registry.Login{Username: l.Username, Password: l.Password, Address: l.RemoteAddr}
	if len(l.PeerCertificates) > 0 {
		login.Certificate = l.PeerCertificates[0]
	}
	return a.Registry.Authenticate(ctx, login)
}

// admission is the registry as a door of an external broker knows it; nil where there is none.
func (p *parts) admission() mqttin.Admission {
	if p.auth == nil {
		return nil
	}
	return p.auth
}

// settings is the registry as owners know it.
type settings struct{ *registry.Registry }

// Revision is another number whenever a fleet changed.
func (s settings) Revision() uint64 { return s.SettingsRevision() }

// bridgeOptions are what owners need.
func (p *parts) bridgeOptions(o *Options, log *slog.Logger) bridge.Options {
	options := bridge.Options{
		Bus: p.store, Window: o.Fleet.Window, MaxDevices: o.Fleet.MaxDevices, StopTimeout: bridgeBound - stopMargin, Logger: log,
		OfflineGrace: o.Registry.OfflineAfter, AlertsKept: o.Alerts.Keep, Tracer: p.tracer, History: p.written(),
	}
	if options.OfflineGrace == 0 {
		options.OfflineGrace = -1 // none, for a bridge
	}
	if p.people != nil {
		options.Settings, options.Registry = settings{p.people}, people{p.people}
		// A device that registers itself speaks before that is written.
		options.Closed = o.Auth.Device == AuthRequired && o.Registry.Unknown != string(registry.Register)
		options.Config, options.Rules, options.Sink = applied{p.people, p.rules}, p.rules, p.hooks
	}
	return options
}

// people is the registry as owners know it.
type people struct{ *registry.Registry }

var _ bridge.Registry = people{}

func registeredAs(d *registry.Device) bridge.Registered {
	return bridge.Registered{Fleet: d.Fleet, Name: d.Name, Born: d.Created}
}

// Registered returns what this process has.
func (p people) Registered(id devices.DeviceID) (bridge.Registered, bool) {
	d, ok := p.Device(id)
	if !ok {
		return bridge.Registered{}, false
	}
	return registeredAs(d), true
}

// Lookup asks the store.
func (p people) Lookup(ctx context.Context, id devices.DeviceID) (bridge.Registered, bool, error) {
	d, err := p.Registry.Lookup(ctx, id)
	switch {
	case err == nil:
		return registeredAs(d), true, nil
	case devices.KindOf(err) == devices.NotFound:
		return bridge.Registered{}, false, nil
	}
	return bridge.Registered{}, false, err
}

// Fleet returns what is set for a fleet's devices.
func (p people) Fleet(id devices.FleetID) bridge.FleetTimes {
	f, ok := p.Registry.Fleet(id)
	if !ok {
		return bridge.FleetTimes{}
	}
	return bridge.FleetTimes{
		Silence: time.Duration(f.Silence) * time.Second, RetireAfter: time.Duration(f.RetireAfter) * time.Second, AlertsKept: time.Duration(f.Alerts) * time.Second,
	}
}

// Follow begins a feed.
func (p people) Follow() bridge.RegistryFeed { return peopleFeed{p.Registry.Follow()} }

type peopleFeed struct{ *registry.Feed }

// Take returns what changed.
func (f peopleFeed) Take() (bridge.RegistryNews, bool) {
	n, ok := f.Feed.Take()
	return bridge.RegistryNews{All: n.All, Devices: n.Devices}, ok
}

package mqttin

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
)

// fakeAuth is an authenticator whose accounts stand in a map by their user names. Passwords are "right".
type fakeAuth struct {
	asked atomic.Int64

	mu       sync.Mutex
	accounts map[string]devices.Principal
	errs     map[string]error
	fleets   map[devices.DeviceID]devices.FleetID // the registered devices
	strict   bool                                 // unknown devices are refused
	unloaded bool                                 // no device is known yet
	held     chan struct{}
	last     Login
	changed  func([]string)
}

func newFakeAuth(principals ...devices.Principal) *fakeAuth {
	f := &fakeAuth{accounts: map[string]devices.Principal{}, errs: map[string]error{}, fleets: map[devices.DeviceID]devices.FleetID{}}
	for _, p := range principals {
		f.accounts[p.Account] = p
		if p.Kind == devices.DevicePrincipal {
			f.fleets[p.Device] = p.Fleet
		}
	}
	return f
}

func (f *fakeAuth) Authenticate(ctx context.Context, l Login) (devices.Principal, error) {
	f.asked.Add(1)
	f.mu.Lock()
	held := f.held
	f.last = l
	f.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return devices.Principal{}, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.errs[l.Username]; err != nil {
		return devices.Principal{}, err
	}
	p, ok := f.accounts[l.Username]
	if !ok || string(l.Password) != "right" {
		return devices.Principal{}, devices.Errorf(devices.Unauthorized, "", "no such credential")
	}
	return p, nil
}

func (f *fakeAuth) Holds(p *devices.Principal) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, ok := f.accounts[p.Account]
	return ok && now.Version == p.Version
}

func (f *fakeAuth) Admit(_ *devices.Principal, device devices.DeviceID, named devices.FleetID) (devices.FleetID, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fleet, ok := f.fleets[device]
	switch {
	case f.unloaded:
		return named, devices.Errorf(devices.Unavailable, "registry", "is not loaded yet")
	case ok:
		return fleet, nil
	case f.strict:
		return named, devices.Errorf(devices.NotFound, "device", "is not registered")
	}
	return named, nil
}

func (f *fakeAuth) Watch(ctx context.Context, changed func([]string)) error {
	f.mu.Lock()
	f.changed = changed
	f.mu.Unlock()
	<-ctx.Done()
	return nil
}

// set changes an account, or removes it where p has no kind, and tells the broker.
func (f *fakeAuth) set(t testing.TB, account string, p devices.Principal) {
	t.Helper()
	eventually(t, "the watch", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.changed != nil
	})
	f.mu.Lock()
	if p.Kind == devices.AnonymousPrincipal {
		delete(f.accounts, account)
	} else {
		p.Version = f.accounts[account].Version + 1
		f.accounts[account] = p
	}
	changed := f.changed
	f.mu.Unlock()
	changed([]string{account})
}

func deviceID(name string) devices.DeviceID {
	id, err := devices.ParseDeviceID(name)
	if err != nil {
		panic(err)
	}
	return id
}

func fleetID(name string) devices.FleetID {
	id, err := devices.ParseFleetID(name)
	if err != nil {
		panic(err)
	}
	return id
}

// aDevice is the principal of a device, whose account has its name.
func aDevice(name, fleet string) devices.Principal {
	return devices.Principal{Kind: devices.DevicePrincipal, Account: name, Device: deviceID(name), Fleet: fleetID(fleet)}
}

func aGateway(name string, fleets ...string) devices.Principal {
	p := devices.Principal{Kind: devices.GatewayPrincipal, Account: name}
	for _, fleet := range fleets {
		p.Fleets = append(p.Fleets, fleetID(fleet))
	}
	return p
}

func aClient(name string, publish, subscribe []string) devices.Principal {
	return devices.Principal{Kind: devices.ClientPrincipal, Account: name, Publish: slices.Clone(publish), Subscribe: slices.Clone(subscribe)}
}

// guarded runs a broker that asks for credentials.
func guarded(t testing.TB, o Options, auth *fakeAuth) *harness {
	t.Helper()
	o.Auth, o.Required = auth, true
	if _, ok := auth.accounts["witness"]; !ok {
		p := aDevice("witness", "f")
		auth.accounts["witness"], auth.fleets[p.Device] = p, p.Fleet
	}
	return startWith(t, o)
}

// as are the options of somebody with the right password.
func as(user string) connectOptions {
	return connectOptions{version: 5, id: user, user: user, password: "right"}
}

package registry

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/secret"
	"github.com/fleetcast/fleetcast/devices/store"
)

// Secret says how somebody is to prove who it is. The zero value makes a token.
type Secret struct {
	Password  string // chosen by people, in place of a token
	TokenHash []byte // SHA-256 of a token that exists, for imports
	None      bool   // a certificate or a JWT is the only proof
}

// newSerial is never equal to an older one, also where an account was deleted and made again.
func newSerial() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])                        // never fails
	return binary.LittleEndian.Uint64(b[:]) >> 11 // fits the numbers of JSON
}

// give makes c's secret the one that is asked for, and returns the token where one was made.
func (r *Registry) give(ctx context.Context, c *Credential, s Secret) (token string, err error) {
	c.Token, c.Password, c.Serial = nil, "", newSerial()
	switch {
	case s.None:
		return "", nil
	case s.TokenHash != nil:
		c.Token = s.TokenHash
		return "", nil
	case s.Password != "":
		if err := secret.CheckPassword(s.Password); err != nil {
			return "", err
		}
		if c.Password = r.pass.Hash(ctx, []byte(s.Password)); c.Password == "" {
			return "", secret.ErrBusy
		}
		return "", nil
	}
	token, c.Token = secret.NewToken()
	return token, nil
}

// CreateDevice registers a device, in a fleet that is made where there is none. The token is shown here and never again.
func (r *Registry) CreateDevice(ctx context.Context, d Device, s Secret) (created *Device, token string, err error) {
	now := r.nowMS()
	d.Created, d.Updated, d.Auto = now, now, false
	if d.Status == "" {
		d.Status = Enabled
	}
	if err := d.Check(); err != nil {
		return nil, "", err
	}
	c := Credential{Name: d.ID.String(), Kind: ForDevice, Status: Enabled, Created: now, Updated: now}
	if token, err = r.give(ctx, &c, s); err != nil {
		return nil, "", err
	}
	r.changing.Lock()
	defer r.changing.Unlock()
	err = retry(0, func() error {
		if err := r.place(d.Fleet, 1); err != nil {
			return err
		}
		ops, err := r.createOps(ctx, &d, &c)
		if err != nil {
			return err
		}
		at, err := r.commit(ctx, ops)
		d.Revision = at
		if known := createConflict(err, d.ID); known != nil {
			return known
		}
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return &d, token, nil
}

// createConflict says for people what of a new device is there already; nil where it is worth another try.
func createConflict(err error, id devices.DeviceID) error {
	switch overtakenBy(err) {
	case keyOf(KindDevice, id.String()):
		return devices.Errorf(devices.Conflict, "id", "is registered already")
	case keyOf(KindCredential, id.String()):
		return devices.Errorf(devices.Conflict, "id", "is the name of another credential")
	}
	return nil
}

// place tells whether a fleet has room for more devices. Other processes may take it at the same moment: the bound holds
// but for as many as write at once.
func (r *Registry) place(fleet devices.FleetID, more int) error {
	r.dir.mu.RLock()
	defer r.dir.mu.RUnlock()
	if len(r.dir.devices)+more > r.o.MaxDevices {
		return errFull
	}
	if f := r.dir.fleets[fleet]; f != nil && f.MaxDevices > 0 && r.dir.counts[fleet]+more > f.MaxDevices {
		return errFleetFull
	}
	return nil
}

// createOps are the ops that make a device: the device, its credential, its fleet where that is new, and the end of its
// quarantine.
func (r *Registry) createOps(ctx context.Context, d *Device, c *Credential) ([]store.Op, error) {
	device, err := put(KindDevice, d.ID.String(), d, store.Condition{Absent: true})
	if err != nil {
		return nil, err
	}
	credential, err := put(KindCredential, c.Name, c, store.Condition{Absent: true})
	if err != nil {
		return nil, err
	}
	ops := []store.Op{device, credential, {Kind: KindStranger, ID: d.ID.String()}}
	fleet, err := r.fleetOps(ctx, d.Fleet, d.Created)
	return append(ops, fleet...), err
}

// fleetOps make a fleet that there is not. The store is asked about one that is not in memory: another process may have
// made it a moment ago, and a second try would not find it here any sooner than the first.
func (r *Registry) fleetOps(ctx context.Context, id devices.FleetID, now int64) ([]store.Op, error) {
	if _, known := r.Fleet(id); known {
		return nil, nil
	}
	switch _, _, err := load[Fleet](ctx, r, KindFleet, id.String(), ErrNoFleet); {
	case err == nil:
		return nil, nil
	case err != ErrNoFleet: //nolint:errorlint // it is ours
		return nil, err
	}
	op, err := put(KindFleet, id.String(), &Fleet{ID: id, Created: now, Updated: now}, store.Condition{Absent: true})
	if err != nil {
		return nil, err
	}
	return []store.Op{op}, nil
}

// UpdateDevice applies a merge patch to what people say about a device. expected is the revision that the caller read,
// or 0.
func (r *Registry) UpdateDevice(ctx context.Context, id devices.DeviceID, patch []byte, expected store.Revision) (*Device, error) {
	r.changing.Lock()
	defer r.changing.Unlock()
	var out *Device
	err := retry(expected, func() error {
		current, at, err := load[Device](ctx, r, KindDevice, id.String(), ErrNoDevice)
		if err != nil {
			return err
		}
		if expected != 0 && at != expected {
			return ErrStale
		}
		out = new(Device)
		if err := MergePatch(current, patch, out); err != nil {
			return err
		}
		if out.ID != id || out.Created != current.Created || out.Updated != current.Updated || out.Auto != current.Auto {
			return devices.Errorf(devices.Invalid, "body", "changes a member that is not yours to change (id, created, updated, auto)")
		}
		if err := out.Check(); err != nil {
			return err
		}
		return r.putDevice(ctx, current, out, at)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// putDevice writes a device over the one that was read. One that moved may need its fleet made.
func (r *Registry) putDevice(ctx context.Context, before, after *Device, at store.Revision) error {
	after.Updated, after.Auto = r.nowMS(), false // somebody looked after it
	op, err := put(KindDevice, after.ID.String(), after, store.Condition{Revision: at})
	if err != nil {
		return err
	}
	ops := []store.Op{op}
	if before.Fleet != after.Fleet {
		if err := r.place(after.Fleet, 1); devices.KindOf(err) == devices.Exhausted && err != errFull { //nolint:errorlint // it is ours, and a move adds no device
			return err
		}
		fleet, err := r.fleetOps(ctx, after.Fleet, after.Updated)
		if err != nil {
			return err
		}
		ops = append(ops, fleet...)
	}
	after.Revision, err = r.commit(ctx, ops)
	return err
}

// DeleteDevice removes a device and its credential. Its connections end, and so does its asset.
func (r *Registry) DeleteDevice(ctx context.Context, id devices.DeviceID, expected store.Revision) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	return retry(expected, func() error {
		_, at, err := load[Device](ctx, r, KindDevice, id.String(), ErrNoDevice)
		if err != nil {
			return err
		}
		if expected != 0 && at != expected {
			return ErrStale
		}
		_, err = r.commit(ctx, []store.Op{
			{Kind: KindDevice, ID: id.String(), If: store.Condition{Revision: at}}, {Kind: KindCredential, ID: id.String()},
		})
		return err
	})
}

// RotateDevice gives a device another secret; what the one before opened ends.
func (r *Registry) RotateDevice(ctx context.Context, id devices.DeviceID, s Secret) (d *Device, token string, err error) {
	now := r.nowMS()
	c := Credential{Name: id.String(), Kind: ForDevice, Status: Enabled, Created: now, Updated: now}
	if token, err = r.give(ctx, &c, s); err != nil {
		return nil, "", err
	}
	r.changing.Lock()
	defer r.changing.Unlock()
	err = retry(0, func() error {
		var at store.Revision
		if d, at, err = load[Device](ctx, r, KindDevice, id.String(), ErrNoDevice); err != nil {
			return err
		}
		d.Revision = at
		device, err := put(KindDevice, id.String(), d, store.Condition{Revision: at}) // as it is: it must not go meanwhile
		if err != nil {
			return err
		}
		credential, err := put(KindCredential, c.Name, &c, store.Condition{})
		if err != nil {
			return err
		}
		d.Revision, err = r.commit(ctx, []store.Op{device, credential})
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return d, token, nil
}

// Approve lets a stranger in. With keep, what it showed when it came first stays its password.
func (r *Registry) Approve(ctx context.Context, id devices.DeviceID, fleet devices.FleetID, keep bool) (d *Device, token string, err error) {
	s, at, err := load[Stranger](ctx, r, KindStranger, id.String(), ErrNoDevice)
	if err != nil {
		return nil, "", err
	}
	if fleet.IsZero() {
		if fleet, err = devices.ParseFleetID(strings.Clone(s.Fleet)); err != nil {
			return nil, "", devices.Errorf(devices.Invalid, "fleet", "is missing, and the device named none")
		}
	}
	now := r.nowMS()
	d = &Device{ID: id, Fleet: fleet, Status: Enabled, Created: now, Updated: now}
	c := Credential{Name: id.String(), Kind: ForDevice, Status: Enabled, Created: now, Updated: now, Serial: newSerial()}
	switch {
	case keep && s.Password == "":
		return nil, "", devices.Errorf(devices.Invalid, "keep_password", "is set, but the device showed none of %d to %d bytes", secret.MinPasswordBytes, secret.MaxPasswordBytes)
	case keep:
		c.Password = s.Password
	default:
		token, c.Token = secret.NewToken()
	}
	r.changing.Lock()
	defer r.changing.Unlock()
	if err := r.place(fleet, 1); err != nil {
		return nil, "", err
	}
	ops, err := r.createOps(ctx, d, &c)
	if err != nil {
		return nil, "", err
	}
	ops[2].If.Revision = at
	if d.Revision, err = r.commit(ctx, ops); err != nil {
		if known := createConflict(err, id); known != nil {
			return nil, "", known
		}
		return nil, "", err
	}
	return d, token, nil
}

// Reject ends the quarantine of a stranger. It is there again when it comes again.
func (r *Registry) Reject(ctx context.Context, id devices.DeviceID) error {
	_, at, err := load[Stranger](ctx, r, KindStranger, id.String(), ErrNoDevice)
	if err != nil {
		return err
	}
	_, err = r.commit(ctx, []store.Op{{Kind: KindStranger, ID: id.String(), If: store.Condition{Revision: at}}})
	return err
}

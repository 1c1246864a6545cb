package registry

import (
	"context"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// CreateCredential makes the credential of a gateway or a client. The token is shown here and never again.
func (r *Registry) CreateCredential(ctx context.Context, c Credential, s Secret) (created *Credential, token string, err error) {
	now := r.nowMS()
	c.Created, c.Updated = now, now
	if c.Status == "" {
		c.Status = Enabled
	}
	if err := c.checkStandalone(); err != nil {
		return nil, "", err
	}
	if token, err = r.give(ctx, &c, s); err != nil {
		return nil, "", err
	}
	op, err := put(KindCredential, c.Name, &c, store.Condition{Absent: true})
	if err != nil {
		return nil, "", err
	}
	// A device of that name without a credential would be shut out by it.
	ops := []store.Op{op, {Kind: KindDevice, ID: c.Name, If: store.Condition{Absent: true}}}
	if c.Revision, err = r.commit(ctx, ops); devices.KindOf(err) == devices.Conflict {
		return nil, "", devices.Errorf(devices.Conflict, "name", "is a credential or a device already")
	} else if err != nil {
		return nil, "", err
	}
	return &c, token, nil
}

func (c *Credential) checkStandalone() error {
	if c.Kind == ForDevice {
		return devices.Errorf(devices.Invalid, "kind", "is device: a device's credential is made with the device")
	}
	return c.Check()
}

// credentialPatch is what may be changed of a credential.
type credentialPatch struct {
	Fleets []string `json:"fleets,omitempty"`
	Rules  []Rule   `json:"rules,omitempty"`
	Status Status   `json:"status"`
}

// UpdateCredential applies a merge patch to the fleets, rules and status of a gateway or a client. expected is the
// revision that the caller read, or 0.
func (r *Registry) UpdateCredential(ctx context.Context, name string, patch []byte, expected store.Revision) (*Credential, error) {
	return r.changeCredential(ctx, name, expected, func(c *Credential) error {
		var changed credentialPatch
		if err := MergePatch(credentialPatch{c.Fleets, c.Rules, c.Status}, patch, &changed); err != nil {
			return err
		}
		c.Fleets, c.Rules, c.Status = changed.Fleets, changed.Rules, changed.Status
		return c.Check()
	})
}

// RotateCredential gives a gateway or a client another secret; what the one before opened ends.
func (r *Registry) RotateCredential(ctx context.Context, name string, s Secret) (c *Credential, token string, err error) {
	var fresh Credential
	if token, err = r.give(ctx, &fresh, s); err != nil {
		return nil, "", err
	}
	c, err = r.changeCredential(ctx, name, 0, func(c *Credential) error {
		c.Token, c.Password, c.Serial = fresh.Token, fresh.Password, fresh.Serial
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return c, token, nil
}

func (r *Registry) changeCredential(ctx context.Context, name string, expected store.Revision, change func(*Credential) error) (out *Credential, err error) {
	err = retry(expected, func() error {
		c, at, err := r.loadStandalone(ctx, name, expected)
		if err != nil {
			return err
		}
		if err := change(c); err != nil {
			return err
		}
		c.Updated = r.nowMS()
		op, err := put(KindCredential, name, c, store.Condition{Revision: at})
		if err != nil {
			return err
		}
		out = c
		out.Revision, err = r.commit(ctx, []store.Op{op})
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (r *Registry) loadStandalone(ctx context.Context, name string, expected store.Revision) (*Credential, store.Revision, error) {
	if _, err := devices.ParseDeviceID(name); err != nil {
		return nil, 0, ErrNoCredential
	}
	c, at, err := load[Credential](ctx, r, KindCredential, name, ErrNoCredential)
	switch {
	case err != nil:
		return nil, 0, err
	case c.Kind == ForDevice:
		return nil, 0, ErrNoCredential // it goes with its device
	case expected != 0 && at != expected:
		return nil, 0, ErrStale
	}
	return c, at, nil
}

// DeleteCredential removes the credential of a gateway or a client; its connections end.
func (r *Registry) DeleteCredential(ctx context.Context, name string, expected store.Revision) error {
	return retry(expected, func() error {
		_, at, err := r.loadStandalone(ctx, name, expected)
		if err != nil {
			return err
		}
		_, err = r.commit(ctx, []store.Op{{Kind: KindCredential, ID: name, If: store.Condition{Revision: at}}})
		return err
	})
}

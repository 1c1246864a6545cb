package registry

import (
	"context"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// CreateFleet makes a fleet.
func (r *Registry) CreateFleet(ctx context.Context, f Fleet) (*Fleet, error) {
	now := r.nowMS()
	f.Created, f.Updated = now, now
	if err := f.Check(); err != nil {
		return nil, err
	}
	op, err := put(KindFleet, f.ID.String(), &f, store.Condition{Absent: true})
	if err != nil {
		return nil, err
	}
	if f.Revision, err = r.commit(ctx, []store.Op{op}); devices.KindOf(err) == devices.Conflict {
		return nil, devices.Errorf(devices.Conflict, "id", "is a fleet already")
	} else if err != nil {
		return nil, err
	}
	return &f, nil
}

// UpdateFleet applies a merge patch to a fleet. expected is the revision that the caller read, or 0. A bound below the
// number of its devices only keeps others out.
func (r *Registry) UpdateFleet(ctx context.Context, id devices.FleetID, patch []byte, expected store.Revision) (*Fleet, error) {
	var out *Fleet
	err := retry(expected, func() error {
		current, at, err := load[Fleet](ctx, r, KindFleet, id.String(), ErrNoFleet)
		if err != nil {
			return err
		}
		if expected != 0 && at != expected {
			return ErrStale
		}
		out = new(Fleet)
		if err := MergePatch(current, patch, out); err != nil {
			return err
		}
		if out.ID != id || out.Created != current.Created || out.Updated != current.Updated {
			return devices.Errorf(devices.Invalid, "body", "changes a member that is not yours to change (id, created, updated)")
		}
		if err := out.Check(); err != nil {
			return err
		}
		out.Updated = r.nowMS()
		op, err := put(KindFleet, id.String(), out, store.Condition{Revision: at})
		if err != nil {
			return err
		}
		out.Revision, err = r.commit(ctx, []store.Op{op})
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteFleet removes a fleet that has no devices.
func (r *Registry) DeleteFleet(ctx context.Context, id devices.FleetID, expected store.Revision) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	return retry(expected, func() error {
		_, at, err := load[Fleet](ctx, r, KindFleet, id.String(), ErrNoFleet)
		switch {
		case err != nil:
			return err
		case expected != 0 && at != expected:
			return ErrStale
		}
		if f, _ := r.Fleet(id); f.Devices > 0 {
			return devices.Errorf(devices.Conflict, "", "the fleet has %d devices: move or delete them first", f.Devices)
		}
		_, err = r.commit(ctx, []store.Op{{Kind: KindFleet, ID: id.String(), If: store.Condition{Revision: at}}})
		return err
	})
}

package registry

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// behind is a store whose feeds tell nothing while it is held: what another process wrote, the registry on it has not heard.
type behind struct {
	store.Store

	held chan struct{} // read at each update but the first
}

type feedBehind struct {
	store.Feed

	of    *behind
	began bool
}

func (b *behind) Watch(ctx context.Context, kinds ...store.Kind) (store.Feed, error) {
	feed, err := b.Store.Watch(ctx, kinds...)
	return &feedBehind{Feed: feed, of: b}, err
}

func (f *feedBehind) Next(ctx context.Context) (store.Update, error) {
	update, err := f.Feed.Next(ctx)
	if f.began {
		select {
		case <-f.of.held:
		case <-ctx.Done():
			return store.Update{}, ctx.Err()
		}
	}
	f.began = true
	return update, err
}

func TestAFleetThatAnotherProcessHasJustMadeIsTaken(t *testing.T) {
	for name, act := range map[string]func(t *testing.T, r *Registry) error{
		"by a new device": func(t *testing.T, r *Registry) error {
			_, _, err := r.CreateDevice(t.Context(), Device{ID: deviceID(t, "late"), Fleet: fleetID(t, "north")}, Secret{})
			return err
		},
		"by a device that moves": func(t *testing.T, r *Registry) error {
			_, err := r.UpdateDevice(t.Context(), deviceID(t, "old"), []byte(`{"fleet":"north"}`), 0)
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newStore(t)
			writer := start(t, Options{Store: s})
			create(t, writer, "old", "south")
			slow := &behind{Store: s, held: make(chan struct{})}
			r := start(t, Options{Store: slow})
			create(t, writer, "first", "north")
			if _, known := r.Fleet(fleetID(t, "north")); known {
				t.Error("the registry heard of the fleet, and shows nothing here")
			}
			if err := act(t, r); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			close(slow.held)
			synctest.Wait()
			if f, ok := r.Fleet(fleetID(t, "north")); !ok || f.Devices != 2 {
				t.Errorf("%s: the fleet is %+v", name, f)
			}
		})
	}
}

func TestAFleetThatCannotBeAskedAboutIsNotMade(t *testing.T) {
	broken := devices.Errorf(devices.Unavailable, "", "the store is away")
	r := start(t, Options{Store: &away{Store: newStore(t), err: broken}})
	_, _, err := r.CreateDevice(t.Context(), Device{ID: deviceID(t, "d"), Fleet: fleetID(t, "north")}, Secret{})
	wantKind(t, "a device of a fleet that is not known", err, devices.Unavailable)
}

// away is a store that cannot be read.
type away struct {
	store.Store

	err error
}

func (a *away) Get(context.Context, store.Kind, string) (store.Record, error) {
	return store.Record{}, a.err
}

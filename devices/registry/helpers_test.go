package registry

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

func deviceID(t testing.TB, s string) devices.DeviceID {
	t.Helper()
	id, err := devices.ParseDeviceID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func fleetID(t testing.TB, s string) devices.FleetID {
	t.Helper()
	id, err := devices.ParseFleetID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// newStore returns a store that is closed after all that ran on it.
func newStore(t testing.TB) store.Store {
	t.Helper()
	s := store.NewMemory(store.MemoryOptions{})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// start runs a registry on a store, a new one where none is given, and waits until it is loaded.
func start(t testing.TB, o Options) *Registry {
	t.Helper()
	if o.Store == nil {
		o.Store = newStore(t)
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	waiting, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if err := r.Wait(waiting, 0); err != nil {
		t.Fatal(err)
	}
	return r
}

func create(t testing.TB, r *Registry, id, fleet string) (d *Device, token string) {
	t.Helper()
	d, token, err := r.CreateDevice(t.Context(), Device{ID: deviceID(t, id), Fleet: fleetID(t, fleet)}, Secret{})
	if err != nil {
		t.Fatalf("create %s: %v", id, err)
	}
	return d, token
}

func login(r *Registry, name, password string) (devices.Principal, error) {
	return r.Authenticate(context.Background(), Login{Username: name, Password: []byte(password)})
}

func wantKind(t testing.TB, what string, err error, want devices.Kind) {
	t.Helper()
	if err == nil || devices.KindOf(err) != want {
		t.Errorf("%s gives %v, want an error of kind %v", what, err, want)
	}
}

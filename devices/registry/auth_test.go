package registry

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/secret"
	"github.com/fleetcast/fleetcast/devices/store"
)

// ticking is a clock that is later each time.
func ticking() func() time.Time {
	var n atomic.Int64
	return func() time.Time { return time.UnixMilli(1_800_000_000_000 + n.Add(1)) }
}

func TestATokenProvesItsDeviceAndNothingElse(t *testing.T) {
	r := start(t, Options{})
	d, token := create(t, r, "truck-17", "north")
	_, other := create(t, r, "truck-18", "south")
	p, err := login(r, "truck-17", token)
	if err != nil || p.Kind != devices.DevicePrincipal || p.Device != d.ID || p.Fleet != d.Fleet || p.Account != "device/truck-17" {
		t.Fatalf("%+v, %v", p, err)
	}
	for _, wrong := range []struct{ name, password string }{
		{"truck-17", other},
		{"truck-17", ""},
		{"truck-17", token[:len(token)-1]},
		{"truck-17", token + "x"},
		{"truck-18", token},
		{"", token},
		{"nobody", token},
		{"truck-17", strings.Repeat("x", 1<<20)},
		{strings.Repeat("x", 1000), token},
		{"a/b", token},
		{"truck-17\x00", token},
	} {
		_, err := login(r, wrong.name, wrong.password)
		wantKind(t, "a wrong login", err, devices.Unauthorized)
		if !errors.Is(err, errWrong) {
			t.Errorf("%.20q is told %v", wrong.name, err)
		}
	}
}

func TestWhatIsRevokedDoesNotHoldAndIsTold(t *testing.T) {
	r := start(t, Options{})
	accounts := watch(t, r)
	north := fleetID(t, "north")
	for name, revoke := range map[string]func(*Device) error{
		"disabled": func(d *Device) error {
			_, err := r.UpdateDevice(t.Context(), d.ID, []byte(`{"status":"disabled"}`), 0)
			return err
		},
		"moved": func(d *Device) error {
			_, err := r.UpdateDevice(t.Context(), d.ID, []byte(`{"fleet":"south"}`), 0)
			return err
		},
		"deleted": func(d *Device) error { return r.DeleteDevice(t.Context(), d.ID, 0) },
		"rotated": func(d *Device) error {
			_, _, err := r.RotateDevice(t.Context(), d.ID, Secret{})
			return err
		},
		"bounded": func(d *Device) error {
			_, err := r.UpdateDevice(t.Context(), d.ID, []byte(`{"limits":{"messages_per_second":1}}`), 0)
			return err
		},
	} {
		d, token := create(t, r, name, "north")
		p, err := login(r, name, token)
		if err != nil {
			t.Fatal(err)
		}
		p.Rates.Messages = 100 // the door's own, where none are set
		if _, err := r.UpdateDevice(t.Context(), d.ID, []byte(`{"name":"n"}`), 0); err != nil || !r.Holds(&p) {
			t.Errorf("%s: a rename ends its connections, or %v", name, err)
		}
		if err := revoke(d); err != nil {
			t.Fatal(name, err)
		}
		accounts.await(t, "device/"+name)
		if r.Holds(&p) {
			t.Errorf("%s: it holds", name)
		}
		_, err = login(r, name, token)
		switch name {
		case "disabled":
			wantKind(t, name, err, devices.Forbidden)
		case "deleted", "rotated":
			wantKind(t, name, err, devices.Unauthorized)
		default:
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		fleet, err := r.Admit(&p, d.ID, north)
		switch name {
		case "disabled":
			wantKind(t, name, err, devices.Forbidden)
		case "deleted":
			wantKind(t, name, err, devices.NotFound)
		case "moved":
			if err != nil || fleet.String() != "south" {
				t.Errorf("admitted to %v, %v", fleet, err)
			}
		}
	}
}

// watched are the accounts that Watch told of.
type watched struct{ told chan string }

func watch(t *testing.T, r *Registry) *watched {
	t.Helper()
	w := &watched{make(chan string, 1000)}
	beginning := make(chan struct{})
	begun := sync.OnceFunc(func() { close(beginning) })
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		err := r.Watch(ctx, func(accounts []string) {
			if accounts == nil { // anything may have changed: that is how it begins
				begun()
			}
			for _, a := range accounts {
				w.told <- a
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	<-beginning
	return w
}

func (w *watched) await(t *testing.T, account string) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case told := <-w.told:
			if told == account {
				return
			}
		case <-timer.C:
			t.Fatalf("nobody was told of %s", account)
		}
	}
}

func TestChosenPasswordsAreHashedSlowlyOnceAndThenKnownForAWhile(t *testing.T) {
	now := time.Now()
	r := start(t, Options{Now: func() time.Time { return now }})
	d, _, err := r.CreateDevice(t.Context(), Device{ID: deviceID(t, "d"), Fleet: fleetID(t, "f")}, Secret{Password: "correct horse battery"})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := login(r, "d", "correct horse battery"); err != nil {
			t.Fatal(err)
		}
	}
	if s := r.Stats().Counts; s["password_hashed"] != 1 || s["password_cached"] != 2 {
		t.Errorf("%v", s)
	}
	_, err = login(r, "d", "wrong horse battery")
	wantKind(t, "a wrong password", err, devices.Unauthorized)
	if r.Stats().Counts["password_hashed"] != 2 {
		t.Error("a wrong password was not hashed")
	}
	now = now.Add(secret.PositiveCacheFor)
	if _, err := login(r, "d", "correct horse battery"); err != nil || r.Stats().Counts["password_hashed"] != 3 {
		t.Errorf("%v, %v", err, r.Stats().Counts)
	}
	if _, _, err := r.RotateDevice(t.Context(), d.ID, Secret{Password: "another horse battery"}); err != nil {
		t.Fatal(err)
	}
	_, err = login(r, "d", "correct horse battery")
	wantKind(t, "the password before", err, devices.Unauthorized)
	for _, bad := range []string{"short", strings.Repeat("x", secret.MaxPasswordBytes+1), secret.TokenPrefix + "looks like a token"} {
		_, _, err := r.RotateDevice(t.Context(), d.ID, Secret{Password: bad})
		wantKind(t, "a bad password", err, devices.Invalid)
	}
}

func TestGatewaysAndClientsHaveCredentialsOfTheirOwn(t *testing.T) {
	r := start(t, Options{})
	create(t, r, "taken", "north")
	for _, bad := range []Credential{
		{Name: "g", Kind: ForGateway},
		{Name: "g", Kind: ForGateway, Fleets: []string{"a/b"}},
		{Name: "g", Kind: ForGateway, Fleets: []string{"a", "a"}},
		{Name: "c", Kind: ForClient},
		{Name: "c", Kind: ForClient, Rules: []Rule{{Filter: "a"}}},
		{Name: "c", Kind: ForClient, Rules: []Rule{{Filter: "a/#/b", Publish: true}}},
		{Name: "c", Kind: ForClient, Rules: []Rule{{Filter: "$SYS/#", Subscribe: true}}},
		{Name: "d", Kind: ForDevice},
		{Name: "a/b", Kind: ForGateway, Fleets: []string{"a"}},
		{Name: "x", Kind: "king"},
	} {
		_, _, err := r.CreateCredential(t.Context(), bad, Secret{})
		wantKind(t, "a bad credential", err, devices.Invalid)
	}
	_, _, err := r.CreateCredential(t.Context(), Credential{Name: "taken", Kind: ForGateway, Fleets: []string{"north"}}, Secret{})
	wantKind(t, "the name of a device", err, devices.Conflict)

	_, token, err := r.CreateCredential(t.Context(), Credential{Name: "lns", Kind: ForGateway, Fleets: []string{"north", "south"}}, Secret{})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = r.CreateDevice(t.Context(), Device{ID: deviceID(t, "lns"), Fleet: fleetID(t, "north")}, Secret{})
	wantKind(t, "a device of the name of a gateway", err, devices.Conflict)
	p, err := login(r, "lns", token)
	if err != nil || p.Kind != devices.GatewayPrincipal || len(p.Fleets) != 2 || p.Account != "gateway/lns" {
		t.Fatalf("%+v %v", p, err)
	}
	if _, err := r.UpdateCredential(t.Context(), "lns", []byte(`{"fleets":["north"]}`), 0); err != nil || r.Holds(&p) {
		t.Errorf("after it lost a fleet it holds, or %v", err)
	}
	_, clientToken, err := r.CreateCredential(t.Context(), Credential{Name: "grafana", Kind: ForClient, Rules: []Rule{
		{Filter: "fleets/+/devices/+/telemetry", Subscribe: true}, {Filter: "notes/#", Publish: true, Subscribe: true},
	}}, Secret{})
	if err != nil {
		t.Fatal(err)
	}
	p, err = login(r, "grafana", clientToken)
	if err != nil || p.Kind != devices.ClientPrincipal || len(p.Publish) != 1 || len(p.Subscribe) != 2 || p.SpeaksFor(deviceID(t, "taken"), fleetID(t, "north")) {
		t.Fatalf("%+v %v", p, err)
	}
	if _, _, err := r.RotateCredential(t.Context(), "grafana", Secret{}); err != nil || r.Holds(&p) {
		t.Errorf("after a rotation it holds, or %v", err)
	}
	if _, err := r.UpdateCredential(t.Context(), "grafana", []byte(`{"status":"disabled"}`), 0); err != nil {
		t.Error(err)
	}
	if page, next := r.Credentials("", 10); len(page) != 2 || next != "" || page[0].Name != "grafana" {
		t.Errorf("%v %q", page, next)
	}
	if err := r.DeleteCredential(t.Context(), "grafana", 0); err != nil {
		t.Error(err)
	}
	wantKind(t, "deleting a device's credential", r.DeleteCredential(t.Context(), "taken", 0), devices.NotFound)
}

func TestNoSecretIsKept(t *testing.T) {
	s := newStore(t)
	r := start(t, Options{Store: s})
	_, token := create(t, r, "d", "f")
	_, _, err := r.CreateDevice(t.Context(), Device{ID: deviceID(t, "e"), Fleet: fleetID(t, "f")}, Secret{Password: "correct horse battery"})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []store.Kind{KindDevice, KindFleet, KindCredential} {
		records, err := s.List(t.Context(), kind, "", 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range records {
			if strings.Contains(string(rec.Value), token) || strings.Contains(string(rec.Value), "correct horse") {
				t.Errorf("%s/%s is %s", kind, rec.ID, rec.Value)
			}
		}
	}
}

func BenchmarkATokensLogin(b *testing.B) {
	r := start(b, Options{})
	_, token := create(b, r, "truck-17", "north")
	l := Login{Username: "truck-17", Password: []byte(token)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Authenticate(context.Background(), l); err != nil {
			b.Fatal(err)
		}
	}
}

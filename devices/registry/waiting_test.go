package registry

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// inBubble runs a registry in a bubble of time of its own.
func inBubble(t *testing.T, o Options, test func(t *testing.T, r *Registry)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory(store.MemoryOptions{})
		o.Store = s
		r, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := r.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		if err := r.Wait(ctx, 0); err != nil {
			t.Fatal(err)
		}
		test(t, r)
		cancel()
		wg.Wait()
		_ = s.Close()
	})
}

func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestInOpenModeDevicesRegisterThemselvesSoManyAMinute(t *testing.T) {
	inBubble(t, Options{Open: true, RegisterPerMinute: 120}, func(t *testing.T, r *Registry) {
		open := &devices.Principal{}
		north := fleetID(t, "north")
		for i := range 200 {
			if f, err := r.Admit(open, deviceID(t, fmt.Sprint("d", i)), north); err != nil || f != north {
				t.Fatal(f, err)
			}
		}
		after(1500 * time.Millisecond)
		if n := r.Stats().Devices; n != 2 {
			t.Errorf("%d devices after a second and a half", n)
		}
		after(time.Minute)
		if n := r.Stats().Devices; n < 120 || n > 123 {
			t.Errorf("%d devices after a minute", n)
		}
		after(time.Minute)
		s := r.Stats()
		if s.Devices != 200 || s.Waiting != 0 || s.Counts["registered"] != 200 || s.Fleets != 1 {
			t.Errorf("%+v", s)
		}
		d, _ := r.Device(deviceID(t, "d7"))
		if d == nil || !d.Auto || d.Fleet != north {
			t.Errorf("%+v", d)
		}
		if f, err := r.Admit(open, d.ID, fleetID(t, "south")); err != nil || f != north {
			t.Errorf("a registered device that names another fleet is of %v, %v", f, err)
		}
	})
}

func TestInOpenModeABoundOfAFleetKeepsOthersOut(t *testing.T) {
	inBubble(t, Options{Open: true, MaxDevices: 3}, func(t *testing.T, r *Registry) {
		if _, err := r.CreateFleet(t.Context(), Fleet{ID: fleetID(t, "small"), MaxDevices: 1}); err != nil {
			t.Fatal(err)
		}
		open := &devices.Principal{}
		for i := range 3 { // before any of them is written
			if _, err := r.Admit(open, deviceID(t, fmt.Sprint("s", i)), fleetID(t, "small")); err != nil {
				t.Fatal(err)
			}
		}
		after(2 * time.Second)
		if f, _ := r.Fleet(fleetID(t, "small")); f.Devices != 1 {
			t.Errorf("%d devices in a fleet of one", f.Devices)
		}
		_, err := r.Admit(open, deviceID(t, "s9"), fleetID(t, "small"))
		wantKind(t, "one more", err, devices.Exhausted)
		for i := range 2 {
			create(t, r, fmt.Sprint("l", i), "large")
		}
		_, err = r.Admit(open, deviceID(t, "l9"), fleetID(t, "large"))
		wantKind(t, "one more than the installation has room for", err, devices.Exhausted)
	})
}

func TestTwoDoorsThatRegisterTheSameDevicesDoItOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory(store.MemoryOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var doors []*Registry
		for range 2 {
			r, err := New(Options{Store: s, Open: true})
			if err != nil {
				t.Fatal(err)
			}
			doors = append(doors, r)
			wg.Go(func() {
				if err := r.Run(ctx); err != nil {
					t.Error(err)
				}
			})
			if err := r.Wait(ctx, 0); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 300 {
			for _, r := range doors {
				if _, err := r.Admit(&devices.Principal{}, deviceID(t, fmt.Sprint("d", i)), fleetID(t, "f")); err != nil {
					t.Fatal(err)
				}
			}
		}
		after(10 * time.Second)
		for _, r := range doors {
			if st := r.Stats(); st.Devices != 300 || st.Waiting != 0 {
				t.Errorf("%+v", st)
			}
		}
		cancel()
		wg.Wait()
		_ = s.Close()
	})
}

func TestStrangersAreRefusedShownLetInAndRejected(t *testing.T) {
	inBubble(t, Options{Unknown: Quarantine}, func(t *testing.T, r *Registry) {
		l := Login{Username: "truck-17", Password: []byte("a password of its own"), Address: netip.MustParseAddr("192.0.2.7")}
		for range 3 {
			_, err := r.Authenticate(t.Context(), l)
			wantKind(t, "a stranger", err, devices.Unauthorized)
		}
		for _, name := range []string{"rejected", "tokened"} {
			_, err := login(r, name, "x")
			wantKind(t, "a stranger", err, devices.Unauthorized)
		}
		after(10 * time.Second)
		page, next := r.Strangers("", 10)
		if len(page) != 3 || next != "" || page[2].ID.String() != "truck-17" || page[2].Address != "192.0.2.7" || page[2].Password == "" {
			t.Fatalf("%+v %q", page, next)
		}
		_, _, err := r.Approve(t.Context(), deviceID(t, "truck-17"), devices.FleetID{}, true)
		wantKind(t, "letting one in into no fleet", err, devices.Invalid)
		if _, token, err := r.Approve(t.Context(), deviceID(t, "truck-17"), fleetID(t, "north"), true); err != nil || token != "" {
			t.Fatal(token, err)
		}
		if p, err := r.Authenticate(t.Context(), l); err != nil || p.Fleet.String() != "north" {
			t.Errorf("%+v %v", p, err)
		}
		_, _, err = r.Approve(t.Context(), deviceID(t, "tokened"), fleetID(t, "north"), true)
		wantKind(t, "keeping a password of one byte", err, devices.Invalid)
		_, token, err := r.Approve(t.Context(), deviceID(t, "tokened"), fleetID(t, "north"), false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := login(r, "tokened", token); err != nil {
			t.Error(err)
		}
		if err := r.Reject(t.Context(), deviceID(t, "rejected")); err != nil {
			t.Error(err)
		}
		wantKind(t, "rejecting it again", r.Reject(t.Context(), deviceID(t, "rejected")), devices.NotFound)
		if page, _ := r.Strangers("", 10); len(page) != 0 {
			t.Errorf("%+v", page)
		}
	})
}

func TestTheQuarantineIsBoundedAndEndsByItself(t *testing.T) {
	inBubble(t, Options{Unknown: Quarantine, MaxStrangers: 5, StrangersPerMinute: 600}, func(t *testing.T, r *Registry) {
		for i := range 1000 {
			_, err := login(r, fmt.Sprint("s", i), "x")
			wantKind(t, "a stranger", err, devices.Unauthorized)
		}
		after(time.Minute)
		s := r.Stats()
		if s.Quarantined != 5 || s.Waiting != 0 || s.Counts["quarantine_full"] != 995 {
			t.Errorf("%+v", s)
		}
		after(strangerAge + time.Hour)
		if _, err := login(r, "late", "x"); err == nil {
			t.Error("it came in")
		}
		after(time.Minute)
		if page, _ := r.Strangers("", 10); len(page) != 1 || page[0].ID.String() != "late" {
			t.Errorf("%v", page)
		}
	})
}

func TestAGatewayMayBringItsDevicesWhereThatIsThePolicy(t *testing.T) {
	for _, policy := range []Policy{Refuse, Quarantine, Register} {
		inBubble(t, Options{Unknown: policy}, func(t *testing.T, r *Registry) {
			gateway := &devices.Principal{Kind: devices.GatewayPrincipal, Account: "gateway/lns", Fleets: []devices.FleetID{fleetID(t, "north")}}
			f, err := r.Admit(gateway, deviceID(t, "d"), fleetID(t, "north"))
			after(5 * time.Second)
			_, registered := r.Device(deviceID(t, "d"))
			s, shown := r.Stranger(deviceID(t, "d"))
			if (err == nil) != (policy == Register) || registered != (policy == Register) || shown != (policy == Quarantine) {
				t.Errorf("%s: %v, %v, registered %v, shown %v", policy, f, err, registered, shown)
			}
			if shown && (s.Via != "gateway/lns" || s.Fleet != "north") {
				t.Errorf("%+v", s)
			}
			for _, p := range []*devices.Principal{gateway, {Kind: devices.DevicePrincipal}, {Kind: devices.ClientPrincipal}} {
				_, err := r.Admit(p, deviceID(t, "e"), fleetID(t, "south"))
				wantKind(t, "a device of a fleet that is not the gateway's", err, devices.NotFound)
			}
			after(5 * time.Second)
			if s := r.Stats(); s.Devices+s.Quarantined > 1 {
				t.Errorf("%s: %+v", policy, s)
			}
		})
	}
}

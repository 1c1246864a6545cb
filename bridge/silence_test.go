package bridge

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// scene is a bridge over the in-memory bus in a bubble of fake time, with doors that live or do not.
type scene struct {
	t    *testing.T
	bus  *bus.Memory
	reg  *fakeRegistry
	stop func()
}

func inScene(t *testing.T, f func(s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m, err := bus.NewMemory(bus.MemoryOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s := &scene{t: t, bus: m, reg: newFakeRegistry()}
		s.run()
		f(s)
		s.stop()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
}

// run starts a bridge; scene.stop ends it.
func (s *scene) run() {
	s.t.Helper()
	b, err := New(Options{Bus: s.bus, Registry: s.reg})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := b.Run(ctx); err != nil {
			s.t.Error(err)
		}
	})
	s.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	synctest.Wait()
}

func (s *scene) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// sceneDoor is a door that keeps its lease until it dies.
type sceneDoor struct {
	s     *scene
	id    bus.DoorID
	seq   uint64
	die   func()
	hears bool
	mu    sync.Mutex
}

func (s *scene) door() *sceneDoor {
	d := &sceneDoor{s: s, id: bus.NewDoorID(), hears: true}
	ctx, cancel := context.WithCancel(s.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			d.mu.Lock()
			hears := d.hears
			d.mu.Unlock()
			if err := s.bus.KeepDoor(ctx, d.id, hears); err != nil && ctx.Err() == nil {
				s.t.Error(err)
			}
			wait(ctx, bus.DoorBeat)
		}
	})
	d.die = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	stop := s.stop
	s.stop = func() { d.die(); stop() }
	return d
}

func (d *sceneDoor) hear(hears bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hears = hears
}

func (d *sceneDoor) append(e bus.Entry) {
	d.s.t.Helper()
	e.Device, e.Fleet = deviceID(d.s.t, "truck-17"), fleetID(d.s.t, "north")
	d.seq++
	if err := d.s.bus.Append(d.s.t.Context(), bus.Append{Door: d.id, Seq: d.seq, Entries: []bus.Entry{e}}); err != nil {
		d.s.t.Fatal(err)
	}
	synctest.Wait()
}

func (d *sceneDoor) connection(conn uint64, up bool) {
	d.s.t.Helper()
	d.append(bus.Entry{Kind: bus.KindConnection, Connection: bus.Connection{Door: d.id, Conn: conn, Up: up}})
}

func (d *sceneDoor) read() {
	d.s.t.Helper()
	d.append(bus.Entry{Kind: bus.KindReading, Reading: &devices.Reading{Measures: speed(1)}})
}

// status is what an edge sees of the device.
func (s *scene) status() string {
	s.t.Helper()
	feed, err := s.bus.Watch(s.t.Context(), 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer feed.Close()
	u, err := feed.Next(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if len(u.Snapshot.Devices) != 1 {
		return "none"
	}
	if d := &u.Snapshot.Devices[0]; !d.Removed() {
		_, after, _ := strings.Cut(string(d.Frame), `"status":"`)
		status, _, _ := strings.Cut(after, `"`)
		return status
	}
	return "removed"
}

func (s *scene) want(status, when string) {
	s.t.Helper()
	synctest.Wait()
	if got := s.status(); got != status {
		s.t.Errorf("%s the device is %s, want %s", when, got, status)
	}
}

// settled is longer than it takes to find a door dead, and the grace.
const settled = bus.DoorTTL + 4*sweepEvery + DefaultOfflineGrace

func TestTheDevicesOfADeadDoorAreToldFromThoseOfALivingOne(t *testing.T) {
	inScene(t, func(s *scene) {
		door, other := s.door(), s.door()
		door.connection(1, true)
		s.pass(time.Hour)
		s.want("online", "while its door lives and it says nothing")
		door.die()
		s.pass(bus.DoorTTL - time.Second)
		s.want("online", "before the lease has lapsed")
		s.pass(settled)
		s.want("unknown", "after its door died")
		other.connection(1, true)
		s.pass(time.Second)
		s.want("online", "after it came to another door")
		s.pass(time.Hour)
		s.want("online", "at the other door")
	})
}

func TestATakeoverByAnotherDoorDoesNotFlapWhenTheFirstDies(t *testing.T) {
	inScene(t, func(s *scene) {
		door, other := s.door(), s.door()
		door.connection(1, true)
		s.pass(time.Second)
		door.die()
		s.pass(time.Second)
		other.connection(1, true)
		for range 60 {
			s.pass(time.Second)
			s.want("online", "all along")
		}
	})
}

func TestARestartKeepsWhoComesBackAndNobodyElse(t *testing.T) {
	for _, comesBack := range []bool{true, false} {
		inScene(t, func(s *scene) {
			door := s.door()
			door.connection(1, true)
			s.pass(time.Minute)
			s.stop() // the owner and the door, as one process
			s.pass(bus.DoorTTL)
			s.run()
			again := s.door()
			s.want("online", "right after a restart")
			if comesBack {
				again.connection(1, true)
			}
			s.pass(settled)
			if comesBack {
				s.want("online", "back again")
				return
			}
			s.want("unknown", "not proved")
		})
	}
}

func TestSilenceIsLongerThanTheDevicesOwnPauses(t *testing.T) {
	inScene(t, func(s *scene) {
		door := s.door()
		for range 5 {
			door.read()
			s.pass(time.Minute)
		}
		s.pass(time.Minute)
		s.want("online", "two minutes after the last")
		s.pass(time.Minute + 2*sweepEvery)
		s.want("offline", "after three of its pauses")
		door.read()
		s.pass(time.Second)
		s.want("online", "heard again")
	})
}

func TestADeviceThatWasHeardOnceIsUnknownAfterAWhile(t *testing.T) {
	inScene(t, func(s *scene) {
		s.door().read()
		s.pass(firstSilence)
		s.want("online", "as long as it may yet come")
		s.pass(2 * sweepEvery)
		s.want("unknown", "after that")
	})
}

func TestSilenceOfConnectedDevicesIsJudgedWhereAFleetSaysAfterHowLong(t *testing.T) {
	inScene(t, func(s *scene) {
		door := s.door()
		s.reg.fleets[fleetID(t, "north")] = FleetTimes{Silence: 20 * time.Second}
		door.connection(1, true)
		s.pass(19 * time.Second)
		s.want("online", "before its time")
		s.pass(2 * sweepEvery)
		s.want("offline", "after it, connected or not")
	})
}

func TestSilenceProvesNothingWhileADoorDoesNotHear(t *testing.T) {
	inScene(t, func(s *scene) {
		door := s.door()
		for range 5 {
			door.read()
			s.pass(10 * time.Second)
		}
		door.hear(false)
		s.pass(10 * time.Minute)
		s.want("online", "while the door does not hear")
		door.hear(true)
		s.pass(leastSilence - time.Second)
		s.want("online", "within its time after that")
		s.pass(2*time.Second + 3*sweepEvery)
		s.want("offline", "after it")
	})
}

func TestAssetsThatAreSilentForLongRetire(t *testing.T) {
	inScene(t, func(s *scene) {
		door := s.door()
		s.reg.fleets[fleetID(t, "north")] = FleetTimes{RetireAfter: time.Hour}
		door.read()
		s.pass(time.Hour)
		if got := s.status(); got == "removed" {
			t.Error("it retired too soon")
		}
		s.pass(2 * sweepEvery)
		s.want("removed", "after an hour")
		door.read()
		s.pass(time.Second)
		s.want("online", "heard again")
	})
}

func TestPausesAreLearnedFromWhatIsNormal(t *testing.T) {
	r := newRig(t)
	pause := func(d time.Duration) {
		r.time += d.Milliseconds()
		r.read(devices.Reading{})
	}
	r.read(devices.Reading{})
	pause(10 * time.Minute)
	for range 100 {
		pause(0) // a burst of what was kept back
	}
	if got := r.truck().every; got != (10 * time.Minute).Milliseconds() {
		t.Errorf("after a burst the pause is %d ms", got)
	}
	r.goOffline(r.truck())
	pause(72 * time.Hour) // switched off
	if got := time.Duration(r.truck().every) * time.Millisecond; got > 20*time.Minute {
		t.Errorf("after days in the garage the pause is %v", got)
	}
	for range 3600 * 6 {
		pause(time.Second)
	}
	if got := time.Duration(r.truck().every) * time.Millisecond; got > 30*time.Second {
		t.Errorf("after six hours of a message a second the pause is %v", got)
	}
}

package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func deviceID(t *testing.T, s string) devices.DeviceID {
	t.Helper()
	id, err := devices.ParseDeviceID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func fleetID(t *testing.T, s string) devices.FleetID {
	t.Helper()
	id, err := devices.ParseFleetID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// site is a bus with an owner that does what it is told, a desk, and a dispatcher whose door is the test.
type site struct {
	t     *testing.T
	bus   *bus.Memory
	lease bus.Lease
	desk  *Desk
	d     *Dispatcher

	mu        sync.Mutex
	sent      []string // ids, in order
	seen      map[string]func(devices.CommandState, bool)
	listening bool
	full      bool
}

func newSite(t *testing.T, o DispatcherOptions) *site {
	t.Helper()
	b, err := bus.NewMemory(bus.MemoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := b.Own(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, bus: b, lease: l, desk: NewDesk(b, nil), seen: map[string]func(devices.CommandState, bool){}, listening: true}
	o.Desk, o.Door = s.desk, cmp.Or(o.Door, Door(s))
	s.d = NewDispatcher(o)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{s.desk.Run, s.d.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Deliver implements Door.
func (s *site) Deliver(o *Order, seen func(devices.CommandState, bool)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.listening:
		return devices.Errorf(devices.NotFound, "device", "does not listen")
	case s.full:
		return devices.Errorf(devices.Exhausted, "device", "has no room")
	}
	s.sent = append(s.sent, o.ID.String())
	s.seen[o.ID.String()] = seen
	return nil
}

func (s *site) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// put has the owner say that a command of truck-1 is in a state.
func (s *site) put(id devices.CommandID, accepted int64, state devices.CommandState) {
	s.t.Helper()
	s.putFor("truck-1", id, accepted, state)
}

func (s *site) putFor(device string, id devices.CommandID, accepted int64, state devices.CommandState) {
	s.t.Helper()
	c := devices.Command{
		ID: id, Device: deviceID(s.t, device), Fleet: fleetID(s.t, "north"), Name: "go", State: state,
		At: accepted, Accepted: accepted, Expires: time.Now().Add(time.Hour).UnixMilli(),
	}
	row := bus.CommandRow{ID: id, Device: c.Device, Fleet: c.Fleet, Data: c.JSON()}
	if _, err := s.lease.Publish(s.t.Context(), &bus.Flush{Time: 1, Commands: []bus.CommandRow{row}}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) sends() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.sent, " ")
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick, deadline := time.NewTicker(time.Millisecond), time.NewTimer(30*time.Second)
	defer tick.Stop()
	defer deadline.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// knows waits until the desk has a command in a state.
func (s *site) knows(id devices.CommandID, state devices.CommandState) {
	s.t.Helper()
	eventually(s.t, "the desk", func() bool { r := s.desk.known(id); return r != nil && r.State == state })
}

const ourFilter = "fleets/north/devices/truck-1/commands/+"

func TestACommandIsSentUntilItArrivesAndNotAfter(t *testing.T) {
	s := newSite(t, DispatcherOptions{})
	s.set(func() { s.listening = false })
	first, second := devices.NewCommandID(), devices.NewCommandID()
	s.put(second, 2, devices.CommandAccepted)
	s.put(first, 1, devices.CommandAccepted)
	eventually(t, "tries", func() bool { return s.d.Stats().Nobody >= 2 })
	s.set(func() { s.listening = true })
	s.d.Listening("fleets/south/devices/+/commands/#") // of others
	s.d.Listening("fleets/north/devices/+/commands/#") // its gateway
	both := first.String() + " " + second.String()
	eventually(t, "both, the older first", func() bool { return s.sends() == both })
	s.seen[first.String()](devices.CommandSent, false)
	s.seen[first.String()](devices.CommandDelivered, false)
	s.d.Listening(ourFilter) // it lost the connection before it had the second
	again := both + " " + second.String()
	eventually(t, "the second again", func() bool { return s.sends() == again })

	got := map[devices.CommandState]bool{}
	for len(got) < 2 { // what was seen is said
		entries, err := s.lease.Read(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Kind != bus.KindCommandState || e.Report.ID != first {
				t.Errorf("it says %+v", e)
			}
			got[e.Report.State] = true
		}
	}
	s.put(second, 2, devices.CommandDone)
	s.knows(second, devices.CommandDone)
	s.d.Listening(ourFilter)
	third := devices.NewCommandID()
	s.put(third, 3, devices.CommandAccepted)
	eventually(t, "the third and nothing else", func() bool { return s.sends() == again+" "+third.String() })
}

func TestACommandForWhichADoorHasNoRoomIsTriedAgain(t *testing.T) {
	s := newSite(t, DispatcherOptions{})
	s.set(func() { s.full = true })
	id := devices.NewCommandID()
	s.put(id, 1, devices.CommandAccepted)
	eventually(t, "a try", func() bool { return s.d.Stats().Refused > 0 })
	s.set(func() { s.full = false })
	eventually(t, "the command", func() bool { return s.sends() == id.String() })
}

func TestOneDoorOfAnExternalBrokerSends(t *testing.T) {
	later := devices.NewCommandID()
	s := newSite(t, DispatcherOptions{Turn: func(id devices.CommandID) time.Duration {
		if id == later {
			return time.Hour
		}
		return 0
	}})
	s.put(later, 1, devices.CommandAccepted) // another door's
	sent := devices.NewCommandID()
	s.put(sent, 2, devices.CommandSent) // by another door
	ours := devices.NewCommandID()
	s.put(ours, 3, devices.CommandAccepted)
	eventually(t, "ours", func() bool { return s.sends() == ours.String() })
	s.d.Listening(ourFilter) // the device came back: what it may have missed is sent by whose turn it is
	eventually(t, "ours and what was sent before", func() bool {
		return strings.Count(s.sends(), ours.String()) == 2 && strings.Contains(s.sends(), sent.String())
	})
	if strings.Contains(s.sends(), later.String()) {
		t.Error("a command is sent out of turn")
	}
}

func TestARepeatedRequestIsTheSameCommand(t *testing.T) {
	s := newSite(t, DispatcherOptions{})
	r := Request{Device: deviceID(t, "truck-1"), Fleet: fleetID(t, "north"), Name: "go", Params: []byte(` {"a": 1} `), By: "ann", Key: "k"}
	row, repeated, err := s.desk.Send(t.Context(), r)
	if err != nil || repeated || !strings.Contains(string(row.Data), `"params":{"a":1}`) {
		t.Fatalf("sent: %s, %v, %v", row.Data, repeated, err)
	}
	if again, repeated, err := s.desk.Send(t.Context(), r); err != nil || !repeated || again.ID != row.ID {
		t.Errorf("repeated: %v, %v", repeated, err)
	}
	r.By = "bob"
	if other, repeated, err := s.desk.Send(t.Context(), r); err != nil || repeated || other.ID == row.ID {
		t.Errorf("another person's: %v, %v", repeated, err)
	}
	for name, bad := range map[string]Request{
		"no name": {Device: r.Device, Fleet: r.Fleet}, "no JSON": {Device: r.Device, Fleet: r.Fleet, Name: "x", Params: []byte("{")},
		"a long time": {Device: r.Device, Fleet: r.Fleet, Name: "x", TTL: MaxTTL + 1},
	} {
		if _, _, err := s.desk.Send(t.Context(), bad); devices.KindOf(err) != devices.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhoSendsHearsThatTooManyWait(t *testing.T) {
	s := newSite(t, DispatcherOptions{})
	s.set(func() { s.listening = false })
	for range maxOpen {
		s.put(devices.NewCommandID(), 1, devices.CommandAccepted)
	}
	eventually(t, "the desk", func() bool { return s.desk.open(deviceID(t, "truck-1")) == maxOpen })
	_, _, err := s.desk.Send(t.Context(), Request{Device: deviceID(t, "truck-1"), Fleet: fleetID(t, "north"), Name: "go"})
	if devices.KindOf(err) != devices.Exhausted {
		t.Errorf("one too many: %v", err)
	}
}

func TestAListIsPagesTheNewestFirst(t *testing.T) {
	s := newSite(t, DispatcherOptions{})
	want := []string{}
	for n := range 7 {
		id := devices.CommandIDFor("", fmt.Sprint(n), devices.DeviceID{})
		s.put(id, int64(n+1), devices.CommandDone)
		s.knows(id, devices.CommandDone)
		want = append([]string{id.String()}, want...)
	}
	var got []string
	for after := ""; ; {
		rows, next, err := s.desk.List(Query{Scope: devices.AllFleets(), Limit: 3, After: after})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			got = append(got, r.ID.String())
		}
		if after = next; next == "" {
			break
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("pages are %v, want %v", got, want)
	}
	if rows, _, err := s.desk.List(Query{Scope: devices.OnlyFleets(fleetID(t, "south")), Limit: 3}); err != nil || len(rows) > 0 {
		t.Errorf("another fleet sees %d commands, %v", len(rows), err)
	}
	if _, _, err := s.desk.List(Query{After: "x"}); devices.KindOf(err) != devices.Invalid {
		t.Errorf("a bad mark gives %v", err)
	}
	if _, err := s.desk.Get(t.Context(), devices.NewCommandID()); devices.KindOf(err) != devices.NotFound {
		t.Errorf("one that is not there gives %v", err)
	}
}

// awayInlet is an inlet that keeps what it says it does not.
type awayInlet struct {
	*bus.Memory
	mu   sync.Mutex
	away int
	seqs []uint64
}

func (a *awayInlet) Append(ctx context.Context, in bus.Append) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seqs = append(a.seqs, in.Seq)
	err := a.Memory.Append(ctx, in)
	if a.away > 0 {
		a.away--
		return errors.New("the answer is lost")
	}
	return err
}

func TestAnAppendWhoseAnswerIsLostIsRepeatedUnderItsNumber(t *testing.T) {
	b, err := bus.NewMemory(bus.MemoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	inlet := &awayInlet{Memory: b, away: 2}
	desk := NewDesk(inlet, nil)
	if _, _, err := desk.Send(t.Context(), Request{Device: deviceID(t, "truck-1"), Fleet: fleetID(t, "north"), Name: "go"}); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(inlet.seqs) != "[1 1 1]" || b.Stats().Entries != 1 {
		t.Errorf("numbers %v, %d entries", inlet.seqs, b.Stats().Entries)
	}
}

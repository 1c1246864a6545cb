package bridge

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

func commandID(n int) devices.CommandID {
	return devices.CommandIDFor("test", fmt.Sprint(n), devices.DeviceID{})
}

// send is a person's command to truck-17.
func (r *rig) send(n int, ttl int64) {
	r.put(bus.Entry{Kind: bus.KindCommand, Command: &bus.CommandOrder{ID: commandID(n), Name: "reboot", At: r.time, TTL: ttl, By: "ann"}})
}

func (r *rig) saw(n int, state devices.CommandState) {
	r.put(bus.Entry{Kind: bus.KindCommandState, Report: &bus.CommandReport{ID: commandID(n), State: state}})
}

// told are the states that events tell of a command since the last flush.
func (r *rig) told(n int) string {
	var states []string
	for _, e := range r.judging.events {
		c, err := devices.ParseCommand(e.Data)
		if err != nil {
			r.t.Fatal(err)
		}
		if c.ID == commandID(n) {
			states = append(states, c.State.String())
		}
	}
	return strings.Join(states, " ")
}

func TestACommandTellsEachOfItsStatesOnce(t *testing.T) {
	r := newRig(t)
	r.send(1, 60*second) // the device was never heard
	r.send(1, 60*second)
	r.saw(1, devices.CommandSent)
	r.saw(1, devices.CommandSent)
	r.saw(1, devices.CommandDelivered)
	r.saw(1, devices.CommandSent)
	r.put(bus.Entry{Kind: bus.KindCommandState, Report: &bus.CommandReport{ID: commandID(1), State: devices.CommandDone, Result: []byte(`{"ok":true}`)}})
	r.saw(1, devices.CommandFailed)
	r.saw(2, devices.CommandDone)
	if got := r.told(1); got != "accepted sent delivered done" {
		t.Errorf("told %q", got)
	}
	f := r.makeFlush(0)
	if len(f.Commands) != 1 || !strings.Contains(string(f.Commands[0].Data), `"state":"done"`) || !strings.Contains(string(f.Commands[0].Data), `"result":{"ok":true}`) {
		t.Errorf("the row is %s", f.Commands[0].Data)
	}
	r.wantSome(t, map[reason]uint64{
		countCommands: 1, countCommandsDone: 1, reasonCommandRepeated: 1, reasonCommandOvertaken: 2, reasonCommandLate: 1, reasonCommandUnknown: 1,
	})
}

func (r *rig) wantSome(t *testing.T, want map[reason]uint64) {
	t.Helper()
	for c, n := range want {
		if got := r.counters.get(c); got != n {
			t.Errorf("%v is counted %d times, want %d", c, got, n)
		}
	}
}

func TestAnAnswerOfAnotherDeviceIsNotTaken(t *testing.T) {
	r := newRig(t)
	r.send(1, 60*second)
	for _, other := range []bus.Entry{{Device: deviceID(t, "truck-18")}, {Fleet: fleetID(t, "south")}} {
		other.Kind, other.Report = bus.KindCommandState, &bus.CommandReport{ID: commandID(1), State: devices.CommandDone}
		r.put(other)
	}
	if got := r.told(1); got != "accepted" {
		t.Errorf("told %q", got)
	}
	r.wantSome(t, map[reason]uint64{reasonCommandForeign: 2})
}

func TestACommandExpiresByTheOwnersClock(t *testing.T) {
	r := newRig(t)
	r.send(1, 60*second)
	r.send(2, 10*second)
	r.expireCommands(r.time+10*second-1, true)
	r.expireCommands(r.time+70*second, false) // what is in the inlet may be an answer that came in time
	if got := r.told(2); got != "accepted" {
		t.Errorf("told %q before its time", got)
	}
	r.expireCommands(r.time+10*second, true)
	if got := r.told(2); got != "accepted expired" {
		t.Errorf("told %q at its time", got)
	}
	r.time += 61 * second
	r.report(devices.Online, false) // the inlet is beyond it
	r.expireCommands(r.time, false)
	if got := r.told(1); got != "accepted expired" {
		t.Errorf("told %q after all", got)
	}
}

func TestCommandsThatWaitAreBounded(t *testing.T) {
	r := newRig(t)
	for n := range maxOpenCommands + 2 {
		r.send(n, 60*second)
	}
	if got := r.told(maxOpenCommands + 1); got != "accepted failed" {
		t.Errorf("one too many is told as %q", got)
	}
	r.saw(0, devices.CommandDone)
	r.send(1000, 60*second)
	if got := r.told(1000); got != "accepted" {
		t.Errorf("one that has room is told as %q", got)
	}
	r.wantSome(t, map[reason]uint64{reasonCommandLimit: 2, countCommandsFailed: 2})
}

func TestFinishedCommandsAreForgotten(t *testing.T) {
	r := newRig(t)
	for n := range maxFinishedCommands + 3 {
		r.send(n, 60*second)
		r.saw(n, devices.CommandDone)
	}
	r.makeFlush(0)
	r.committed()
	if got := len(r.commands.rows); got != maxFinishedCommands {
		t.Errorf("%d are remembered of a device, want %d", got, maxFinishedCommands)
	}
	r.time += commandAge + 1
	r.send(5000, 60*second)
	f := r.makeFlush(0)
	if got := len(r.commands.rows); got != 1 || len(f.Commands) != 1+maxFinishedCommands {
		t.Errorf("%d rows are left after a week and %d were told, want the new one and all", got, len(f.Commands))
	}
	if r.commands.bytes != r.commands.rows[commandID(5000)].size || len(r.commands.devices) != 1 {
		t.Errorf("%d bytes of %d devices are counted", r.commands.bytes, len(r.commands.devices))
	}
}

func TestTheBytesOfCommandsAreBounded(t *testing.T) {
	r := newRig(t)
	long := []byte(`"` + strings.Repeat("x", devices.MaxCommandValueBytes-2) + `"`)
	for n := 0; r.counters.get(reasonCommandLimit) == 0; n++ {
		if n > maxCommandBytes/len(long)+1 {
			t.Fatal("there is no bound")
		}
		r.put(bus.Entry{Kind: bus.KindCommand, Device: deviceID(t, fmt.Sprint("d", n)), Command: &bus.CommandOrder{ID: commandID(n), Name: "x", Params: long, TTL: 1000}})
		r.judging.events = r.judging.events[:0]
	}
	r.expireCommands(r.time+hour, true)
	r.send(-1, 1000)
	if got := r.told(-1); got != "accepted" {
		t.Errorf("told %q where finished ones can make room", got)
	}
	if r.commands.bytes > maxCommandBytes {
		t.Errorf("%d bytes are held", r.commands.bytes)
	}
}

func TestCommandsOfADeviceThatIsDeletedOrMovesFail(t *testing.T) {
	people := newFakeRegistry()
	r := newRig(t)
	r.opts.Registry = people
	people.set(deviceID(t, "truck-17"), Registered{Fleet: fleetID(t, "north"), Born: 1})
	r.send(1, 60*second)
	people.set(deviceID(t, "truck-17"), Registered{Fleet: fleetID(t, "south"), Born: 1})
	r.follow(RegistryNews{Devices: map[devices.DeviceID]bool{deviceID(t, "truck-17"): false}})
	if got := r.told(1); got != "accepted failed" {
		t.Errorf("told %q after a move", got)
	}
	r.send(2, 60*second) // the edge did not know yet
	if got := r.told(2); got != "accepted failed" {
		t.Errorf("told %q where the device is elsewhere", got)
	}
	people.set(deviceID(t, "truck-17"), Registered{Fleet: fleetID(t, "north"), Born: 1})
	r.send(3, 60*second)
	r.follow(RegistryNews{Devices: map[devices.DeviceID]bool{deviceID(t, "truck-17"): true}})
	if got := r.told(3); got != "accepted failed" {
		t.Errorf("told %q after a deletion", got)
	}
}

// commandStore is what a bus keeps between owners.
type commandStore struct {
	rows     map[devices.CommandID]bus.CommandRow
	told     map[devices.CommandID][]devices.CommandState
	consumed int
}

// publish commits what a state has, or all of it but that the inlet was consumed, as a bus that commits in parts may.
func (c *commandStore) publish(t fataler, s *state, consumed int) {
	f := s.makeFlush(0)
	for i := range f.Events {
		e, err := devices.ParseCommand(f.Events[i].Data)
		if err != nil {
			t.Fatal(err)
		}
		c.told[e.ID] = append(c.told[e.ID], e.State)
	}
	for _, r := range f.Commands {
		if r.Data == nil {
			delete(c.rows, r.ID)
		} else {
			c.rows[r.ID] = r
		}
	}
	s.committed()
	c.consumed = max(c.consumed, consumed)
}

// Whatever comes in which order, and whenever an owner dies: an accepted command ends, what is told of it only moves up,
// and the last that is told is what the table says.
func TestNoAcceptedCommandVanishesOverOwners(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		store := &commandStore{rows: map[devices.CommandID]bus.CommandRow{}, told: map[devices.CommandID][]devices.CommandState{}}
		r := newRig(rt)
		var inlet []bus.Entry
		applied := 0
		restart := func() {
			r.state = newState(r.opts, r.counters, newFleetIndex())
			var rows []bus.CommandRow
			for _, row := range store.rows {
				rows = append(rows, row)
			}
			r.loadCommands(rows)
			applied = store.consumed
		}
		sent := map[int]bool{}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			n := rapid.IntRange(0, 4).Draw(rt, "command")
			switch rapid.IntRange(0, 7).Draw(rt, "step") {
			case 0, 1:
				sent[n] = true
				inlet = append(inlet, *r.entry(bus.Entry{Kind: bus.KindCommand, Command: &bus.CommandOrder{ID: commandID(n), Name: "x", TTL: 5 * second}}))
			case 2, 3:
				state := devices.CommandState(rapid.IntRange(int(devices.CommandSent), int(devices.CommandFailed)).Draw(rt, "state"))
				inlet = append(inlet, *r.entry(bus.Entry{Kind: bus.KindCommandState, Report: &bus.CommandReport{ID: commandID(n), State: state}}))
			case 4:
				r.time += second
			case 5:
				restart()
			case 6:
				store.publish(rt, r.state, applied)
			case 7: // in parts: the last, which consumes, was not taken
				store.publish(rt, r.state, 0)
				restart()
			}
			for applied < len(inlet) && rapid.Bool().Draw(rt, "reads") {
				r.apply(&inlet[applied], 0)
				applied++
			}
			r.expireCommands(r.time, applied == len(inlet))
		}
		for ; applied < len(inlet); applied++ {
			r.apply(&inlet[applied], 0)
		}
		r.expireCommands(r.time+hour, true)
		store.publish(rt, r.state, applied)
		checkCommands(rt, store, sent)
	})
}

func checkCommands(t *rapid.T, store *commandStore, sent map[int]bool) {
	for n := range sent {
		id := commandID(n)
		row, err := devices.ParseCommand(store.rows[id].Data)
		if err != nil {
			t.Fatalf("command %d vanished: %v", n, err)
		}
		told := store.told[id]
		if !row.State.IsFinal() || len(told) == 0 || told[0] != devices.CommandAccepted || told[len(told)-1] != row.State {
			t.Fatalf("command %d is %v, told was %v", n, row.State, told)
		}
		for i := 1; i < len(told); i++ {
			if told[i] <= told[i-1] {
				t.Fatalf("command %d is told as %v", n, told)
			}
		}
	}
}

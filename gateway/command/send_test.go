package command

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
)

// slowDoor takes an order when it is let, as a broker that is far away.
type slowDoor struct {
	end <-chan struct{} // of the test

	mu    sync.Mutex
	held  map[devices.DeviceID]chan error // the order that each device waits for
	order map[devices.DeviceID][]devices.CommandID
}

func (s *slowDoor) Deliver(o *Order, _ func(devices.CommandState, bool)) error {
	s.mu.Lock()
	if s.held[o.Device] != nil {
		s.mu.Unlock()
		return fmt.Errorf("two commands of %s at once", o.Device)
	}
	answer := make(chan error)
	s.held[o.Device] = answer
	s.order[o.Device] = append(s.order[o.Device], o.ID)
	s.mu.Unlock()
	select {
	case err := <-answer:
		return err
	case <-s.end:
		return errUnsent
	}
}

func newSlowDoor(t *testing.T) *slowDoor {
	t.Helper()
	return &slowDoor{end: t.Context().Done(), held: map[devices.DeviceID]chan error{}, order: map[devices.DeviceID][]devices.CommandID{}}
}

// waiting are the devices whose commands are on their way.
func (s *slowDoor) waiting() []devices.DeviceID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.held))
}

// let answers for a device.
func (s *slowDoor) let(device devices.DeviceID, err error) {
	s.mu.Lock()
	answer := s.held[device]
	delete(s.held, device)
	s.mu.Unlock()
	answer <- err
}

func TestADoorThatWaitsIsGivenCommandsOfSeveralDevicesAtOnceAndOfEachInOrder(t *testing.T) {
	const width, fleet = 3, 9
	door := newSlowDoor(t)
	s := newSite(t, DispatcherOptions{Door: door, Together: width})
	block := devices.NewCommandID() // the round that follows finds all the others
	s.putFor("block", block, 1, devices.CommandAccepted)
	eventually(t, "the first", func() bool { return len(door.waiting()) == 1 })
	want := map[devices.DeviceID][]devices.CommandID{}
	for i := range fleet {
		name := fmt.Sprintf("van-%d", i)
		for n := range 2 {
			id := devices.NewCommandID()
			want[deviceID(t, name)] = append(want[deviceID(t, name)], id)
			s.putFor(name, id, int64(2+10*n+i), devices.CommandAccepted)
			s.knows(id, devices.CommandAccepted)
		}
	}
	door.let(deviceID(t, "block"), nil)
	for range 2 * fleet / width {
		eventually(t, "as many as may be on their way", func() bool { return len(door.waiting()) == width })
		for _, device := range door.waiting() {
			door.let(device, nil)
		}
	}
	eventually(t, "all of them", func() bool {
		for _, device := range door.waiting() {
			door.let(device, nil)
		}
		return s.d.Stats().Sent == 1+2*fleet
	})
	for device, ids := range want {
		if !slices.Equal(door.order[device], ids) {
			t.Errorf("%s was sent %v, not %v", device, door.order[device], ids)
		}
	}
}

func TestEachOfTheCommandsThatAreSentAtOnceHasItsOwnEnd(t *testing.T) {
	door := newSlowDoor(t)
	s := newSite(t, DispatcherOptions{Door: door, Together: 4})
	for i, name := range []string{"taken", "nobody", "full"} {
		s.putFor(name, devices.NewCommandID(), int64(i), devices.CommandAccepted)
	}
	answers := map[string]error{
		"taken": nil, "nobody": devices.Errorf(devices.NotFound, "device", "is not there"), "full": devices.Errorf(devices.Exhausted, "device", "has no room"),
	}
	eventually(t, "an answer of each, and the full one again", func() bool {
		for _, device := range door.waiting() {
			door.let(device, answers[device.String()])
			answers["full"] = nil
		}
		return s.d.Stats().Sent == 2
	})
	if got := s.d.Stats(); got.Nobody != 1 || got.Refused > 1 || got.Again != 0 {
		t.Errorf("%+v", got)
	}
}

package bus

import (
	"context"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// A door says every DoorBeat that it lives. One that did not for DoorTTL is dead, and so is what it knew of connections.
const (
	DoorBeat = time.Second
	DoorTTL  = 6 * DoorBeat
	// MaxLiveDoors bounds the leases of a bus: a door is one run of a process of ours, so there are a few.
	MaxLiveDoors = 1024
)

// Doors keeps the leases of doors.
type Doors interface {
	// KeepDoor says that a door lives, until DoorTTL from now by the bus's clock. hears tells whether it takes in what
	// devices say now; one that withholds acknowledgements, or hears nothing of an external broker, does not. A door keeps
	// its lease before its first Append and every DoorBeat.
	KeepDoor(ctx context.Context, door DoorID, hears bool) error
	// LeaveDoor ends a lease at once. It may be called twice.
	LeaveDoor(ctx context.Context, door DoorID) error
	// LiveDoors returns the doors whose leases stand, in no order.
	LiveDoors(ctx context.Context) ([]DoorLease, error)
}

// DoorLease is a door that lives.
type DoorLease struct {
	Door  DoorID
	Hears bool
}

// liveDoors are the leases of a bus of one process. A restart begins without any, which is true: its doors are dead.
type liveDoors struct {
	mu     sync.Mutex
	leases map[DoorID]liveDoor
}

type liveDoor struct {
	until time.Time
	hears bool
}

// KeepDoor implements Doors.
func (m *Memory) KeepDoor(ctx context.Context, door DoorID, hears bool) error {
	if err := m.checkDoor(ctx, door); err != nil {
		return err
	}
	l := &m.live
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.forget(now)
	if _, known := l.leases[door]; !known && len(l.leases) >= MaxLiveDoors {
		return devices.Errorf(devices.Exhausted, "doors", "are more than %d", MaxLiveDoors)
	}
	if l.leases == nil {
		l.leases = make(map[DoorID]liveDoor)
	}
	l.leases[door] = liveDoor{now.Add(DoorTTL), hears}
	return nil
}

// LeaveDoor implements Doors.
func (m *Memory) LeaveDoor(ctx context.Context, door DoorID) error {
	if err := m.checkDoor(ctx, door); err != nil {
		return err
	}
	m.live.mu.Lock()
	defer m.live.mu.Unlock()
	delete(m.live.leases, door)
	return nil
}

// LiveDoors implements Doors.
func (m *Memory) LiveDoors(ctx context.Context) ([]DoorLease, error) {
	if err := m.checkDoor(ctx, 1); err != nil {
		return nil, err
	}
	m.live.mu.Lock()
	defer m.live.mu.Unlock()
	m.live.forget(time.Now())
	out := make([]DoorLease, 0, len(m.live.leases))
	for door, l := range m.live.leases {
		out = append(out, DoorLease{door, l.hears})
	}
	return out, nil
}

// forget needs the lock.
func (l *liveDoors) forget(now time.Time) {
	for door, lease := range l.leases {
		if !now.Before(lease.until) {
			delete(l.leases, door)
		}
	}
}

func (m *Memory) checkDoor(ctx context.Context, door DoorID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-m.closed:
		return ErrClosed
	default:
	}
	if door == 0 {
		return devices.Errorf(devices.Invalid, "door", "is missing")
	}
	return nil
}

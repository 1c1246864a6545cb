package diskbus

import (
	"context"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// The leases of doors are in memory only: after a restart there is none, and none of the doors from before lives.

// KeepDoor implements bus.Doors.
func (b *Bus) KeepDoor(ctx context.Context, door bus.DoorID, hears bool) error {
	return b.memory.KeepDoor(ctx, door, hears)
}

// LeaveDoor implements bus.Doors.
func (b *Bus) LeaveDoor(ctx context.Context, door bus.DoorID) error {
	return b.memory.LeaveDoor(ctx, door)
}

// LiveDoors implements bus.Doors.
func (b *Bus) LiveDoors(ctx context.Context) ([]bus.DoorLease, error) { return b.memory.LiveDoors(ctx) }

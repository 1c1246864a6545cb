package redisbus

import (
	"context"
	"fmt"
	"strconv"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// doorsKey is of no partition, as a door is.
func doorsKey(prefix string) string { return prefix + ":{doors}:live" }

// Names in the set: 16 digits of the door, and whether it hears.
const (
	doorHears = "1"
	doorDeaf  = "0"
	doorName  = 17
)

// KeepDoor implements bus.Doors.
func (b *Bus) KeepDoor(ctx context.Context, door bus.DoorID, hears bool) error {
	if err := b.checkDoor(ctx, door); err != nil {
		return err
	}
	is, other := doorHears, doorDeaf
	if !hears {
		is, other = other, is
	}
	name := fmt.Sprintf("%016x", uint64(door))
	return b.call(ctx, "keep door", func(ctx context.Context) error {
		answer, err := b.run(ctx, doorsScript, []string{doorsKey(b.opts.Prefix)}, "keep", name+is, name+other, bus.DoorTTL.Milliseconds(), bus.MaxLiveDoors)
		if err == nil && answer != int64(0) {
			return devices.Errorf(devices.Exhausted, "doors", "are more than %d", bus.MaxLiveDoors)
		}
		return err
	})
}

// LeaveDoor implements bus.Doors.
func (b *Bus) LeaveDoor(ctx context.Context, door bus.DoorID) error {
	if err := b.checkDoor(ctx, door); err != nil {
		return err
	}
	return b.call(ctx, "leave door", func(ctx context.Context) error {
		_, err := b.run(ctx, doorsScript, []string{doorsKey(b.opts.Prefix)}, "leave", fmt.Sprintf("%016x", uint64(door)))
		return err
	})
}

// LiveDoors implements bus.Doors.
func (b *Bus) LiveDoors(ctx context.Context) (out []bus.DoorLease, err error) {
	if err := b.checkDoor(ctx, 1); err != nil {
		return nil, err
	}
	err = b.call(ctx, "list doors", func(ctx context.Context) error {
		answer, err := b.run(ctx, doorsScript, []string{doorsKey(b.opts.Prefix)}, "list")
		if err != nil {
			return err
		}
		out, err = parseDoors(answer)
		return err
	})
	return out, err
}

func parseDoors(answer any) ([]bus.DoorLease, error) {
	names, ok := answer.([]any)
	if !ok {
		return nil, fmt.Errorf("list doors answers %T: %w", answer, errMalformed)
	}
	out := make([]bus.DoorLease, 0, len(names))
	for _, n := range names {
		name, ok := n.(string)
		if !ok || len(name) != doorName {
			return nil, fmt.Errorf("a door is no door: %w", errMalformed)
		}
		id, err := strconv.ParseUint(name[:doorName-1], 16, 64)
		if err != nil {
			return nil, fmt.Errorf("a door is no door: %w", errMalformed)
		}
		out = append(out, bus.DoorLease{Door: bus.DoorID(id), Hears: name[doorName-1:] == doorHears})
	}
	return out, nil
}

func (b *Bus) checkDoor(ctx context.Context, door bus.DoorID) error {
	switch {
	case b.isClosed():
		return bus.ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
	case door == 0:
		return devices.Errorf(devices.Invalid, "door", "is missing")
	}
	return nil
}

package bustest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

var doorChecks = []check{
	{"doors that say that they live do", doorsLive},
	{"a door that leaves is gone at once", doorLeaves},
	{"a door that says nothing is dead after its time", doorLapses},
	{"a door without a name is refused", namelessDoor},
}

func liveDoors(ctx context.Context, b bus.Doors) (map[bus.DoorID]bool, error) {
	leases, err := b.LiveDoors(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for live doors: %w", err)
	}
	out := map[bus.DoorID]bool{}
	for _, l := range leases {
		out[l.Door] = l.Hears
	}
	if len(out) != len(leases) {
		return nil, fmt.Errorf("a door is there twice: %v", leases)
	}
	return out, nil
}

func wantDoors(ctx context.Context, b bus.Doors, want map[bus.DoorID]bool) error {
	got, err := liveDoors(ctx, b)
	if err != nil {
		return err
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		return fmt.Errorf("doors %v live, want %v", got, want)
	}
	return nil
}

func doorsLive(ctx context.Context, s *site) error {
	b := s.open(Options{})
	if err := wantDoors(ctx, b, map[bus.DoorID]bool{}); err != nil {
		return err
	}
	high := bus.DoorID(1<<64 - 1)
	return firstError(
		func() error { return b.KeepDoor(ctx, 7, true) },
		func() error { return b.KeepDoor(ctx, high, false) },
		func() error { return wantDoors(ctx, b, map[bus.DoorID]bool{7: true, high: false}) },
		func() error { return b.KeepDoor(ctx, 7, false) },
		func() error { return b.KeepDoor(ctx, high, true) },
		func() error { return wantDoors(ctx, b, map[bus.DoorID]bool{7: false, high: true}) },
	)
}

func doorLeaves(ctx context.Context, s *site) error {
	b := s.open(Options{})
	return firstError(
		func() error { return b.KeepDoor(ctx, 7, true) },
		func() error { return b.KeepDoor(ctx, 8, true) },
		func() error { return errors.Join(b.LeaveDoor(ctx, 7), b.LeaveDoor(ctx, 7), b.LeaveDoor(ctx, 9)) },
		func() error { return wantDoors(ctx, b, map[bus.DoorID]bool{8: true}) },
	)
}

// doorLapses takes the time of a lease, and asks for nothing about when it ends but that it does not end while it is kept.
func doorLapses(ctx context.Context, s *site) error {
	b := s.open(Options{})
	if s.partitions > 1 { // it takes its time, and doors are of no partition
		return nil
	}
	if err := errors.Join(b.KeepDoor(ctx, 7, true), b.KeepDoor(ctx, 8, true)); err != nil {
		return err
	}
	beat := time.NewTicker(bus.DoorBeat / 2)
	defer beat.Stop()
	for {
		got, err := liveDoors(ctx, b)
		if err != nil {
			return err
		}
		if _, lives := got[8]; !lives {
			return errors.New("a door that is kept is dead")
		}
		if _, lives := got[7]; !lives {
			return nil
		}
		select {
		case <-beat.C:
		case <-ctx.Done():
			return errors.New("a door that says nothing lives for ever")
		}
		if err := b.KeepDoor(ctx, 8, true); err != nil {
			return err
		}
	}
}

func namelessDoor(ctx context.Context, s *site) error {
	b := s.open(Options{})
	return errors.Join(wantKind("keeping door 0", b.KeepDoor(ctx, 0, true), devices.Invalid), wantKind("leaving door 0", b.LeaveDoor(ctx, 0), devices.Invalid))
}

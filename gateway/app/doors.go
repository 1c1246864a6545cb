package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// doorLease tells the bus that this process's door lives, so that owners know its devices from those of a dead one.
type doorLease struct {
	bus  bus.Doors
	door door
	log  *slog.Logger
}

// first says it once, before the door takes anything in. A bus that is away hears it later.
func (l *doorLease) first(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, healthBound)
	defer cancel()
	l.keep(ctx)
}

func (l *doorLease) keep(ctx context.Context) {
	if err := l.bus.KeepDoor(ctx, l.door.Door(), l.door.Ready() == nil); err != nil && ctx.Err() == nil {
		l.log.DebugContext(ctx, "the door's lease was not kept, trying again", "error", err)
	}
}

// run says it until ctx ends.
func (l *doorLease) run(ctx context.Context) error {
	beat := time.NewTicker(bus.DoorBeat)
	defer beat.Stop()
	for {
		l.keep(ctx)
		select {
		case <-beat.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// leave ends the lease, once the door has said what became of its connections. Where the bus is away it lapses.
func (l *doorLease) leave(ctx context.Context) error {
	if err := l.bus.LeaveDoor(ctx, l.door.Door()); err != nil {
		l.log.DebugContext(ctx, "the door's lease was not ended; it lapses", "error", err)
	}
	return nil
}

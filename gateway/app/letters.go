package app

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/mqttin"
)

// shareLetters is how long at most a dead letter is at its own door only.
const shareLetters = time.Second

// sharedLetters is a store that shows every process what any door did not understand: Redis.
type sharedLetters interface {
	KeepLetters(ctx context.Context, letters []devices.DeadLetter) error
	Letters(ctx context.Context, reasons []string) ([]devices.DeadLetter, error)
	EraseLetters(ctx context.Context, device devices.DeviceID, reasons []string) error
}

// deadLetters is where people look at them. A single process keeps those of its door in memory, and they end with it; with
// Redis doors share them there as well.
type deadLetters struct {
	door   door          // nil without the role broker
	shared sharedLetters // nil where nothing is shared
	log    *slog.Logger
	seen   uint64 // the last that was shared; of Run
}

// Reasons implements api.DeadLetters.
func (d *deadLetters) Reasons() []string { return mqttin.LetterReasons() }

// Letters implements api.DeadLetters. While the store is away a door shows its own.
func (d *deadLetters) Letters(ctx context.Context, reasons []string) ([]devices.DeadLetter, error) {
	if d.shared != nil {
		out, err := d.shared.Letters(ctx, reasons)
		if err == nil || d.door == nil {
			return out, err
		}
	}
	var out []devices.DeadLetter
	for _, reason := range reasons {
		for _, l := range d.door.Letters(0, reason) {
			out = append(out, l.DeadLetter)
		}
	}
	return out, nil
}

// Erase drops what came from a device or for it. Another door has its own in memory until newer ones take their place, and
// shows them only while the store is away.
func (d *deadLetters) Erase(ctx context.Context, device devices.DeviceID) error {
	if d.door != nil {
		d.door.EraseLetters(device)
	}
	if d.shared == nil {
		return nil
	}
	return d.shared.EraseLetters(ctx, device, d.Reasons())
}

// Run shares what the door has kept, until ctx ends. What could not be shared is tried again while the door has it.
func (d *deadLetters) Run(ctx context.Context) error {
	ticker := time.NewTicker(shareLetters)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			d.share(ctx)
		}
	}
}

func (d *deadLetters) share(ctx context.Context) {
	fresh := d.door.Letters(d.seen, "")
	if len(fresh) == 0 {
		return
	}
	slices.SortFunc(fresh, func(a, b mqttin.Letter) int { return cmp.Compare(a.Number, b.Number) })
	letters := make([]devices.DeadLetter, len(fresh))
	for i := range fresh {
		letters[i] = fresh[i].DeadLetter
	}
	if err := d.shared.KeepLetters(ctx, letters); err != nil {
		d.log.DebugContext(ctx, "dead letters are not shared yet", "error", err)
		return
	}
	d.seen = fresh[len(fresh)-1].Number
}

// letters is what a process shows; nil where it has neither a door nor a store that is shared.
func (p *parts) letters(log *slog.Logger) *deadLetters {
	d := &deadLetters{door: p.door, log: log}
	if p.store.letters != nil {
		d.shared = p.store.letters
	}
	if d.door == nil && d.shared == nil {
		return nil
	}
	return d
}

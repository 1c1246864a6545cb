package app

import (
	"context"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/api"
	"github.com/fleetcast/fleetcast/gateway/history"
)

// erasing is what this process reaches of what a device said, and what it does not.
func (p *parts) erasing() api.Erasing {
	e := api.Erasing{
		Partitions: p.store.Partitions(),
		Follow:     func(id devices.DeviceID) api.Erasure { return p.hub.FollowErasure(id) },
		Configured: p.forget,
	}
	if p.dead != nil {
		e.Letters = p.dead.Erase
	}
	if disk := p.store.disk; disk != nil {
		e.Compact = func(ctx context.Context) error { return compact(ctx, disk) }
	}
	if p.store.shared {
		e.Elsewhere = append(e.Elsewhere, "what Redis's files hold until its next BGSAVE or BGREWRITEAOF")
	}
	if h := p.history; h != nil {
		e.Forget = func(id devices.DeviceID) (readings, open int, err error) {
			return h.Forget(history.Choice{Device: id.String()})
		}
		e.Elsewhere = append(e.Elsewhere, "what gateway history load has copied into PostgreSQL")
	}
	if p.history == nil || p.store.shared {
		e.Elsewhere = append(e.Elsewhere, "the history of other bridges, where they have --history-dir: gateway history forget --device, and PostgreSQL if it is loaded there")
	}
	return e
}

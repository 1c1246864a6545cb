package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/fleetcast/fleetcast/gateway/app"
	"github.com/fleetcast/fleetcast/gateway/systemd"
)

// A keeper is between a running gateway and whoever runs it: it reloads on SIGHUP, and tells systemd how the gateway is.
type keeper struct {
	hups     chan os.Signal
	notifier *systemd.Notifier
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

// newKeeper takes SIGHUP from now on: one that comes during the start waits, in place of ending the process.
func newKeeper(log *slog.Logger) *keeper {
	k := &keeper{hups: make(chan os.Signal, 1), notifier: systemd.New(log.With("part", "systemd")), cancel: func() {}}
	signal.Notify(k.hups, syscall.SIGHUP)
	return k
}

// start says that the gateway is ready, and keeps it until stop. Ready means that it serves what it can: whether Redis or a
// broker answers is no matter of the service manager's.
func (k *keeper) start(ctx context.Context, gateway *app.App) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	k.cancel = cancel
	k.notifier.Ready()
	k.running.Go(func() { k.notifier.Watch(ctx, gateway.Alive, gateway.Status) })
	k.running.Go(func() {
		for {
			select {
			case <-k.hups:
				k.notifier.Reloading()
				_, _ = gateway.Reload(ctx, "SIGHUP") // it says in the log what was wrong
				k.notifier.Ready()
			case <-ctx.Done():
				return
			}
		}
	})
}

// stop says that the gateway stops.
func (k *keeper) stop() {
	k.notifier.Stopping()
	k.cancel()
	k.running.Wait()
}

// close gives SIGHUP its meaning back.
func (k *keeper) close() { signal.Stop(k.hups) }

package systemd

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Notifier speaks to the socket of NOTIFY_SOCKET. Its methods may be called concurrently.
type Notifier struct{ log *slog.Logger }

// New makes a notifier. It starts nothing.
func New(log *slog.Logger) *Notifier { return &Notifier{log} }

// send says what there is to say. Nobody to hear it is no failure, and one that does not listen stops no gateway.
func (n *Notifier) send(states ...string) {
	if _, err := daemon.SdNotify(false, strings.Join(states, "\n")); err != nil {
		n.log.Warn("the service manager was not told", "error", err)
	}
}

// Ready says that the gateway serves, after its start and after a reload.
func (n *Notifier) Ready() { n.send(daemon.SdNotifyReady) }

// Reloading says that the settings are being read again; Ready follows. The time tells this reload from an earlier one
// (sd_notify(3), Type=notify-reload).
func (n *Notifier) Reloading() {
	n.send(daemon.SdNotifyReloading, daemon.SdNotifyMonotonicUsec())
}

// Stopping says that the gateway stops as it was told to.
func (n *Notifier) Stopping() { n.send(daemon.SdNotifyStopping) }

// defaultStatusEvery is how often the status line is renewed where no watchdog asks.
const defaultStatusEvery = 10 * time.Second

// Watch renews the status line and, where WatchdogSec= is set, says twice in its time that the gateway lives, until ctx ends.
// alive tells by an error that it does not: then nothing is said, and the service manager kills the process when the time
// is over. It is asked anew each time, so that one slow answer is no death.
func (n *Notifier) Watch(ctx context.Context, alive func(context.Context) error, status func() string) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		n.log.Warn("the watchdog's time cannot be read, and it is not told", "error", err)
	}
	every := defaultStatusEvery
	if limit > 0 {
		every = min(every, limit/2)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		states := []string{"STATUS=" + status()}
		if limit > 0 && n.lives(ctx, every, alive) {
			states = append(states, daemon.SdNotifyWatchdog)
		}
		n.send(states...)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (n *Notifier) lives(ctx context.Context, bound time.Duration, alive func(context.Context) error) bool {
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	err := alive(bounded)
	if err != nil && ctx.Err() == nil {
		n.log.Error("the gateway does not answer itself; the watchdog is not told that it lives", "error", err)
	}
	return err == nil
}

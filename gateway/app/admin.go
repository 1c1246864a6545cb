package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/fleetcast/fleetcast/bridge/diskbus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/api"
	"github.com/fleetcast/fleetcast/gateway/keep"
)

// AdminOptions are the address for operators and their tools.
type AdminOptions struct {
	Listen string `help:"Address for metrics (/metrics), health, the devices that were not heard for longest (/stalest), profiles (/debug/pprof/) and backups (/backup). Without it ${admin_listen}, or none where that is taken; none is none. On any other address than a loopback one a proof is needed, of an operator or for profiles and backups of an admin, which takes --viewer-auth required." placeholder:"ADDRESS"`
	Open   bool   `help:"Let everybody who reaches the admin address read the metrics, as Prometheus in a cluster does. They name fleets and no device; everything else there still needs a proof."`
}

const (
	// defaultAdminListen is next to the page's.
	defaultAdminListen = "127.0.0.1:8081"
	noAdminListen      = "none"
)

func (o *Options) checkAdmin() error {
	if o.Admin.Listen == "" || o.Admin.Listen == noAdminListen {
		return nil
	}
	err := checkLoopback("admin-listen", o.Admin.Listen)
	if err != nil && (o.requiresViewers() || o.Admin.Open) {
		return checkAddress("admin-listen", o.Admin.Listen)
	}
	return err
}

// listenAdmin binds the address for operators; nil where there is none.
func (a *App) listenAdmin(ctx context.Context) (net.Listener, error) {
	address := a.opts.Admin.Listen
	switch address {
	case noAdminListen:
		return nil, nil
	case "":
		address = defaultAdminListen
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil && a.opts.Admin.Listen == "" && errors.Is(err, syscall.EADDRINUSE) {
		a.log.WarnContext(ctx, "no metrics are served: the default address is taken; set --admin-listen", "address", address)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("bind admin-listen: %w", err)
	}
	return l, nil
}

// startAdmin serves metrics, health and profiles until what is above height in the stack has stopped. It starts when everything
// else has, and who watches a process that stops sees it stop.
func (a *App) startAdmin(ctx context.Context, height int) error {
	l, err := a.listenAdmin(ctx)
	if l == nil {
		return err
	}
	handler, err := a.adminHandler(requireLoopback(l.Addr()) == nil)
	if err != nil {
		l.Close()
		return err
	}
	a.addrs.Admin = l.Addr()
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return base },
	}
	a.stack.slide(height, "admin", acceptBound, a.runner.start(context.WithoutCancel(ctx), "admin", func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() {
			cancel()           // a profile that is being taken ends
			_ = server.Close() // what it could not close ends with the process
		})
		defer stop()
		defer cancel()
		if err := server.Serve(l); ctx.Err() == nil {
			return fmt.Errorf("serve %s: %w", l.Addr(), err)
		}
		return nil
	}))
	return nil
}

// consumeMost bounds the wait for the owners, and consumeLook is how often they are looked at.
const (
	consumeMost = 10 * time.Second
	consumeLook = 10 * time.Millisecond
)

// compact writes the directory anew when the owners have done with what the inlet has now: else the words of a device that was
// removed just now would be among the entries that they may have to read again.
func compact(ctx context.Context, disk *diskbus.Bus) error {
	ctx, cancel := context.WithTimeout(ctx, consumeMost)
	defer cancel()
	look := time.NewTicker(consumeLook)
	defer look.Stop()
	before := disk.Stats().Entries
	for {
		if s := disk.Stats(); uint64(s.InletEntries) <= s.Entries-before { // all that is there is newer
			return disk.Compact(ctx)
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return devices.Errorf(devices.Unavailable, "", "what devices said is not applied yet: try again")
		}
	}
}

func (a *App) adminHandler(local bool) (http.Handler, error) {
	measured, err := a.metricsHandler()
	if err != nil {
		return nil, err
	}
	o := api.AdminOptions{
		Metrics: measured, Checks: append(a.parts.allChecks(), a.stopChecks()...), Local: local, Auth: a.parts.viewers, Open: a.opts.Admin.Open,
		Hosts: a.opts.HTTP.Hosts, Logger: a.log.With("part", "admin"), Backup: a.backup(),
	}
	if disk := a.parts.store.disk; disk != nil {
		o.Compact = func(ctx context.Context) error { return compact(ctx, disk) }
	}
	if a.parts.hub != nil {
		o.Stalest = a.parts.hub.Stalest
	}
	if a.opts.Report.Reload != nil {
		o.Reload = func(ctx context.Context) (any, error) { return a.Reload(ctx, "admin") }
	}
	return api.NewAdmin(o)
}

// backup copies the data directory; nil where there is none.
func (a *App) backup() api.BackupFunc {
	kept := a.config.Load()
	if a.parts.store.disk == nil || kept == nil || kept.file == nil {
		return nil
	}
	from := keep.Source{Bus: a.parts.store.disk, Store: kept.file, Version: Version()}
	return func(ctx context.Context, to io.Writer) error {
		_, err := from.Backup(ctx, to)
		return err
	}
}

// allChecks are the checks with that of the edge, which the main address knows by itself.
func (p *parts) allChecks() []api.Check {
	checks := p.checks()
	if p.hub != nil {
		checks = append(checks, api.Check{Role: string(RoleEdge), Name: "tables", Ready: func() string {
			return unless(p.hub.Ready(), "the state of the fleet is not loaded yet")
		}})
	}
	return checks
}

// stopChecks are not ready from the moment on in which the process was told to stop: one of each role, since a role may be
// asked for.
func (a *App) stopChecks() []api.Check {
	checks := make([]api.Check, 0, len(a.opts.Roles))
	for _, role := range a.opts.Roles {
		checks = append(checks, api.Check{Role: string(role), Name: "process", Ready: func() string { return unless(a.stopBegan.Load() == 0, "it stops") }})
	}
	return checks
}

// checkAddress refuses what is no HOST:PORT.
func checkAddress(field, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return devices.Errorf(devices.Invalid, field, "%q is not HOST:PORT", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return devices.Errorf(devices.Invalid, field, "%q has no port number from 0 to 65535", address)
	}
	return nil
}

package app

import (
	"context"
	"errors"
	"io"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// Reloaded is what became of the settings when they were read again. A name is that of a flag, or "mappings".
type Reloaded struct {
	Changed []string `json:"changed"`       // and are in use
	Restart []string `json:"needs_restart"` // are another since the start, and are used from the next one on
}

// reloads are what a reload needs to know, and their counters.
type reloads struct {
	turn    chan struct{} // one at a time: who reads files must not hold a lock
	current Options       // as they are in use; guarded by turn

	applied, refused atomic.Uint64
	failed           atomic.Bool // the last one
	lastGood         atomic.Int64
}

// SettingsStats are the counters of reloads.
type SettingsStats struct {
	Successful int               `json:"last_reload_successful"` // 1, or 0 where the last one was refused
	At         int64             `json:"last_success"`           // unix ms; of the start, where there was no reload
	Reloads    map[string]uint64 `json:"reloads"`                // applied and refused
}

func (r *reloads) stats() SettingsStats {
	s := SettingsStats{Successful: 1, At: r.lastGood.Load(), Reloads: map[string]uint64{"applied": r.applied.Load(), "refused": r.refused.Load()}}
	if r.failed.Load() {
		s.Successful = 0
	}
	return s
}

var errNotNow = devices.Errorf(devices.Unavailable, "", "the gateway is starting or stopping, or cannot read its settings again")

// Reload reads the settings again and uses what can be changed in a running gateway. Settings with which it would not
// start change nothing, and their fault is the error, a devices.Error of kind Invalid. by is who asks, for the log.
func (a *App) Reload(ctx context.Context, by string) (Reloaded, error) {
	select {
	case <-a.started:
	default:
		return Reloaded{}, errNotNow
	}
	if a.opts.Report.Reload == nil || a.stopping.Load() || a.parts == nil {
		return Reloaded{}, errNotNow
	}
	select {
	case a.reloads.turn <- struct{}{}:
	case <-ctx.Done():
		return Reloaded{}, ctx.Err()
	}
	defer func() { <-a.reloads.turn }()
	done, err := a.reload()
	a.reloads.failed.Store(err != nil)
	if err != nil {
		a.reloads.refused.Add(1)
		a.log.ErrorContext(ctx, "the settings were not reloaded, and nothing changed", "by", by, "error", err)
		return Reloaded{}, &devices.Error{Kind: devices.Invalid, Detail: "nothing was changed: " + err.Error()}
	}
	a.reloads.applied.Add(1)
	a.reloads.lastGood.Store(time.Now().UnixMilli())
	a.log.InfoContext(ctx, "settings reloaded", "by", by, "changed", done.Changed, "needs_restart", done.Restart)
	return done, nil
}

func (a *App) reload() (Reloaded, error) {
	next, err := a.opts.Report.Reload()
	if err != nil {
		return Reloaded{}, err
	}
	if err := Rehearse(next); err != nil {
		return Reloaded{}, err
	}
	done, err := compare(&a.opts, &a.reloads.current, &next)
	if err != nil {
		return Reloaded{}, err
	}
	if err := a.use(&next); err != nil {
		return Reloaded{}, err
	}
	a.reloads.current = next
	return done, nil
}

// use changes what can be. The options were checked: what is refused here nevertheless is refused before anything changes.
func (a *App) use(o *Options) error {
	proxies, err := o.trustedProxies()
	if err != nil {
		return err
	}
	p := a.parts
	if err := p.api.SetLive(o.live(proxies)); err != nil {
		return err
	}
	if err := p.limiter.Set(o.limits(proxies)); err != nil {
		return err
	}
	p.proxies.Store(&proxies)
	if p.ws != nil {
		p.ws.SetOrigins(o.Guard.CORSOrigins)
	}
	if level := a.opts.Report.Level; level != nil {
		level.Set(o.Log.Level)
	}
	return nil
}

// compare tells what differs: of what a reload changes from what is in use, of the rest from the start.
func compare(start, current, next *Options) (Reloaded, error) {
	done := Reloaded{Changed: []string{}, Restart: []string{}}
	was, err := valuesOf(start)
	if err != nil {
		return done, err
	}
	is, err := valuesOf(current)
	if err != nil {
		return done, err
	}
	will, err := valuesOf(next)
	if err != nil {
		return done, err
	}
	for name, v := range will {
		switch {
		case v.reload && !reflect.DeepEqual(v.value, is[name].value):
			done.Changed = append(done.Changed, name)
		case !v.reload && !reflect.DeepEqual(v.value, was[name].value):
			done.Restart = append(done.Restart, name)
		}
	}
	slices.Sort(done.Changed)
	slices.Sort(done.Restart)
	return done, nil
}

type settingValue struct {
	value  any
	reload bool
}

// valuesOf are the settings by name. The file's own path is none.
func valuesOf(o *Options) (map[string]settingValue, error) {
	k, err := newParser(&grammar{Options: *o}, &settingsFile{}, io.Discard, func(int) {})
	if err != nil {
		return nil, errors.Join(errNotNow, err)
	}
	values := map[string]settingValue{mappingsKey: {value: o.Dialects.Mappings}}
	for _, f := range k.Model.Flags {
		if s, ok := settingOf(f); ok && s.File {
			values[s.Name] = settingValue{f.Target.Interface(), s.Reload}
		}
	}
	return values, nil
}

package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/auth"
	"github.com/fleetcast/fleetcast/gateway/problem"
	"github.com/fleetcast/fleetcast/sse/hub"
)

// AdminOptions of an Admin. Metrics and Logger must be set.
type AdminOptions struct {
	Metrics http.Handler
	// Stalest are the assets that were not heard for longest; nil: nothing is at /stalest.
	Stalest func(limit int) []hub.Stale
	Checks  []Check
	// Local says that only this machine reaches the address. Then everybody may read everything, as on the main address in
	// open mode. Elsewhere who asks shows a proof, which nobody can where Auth is nil.
	Local bool
	Auth  *auth.Authority
	// Open lets everybody who reaches the address read the metrics, which name fleets and no device. Profiles and ids still
	// need a proof.
	Open bool
	// Hosts are names of this machine besides the loopback ones, for a Local address.
	Hosts []string
	// Reload reads the settings again and returns, as JSON, what became of them; nil: nothing is at /-/reload.
	Reload func(ctx context.Context) (any, error)
	Backup BackupFunc // nil: nothing is kept in a directory
	// Compact has the files of the directory written anew, without what was removed; nil likewise.
	Compact func(ctx context.Context) error
	Logger  *slog.Logger
}

// NewAdmin makes the handler of the address for operators: metrics, health, who was not heard, profiles, backups. It starts nothing.
func NewAdmin(o AdminOptions) (http.Handler, error) {
	if o.Metrics == nil || o.Logger == nil {
		return nil, errors.New("make admin handler: metrics and a logger are needed")
	}
	hosts, err := newHostGuard(o.Hosts, !o.Local)
	if err != nil {
		return nil, err
	}
	a := &API{options: Options{Checks: o.Checks, Auth: o.Auth}, log: o.Logger, mux: chi.NewMux()}
	if o.Local {
		a.options.Auth = nil
	}
	if err := a.SetLive(Live{}); err != nil {
		return nil, err
	}
	a.mux.Use(a.recoverPanics, a.secure, hosts.guard, limitBody, a.crossOrigin, private, a.identify)
	a.mux.NotFound(func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, devices.Errorf(devices.NotFound, "", "there is nothing at this path"))
	})
	a.mux.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == reloadPath || r.URL.Path == compactPath {
			problem.MethodNotAllowed(http.MethodPost).Write(w, r)
			return
		}
		problem.MethodNotAllowed(http.MethodGet, http.MethodHead).Write(w, r)
	})
	get := func(path string, h http.Handler) {
		a.mux.Method(http.MethodGet, path, h)
		a.mux.Method(http.MethodHead, path, h)
	}
	get("/healthz", a.handle(a.health))
	get("/readyz", a.handle(a.ready))
	guarded := func(role devices.Role, h http.Handler) http.Handler {
		if !o.Local && o.Auth == nil {
			return a.handle(forbidElsewhere)
		}
		return a.handle(a.guard(need{role: role, all: true}, plain(func(w http.ResponseWriter, r *http.Request) error {
			h.ServeHTTP(w, r)
			return nil
		})))
	}
	measured := o.Metrics
	if !o.Open {
		measured = guarded(devices.Operator, o.Metrics)
	}
	get("/metrics", limitTime(measured))
	if o.Stalest != nil {
		get("/stalest", guarded(devices.Operator, limitTime(a.handle(stalest(o.Stalest)))))
	}
	if o.Reload != nil {
		a.mux.Method(http.MethodPost, reloadPath, guarded(devices.Admin, limitTime(a.handle(reload(o.Reload)))))
	}
	if o.Compact != nil {
		a.mux.Method(http.MethodPost, compactPath, guarded(devices.Admin, a.handle(compact(o.Compact))))
	}
	get("/backup", a.backup(&o))
	// No bound on their time: a profile takes as long as it is asked to.
	get("/debug/pprof/*", guarded(devices.Admin, http.HandlerFunc(pprof.Index)))
	for path, h := range map[string]http.HandlerFunc{
		"/debug/pprof/cmdline": pprof.Cmdline, "/debug/pprof/profile": pprof.Profile, "/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
	} {
		get(path, guarded(devices.Admin, h))
	}
	return a, nil
}

// reloadPath is where the settings are read again.
const reloadPath = "/-/reload"

// compactPath is where the directory is written anew.
const compactPath = "/-/compact"

// compact answers 204 when the old files are gone.
func compact(do func(ctx context.Context) error) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if _, err := parseQuery(r); err != nil {
			return err
		}
		if err := do(r.Context()); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// reload answers what changed, or which setting is wrong: nothing changed then.
func reload(again func(ctx context.Context) (any, error)) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if _, err := parseQuery(r); err != nil {
			return err
		}
		done, err := again(r.Context())
		if err != nil {
			return err
		}
		return writeValue(w, http.StatusOK, done)
	}
}

// forbidElsewhere answers where others reach the address and nobody could show a proof.
func forbidElsewhere(http.ResponseWriter, *http.Request) error {
	return devices.Errorf(devices.Forbidden, "", "this is for its own machine, unless viewer-auth is required")
}

// staleView is a device that was not heard.
type staleView struct {
	ID       string `json:"id"`
	Fleet    string `json:"fleet"`
	Status   string `json:"status"`
	Received int64  `json:"received"` // unix ms
	AgeMS    int64  `json:"age_ms"`
}

// stalest answers {"now":…,"assets":[…]}: who was not heard for longest first.
func stalest(find func(limit int) []hub.Stale) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		values, err := parseQuery(r, "limit")
		if err != nil {
			return err
		}
		limit := DefaultLimit
		if values.Has("limit") {
			n, err := strconv.ParseUint(values.Get("limit"), 10, 32)
			if err != nil || n < 1 || n > MaxLimit {
				return devices.Errorf(devices.Invalid, "limit", "is no whole number from 1 to %d", MaxLimit)
			}
			limit = int(n)
		}
		answer := struct {
			Now    int64       `json:"now"`
			Assets []staleView `json:"assets"`
		}{time.Now().UnixMilli(), []staleView{}}
		for _, s := range find(limit) {
			answer.Assets = append(answer.Assets, staleView{s.Device.String(), s.Fleet.String(), s.Status, s.Received, answer.Now - s.Received})
		}
		return writeValue(w, http.StatusOK, answer)
	}
}

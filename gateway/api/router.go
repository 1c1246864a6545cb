package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/go-chi/chi/v5"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/registry"
	"github.com/fleetcast/fleetcast/devices/rulebook"
	"github.com/fleetcast/fleetcast/devices/trace"
	"github.com/fleetcast/fleetcast/gateway/auth"
	"github.com/fleetcast/fleetcast/gateway/problem"
	"github.com/fleetcast/fleetcast/sse/hub"
)

// Assets is what the edge holds of the fleet: the hub, or a fake.
type Assets interface {
	Ready() bool
	Asset(id devices.DeviceID) (frame []byte, ok bool)
	Fleet(id devices.DeviceID) (devices.FleetID, bool)
	Assets(q hub.ListQuery) (frames [][]byte, next string)
}

// Inlet takes what a person does to a device: the bus, or a fake.
type Inlet interface {
	Append(ctx context.Context, a bus.Append) error
}

// Views changes what a stream of the caller's shows: sse.Views, or a fake.
type Views interface {
	Change(ctx context.Context, c *devices.Caller, sid string, body []byte) (taken bool, err error)
}

// Options of an API. Assets, Inlet and Stream are set in a process with the role edge; without all three it answers
// health, readiness and counters only.
type Options struct {
	Assets    Assets
	Inlet     Inlet
	Stream    http.Handler // at /stream/assets
	WebSocket http.Handler // at /stream/ws; nil: nothing is there
	// Views changes what streams show, at /stream/{sid}/view; nil: nothing is there.
	Views Views
	// DeadLetters is what doors did not understand; nil: nothing is at /api/dead-letters. A process with any role has it.
	DeadLetters DeadLetters
	Trails      Trails // at /api/assets/{id}/trail; nil: nothing is there
	// Registry is who there is, as people say; nil: nothing is at /api/devices and its neighbours.
	Registry *registry.Registry
	// Erasing is what erasing a device takes besides.
	Erasing Erasing
	// Rules is what people want to be told of; nil: nothing is at /api/rules and its neighbours.
	Rules *rulebook.Book
	// Webhooks checks and tries what is told of events; nil: nothing is at /api/webhooks.
	Webhooks Webhooks
	// Notes is at /api/alerts; nil: nothing is there.
	Notes Notes
	// Commands is how commands get to devices; nil: nothing is at /api/commands and /api/devices/{id}/commands.
	Commands Commands
	// Audit keeps who did what; nil: nothing is kept, and nothing is at /api/audit.
	Audit     Audit
	Dashboard http.Handler // at / and whatever is not ours; nil: nothing is there
	// Decode says what a message becomes, as JSON; nil: nobody can ask.
	Decode func(topic string, payload []byte) (any, error)
	// Hosts are host names, without ports, that are answered besides those of the own machine.
	Hosts []string
	// AnyHost answers every host name. Only where viewers must prove who they are: see hosts.go.
	AnyHost bool
	// Auth says who asks, and lets nobody in who cannot show it; nil: open mode, in which everybody may everything.
	Auth *auth.Authority
	Live // as it is at first
	// Limiter bounds what one caller asks; nil: nothing does.
	Limiter *Limiter
	// Repeats remembers answers to requests with an Idempotency-Key; nil: the header means nothing.
	Repeats *Repeats
	// Tracer says which requests are traced; nil: none.
	Tracer *trace.Tracer
	// HTTPSOnly says that people come by https: browsers are told to stay with it.
	HTTPSOnly bool
	// Checks say whether the roles of this process are ready, beside the edge's own tables.
	Checks []Check
	// Stats returns what GET /api/stats shows, as JSON; nil: an empty object.
	Stats  func() any
	Logger *slog.Logger
}

// API is the root of what the process serves over HTTP. Its methods may be called concurrently.
type API struct {
	options Options
	log     *slog.Logger
	mux     *chi.Mux
	live    atomic.Pointer[live] // set by New

	door      bus.DoorID
	seq       atomic.Uint64
	appending chan struct{} // one at a time: the bus takes a door's Appends in the order of their numbers
	importing chan struct{} // one at a time
	looking   chan struct{} // a few at a time

	needs map[string]need // of each route, as "GET /api/assets"; not changed after New
}

// New checks the options and wires the routes. It starts nothing.
func New(o Options) (*API, error) {
	if edge := o.Assets != nil; edge != (o.Inlet != nil) || edge != (o.Stream != nil) {
		return nil, errors.New("make api: assets, an inlet and a stream are needed, or none of them")
	}
	for _, c := range o.Checks {
		if !knownRole(c.Role) || c.Ready == nil {
			return nil, errors.New("make api: a check is of no known role, or empty")
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	hosts, err := newHostGuard(o.Hosts, o.AnyHost)
	if err != nil {
		return nil, err
	}
	if o.Assets != nil {
		o.Checks = append([]Check{{Role: "edge", Name: "tables", Ready: func() string {
			if !o.Assets.Ready() {
				return "the state of the fleet is not loaded yet"
			}
			return ""
		}}}, o.Checks...)
	}
	a := &API{
		options: o, log: o.Logger, mux: chi.NewMux(),
		door: bus.NewDoorID(), appending: make(chan struct{}, 1), importing: make(chan struct{}, 1), looking: make(chan struct{}, looking), needs: map[string]need{},
	}
	if err := a.SetLive(o.Live); err != nil {
		return nil, fmt.Errorf("make api: %w", err)
	}
	a.routes(hosts)
	return a, nil
}

// ServeHTTP serves everything.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

func (a *API) routes(hosts hostGuard) {
	// Whatever stands here is also around the stream: it must neither buffer nor bound the time of an answer.
	a.mux.Use(a.accessLog, a.recoverPanics, a.secure, hosts.guard, a.cors, limitBody, a.crossOrigin, a.identify, a.limitRate, a.traceRequests)
	a.mux.NotFound(a.elsewhere)
	a.mux.MethodNotAllowed(a.methodNotAllowed)
	isEdge := a.options.Assets != nil
	if isEdge {
		a.mux.Handle("/stream/assets", a.options.Stream)
		if a.options.WebSocket != nil {
			a.mux.Handle("/stream/ws", a.options.WebSocket)
		}
	}
	a.mux.Group(func(r chi.Router) {
		r.Use(private, limitTime)
		route := func(method, path string, n need, f callerHandler) {
			a.needs[method+" "+path] = n
			f = a.audited(method, path, f)
			if method == http.MethodPost && !repeatsItself[path] {
				f = a.once(f) // what is only answered again was done once
			}
			h := a.handle(a.guard(n, f))
			r.Method(method, path, h)
			if method == http.MethodGet {
				r.Method(http.MethodHead, path, h) // net/http leaves the body out
			}
		}
		for path, f := range map[string]handlerFunc{
			"/healthz": a.health, "/readyz": a.ready, problem.TypePrefix + "{name}": a.explain,
			descriptionPath: a.describe, messagesPath: a.describeMessages, docsPath: a.docs, docsPath + "/{file}": a.docs,
		} {
			r.Method(http.MethodGet, path, a.handle(f)) // of these everybody may know
			r.Method(http.MethodHead, path, a.handle(f))
		}
		overseer := need{role: devices.Operator, all: true}
		route(http.MethodGet, "/api/stats", overseer, plain(a.stats))
		if a.options.DeadLetters != nil {
			route(http.MethodGet, "/api/dead-letters", overseer, plain(a.deadLetters))
		}
		if isEdge {
			a.peopleRoutes(r, route)
			a.edgeRoutes(route)
		}
	})
}

// repeatsItself are the routes that know a repeated request by themselves: a command's id follows from its key.
var repeatsItself = map[string]bool{"/api/devices/{id}/commands": true}

// edgeRoutes are what an edge serves of the fleets.
func (a *API) edgeRoutes(route func(method, path string, n need, f callerHandler)) {
	viewer := need{role: devices.Viewer}
	route(http.MethodGet, "/api/assets", viewer, a.listAssets)
	route(http.MethodGet, "/api/assets.geojson", viewer, a.geoJSON)
	route(http.MethodGet, "/api/assets/{id}", viewer, a.oneAsset)
	route(http.MethodDelete, "/api/assets/{id}", need{role: devices.Operator}, a.removeAsset)
	if a.options.Decode != nil {
		route(http.MethodPost, "/api/decode", viewer, plain(a.decode))
	}
	if a.options.Trails != nil {
		route(http.MethodGet, "/api/assets/{id}/trail", viewer, a.trail)
	}
	if a.options.Registry != nil {
		a.registryRoutes(route)
	}
	if a.options.Rules != nil {
		a.ruleRoutes(route)
	}
	if a.options.Rules != nil && a.options.Webhooks != nil {
		a.webhookRoutes(route)
	}
	if a.options.Notes != nil {
		a.alertRoutes(route)
	}
	if a.options.Views != nil {
		route(http.MethodPut, "/stream/{sid}/view", viewer, a.changeView)
	}
	if a.options.Commands != nil {
		a.commandRoutes(route)
	}
	if a.options.Audit != nil {
		route(http.MethodGet, "/api/audit", need{role: devices.Admin, all: true}, a.listAudit)
	}
}

// handle makes a handler of a function whose error becomes a problem. The function must not have written then.
func (a *API) handle(f func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := f(w, r)
		if err == nil {
			return
		}
		if devices.KindOf(err) == devices.Internal {
			a.log.Error("a request failed", "method", r.Method, "route", chi.RouteContext(r.Context()).RoutePattern(), "error", err)
		}
		if errors.Is(err, errMediaType) {
			problem.UnsupportedMediaType("application/json").Write(w, r)
			return
		}
		problem.Write(w, r, err)
	})
}

// elsewhere gives the page what is not ours.
func (a *API) elsewhere(w http.ResponseWriter, r *http.Request) {
	for _, prefix := range []string{"/api/", "/stream/", problem.TypePrefix} {
		if strings.HasPrefix(r.URL.Path+"/", prefix) {
			problem.Write(w, r, devices.Errorf(devices.NotFound, "", "there is nothing at this path"))
			return
		}
	}
	if a.options.Dashboard == nil {
		problem.Write(w, r, devices.Errorf(devices.NotFound, "", "this process has no page"))
		return
	}
	limitTime(a.options.Dashboard).ServeHTTP(w, r)
}

func (a *API) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	path := r.URL.RawPath // what the router matches
	if path == "" {
		path = r.URL.Path
	}
	var allow []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if a.mux.Match(chi.NewRouteContext(), method, path) {
			allow = append(allow, method)
		}
	}
	problem.MethodNotAllowed(allow...).Write(w, r)
}

func (a *API) explain(w http.ResponseWriter, r *http.Request) error {
	m, ok := problem.Explain(chi.URLParam(r, "name"))
	if !ok {
		return devices.Errorf(devices.NotFound, "", "there is no such problem")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(m.Title + "\n\n" + m.Text + "\n")) // a client that is gone needs no answer
	return nil
}

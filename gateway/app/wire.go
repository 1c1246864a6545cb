package app

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/bridge"
	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/registry"
	"github.com/fleetcast/fleetcast/devices/rulebook"
	"github.com/fleetcast/fleetcast/devices/trace"
	"github.com/fleetcast/fleetcast/gateway/api"
	"github.com/fleetcast/fleetcast/gateway/audit"
	"github.com/fleetcast/fleetcast/gateway/auth"
	"github.com/fleetcast/fleetcast/gateway/certs"
	"github.com/fleetcast/fleetcast/gateway/history"
	"github.com/fleetcast/fleetcast/gateway/mqttin"
	"github.com/fleetcast/fleetcast/gateway/webhook"
	"github.com/fleetcast/fleetcast/sse"
	"github.com/fleetcast/fleetcast/sse/dashboard"
	"github.com/fleetcast/fleetcast/sse/hub"
	"github.com/fleetcast/fleetcast/sse/ws"
)

// parts are everything that a message meets, in the order of its walk. Those of a role that the process does not have
// are nil.
type parts struct {
	store   *store
	door    door
	broker  *mqttin.Broker  // the door, where devices connect to it
	router  *dialect.Router // the door's, of topics to formats
	auth    mqttin.Authenticator
	people  *registry.Registry // who there is, as people say
	rules   *rulebook.Book     // what they want to be told of
	hooks   *webhook.Sender
	viewers *auth.Authority // who may look; nil in open mode
	bridge  *bridge.Bridge
	history *history.Writer // nil: no history is written
	hub     *hub.Hub
	stream  *sse.Handler
	ws      *ws.Handler
	views   *sse.Views // of streams, that people change
	api     *api.API
	dead    *deadLetters // nil where there are none
	proxies atomic.Pointer[api.Proxies]
	limiter *api.Limiter
	repeats *api.Repeats  // of the role edge
	certs   *certs.Files  // of the HTTP port; nil: it speaks no TLS
	audit   *audit.Log    // nil in a process that is no edge
	tracer  *trace.Tracer // nil: nothing is traced
	orders  *commands     // nil in a process that is a bridge alone

	forget func(context.Context) error // as configStore's
}

// A door takes in what devices say: the embedded broker, or the consumer of another.
type door interface {
	Run(ctx context.Context) error
	Door() bus.DoorID
	Ready() error
	Stats() mqttin.Stats
	Letters(number uint64, reason string) []mqttin.Letter
	EraseLetters(device devices.DeviceID)
}

// wire makes the parts and ties them together. It starts nothing. This is the path of a message:
//
//	device ── MQTT ──▶ mqttin ── entry ──▶ bus (inlet) ──▶ bridge ── flush ──▶ bus ── batch ──▶ hub ── bytes ──▶ sse ──▶ viewer
//	                    │  ▲                 ▲             merge,             state           table,            frames
//	                    ▼  └── ack ──────────┤             coalesce                           views
//	                  dialect                │                                                 │
//	                                         └── removal ── api ◀── asset ─────────────────────┘
//	                                                        (REST, and the page of sse/dashboard)
//
// The bus is the only thing that the three roles share: with one in Redis each of them may be another process, or several.
func wire(o *Options, s *store, who known, log *slog.Logger, stats func() Stats) (*parts, error) {
	p := &parts{store: s, people: who.people, rules: who.rules, hooks: who.hooks, viewers: who.viewers, audit: who.audit, repeats: who.repeats, tracer: who.tracer, forget: who.forget}
	if who.people != nil {
		p.auth = authenticator{who.people}
	}
	part := func(name string) *slog.Logger { return log.With("part", name) }
	proxies, err := o.trustedProxies()
	if err != nil {
		return nil, err
	}
	p.proxies.Store(&proxies)
	if p.limiter, err = api.NewLimiter(o.limits(proxies)); err != nil {
		return nil, err
	}
	if o.roles().Has(RoleBroker) || o.roles().Has(RoleEdge) {
		p.orders = newCommands(s, part("commands"))
	}
	if o.roles().Has(RoleBroker) {
		if err := p.wireDoor(o, part("mqtt")); err != nil {
			return nil, fmt.Errorf("make mqtt door: %w", err)
		}
		p.orders.sendBy(p.door, s, p.tracer, part("commands"))
	}
	if o.roles().Has(RoleBridge) {
		if err := p.wireHistory(o, part("history")); err != nil {
			return nil, err
		}
		p.bridge, err = bridge.New(p.bridgeOptions(o, part("bridge")))
		if err != nil {
			return nil, err
		}
	}
	if o.roles().Has(RoleEdge) {
		if err := p.wireStreams(o, part); err != nil {
			return nil, err
		}
	}
	return p, p.wireAPI(o, part("api"), stats)
}

// client is whom a stream is for, by address.
func (p *parts) client(r *http.Request) netip.Addr { return p.proxies.Load().Address(r) }

// wireStreams makes what viewers see.
func (p *parts) wireStreams(o *Options, part func(name string) *slog.Logger) (err error) {
	edge := bus.NewEdgeID()
	p.hub, err = hub.New(hub.Options{Bus: p.store, Partitions: p.store.Partitions(), Window: o.Fleet.Window, Edge: edge, Tracer: p.tracer, Logger: part("hub")})
	if err != nil {
		return err
	}
	if p.views, err = sse.NewViews(sse.ViewsOptions{Edge: edge, Edges: p.store, Logger: part("views")}); err != nil {
		return err
	}
	admit := api.AdmitStream(p.viewers, p.limiter)
	p.stream, err = sse.New(sse.Options{Hub: p.hub, NoGzip: !o.HTTP.Gzip, Zstd: o.HTTP.Zstd, Admit: admit, Client: p.client, Views: p.views, Logger: part("sse")})
	if err != nil {
		return err
	}
	p.ws, err = ws.New(ws.Options{
		Hub: p.hub, Views: p.views, Admit: admit, Commander: commander{p}, Client: p.client, Hosts: o.pageHosts(), Origins: o.Guard.CORSOrigins, Logger: part("websocket"),
	})
	return err
}

// redisCommitEvery is how long a door gathers messages where each append is a call to Redis, which wakes three processes. Half
// of it is the wait in the mean, which with the append itself is within the ten milliseconds that the door has.
const redisCommitEvery = 12 * time.Millisecond

func (o *Options) commitEvery() time.Duration {
	if o.Store.Redis != "" {
		return redisCommitEvery
	}
	return 0
}

// wireDoor makes the devices' door.
func (p *parts) wireDoor(o *Options, log *slog.Logger) (err error) {
	limits := o.MQTT.Limits.limits()
	if p.router, err = o.router(); err != nil {
		return err
	}
	if o.embedsBroker() {
		if err := o.requireAuthenticator(p.auth); err != nil {
			return err
		}
		ports, err := o.MQTT.ports()
		if err != nil {
			return err
		}
		p.broker, err = mqttin.New(mqttin.Options{
			Inlet: p.store, Listen: o.MQTT.Listen, Ports: ports, Router: p.router, Logger: log, Limits: limits,
			Auth: p.auth, Required: o.Auth.Device == AuthRequired, Route: o.MQTT.Route, Logins: p.store.logins,
			Listening: p.orders.listening, Replies: p.orders.replies, Tracer: p.tracer, CommitEvery: o.commitEvery(),
		})
		p.door = p.broker
		return err
	}
	id, err := o.clientID()
	if err != nil {
		return err
	}
	p.door, err = mqttin.NewUpstream(mqttin.UpstreamOptions{
		URLs: o.MQTT.Upstream, ClientID: id, Group: o.MQTT.Group, Unshared: o.MQTT.Group == "", Inlet: p.store, Router: p.router, Logger: log, Limits: limits,
		Admission: p.admission(), Listening: p.orders.listening, Replies: p.orders.replies, Tracer: p.tracer, CommitEvery: o.commitEvery(),
	})
	return err
}

// wireAPI makes the people's door, under which the stream and the page are mounted. Without the role edge it answers
// health, readiness and counters.
func (p *parts) wireAPI(o *Options, log *slog.Logger, stats func() Stats) (err error) {
	options := api.Options{
		Hosts: o.HTTP.Hosts, AnyHost: o.requiresViewers(), Auth: p.viewers, Checks: p.checks(), Stats: func() any { return stats() }, Logger: log,
	}
	if p.dead = p.letters(log); p.dead != nil {
		options.DeadLetters = p.dead
	}
	if p.hub != nil {
		options.Assets, options.Inlet, options.Stream, options.Registry = p.hub, p.store, p.stream, p.people
		options.Rules, options.Notes, options.Webhooks = p.rules, p.hub, p.hooks
		options.WebSocket, options.Views = p.ws, p.views
		options.Commands, options.Erasing = p.orders.desk, p.erasing()
		if p.audit != nil {
			options.Audit = p.audit
		}
		options.Decode = func(topic string, payload []byte) (any, error) {
			return o.Decode(topic, payload, time.Now(), p.people.Hygiene)
		}
		if options.Trails, err = p.trails(); err != nil {
			return err
		}
		if options.Dashboard, err = dashboard.New(dashboard.Options{Dist: o.Map.Page, MapStyle: o.Map.Style, ViewportFrom: o.Map.ViewportFrom}); err != nil {
			return fmt.Errorf("make page: %w", err)
		}
	}
	if p.certs, err = o.httpCerts(log); err != nil {
		return err
	}
	options.HTTPSOnly, options.Live = o.byHTTPS(), o.live(*p.proxies.Load())
	options.Limiter, options.Repeats, options.Tracer = p.limiter, p.repeats, p.tracer
	p.api, err = api.New(options)
	return err
}

// checks are the conditions of readiness of the door and of the bridge. The edge's is its tables', which the API knows:
// an edge shows what it has also while the bus is lost.
func (p *parts) checks() []api.Check {
	var checks []api.Check
	if p.door != nil {
		checks = append(checks,
			api.Check{Role: string(RoleBroker), Name: "bus", Ready: p.store.unready},
			api.Check{Role: string(RoleBroker), Name: "mqtt", Ready: func() string { return reasonOf(p.door.Ready(), "devices' messages do not come in") }})
	}
	if p.door != nil && p.people != nil {
		checks = append(checks, api.Check{Role: string(RoleBroker), Name: "registry", Ready: func() string { return unless(p.people.Ready(), "who may connect is not known yet") }})
	}
	if p.bridge != nil {
		checks = append(checks, api.Check{Role: string(RoleBridge), Name: "bus", Ready: p.store.unready})
	}
	// With a shared store a bridge that owns nothing stands by for one that does: it is ready, or the old one of a
	// rolling restart would never be stopped.
	if p.bridge != nil && !p.store.shared {
		checks = append(checks, api.Check{Role: string(RoleBridge), Name: "partitions", Ready: func() string { return unless(p.bridge.Ready(), "not every partition is owned yet") }})
	}
	return checks
}

func unless(ready bool, reason string) string {
	if ready {
		return ""
	}
	return reason
}

// stopMargin is what a part's own bound on stopping is shorter than ours, so that it can say itself what went wrong.
const stopMargin = 500 * time.Millisecond

// start opens the store, binds the ports and starts the parts against the direction of the path, so that each finds
// running what it hands on to. The stack stops them in the direction of the path: no more requests, then streams, which
// hear when to come back, devices, what is still in the inlet and the ownership of it, and the viewers' tables.
func (a *App) start(ctx context.Context) error {
	if err := a.startTracing(ctx); err != nil {
		return err
	}
	store, err := openStore(ctx, &a.opts, a.log.With("part", "bus"))
	if err != nil {
		return err
	}
	a.stack.push("bus", busBound, func(ctx context.Context) error { return closeWithin(ctx, store.Close) })
	people, err := a.startRegistry(ctx)
	if err != nil {
		return err
	}
	book, hooks, err := a.startRules(ctx, a.config.Load())
	if err != nil {
		return err
	}
	viewers, err := a.startPeople(ctx, a.config.Load())
	if err != nil {
		return err
	}
	p, err := wire(&a.opts, store, known{people, book, hooks, viewers, a.auditLog(), a.newRepeats(), a.tracer.Tracer, a.config.Load().forget}, a.log, a.stats)
	if err != nil {
		return err
	}
	a.parts = p
	listener, err := listen(ctx, &a.opts)
	if err != nil {
		return fmt.Errorf("bind http-listen: %w", err)
	}
	watched := len(a.stack.entries)
	a.stack.push("http listener", acceptBound, func(context.Context) error { listener.Close(); return nil })
	if p.broker != nil {
		if err := p.broker.Listen(); err != nil { //nolint:contextcheck // binding a port waits for nobody
			return fmt.Errorf("bind mqtt-listen: %w", err)
		}
	}
	a.startParts(ctx)
	if p.broker != nil { // only now: a broker that was bound must run to let go of its port
		if err := a.opts.mayServeDevicesAt(p.broker.Addrs()); err != nil {
			return fmt.Errorf("bind mqtt-listen: %w", err)
		}
	}
	a.startHTTP(ctx, listener)
	a.addrs = Addrs{MQTT: p.mqttAddr(), HTTP: listener.Addr()}
	if err := a.startAdmin(ctx, watched); err != nil {
		return err
	}
	if a.opts.Report.Banner != nil {
		writeBanner(a.opts.Report.Banner, &a.opts, a.addrs, a.setupLink(ctx))
	}
	return nil
}

// startParts runs the parts, those first on which others rest.
func (a *App) startParts(ctx context.Context) {
	p := a.parts
	life := context.WithoutCancel(ctx)
	if p.repeats != nil {
		a.stack.push("repeats", hubBound, a.runner.start(life, "repeats", p.repeats.Run))
	}
	if p.hub != nil {
		a.stack.push("hub", hubBound, a.runner.start(life, "hub", p.hub.Run))
		a.stack.push("views", hubBound, a.runner.start(life, "views", p.views.Run))
	}
	a.keepHistory(life)
	if p.bridge != nil {
		a.stack.push("bridge", bridgeBound, a.runner.start(life, "bridge", p.bridge.Run))
	}
	if p.dead != nil && p.dead.door != nil && p.dead.shared != nil {
		a.stack.push("dead letters", busBound, a.runner.start(life, "dead letters", p.dead.Run))
	}
	a.startCommands(life, p.orders)
	if p.audit != nil {
		a.stack.push("audit", busBound, a.runner.start(life, "audit", p.audit.Run))
	}
	if p.door != nil {
		lease := &doorLease{p.store, p.door, a.log.With("part", "door")}
		lease.first(ctx)
		a.stack.push("door's lease", acceptBound, lease.leave)
		a.stack.push("door's lease, kept", acceptBound, a.runner.start(life, "door's lease", lease.run))
		a.stack.push("mqtt", mqttBound, a.runner.start(life, "mqtt", p.door.Run))
	}
}

func (a *App) startHTTP(ctx context.Context, listener net.Listener) {
	door := newHTTPDoor(ctx, listener, a.parts.api, a.parts.certs, a.log.With("part", "http"))
	a.http.Store(door)
	a.stack.push("http requests", requestBound, door.finish)
	if a.parts.stream != nil {
		a.stack.push("websockets", streamsBound, a.parts.ws.Drain)
		a.stack.push("streams", streamsBound, a.parts.stream.Drain)
	}
	a.stack.push("http", acceptBound, a.runner.start(context.WithoutCancel(ctx), "http", door.accept))
}

// mqttAddr is where devices connect; nil where they do not.
func (p *parts) mqttAddr() net.Addr {
	if p.broker == nil {
		return nil
	}
	return p.broker.Addr()
}

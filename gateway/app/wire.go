package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/fleetcast/fleetcast/bridge"
	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/gateway/api"
	"github.com/fleetcast/fleetcast/gateway/mqttin"
	"github.com/fleetcast/fleetcast/sse"
	"github.com/fleetcast/fleetcast/sse/dashboard"
	"github.com/fleetcast/fleetcast/sse/hub"
)

// parts are everything that a message meets, in the order of its walk.
type parts struct {
	bus    *bus.Memory
	door   *mqttin.Broker
	bridge *bridge.Bridge
	hub    *hub.Hub
	stream *sse.Handler
	api    *api.API
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
// Everything on the left of the bus could be another process than everything on its right; none of the parts can tell.
func wire(o *Options, log *slog.Logger, stats func() Stats) (*parts, error) {
	p := &parts{}
	part := func(name string) *slog.Logger { return log.With("part", name) }
	var err error
	// As many removals are remembered as there may be devices, so that no viewer is reset for a removal that was forgotten.
	if p.bus, err = bus.NewMemory(bus.MemoryOptions{MaxTombstones: o.Fleet.MaxDevices}); err != nil {
		return nil, fmt.Errorf("make bus: %w", err)
	}
	p.door, err = mqttin.New(mqttin.Options{
		Inlet: p.bus, Listen: o.MQTT.Listen, OwnTracksFleet: o.Fleet.OwnTracksFleet, Logger: part("mqtt"),
		Limits: mqttin.Limits{Stop: mqttBound - stopMargin},
	})
	if err != nil {
		return nil, fmt.Errorf("make mqtt door: %w", err)
	}
	p.bridge, err = bridge.New(bridge.Options{
		Bus: p.bus, Window: o.Fleet.Window, MaxDevices: o.Fleet.MaxDevices, StopTimeout: bridgeBound - stopMargin, Logger: part("bridge"),
	})
	if err != nil {
		return nil, err
	}
	p.hub, err = hub.New(hub.Options{Bus: p.bus, Partitions: p.bus.Partitions(), Window: o.Fleet.Window, Logger: part("hub")})
	if err != nil {
		return nil, err
	}
	if p.stream, err = sse.New(sse.Options{Hub: p.hub, Logger: part("sse")}); err != nil {
		return nil, err
	}
	return p, p.wireAPI(o, part("api"), stats)
}

// wireAPI makes the people's door, under which the stream and the page are mounted.
func (p *parts) wireAPI(o *Options, log *slog.Logger, stats func() Stats) error {
	page, err := dashboard.New(dashboard.Options{})
	if err != nil {
		return fmt.Errorf("make page: %w", err)
	}
	p.api, err = api.New(api.Options{
		Assets: p.hub, Inlet: p.bus, Stream: p.stream, Dashboard: page, Hosts: o.HTTP.Hosts, Stats: func() any { return stats() }, Logger: log,
		Checks: []api.Check{
			{Role: "broker", Name: "port", Ready: func() string { return unless(p.door.Addr() != nil, "the MQTT port is not bound yet") }},
			{Role: "bridge", Name: "partitions", Ready: func() string { return unless(p.bridge.Ready(), "not every partition is owned yet") }},
		},
	})
	return err
}

func unless(ready bool, reason string) string {
	if ready {
		return ""
	}
	return reason
}

// stopMargin is what a part's own bound on stopping is shorter than ours, so that it can say itself what went wrong.
const stopMargin = 500 * time.Millisecond

// start binds the ports and starts the parts against the direction of the path, so that each finds running what it hands
// on to. The stack stops them in the direction of the path: no more requests, then streams, devices, what is still in
// the inlet, and the viewers' tables.
func (a *App) start(ctx context.Context) error {
	p := a.parts
	a.stack.push("bus", busBound, func(context.Context) error { return p.bus.Close() })
	listener, err := listen(ctx, a.opts.HTTP.Listen)
	if err != nil {
		return fmt.Errorf("bind http-listen: %w", err)
	}
	a.stack.push("http listener", acceptBound, func(context.Context) error { listener.Close(); return nil })
	if err := p.door.Listen(); err != nil {
		return fmt.Errorf("bind mqtt-listen: %w", err)
	}
	life := context.WithoutCancel(ctx)
	a.stack.push("hub", hubBound, a.runner.start(life, "hub", p.hub.Run))
	a.stack.push("bridge", bridgeBound, a.runner.start(life, "bridge", p.bridge.Run))
	a.stack.push("mqtt", mqttBound, a.runner.start(life, "mqtt", p.door.Run))
	if err := requireLoopback(p.door.Addr()); err != nil {
		return fmt.Errorf("bind mqtt-listen: %w", err)
	}
	door := newHTTPDoor(ctx, listener, p.api, a.log.With("part", "http"))
	a.http.Store(door)
	a.stack.push("http requests", requestBound, door.finish)
	a.stack.push("streams", streamsBound, p.stream.Drain)
	a.stack.push("http", acceptBound, a.runner.start(life, "http", door.accept))
	a.addrs = Addrs{MQTT: p.door.Addr(), HTTP: listener.Addr()}
	if a.opts.Report.Banner != nil {
		writeBanner(a.opts.Report.Banner, a.addrs)
	}
	return nil
}

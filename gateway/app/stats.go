package app

import (
	"strconv"

	"github.com/fleetcast/fleetcast/bridge"
	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/bridge/redisbus"
	"github.com/fleetcast/fleetcast/devices/registry"
	"github.com/fleetcast/fleetcast/devices/rulebook"
	"github.com/fleetcast/fleetcast/gateway/api"
	"github.com/fleetcast/fleetcast/gateway/auth"
	"github.com/fleetcast/fleetcast/gateway/command"
	"github.com/fleetcast/fleetcast/gateway/mqttin"
	"github.com/fleetcast/fleetcast/gateway/webhook"
	"github.com/fleetcast/fleetcast/sse/ws"
)

// Stats are the counters of every part, as GET /api/stats shows them; of a role that
// the process does not have there are none. What is counted by reason has every reason, so that
// a zero is seen as a zero.
type Stats struct {
	Roles  Roles         `json:"roles"`
	Bus    BusStats      `json:"bus"`
	MQTT   *MQTTStats    `json:"mqtt,omitempty"`      // of the role broker
	Bridge *bridge.Stats `json:"bridge,omitempty"`    // of the role bridge
	Hub    *HubStats     `json:"hub,omitempty"`       // of the role edge
	SSE    *SSEStats     `json:"sse,omitempty"`       // of the role edge
	WS     *ws.Stats     `json:"websocket,omitempty"` // of the role edge
	HTTP   HTTPStats     `json:"http"`

	Settings SettingsStats `json:"settings"` // and their reloads

	StoppingMS int64 `json:"stopping_ms"` // for how long it has been stopping; 0 while it runs

	Commands *command.Stats `json:"commands,omitempty"` // of the role broker
	Traces   *TraceStats    `json:"traces,omitempty"`   // where anything is traced

	History *HistoryStats `json:"history,omitempty"` // where it is written

	Registry *registry.Stats `json:"registry,omitempty"`
	Rules    *rulebook.Stats `json:"rules,omitempty"`
	Webhooks *webhook.Stats  `json:"webhooks,omitempty"`
	Store    *ConfigStats    `json:"store,omitempty"` // of what people configure
	Auth     *auth.Stats     `json:"auth,omitempty"`  // of who may look; not in open mode
}

// BusStats are the bus's. Which members are there depends on where it keeps the state.
type BusStats struct {
	Kind  string          `json:"kind"` // disk, memory or redis
	Held  *HeldStats      `json:"held,omitempty"`
	Disk  *DiskStats      `json:"disk,omitempty"`
	Redis *redisbus.Stats `json:"redis,omitempty"`
}

// HeldStats are bus.MemoryStats with names for JSON.
type HeldStats struct {
	InletEntries      int    `json:"inlet_entries"` // now
	InletBytes        int    `json:"inlet_bytes"`   // now
	Devices           int    `json:"devices"`       // now
	Tombstones        int    `json:"tombstones"`    // now
	Events            int    `json:"events"`        // now
	Feeds             int    `json:"feeds"`         // now
	Trails            int    `json:"trails"`        // now
	TrailBytes        int    `json:"trail_bytes"`   // now
	Commands          int    `json:"commands"`      // now
	CommandBytes      int    `json:"command_bytes"` // now
	Entries           uint64 `json:"entries"`
	AppendsRepeated   uint64 `json:"appends_repeated"`
	AppendsFull       uint64 `json:"appends_full"`
	AppendsTooLarge   uint64 `json:"appends_too_large"`
	AppendsDisordered uint64 `json:"appends_disordered"`
	Batches           uint64 `json:"batches"`
	Beats             uint64 `json:"beats"`
	FeedsBehind       uint64 `json:"feeds_behind"`
	TombstonesAged    uint64 `json:"tombstones_aged"`
	TombstonesOver    uint64 `json:"tombstones_over"`
	EventsOver        uint64 `json:"events_over"`
	TrailsAged        uint64 `json:"trails_aged"` // blocks
	TrailsOver        uint64 `json:"trails_over"` // blocks
}

// DiskStats are diskbus.LogStats with names for JSON.
type DiskStats struct {
	LogBytes         int64  `json:"log_bytes"`      // now
	SnapshotBytes    int64  `json:"snapshot_bytes"` // now
	Groups           uint64 `json:"groups"`
	BytesWritten     uint64 `json:"bytes_written"`
	Syncs            uint64 `json:"syncs"`
	Snapshots        uint64 `json:"snapshots"`
	WritesFailed     uint64 `json:"writes_failed"`
	SyncsFailed      uint64 `json:"syncs_failed"`
	SnapshotsFailed  uint64 `json:"snapshots_failed"`
	RefusedUnhealthy uint64 `json:"refused_unhealthy"`
}

// MQTTStats are the devices' door's.
type MQTTStats struct {
	Connections  int `json:"connections"`  // now
	Unidentified int `json:"unidentified"` // of these
	Sessions     int `json:"sessions"`     // now
	Queued       int `json:"queued"`       // messages on their way to the inlet, now
	QueuedBytes  int `json:"queued_bytes"`

	Retained      int `json:"retained"`       // messages, now
	RetainedBytes int `json:"retained_bytes"` // now
	RoutedBytes   int `json:"routed_bytes"`   // what waits for clients, now

	Commits  uint64            `json:"commits"`
	Entries  uint64            `json:"entries"`
	Messages map[string]uint64 `json:"messages"` // by what they were
	Dialects map[string]uint64 `json:"dialects"` // by the format that took them
	Rejected map[string]uint64 `json:"rejected"` // by reason
	Events   map[string]uint64 `json:"events"`   // by reason

	Sparkplug *dialect.SparkplugStats `json:"sparkplug,omitempty"` // where any node was heard
}

// HubStats are the edge's tables and views'.
type HubStats struct {
	Viewers        int               `json:"viewers"` // now
	Views          int               `json:"views"`   // now
	Assets         int               `json:"assets"`  // now
	Batches        uint64            `json:"batches"`
	Changes        uint64            `json:"changes"`
	Snapshots      uint64            `json:"snapshots"`
	Ticks          uint64            `json:"ticks"`
	Slices         uint64            `json:"slices"`
	SharedSlices   uint64            `json:"shared_slices"`
	SliceBytes     int64             `json:"slice_bytes"`
	Queued         uint64            `json:"queued"`
	Moves          uint64            `json:"moves"`
	Conflated      uint64            `json:"conflated"`
	WatchFailures  uint64            `json:"watch_failures"`
	RefusedViewers uint64            `json:"refused_viewers"`
	RefusedFilters uint64            `json:"refused_filters"`
	Resets         map[string]uint64 `json:"resets"`  // by reason
	LagMS          int64             `json:"lag_ms"`  // now
	Offsets        map[string]uint64 `json:"offsets"` // by partition, now
}

// SSEStats are the streams'.
type SSEStats struct {
	Open    int               `json:"open"` // now
	Opened  uint64            `json:"opened"`
	Bytes   uint64            `json:"bytes"`
	Ended   map[string]uint64 `json:"ended"`   // by reason
	Refused map[string]uint64 `json:"refused"` // by reason
	Views   map[string]uint64 `json:"views"`   // changes of what streams show, by outcome
}

// HTTPStats are the connections' that are no streams.
type HTTPStats struct {
	Open    int64  `json:"open"` // now
	Refused uint64 `json:"refused"`
	// Limits are of what callers ask.
	Limits api.LimitStats `json:"limits"`
	// Repeats are of requests with an Idempotency-Key; of the role edge.
	Repeats *api.RepeatStats `json:"idempotency,omitempty"`
	// CertificateEnds is when the certificate in use ends, unix ms; not there without TLS.
	CertificateEnds int64 `json:"certificate_ends,omitempty"`
}

func (a *App) stats() Stats {
	p := a.parts
	stats := Stats{Roles: a.opts.Roles, Bus: p.store.stats(), Traces: a.tracer.stats(), StoppingMS: a.stoppingFor().Milliseconds()}
	if p.door != nil {
		s := mqttStats(p.door.Stats())
		if sparkplug := p.router.SparkplugStats(); sparkplug != (dialect.SparkplugStats{}) {
			s.Sparkplug = &sparkplug
		}
		s.Dialects = p.router.Taken()
		stats.MQTT = &s
	}
	if p.orders != nil && p.orders.dispatcher != nil {
		s := p.orders.dispatcher.Stats()
		stats.Commands = &s
	}
	if a.parts != nil && a.parts.viewers != nil {
		people := a.parts.viewers.Stats()
		stats.Auth = &people
	}
	if s := a.config.Load(); s != nil {
		kept := s.stats()
		stats.Store = &kept
	}
	if p.people != nil {
		s := p.people.Stats()
		stats.Registry = &s
	}
	if p.rules != nil {
		s := p.rules.Stats()
		stats.Rules = &s
	}
	if p.hooks != nil {
		s := p.hooks.Stats()
		stats.Webhooks = &s
	}
	if p.bridge != nil {
		s := p.bridge.Stats()
		stats.Bridge = &s
		stats.History = p.historyStats()
	}
	if p.hub != nil {
		h, s := p.hub.Stats(), p.stream.Stats()
		stats.Hub = &HubStats{
			Viewers: h.Viewers, Views: h.Views, Assets: h.Assets, Batches: h.Batches, Changes: h.Changes, Snapshots: h.Snapshots,
			Ticks: h.Ticks, Slices: h.Slices, SharedSlices: h.SharedSlices, SliceBytes: h.SliceBytes, Queued: h.Queued, Moves: h.Moves, Conflated: h.Conflated, Offsets: byPartition(h.Offsets), WatchFailures: h.WatchFailures,
			RefusedViewers: h.RefusedViewers, RefusedFilters: h.RefusedFilters, Resets: h.Resets, LagMS: p.hub.Lag().Milliseconds(),
		}
		sockets := p.ws.Stats()
		stats.WS = &sockets
		stats.SSE = &SSEStats{Open: s.Open, Opened: s.Opened, Bytes: s.Bytes, Ended: s.Ended, Refused: s.Refused, Views: p.views.Stats()}
	}
	stats.Settings = a.reloads.stats()
	if door := a.http.Load(); door != nil {
		stats.HTTP = HTTPStats{Open: door.open.Load(), Refused: door.refused.Load(), Limits: p.limiter.Stats()}
		if p.repeats != nil {
			repeats := p.repeats.Stats()
			stats.HTTP.Repeats = &repeats
		}
		if p.certs != nil {
			stats.HTTP.CertificateEnds = p.certs.Expires().UnixMilli()
		}
	}
	return stats
}

// byPartition names what is told of each partition.
func byPartition(offsets []uint64) map[string]uint64 {
	out := make(map[string]uint64, len(offsets))
	for partition, offset := range offsets {
		out[strconv.Itoa(partition)] = offset
	}
	return out
}

func mqttStats(m mqttin.Stats) MQTTStats {
	s := MQTTStats{
		Connections: m.Connections, Unidentified: m.Unidentified, Sessions: m.Sessions, Queued: m.Queued, QueuedBytes: m.QueuedBytes,
		Retained: m.Retained, RetainedBytes: m.RetainedBytes, RoutedBytes: m.RoutedBytes,
		Commits: m.Commits, Entries: m.Entries,
		Messages: map[string]uint64{}, Rejected: map[string]uint64{}, Events: map[string]uint64{},
	}
	for i, n := range m.Messages {
		s.Messages[dialect.Kind(i).String()] = n
	}
	for i, n := range m.Rejected {
		if r := dialect.Reason(i); r != dialect.None {
			s.Rejected[r.String()] = n
		}
	}
	for i, n := range m.Events {
		s.Events[mqttin.Reason(i).String()] = n
	}
	return s
}

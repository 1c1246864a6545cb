package app

import (
	"github.com/fleetcast/fleetcast/bridge"
	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/gateway/mqttin"
)

// Stats are the counters of every part, as GET /api/stats shows them. What is counted by reason has every reason, so that
// a zero is seen as a zero.
type Stats struct {
	MQTT   MQTTStats    `json:"mqtt"`
	Bridge bridge.Stats `json:"bridge"`
	Hub    HubStats     `json:"hub"`
	SSE    SSEStats     `json:"sse"`
	HTTP   HTTPStats    `json:"http"`
}

// MQTTStats are the devices' door's.
type MQTTStats struct {
	Connections  int               `json:"connections"`  // now
	Unidentified int               `json:"unidentified"` // of these
	Sessions     int               `json:"sessions"`     // now
	Queued       int               `json:"queued"`       // messages on their way to the inlet, now
	QueuedBytes  int               `json:"queued_bytes"`
	Commits      uint64            `json:"commits"`
	Entries      uint64            `json:"entries"`
	Messages     map[string]uint64 `json:"messages"` // by what they were
	Rejected     map[string]uint64 `json:"rejected"` // by reason
	Events       map[string]uint64 `json:"events"`   // by reason
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
	WatchFailures  uint64            `json:"watch_failures"`
	RefusedViewers uint64            `json:"refused_viewers"`
	RefusedFilters uint64            `json:"refused_filters"`
	Resets         map[string]uint64 `json:"resets"` // by reason
	LagMS          int64             `json:"lag_ms"` // now
}

// SSEStats are the streams'.
type SSEStats struct {
	Open    int               `json:"open"` // now
	Opened  uint64            `json:"opened"`
	Ended   map[string]uint64 `json:"ended"`   // by reason
	Refused map[string]uint64 `json:"refused"` // by reason
}

// HTTPStats are the connections' that are no streams.
type HTTPStats struct {
	Open    int64  `json:"open"` // now
	Refused uint64 `json:"refused"`
}

func (a *App) stats() Stats {
	p := a.parts
	h, s := p.hub.Stats(), p.stream.Stats()
	stats := Stats{
		MQTT:   mqttStats(p.door.Stats()),
		Bridge: p.bridge.Stats(),
		Hub: HubStats{
			Viewers: h.Viewers, Views: h.Views, Assets: h.Assets, Batches: h.Batches, Changes: h.Changes, Snapshots: h.Snapshots,
			Ticks: h.Ticks, Slices: h.Slices, SharedSlices: h.SharedSlices, WatchFailures: h.WatchFailures,
			RefusedViewers: h.RefusedViewers, RefusedFilters: h.RefusedFilters, Resets: h.Resets, LagMS: p.hub.Lag().Milliseconds(),
		},
		SSE: SSEStats{Open: s.Open, Opened: s.Opened, Ended: s.Ended, Refused: s.Refused},
	}
	if door := a.http.Load(); door != nil {
		stats.HTTP = HTTPStats{Open: door.open.Load(), Refused: door.refused.Load()}
	}
	return stats
}

func mqttStats(m mqttin.Stats) MQTTStats {
	s := MQTTStats{
		Connections: m.Connections, Unidentified: m.Unidentified, Sessions: m.Sessions, Queued: m.Queued, QueuedBytes: m.QueuedBytes,
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

package app

import (
	"context"
	"fmt"
	"log/slog"

	config "github.com/fleetcast/fleetcast/devices/store"
	"github.com/fleetcast/fleetcast/devices/store/embedded"
	configredis "github.com/fleetcast/fleetcast/devices/store/redis"
)

// A configStore keeps what people configure, with what only its kind can say. Whether it can be written is not asked for
// readiness: a door and an edge go on with what they know, and who changes something is told.
type configStore struct {
	config.Store
	stats func() ConfigStats
	file  *embedded.Store // nil where it is not in a file
	// forget writes anew what still has records that were changed or deleted; nil where nothing has.
	forget func(context.Context) error
}

// ConfigStats are the counters of the store of what people configure.
type ConfigStats struct {
	Kind   string             `json:"kind"` // file, memory or redis
	Memory *config.Stats      `json:"memory,omitempty"`
	File   *embedded.Stats    `json:"file,omitempty"`
	Redis  *configredis.Stats `json:"redis,omitempty"`
}

// openConfig opens the store where the bus is: in Redis, in the data directory, or nowhere. It is to be closed.
func openConfig(ctx context.Context, o *Options, log *slog.Logger) (*configStore, error) {
	switch {
	case o.Store.Redis != "":
		s, err := configredis.Open(ctx, configredis.Options{URL: o.Store.Redis, Logger: log})
		if err != nil {
			return nil, err
		}
		stats := func() ConfigStats { st := s.Stats(); return ConfigStats{Kind: "redis", Redis: &st} }
		return &configStore{Store: s, stats: stats, forget: s.Shorten}, nil
	case o.keepsNothing():
		s := config.NewMemory(config.MemoryOptions{})
		stats := func() ConfigStats { st := s.Stats(); return ConfigStats{Kind: "memory", Memory: &st} }
		return &configStore{Store: s, stats: stats}, nil
	default:
		s, err := embedded.Open(embedded.Options{Dir: o.dataDir(), Logger: log})
		if err != nil {
			return nil, err
		}
		stats := func() ConfigStats { st := s.Stats(); return ConfigStats{Kind: "file", File: &st} }
		return &configStore{Store: s, stats: stats, file: s, forget: s.Compact}, nil
	}
}

// startConfig opens the store and puts its end on the stack: below all that follows it.
func (a *App) startConfig(ctx context.Context) (*configStore, error) {
	s, err := openConfig(ctx, &a.opts, a.log.With("part", "store"))
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	a.stack.push("store", busBound, func(ctx context.Context) error { return closeWithin(ctx, s.Close) })
	a.config.Store(s)
	return s, nil
}

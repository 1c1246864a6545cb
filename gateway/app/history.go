package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/fleetcast/fleetcast/bridge"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/history"
)

// HistoryOptions are where every reading is written down, for others to evaluate.
type HistoryOptions struct {
	Dir  string        `name:"history-dir" help:"Directory into which bridges write every reading as it was said, as lines of JSON, for gateway history or programs of yours. Without it nothing is written." placeholder:"DIR"`
	Keep time.Duration `name:"history-keep" help:"How long its files are kept, from 1h, where history_s of a fleet says nothing else; 0: for ever." default:"${history_keep}"`
}

func (o *Options) checkHistory() error {
	if k := o.History.Keep; k != 0 && k < time.Hour {
		return devices.Errorf(devices.Invalid, "history-keep", "is %v; it is 0 or at least 1h", k)
	}
	return nil
}

// wireHistory makes the writer; nothing where no history is wanted.
func (p *parts) wireHistory(o *Options, log *slog.Logger) (err error) {
	if o.History.Dir == "" {
		return nil
	}
	keep := o.History.Keep
	if keep == 0 {
		keep = -1 // for ever, for a writer
	}
	options := history.Options{Dir: o.History.Dir, Keep: keep, Logger: log}
	if people := p.people; people != nil {
		options.Fleets = func() (history.Retention, bool) { return people.HistoryKept() }
	}
	p.history, err = history.New(options)
	return err
}

// written is what bridges are given; nil where there is no writer, and not a writer that is nil.
func (p *parts) written() bridge.History {
	if p.history == nil {
		return nil
	}
	return p.history
}

// keepHistory has old files deleted, and all closed when the bridge has ended.
func (a *App) keepHistory(life context.Context) {
	if h := a.parts.history; h != nil {
		a.stack.push("history's age", busBound, a.runner.start(life, "history's age", h.Run))
		a.stack.push("history", busBound, func(ctx context.Context) error { return closeWithin(ctx, h.Close) })
	}
}

// HistoryStats are history.Stats with names for JSON.
type HistoryStats struct {
	Lines        uint64 `json:"lines"` // readings
	Bytes        uint64 `json:"bytes"`
	Files        uint64 `json:"files"`
	FilesRemoved uint64 `json:"files_removed"` // for their age
	LinesRemoved uint64 `json:"lines_removed"` // readings of files that have others, for the age that their fleet keeps
}

func (p *parts) historyStats() *HistoryStats {
	if p.history == nil {
		return nil
	}
	s := p.history.Stats()
	return &HistoryStats{Lines: s.Lines, Bytes: s.Bytes, Files: s.Files, FilesRemoved: s.Removed, LinesRemoved: s.Forgotten}
}

package mqttin

import (
	"context"
	"log/slog"
)

// quiet is the log handler that mochi writes to. It lets errors through, with their text and nothing else: mochi logs
// whole packets, with passwords and payloads, and a line for every client that does something wrong.
type quiet struct{ next slog.Handler }

// Enabled lets errors through.
func (quiet) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

// Handle passes the message on without its attributes.
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	bare := slog.NewRecord(r.Time, r.Level, "mqtt library reported", r.PC)
	bare.AddAttrs(slog.String("report", r.Message))
	return q.next.Handle(ctx, bare)
}

// WithAttrs drops the attributes.
func (q quiet) WithAttrs([]slog.Attr) slog.Handler { return q }

// WithGroup drops the group.
func (q quiet) WithGroup(string) slog.Handler { return q }

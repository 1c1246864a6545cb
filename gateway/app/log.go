package app

import (
	"io"
	"log/slog"
)

// NewLogger returns the logger that the options ask for, and its level, which may be changed at any time.
func NewLogger(o LogOptions, w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(o.Level)
	options := &slog.HandlerOptions{Level: level}
	if o.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), level
	}
	return slog.New(slog.NewTextHandler(w, options)), level
}

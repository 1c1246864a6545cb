package app

import (
	"io"
	"log/slog"
)

// NewLogger returns the logger that the options ask for.
func NewLogger(o LogOptions, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: o.Level}
	if o.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

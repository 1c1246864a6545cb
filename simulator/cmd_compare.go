package main

import (
	"context"
	"errors"

	"github.com/fleetcast/fleetcast/simulator/bench"
)

// compareCommand is the bench of the transports, with a name of its own: it is what people ask for first.
type compareCommand struct {
	Options bench.Options `embed:""`
	Compare bench.Compare `embed:""`
	JSON    bool          `name:"json" help:"Write the result as JSON instead of Markdown."`
}

// Run writes the tables, and both forms of them into the directory of results.
func (c *compareCommand) Run(ctx context.Context, t *terminal) error {
	c.Options.Progress = t.err
	r, err := bench.Run(ctx, c.Options, &c.Compare)
	if r == nil || len(r.Sections) == 0 {
		return err
	}
	return errors.Join(err, t.write(r.Sections[0], c.JSON))
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/fleetcast/fleetcast/gateway/app"
	"github.com/fleetcast/fleetcast/gateway/doctor"
)

// doctorCommand is `gateway doctor …`. What follows are the arguments of a gateway that serves, beside --json.
type doctorCommand struct {
	Args []string `arg:"" optional:"" help:"Settings, as a gateway that serves takes them, and --json for a JSON array of {check, status, detail, remedy}."`
}

// errUnwell is that a gateway with these settings would not start or not work here.
var errUnwell = errors.New("a gateway with these settings would not work here; see the lines with fail")

// Run examines the place, and says what it finds.
func (c *doctorCommand) Run(ctx context.Context, t *terminal) error {
	asJSON := slices.Contains(c.Args, "--json")
	args := slices.DeleteFunc(slices.Clone(c.Args), func(a string) bool { return a == "--json" })
	opts, err := app.Parse(args, t.out)
	switch {
	case errors.Is(err, app.ErrShown):
		return nil
	case err != nil:
		return usageError{err}
	}
	found := app.Examine(ctx, &opts)
	if asJSON {
		out := json.NewEncoder(t.out)
		out.SetIndent("", "  ")
		err = out.Encode(found)
	} else {
		err = doctor.Write(t.out, found)
	}
	if err == nil && doctor.Worst(found) == doctor.Fail {
		err = errUnwell
	}
	return err
}

package main

import (
	"encoding/json"
	"fmt"

	"github.com/fleetcast/fleetcast/gateway/app"
)

// versionCommand is `gateway version`.
type versionCommand struct {
	JSON bool `name:"json" help:"As one JSON object."`
}

// Run prints what the program was built of.
func (c *versionCommand) Run(t *terminal) error {
	build := app.ReadBuild()
	if !c.JSON {
		_, err := fmt.Fprintln(t.out, build)
		return err
	}
	out := json.NewEncoder(t.out)
	out.SetIndent("", "  ")
	return out.Encode(build)
}

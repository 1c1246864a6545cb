package main

import (
	"fmt"

	"github.com/fleetcast/fleetcast/gateway/app"
)

// versionCommand is `gateway version`.
type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(t *terminal) error {
	_, err := fmt.Fprintln(t.out, app.Version())
	return err
}

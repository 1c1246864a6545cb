package main

import (
	"errors"
	"fmt"

	"github.com/fleetcast/fleetcast/gateway/app"
)

// configCommand is `gateway config …`. What follows check and show are the arguments of a gateway that serves, so kong
// leaves them alone.
type configCommand struct {
	Check   checkConfigCommand   `cmd:"" passthrough:"" help:"Say whether a gateway with these settings would start: config check --config FILE [other settings]. Exit code 0 yes, 2 no."`
	Default defaultConfigCommand `cmd:"" help:"Print a settings file of all settings with their defaults, commented."`
	Show    showConfigCommand    `cmd:"" passthrough:"" help:"Print what applies and where each setting comes from, without secrets: config show --config FILE [other settings]."`
	Docs    docsConfigCommand    `cmd:"" help:"Print the list of settings in Markdown."`
}

// usageError is a failure that the one who called has to mend: its exit code is that of wrong arguments.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

type checkConfigCommand struct {
	Args []string `arg:"" optional:"" help:"Settings, as a gateway that serves takes them."`
}

// Run reads the settings as the start would, and makes every part by them, without a port, a file or a server.
func (c *checkConfigCommand) Run(t *terminal) error {
	stray, err := app.StrayVariables()
	if err != nil {
		return err
	}
	for _, line := range stray {
		fmt.Fprintf(t.err, "gateway: warning: %s\n", line)
	}
	opts, err := app.Parse(c.Args, t.out)
	if errors.Is(err, app.ErrShown) {
		return nil
	}
	if err == nil {
		err = app.Rehearse(opts)
	}
	if err != nil {
		return usageError{err}
	}
	_, err = fmt.Fprintln(t.out, "the settings are good")
	return err
}

type showConfigCommand struct {
	Args []string `arg:"" optional:"" help:"Settings, as a gateway that serves takes them."`
}

// Run prints what applies.
func (c *showConfigCommand) Run(t *terminal) error {
	loaded, err := app.Load(c.Args, t.out)
	switch {
	case errors.Is(err, app.ErrShown):
		return nil
	case err != nil:
		return usageError{err}
	}
	return loaded.WriteShown(t.out)
}

type defaultConfigCommand struct{}

// Run prints the file.
func (defaultConfigCommand) Run(t *terminal) error { return app.WriteDefaultFile(t.out) }

type docsConfigCommand struct{}

// Run prints the list.
func (docsConfigCommand) Run(t *terminal) error { return app.WriteDocs(t.out) }

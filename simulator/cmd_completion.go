package main

import (
	"io"

	"github.com/alecthomas/kong"

	"github.com/fleetcast/fleetcast/gateway/completion"
)

// completionCommand is `simulator completion`.
type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Shell: ${enum}."`
}

// Run prints what the shell has to read.
func (c *completionCommand) Run(t *terminal) error {
	return completion.WriteScript(t.out, c.Shell, "simulator")
}

// answerCompletion says what may stand in place of the last of args.
func answerCompletion(args []string, out io.Writer) error {
	k, err := kong.New(&cli{}, kong.Name("simulator"))
	if err != nil {
		return err
	}
	return completion.Of(k).Answer(out, args)
}

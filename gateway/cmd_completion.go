package main

import (
	"io"

	"github.com/alecthomas/kong"

	"github.com/fleetcast/fleetcast/gateway/app"
	"github.com/fleetcast/fleetcast/gateway/completion"
)

// completionCommand is `gateway completion`.
type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Shell: ${enum}."`
}

// Run prints what the shell has to read.
func (c *completionCommand) Run(t *terminal) error {
	return completion.WriteScript(t.out, c.Shell, "gateway")
}

// answerCompletion says what may stand in place of the last of args.
func answerCompletion(args []string, out io.Writer) error {
	k, err := kong.New(&commands{}, kong.Name("gateway"))
	if err != nil {
		return err
	}
	settings, err := app.Settings()
	if err != nil {
		return err
	}
	flags := make([]completion.Flag, 0, len(settings))
	for _, s := range settings {
		flags = append(flags, completion.Flag{Name: s.Name, Values: s.Enum, TakesValue: !s.Bool})
	}
	// A gateway that serves has no command, and these take its arguments.
	root := completion.Of(k)
	for _, n := range []*completion.Node{root.Find("config", "check"), root.Find("config", "show"), root.Find("doctor")} {
		if n != nil {
			n.Flags = append(n.Flags, flags...)
		}
	}
	if onlyFlags(args) {
		root.Flags = append(root.Flags, flags...)
	}
	return root.Answer(out, args)
}

// onlyFlags tells whether the words begin with a flag, or are nothing yet: then no command was called.
func onlyFlags(args []string) bool {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	return len(args) == 0 || !isCommand(args) || args[0] == ""
}

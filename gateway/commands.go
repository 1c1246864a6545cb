package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/fleetcast/fleetcast/devices"
)

// commands are what the program does besides serving. Each is one file cmd_….go with a struct of its flags and
// a method Run, whose parameters kong fills: a context that ends with the first signal, and the terminal.
type commands struct {
	Config      configCommand      `cmd:"" help:"Check, show and list settings."`
	Doctor      doctorCommand      `cmd:"" passthrough:"" help:"Say whether a gateway would work on this machine: ports, open files, memory, clock, data directory, certificates, Redis, brokers. doctor [settings] [--json]. Exit code 0 yes, 1 no, 2 wrong settings."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
	Completion  completionCommand  `cmd:"" help:"Print what a shell needs to complete this command line: source <(gateway completion bash)."`
	Devices     devicesCommand     `cmd:"" help:"Register, list, change and delete devices of a running gateway."`
	Commands    commandsCommand    `cmd:"" help:"Send commands to devices, and see what became of them."`
	Fleets      fleetsCommand      `cmd:"" help:"Make, list, change and delete fleets of a running gateway."`
	Credentials credentialsCommand `cmd:"" help:"Make and end the credentials of gateways and other MQTT clients."`
	Token       tokenCommand       `cmd:"" help:"Sign tokens that show who asks over HTTP, and end them."`
	Keys        keysCommand        `cmd:"" help:"Make, list and end the keys by which programs show who they are over HTTP."`
	Users       usersCommand       `cmd:"" help:"Make, list, change and delete the people who may sign in."`
	Rules       keptCommand        `cmd:"" help:"Make, list, change and delete rules, by which alerts are raised."`
	Fences      keptCommand        `cmd:"" help:"Make, list, change and delete the fences that rules speak of."`
	Alerts      alertsCommand      `cmd:"" help:"List and acknowledge alerts."`
	Webhooks    keptCommand        `cmd:"" help:"Make, list, change and delete the addresses that are told of alerts."`
	Backup      backupCommand      `cmd:"" help:"Copy all that a gateway keeps in its directory into a file, while it runs."`
	Restore     restoreCommand     `cmd:"" help:"Fill an empty directory with a backup."`
	Migrate     migrateCommand     `cmd:"" help:"Copy what a stopped gateway has in its directory into Redis."`
	Bus         busCommand         `cmd:"" help:"What operators do to the bus as a whole."`
	History     historyCommand     `cmd:"" help:"Print, load into PostgreSQL or delete what --history-dir has written."`
	Decode      decodeCommand      `cmd:"" help:"Say what a message becomes, and why."`
	Presets     presetsCommand     `cmd:"" help:"List the ecosystems whose topics and formats are known."`
}

// terminal is what a command reads and where it writes: its result to out, complaints to err.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

// commandName is the last word of the command as it was called, for those that are called by more than one.
type commandName string

// isCommand tells whether the arguments name a command. Flags alone, or nothing, serve.
func isCommand(args []string) bool { return len(args) > 0 && !strings.HasPrefix(args[0], "-") }

// runCommand runs one command and returns the exit code: 0, or 1 where it failed, or 2 for a wrong command line.
func runCommand(args []string, t *terminal) int {
	shown := false
	parser, err := kong.New(&commands{}, kong.Name("gateway"), kong.Writers(t.out, t.err),
		kong.Description("Without a command the gateway serves: gateway --help lists its settings."),
		kong.Exit(func(int) { shown = true }))
	if err != nil {
		fmt.Fprintf(t.err, "gateway: build the commands: %v\n", err)
		return exitFailure
	}
	command, err := parser.Parse(args)
	switch {
	case shown:
		return 0
	case err != nil:
		fmt.Fprintf(t.err, "gateway: %v\n", err)
		return exitUsage
	}
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer release()
	defer context.AfterFunc(ctx, release)() // the second signal ends the process at once
	command.BindTo(ctx, (*context.Context)(nil))
	called := commandName(command.Selected().Name)
	of := commandParent("")
	if parent := command.Selected().Parent; parent != nil {
		of = commandParent(parent.Name)
	}
	command.Bind(&called, &of)
	if err := command.Run(t); err != nil {
		fmt.Fprintf(t.err, "gateway: %v\n", err)
		if wrong, ok := errors.AsType[*devices.Error](err); ok && wrong.Kind == devices.Invalid {
			return exitUsage
		}
		if _, ok := errors.AsType[usageError](err); ok {
			return exitUsage
		}
		return exitFailure
	}
	return 0
}

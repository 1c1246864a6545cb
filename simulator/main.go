package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/fleetcast/fleetcast/gateway/completion"
	"github.com/fleetcast/fleetcast/simulator/measure"
)

// cli is the command line.
type cli struct {
	Fleet   fleetCommand   `cmd:"" help:"Run simulated devices against an MQTT broker."`
	Watch   watchCommand   `cmd:"" help:"Open viewers of an event stream and check what they are told."`
	Floor   floorCommand   `cmd:"" help:"Serve the least that fan-out can cost, for comparison."`
	Bare    bareCommand    `cmd:"" name:"bare-mqtt" help:"Serve the least that taking messages can cost, for comparison."`
	Bench   benchCommand   `cmd:"" help:"Measure a gateway."`
	Compare compareCommand `cmd:"" help:"Measure SSE and WebSocket side by side at a gateway, directly and through nginx, HAProxy and Caddy."`

	Prove proveCommand `cmd:"" help:"Number every message, make faults, and say what became of each."`

	Run       runCommand       `cmd:"" help:"Run a scenario: an installation, its load, its faults and what must hold."`
	Suite     suiteCommand     `cmd:"" help:"Run every scenario that comes with the program three minutes each or with --small some seconds, and write their reports."`
	Scenarios scenariosCommand `cmd:"" help:"List the scenarios that come with the program, or show one."`

	Record recordCommand `cmd:"" help:"Write what a broker publishes into a file."`
	Replay replayCommand `cmd:"" help:"Publish such a file again, at any speed."`

	Report         reportsCommand        `cmd:"" help:"Merge the reports of the shards of a run, or write a report again."`
	CompareReports compareReportsCommand `cmd:"" help:"Say what is better and what is worse in the second of two reports."`
	Digest         digestCommand         `cmd:"" help:"Write a Markdown table of reports, one a line."`
	Size           sizeCommand           `cmd:"" help:"Say what an installation for so many devices and viewers needs, by the measured costs."`
	Values         valuesCommand         `cmd:"" help:"List the values that thresholds may name."`

	Completion completionCommand `cmd:"" help:"Print what a shell needs to complete this command line: source <(simulator completion bash)."`
}

// terminal is where commands write: reports to out, progress and complaints to err.
type terminal struct {
	out, err io.Writer
	log      *slog.Logger
	command  []string // as reports show it
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns the exit code: 0, or 1 where something failed or a promise was broken, or 2 for a wrong command line. A
// command may have codes of its own.
func run(args []string, out, errs io.Writer) int {
	if len(args) > 0 && args[0] == completion.Ask {
		_ = answerCompletion(args[1:], out) // a shell that asks between two keys hears no complaints
		return 0
	}
	helped := false
	parser, err := kong.New(&cli{}, kong.Name("simulator"), kong.Writers(out, errs), kong.UsageOnError(),
		kong.Description("Simulated devices and dashboards for Fleetcast."), kong.Exit(func(int) { helped = true }))
	if err != nil {
		fmt.Fprintln(errs, "simulator:", err)
		return 2
	}
	command, err := parser.Parse(args)
	if helped {
		return 0
	}
	if err != nil {
		fmt.Fprintln(errs, "simulator:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // a second Ctrl-C ends the process at once
	screen := measure.NewScreen(errs)    // the log goes above the block of a run, and not through it
	t := &terminal{out: out, err: screen, log: slog.New(slog.NewTextHandler(screen, nil)), command: commandLine(parser.Model, args)}
	command.BindTo(ctx, (*context.Context)(nil))
	if err := command.Run(t); err != nil {
		fmt.Fprintln(errs, "simulator:", err)
		if coded, ok := errors.AsType[interface {
			error
			ExitCode() int
		}](err); ok {
			return coded.ExitCode()
		}
		return 1
	}
	return 0
}

// summary is what a command ends with.
type summary interface{ WriteText(w io.Writer) error }

// write writes a report for people or for programs.
func (t *terminal) write(r summary, asJSON bool) error {
	if !asJSON {
		return r.WriteText(t.out)
	}
	return t.json(r)
}

func (t *terminal) json(v any) error {
	e := json.NewEncoder(t.out)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

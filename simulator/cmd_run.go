package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetcast/fleetcast/simulator/play"
)

type runCommand struct {
	Scenario string        `arg:"" help:"A scenario's file, or the name of one that comes with the program."`
	Small    bool          `help:"The small form: some seconds, and with fewer of everything. Its times say nothing."`
	For      time.Duration `help:"How long to take instead of what the scenario says; moments that are shares of the whole move with it."`
	Gateway  string        `help:"The gateway's program, which the scenario starts." default:"bin/gateway"`
	MQTT     string        `help:"The door of an installation that somebody else runs, host:port, in the place of what the scenario starts. Faults of its processes are left out." and:"installation"`
	URL      string        `name:"url" help:"And its edge, http://host:port." and:"installation"`
	Header   []string      `help:"A header of every request of viewers, repeatable: Authorization: Bearer …" sep:"none" secret:"header"`

	Shards shardFlags  `embed:""`
	Output outputFlags `embed:""`
}

// Help explains the exit codes.
func (c *runCommand) Help() string {
	return "Exit codes: 0 all was kept; 1 the run could not be made; 2 wrong command line or scenario; 3 a promise was broken; " +
		"4 too little happened to show anything; 99 a threshold was not kept."
}

func (c *runCommand) Run(ctx context.Context, t *terminal) error {
	scenario, err := play.Load(c.Scenario)
	if err != nil {
		return codedError{err, 2}
	}
	if err := scenario.Last(c.For); err != nil {
		return codedError{err, 2}
	}
	header, err := headers(c.Header)
	if err != nil {
		return err
	}
	o := play.Options{
		Header: header, Scenario: scenario, Small: c.Small, Gateway: c.Gateway, MQTT: c.MQTT, URL: c.URL, Thresholds: c.Output.Threshold,
		Shard: c.Shards.shard(), RunID: c.Shards.RunID, Command: t.command, Metrics: c.Output.Prometheus, Screen: t.err, Logger: t.log,
	}
	if c.Output.Quiet {
		o.Screen = nil
	}
	result, err := play.Run(ctx, o)
	if errors.Is(err, play.ErrShard) {
		return codedError{err, 2}
	}
	if result != nil {
		err = errors.Join(err, c.tell(t, result))
	}
	return coded(err)
}

func (c *runCommand) tell(t *terminal, result *play.Result) error {
	return errors.Join(t.write(result.Report, c.Output.JSON), c.Output.write(result.Report))
}

type scenariosCommand struct {
	Show string `arg:"" optional:"" help:"A scenario whose file is written out, as a beginning of one's own."`
}

// Run lists the scenarios that come with the program, or writes one of them.
func (c *scenariosCommand) Run(t *terminal) error {
	if c.Show != "" {
		text, err := play.Text(c.Show)
		if err != nil {
			return err
		}
		fmt.Fprint(t.out, text)
		return nil
	}
	for _, name := range play.Bundled() {
		s, err := play.Load(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, "%-16s %8s  %s\n", name, s.For, s.About)
	}
	return nil
}

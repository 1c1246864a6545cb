package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/fleetcast/fleetcast/simulator/play"
	"github.com/fleetcast/fleetcast/simulator/report"
)

type suiteCommand struct {
	Gateway string   `help:"The gateway's program, which the scenarios start." default:"bin/gateway"`
	Out     string   `help:"Directory of the reports." default:"suite-out"`
	Only    []string `help:"Some of the scenarios that come with the program: --only tunnel,morning-start."`
	Small   bool     `help:"The small forms."`
	Quiet   bool     `help:"No progress."`
}

// Help says what is written, and the exit codes.
func (c *suiteCommand) Help() string {
	return "Each scenario leaves NAME.txt, NAME.json, NAME.html and the directory NAME with percentile files; digest.md is a table of all. " +
		"Exit codes: that of run of the scenario that came out worst: 0, 99 a threshold was not kept, 3 a promise was broken, 4 or 1 it could not be shown or run."
}

// Run runs them one after the other, whatever comes of them.
func (c *suiteCommand) Run(ctx context.Context, t *terminal) error {
	names := c.Only
	if len(names) == 0 {
		names = play.Bundled()
	}
	if err := os.MkdirAll(c.Out, 0o750); err != nil {
		return fmt.Errorf("run suite: %w", err)
	}
	var reports []*report.Report
	var worst error
	for _, name := range names {
		if ctx.Err() != nil {
			break
		}
		scenario, err := play.Load(name)
		if err != nil {
			return codedError{err, 2}
		}
		began := time.Now()
		fmt.Fprintf(t.err, "%s: %s\n", name, scenario.About)
		r, err := c.one(ctx, t, scenario)
		if r != nil {
			reports = append(reports, r)
		}
		fmt.Fprintf(t.err, "%s: exit code %d after %.0f s\n", name, codeOf(err), time.Since(began).Seconds())
		if severity(err) > severity(worst) {
			worst = err
		}
	}
	if err := c.digest(t.out, reports); err != nil {
		return err
	}
	return worst
}

func (c *suiteCommand) one(ctx context.Context, t *terminal, s *play.Scenario) (*report.Report, error) {
	o := play.Options{Scenario: s, Small: c.Small, Gateway: c.Gateway, Command: t.command, Screen: t.err, Logger: t.log}
	if c.Quiet {
		o.Screen = nil
	}
	result, err := play.Run(ctx, o)
	if result == nil {
		return nil, coded(err)
	}
	base := filepath.Join(c.Out, s.Name)
	files := report.Files{Text: base + ".txt", JSON: base + ".json", HTML: base + ".html", HGRM: base}
	return result.Report, coded(errors.Join(err, files.Write(result.Report)))
}

func (c *suiteCommand) digest(out io.Writer, reports []*report.Report) error {
	file, err := os.Create(filepath.Join(c.Out, "digest.md"))
	if err != nil {
		return fmt.Errorf("write digest: %w", err)
	}
	return errors.Join(report.WriteDigest(io.MultiWriter(out, file), reports), file.Close())
}

// coded gives what a scenario ended with its exit code.
func coded(err error) error {
	switch {
	case errors.Is(err, report.ErrThreshold):
		return codedError{err, exitThreshold}
	case errors.Is(err, play.ErrBroken):
		return codedError{err, exitBreached}
	case errors.Is(err, play.ErrNothing):
		return codedError{err, exitNothing}
	case errors.Is(err, report.ErrIncomplete):
		return codedError{err, exitIncomplete}
	}
	return err
}

func codeOf(err error) int {
	if c, ok := errors.AsType[codedError](err); ok {
		return c.code
	}
	if err != nil {
		return 1
	}
	return 0
}

// severity orders what scenarios end with: a broken promise is worse than a number that is too high, and what could not be
// run is worst, since it says nothing.
func severity(err error) int {
	return map[int]int{0: 0, exitThreshold: 1, exitBreached: 2, exitNothing: 3, 1: 4}[codeOf(err)]
}

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fleetcast/fleetcast/simulator/report"
	"github.com/fleetcast/fleetcast/simulator/units"
)

type compareReportsCommand struct {
	Before    string      `arg:"" help:"The report before, as --report wrote it." type:"existingfile"`
	After     string      `arg:"" help:"The report after." type:"existingfile"`
	Tolerance units.Share `help:"By how much a value may be worse before it counts." default:"10%"`
	Strict    bool        `help:"End with 99 where a value is worse."`
	JSON      bool        `name:"json" help:"Write the comparison as JSON."`
}

// Run compares; what is worse is an error only where that was asked for.
func (c *compareReportsCommand) Run(t *terminal) error {
	before, err := report.Read(c.Before)
	if err != nil {
		return err
	}
	after, err := report.Read(c.After)
	if err != nil {
		return err
	}
	comparison := report.Compare(before, after, float64(c.Tolerance))
	if err := t.write(comparison, c.JSON); err != nil {
		return err
	}
	if n := comparison.Worse(); n > 0 && c.Strict {
		return codedError{fmt.Errorf("%d values are worse", n), exitThreshold}
	}
	return nil
}

type digestCommand struct {
	Reports []string `arg:"" help:"Reports, as suite or --report wrote them." type:"existingfile"`
}

// Run writes the table of suite again, of any reports.
func (c *digestCommand) Run(t *terminal) error {
	var all []*report.Report
	for _, file := range c.Reports {
		r, err := report.Read(file)
		if err != nil {
			return err
		}
		all = append(all, r)
	}
	return report.WriteDigest(t.out, all)
}

type valuesCommand struct{}

// Run lists what a threshold may name.
func (c *valuesCommand) Run(t *terminal) error {
	if _, err := fmt.Fprintln(t.out, strings.Join(report.DescribeValues(), "\n")); err != nil {
		return errors.New("write values: the output is closed")
	}
	return nil
}

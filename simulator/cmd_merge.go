package main

import (
	"errors"

	"github.com/fleetcast/fleetcast/simulator/play"
	"github.com/fleetcast/fleetcast/simulator/report"
)

type reportsCommand struct {
	Merge mergeCommand `cmd:"" help:"Add the reports of all shards of one run, and judge the thresholds over the sums."`
	Show  showCommand  `cmd:"" help:"Write a report again, in any form."`
}

// fileFlags say where a report that is there is written again.
type fileFlags struct {
	Text           string `help:"Write it as text to a file; else it goes to the output." placeholder:"FILE"`
	HTML           string `name:"html" help:"Write it as one page with plots." placeholder:"FILE"`
	HGRM           string `name:"hgrm" help:"Write a percentile file of each latency into a directory." placeholder:"DIR"`
	PrometheusFile string `help:"Write the values in Prometheus's text format to a file." placeholder:"FILE"`
}

func (f *fileFlags) write(t *terminal, r *report.Report, file string) error {
	files := report.Files{Text: f.Text, JSON: file, HTML: f.HTML, HGRM: f.HGRM, Prometheus: f.PrometheusFile}
	if err := files.Write(r); err != nil || f.Text != "" {
		return err
	}
	return r.WriteText(t.out)
}

type mergeCommand struct {
	Reports   []string  `arg:"" help:"The reports of all shards, as --report wrote them." type:"existingfile"`
	JSON      string    `name:"json" help:"Write the merged report as JSON to a file." placeholder:"FILE"`
	Files     fileFlags `embed:""`
	Threshold []string  `help:"What has to be kept besides the thresholds of the reports, repeatable." sep:"none"`
}

// exitIncomplete is what a merge ends with that lacks a shard.
const exitIncomplete = 5

// Help explains the exit codes.
func (c *mergeCommand) Help() string {
	return "Exit codes, the first that is so: 99 a threshold was not kept; 3 a promise was broken; 4 too little happened in a shard to show anything; " +
		"5 a shard is missing, or the shards never ran all at the same time; 2 a wrong threshold; 1 the reports could not be merged; else 0."
}

// Run merges; the exit code is that which run would have had over all of it.
func (c *mergeCommand) Run(t *terminal) error {
	var sources []report.Source
	for _, file := range c.Reports {
		r, err := report.Read(file)
		if err != nil {
			return err
		}
		sources = append(sources, report.Source{File: file, Report: r})
	}
	merged, err := report.Merge(sources, c.Threshold)
	if errors.Is(err, report.ErrWrongThreshold) {
		return codedError{err, 2}
	}
	if err != nil {
		return err
	}
	merged.Command = t.command
	if err := c.Files.write(t, merged, c.JSON); err != nil {
		return err
	}
	return verdict(merged)
}

// verdict is what a merged report ends with.
func verdict(r *report.Report) error {
	errs := []error{r.Err()}
	if r.Values["violations"]+r.Values["breaches"] > 0 {
		errs = append(errs, play.ErrBroken)
	}
	if len(r.Merged.Idle) > 0 {
		errs = append(errs, play.ErrNothing)
	}
	return coded(errors.Join(append(errs, r.Complete())...))
}

type showCommand struct {
	Report string    `arg:"" help:"A report, as --report or report merge wrote it." type:"existingfile"`
	Files  fileFlags `embed:""`
}

// Run writes a report again.
func (c *showCommand) Run(t *terminal) error {
	r, err := report.Read(c.Report)
	if err != nil {
		return err
	}
	return c.Files.write(t, r, "")
}

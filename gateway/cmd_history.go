package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetcast/fleetcast/gateway/app"
	"github.com/fleetcast/fleetcast/gateway/history"
)

// historyCommand is `gateway history …`: what reads the files that --history-dir has written.
type historyCommand struct {
	Print  printHistoryCommand  `cmd:"" help:"Print readings, as lines of JSON or as CSV."`
	Load   loadHistoryCommand   `cmd:"" help:"Copy into PostgreSQL what was not copied yet: tables fleetcast_readings and fleetcast_history_files."`
	Forget forgetHistoryCommand `cmd:"" help:"Delete the readings of a device or a fleet, all or those before a time, from the files that are closed."`
}

// historyChoice are the flags by which readings are chosen.
type historyChoice struct {
	Dir    string        `required:"" env:"FLEETCAST_HISTORY_DIR" help:"Directory of --history-dir." placeholder:"DIR"`
	Device string        `help:"Of this device only." placeholder:"ID"`
	Fleet  string        `help:"Of this fleet only." placeholder:"ID"`
	Older  time.Duration `help:"Only those that were received longer ago, such as 720h."`
}

func (c *historyChoice) choice() history.Choice {
	chosen := history.Choice{Device: c.Device, Fleet: c.Fleet}
	if c.Older > 0 {
		chosen.Before = time.Now().Add(-c.Older)
	}
	return chosen
}

type printHistoryCommand struct {
	historyChoice
	Last time.Duration `help:"Only those that were received so long ago at most."`
	CSV  bool          `name:"csv" help:"As CSV with a header; without it as lines of JSON, as they stand in the files."`
}

// Run prints. A reading that was written twice is printed twice, with the same entry.
func (c *printHistoryCommand) Run(t *terminal) error {
	chosen := c.choice()
	if c.Last > 0 {
		chosen.From = time.Now().Add(-c.Last)
	}
	var table *history.CSV
	write := func(raw []byte, _ *history.Line) error {
		_, err := fmt.Fprintf(t.out, "%s\n", raw)
		return err
	}
	if c.CSV {
		var err error
		if table, err = history.NewCSV(t.out); err != nil {
			return err
		}
		write = func(_ []byte, l *history.Line) error { return table.Write(l) }
	}
	files, err := history.List(c.Dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		_, skipped, err := history.Read(f.Path, 0, func(raw []byte, l *history.Line) error {
			if !chosen.Has(l) {
				return nil
			}
			return write(raw, l)
		})
		if err != nil {
			return err
		}
		if skipped > 0 {
			fmt.Fprintf(t.err, "gateway: %s: %d lines are no readings\n", f.Name, skipped)
		}
	}
	if table != nil {
		return table.Flush()
	}
	return nil
}

type loadHistoryCommand struct {
	Dir      string `required:"" env:"FLEETCAST_HISTORY_DIR" help:"Directory of --history-dir." placeholder:"DIR"`
	Postgres string `required:"" env:"FLEETCAST_HISTORY_POSTGRES" help:"postgres://user:password@host/database. A password is better set by the variable, in a file (file:PATH), or by PostgreSQL's own PGPASSWORD or .pgpass." placeholder:"URL"`
	Follow   bool   `help:"Go on with what is written, until a signal."`
}

// Run loads.
func (c *loadHistoryCommand) Run(ctx context.Context, t *terminal) error {
	database, err := app.Secret(c.Postgres)
	if err != nil {
		return err
	}
	l, err := history.Load(ctx, c.Dir, database, c.Follow)
	_, said := fmt.Fprintf(t.out, "%d readings were loaded, %d were there already, %d were older than their fleet keeps, %d lines were no readings\n", l.Readings, l.Known, l.Old, l.Skipped)
	return errors.Join(err, said)
}

type forgetHistoryCommand struct {
	historyChoice
}

// Run deletes.
func (c *forgetHistoryCommand) Run(t *terminal) error {
	if c.Device == "" && c.Fleet == "" {
		return usageError{errors.New("history forget: --device or --fleet is needed")}
	}
	n, open, err := history.Forget(c.Dir, c.choice(), history.DefaultRotate)
	_, said := fmt.Fprintf(t.out, "%d readings were deleted\n", n)
	if open > 0 {
		_, more := fmt.Fprintf(t.out, "%d files began within the last hour and may be written to: run this again in an hour\n", open)
		said = errors.Join(said, more)
	}
	return errors.Join(err, said)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/fleetcast/fleetcast/bridge/redisbus"
	"github.com/fleetcast/fleetcast/gateway/app"
	"github.com/fleetcast/fleetcast/gateway/keep"
)

// migrateCommand is `gateway migrate`.
type migrateCommand struct {
	From   string `required:"" help:"Data directory of a gateway that was stopped." placeholder:"DIR"`
	To     string `required:"" help:"Redis, as --redis has it. A password is better set by the variable." env:"FLEETCAST_REDIS" placeholder:"URL"`
	DryRun bool   `help:"Only say what would be copied, and whether it could be."`
	Force  bool   `help:"Delete what a gateway has in that Redis."`
}

// Run copies, and compares.
func (c *migrateCommand) Run(ctx context.Context, t *terminal) error {
	from, err := keep.Open(c.From, app.Version(), nil)
	if err != nil {
		return err
	}
	m, err := from.Migrate(ctx, keep.MigrateOptions{Redis: c.To, DryRun: c.DryRun, Force: c.Force})
	if err := errors.Join(err, from.Close()); err != nil {
		return err
	}
	how := "copied and compared"
	switch {
	case m.Already:
		how = "this state was copied before; nothing was done. It has"
	case c.DryRun:
		how = "would be copied"
	}
	_, err = fmt.Fprintf(t.out, "%s: %d devices, %d that were removed, %d trails of %d blocks, %d events, %d commands, %d records of what people configured; %d partitions\n",
		how, m.Devices, m.Tombstones, m.Trails, m.Blocks, m.Events, m.Commands, m.Records, m.Partitions)
	return err
}

// busCommand is `gateway bus …`.
type busCommand struct {
	Owners   ownersCommand   `cmd:"" help:"Say which bridge has which partition of a Redis, where each stands, and which bridges live."`
	Compact  compactCommand  `cmd:"" help:"Have a running gateway write its directory anew, without what was removed: the log keeps that for a while otherwise."`
	NewEpoch newEpochCommand `cmd:"" help:"Begin a new history in Redis: for a backup of Redis that was restored while no gateway ran. Viewers that come back get a reset."`
}

type compactCommand struct {
	Server  string `name:"admin" help:"Admin address of the running gateway." default:"http://127.0.0.1:8081" env:"FLEETCAST_ADMIN" placeholder:"URL"`
	DataDir string `help:"Data directory of a gateway of this machine, whose proof is there." default:"./data" env:"FLEETCAST_DATA_DIR" placeholder:"DIR"`
	CAFile  string `name:"ca-file" help:"PEM file with the authority of the address's certificate." env:"FLEETCAST_CA_FILE" placeholder:"FILE"`
}

// Run asks the gateway.
func (c *compactCommand) Run(ctx context.Context, t *terminal) error {
	running := remote{Server: c.Server, DataDir: c.DataDir, CAFile: c.CAFile}
	res, err := running.send(ctx, http.MethodPost, "/-/compact", nil, "", nil)
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return fmt.Errorf("read the gateway's answer: %w", err)
	}
	_, err = fmt.Fprintln(t.out, "what was removed is in no file of the bus any more")
	return err
}

type newEpochCommand struct {
	Redis string `required:"" help:"Redis, as --redis has it. A password is better set by the variable." env:"FLEETCAST_REDIS" placeholder:"URL"`
}

// Run begins the histories.
func (c *newEpochCommand) Run(ctx context.Context, t *terminal) (err error) {
	b, err := redisbus.Open(ctx, redisbus.Options{URL: c.Redis})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	n, err := b.NewEpochs(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.out, "%d of %d partitions begin a new history; the others were never used\n", n, b.Partitions())
	return err
}

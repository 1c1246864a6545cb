package main

import (
	"context"
	"fmt"
	"time"

	"github.com/fleetcast/fleetcast/simulator/baremqtt"
	"github.com/fleetcast/fleetcast/simulator/bench"
	"github.com/fleetcast/fleetcast/simulator/units"
)

type benchCommand struct {
	Fanout fanoutCommand `cmd:"" help:"What viewers cost a gateway, beside the floor program."`
	Ingest ingestCommand `cmd:"" help:"What durable messages cost a gateway, beside a bare MQTT server."`
}

type fanoutCommand struct {
	Gateway     string        `help:"The gateway's program." default:"bin/gateway"`
	GatewayArg  []string      `help:"A flag for the gateway, repeatable: --gateway-arg=--window=100ms." sep:"none"`
	Devices     int           `help:"How many devices." default:"1000"`
	Rate        units.Rate    `help:"How often each sends." default:"1/s"`
	Viewers     int           `help:"How many viewers." default:"1000"`
	IdleDevices int           `help:"Connections for the memory of idle devices; 0 leaves it out." default:"1000"`
	IdleViewers int           `help:"Connections for the memory of idle viewers; 0 leaves it out." default:"1000"`
	Window      time.Duration `help:"The flush window of the gateway, which the floor takes." default:"100ms"`
	Warm        time.Duration `help:"Wait before each measurement." default:"5s"`
	Measure     time.Duration `help:"Length of each of the four measurements." default:"20s"`
	Settle      time.Duration `help:"Wait before a size of memory is read; 150s is beyond Go's forced collection." default:"10s"`
	Out         string        `help:"Directory of fanout.json and fanout.md." default:"bench-out"`
	JSON        bool          `name:"json" help:"Write the result as JSON instead of Markdown."`
}

// Run measures and never judges: the exit code is 0 whatever the numbers are.
func (c *fanoutCommand) Run(ctx context.Context, t *terminal) error {
	r, err := bench.Fanout(ctx, bench.Options{
		Gateway: c.Gateway, GatewayArgs: c.GatewayArg, Devices: c.Devices, Rate: c.Rate, Viewers: c.Viewers,
		IdleDevices: c.IdleDevices, IdleViewers: c.IdleViewers, Window: c.Window, Warm: c.Warm, Measure: c.Measure,
		Settle: c.Settle, Out: c.Out, Progress: t.err,
	})
	if err != nil {
		return err
	}
	return t.write(r, c.JSON)
}

type ingestCommand struct {
	Gateway    string        `help:"The gateway's program." default:"bin/gateway"`
	GatewayArg []string      `help:"A flag for the gateway, repeatable: --gateway-arg=--fsync=always." sep:"none"`
	Devices    int           `help:"How many devices." default:"2000"`
	Rate       []units.Rate  `help:"How often each sends, repeatable: the rates are measured one after the other." default:"1/s,10/s"`
	Warm       time.Duration `help:"Wait before each measurement." default:"5s"`
	Measure    time.Duration `help:"Length of each measurement: a gateway's and a bare server's for each rate." default:"15s"`
	Out        string        `help:"Directory of ingest.json and ingest.md." default:"bench-out"`
	JSON       bool          `name:"json" help:"Write the result as JSON instead of Markdown."`
}

// Run measures and never judges: the exit code is 0 whatever the numbers are.
func (c *ingestCommand) Run(ctx context.Context, t *terminal) error {
	r, err := bench.Ingest(ctx, bench.IngestOptions{
		Gateway: c.Gateway, GatewayArgs: c.GatewayArg, Devices: c.Devices, Rates: c.Rate, Warm: c.Warm, Measure: c.Measure,
		Out: c.Out, Progress: t.err,
	})
	if err != nil {
		return err
	}
	return t.write(r, c.JSON)
}

type bareCommand struct {
	Listen string `help:"Address to listen on." default:"127.0.0.1:0"`
}

// Run tells the address on the first line.
func (c *bareCommand) Run(ctx context.Context, t *terminal) error {
	s, err := baremqtt.New(c.Listen)
	if err != nil {
		return err
	}
	address, err := s.Listen(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "listening on mqtt://%s\n", address)
	return s.Run(ctx)
}

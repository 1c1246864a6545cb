package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/fleetcast/fleetcast/simulator/baremqtt"
	"github.com/fleetcast/fleetcast/simulator/bench"
)

// benchCommand is the benches. They measure and never judge: the exit code is 0 whatever the numbers are.
type benchCommand struct {
	All     allBenches              `cmd:"" help:"All benches, one after the other, and the report of them."`
	Report  reportCommand           `cmd:"" help:"Write the report anew, of the results that lie in the directory."`
	Fanout  oneBench[bench.Fanout]  `cmd:"" help:"What viewers cost, beside the floor program."`
	Memory  oneBench[bench.Memory]  `cmd:"" help:"What a connection takes, beside the floor program and a bare MQTT server."`
	Path    oneBench[bench.Path]    `cmd:"" help:"What the whole path costs, in one process and split over Redis."`
	Gzip    oneBench[bench.Gzip]    `cmd:"" help:"What compressed streams cost and save, beside plain ones."`
	Storm   oneBench[bench.Storm]   `cmd:"" help:"What happens where many viewers come back at once."`
	Slow    oneBench[bench.Slow]    `cmd:"" help:"What slow viewers cost, and what the others notice."`
	Filters oneBench[bench.Filters] `cmd:"" help:"What a filter of one's own costs, in a small fleet and a large one."`
	Growth  oneBench[bench.Growth]  `cmd:"" help:"How processor time and memory grow with viewers, devices and updates."`
	Logins  oneBench[bench.Logins]  `cmd:"" help:"What it costs when all devices connect at once, each with a credential."`
	Cluster oneBench[bench.Cluster] `cmd:"" help:"What several processes of each kind use, beside what the model of size says."`
	Ingest  oneBench[bench.Ingest]  `cmd:"" help:"What a message costs, beside a bare MQTT server and Mosquitto."`
}

// oneBench is the command of a bench, whose options are its flags.
type oneBench[B any] struct {
	Options bench.Options `embed:""`
	Bench   B             `embed:""`
	JSON    bool          `name:"json" help:"Write the result as JSON instead of Markdown."`
}

// Run runs the bench and writes the report of all results that lie in the directory.
func (c *oneBench[B]) Run(ctx context.Context, t *terminal) error {
	b, ok := any(&c.Bench).(bench.Bench)
	if !ok {
		return fmt.Errorf("run bench: %w: %T", errors.ErrUnsupported, c.Bench)
	}
	c.Options.Progress = t.err
	r, err := bench.Run(ctx, c.Options, b)
	if r == nil || len(r.Sections) == 0 {
		return err
	}
	return errors.Join(err, writeReport(c.Options.Out), t.write(r.Sections[0], c.JSON))
}

// allBenches has the flags of each with its name before them.
type allBenches struct {
	Options bench.Options `embed:""`
	Only    []string      `help:"The benches to run; without it, all." placeholder:"NAME"`
	Fanout  bench.Fanout  `embed:"" prefix:"fanout-"`
	Ingest  bench.Ingest  `embed:"" prefix:"ingest-"`
	Path    bench.Path    `embed:"" prefix:"path-"`
	Memory  bench.Memory  `embed:"" prefix:"memory-"`
	Gzip    bench.Gzip    `embed:"" prefix:"gzip-"`
	Filters bench.Filters `embed:"" prefix:"filters-"`
	Storm   bench.Storm   `embed:"" prefix:"storm-"`
	Slow    bench.Slow    `embed:"" prefix:"slow-"`
	Growth  bench.Growth  `embed:"" prefix:"growth-"`
	Logins  bench.Logins  `embed:"" prefix:"logins-"`
	Cluster bench.Cluster `embed:"" prefix:"cluster-"`
	JSON    bool          `name:"json" help:"Write the report as JSON instead of Markdown."`
}

// Run runs the benches in an order in which what counts most comes first.
func (c *allBenches) Run(ctx context.Context, t *terminal) error {
	var wanted []bench.Bench
	for _, b := range []bench.Bench{&c.Fanout, &c.Ingest, &c.Path, &c.Memory, &c.Gzip, &c.Filters, &c.Storm, &c.Slow, &c.Growth, &c.Logins, &c.Cluster} {
		if len(c.Only) == 0 || slices.Contains(c.Only, b.Name()) {
			wanted = append(wanted, b)
		}
	}
	c.Options.Progress = t.err
	r, err := bench.Run(ctx, c.Options, wanted...)
	if r == nil {
		return err
	}
	return errors.Join(err, r.Save(c.Options.Out), t.write(r, c.JSON))
}

type reportCommand struct {
	Out     string `help:"Directory of the results." default:"bench-out"`
	Publish string `help:"Also write the report and its plots to a directory of documents: deploy/docs/bench." placeholder:"DIR"`
	JSON    bool   `name:"json" help:"Write the report as JSON instead of Markdown."`
}

// Run gathers what single benches left.
func (c *reportCommand) Run(t *terminal) error {
	r, err := bench.Load(c.Out)
	if err != nil {
		return err
	}
	if c.Publish != "" {
		err = r.Publish(c.Publish)
	}
	return errors.Join(err, r.Save(c.Out), t.write(r, c.JSON))
}

func writeReport(dir string) error {
	r, err := bench.Load(dir)
	if err != nil {
		return err
	}
	return r.Save(dir)
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

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/floor"
	"github.com/fleetcast/fleetcast/simulator/report"
	"github.com/fleetcast/fleetcast/simulator/units"
	"github.com/fleetcast/fleetcast/simulator/watch"
)

type watchCommand struct {
	URL         string         `name:"url" help:"The stream." default:"http://127.0.0.1:8080/stream/assets"`
	Viewers     int            `help:"How many viewers." default:"100"`
	For         time.Duration  `help:"How long after the last viewer was started; 0 is until Ctrl-C." default:"60s"`
	ResumeEvery time.Duration  `help:"Cut each connection when it is so old, and resume; 0 never does."`
	Query       []string       `help:"A filter, as fleet=north&fields=lat,lon or bbox=2,48,3,49, repeatable: the viewers take turns." sep:"none"`
	HTTP2Share  units.Share    `name:"http2-share" help:"Share of the viewers that share connections over HTTP/2." default:"0"`
	HTTP2Own    units.Share    `name:"http2-own-share" help:"Share of the viewers that have a connection of HTTP/2 each." default:"0"`
	WSShare     units.Share    `name:"websocket-share" help:"Share of the viewers that listen over WebSocket, at /stream/ws." default:"0"`
	TLSCA       string         `name:"tls-ca" help:"Certificates that https:// trusts besides the system's." type:"existingfile"`
	Header      []string       `help:"A header of every request, repeatable: Authorization: Bearer …" sep:"none" secret:"header"`
	ResumeShare units.Share    `help:"Share of the viewers that --resume-every cuts; all where nothing is said." default:"0"`
	GoneShare   units.Share    `help:"Share of the viewers that leave in the middle and never return." default:"0"`
	PanEvery    time.Duration  `help:"Move the viewport of each viewer with a bbox so often; 0 never does."`
	SlowShare   units.Share    `help:"Share of the viewers that read slowly: 5%." default:"0"`
	SlowRate    units.ByteRate `help:"How slowly." default:"1kB/s"`
	CheckShare  units.Share    `help:"Share of the viewers that decode every message fully; the others scan it." default:"1%"`
	ConnectRate units.Rate     `help:"Connections a second." default:"500/s"`
	Shards      shardFlags     `embed:""`
	Output      outputFlags    `embed:""`
}

// Run fails where a promise was broken, so that the exit code tells.
func (c *watchCommand) Run(ctx context.Context, t *terminal) error {
	o, err := c.options(t)
	if err != nil {
		return err
	}
	w, err := watch.New(o)
	if err != nil {
		return err
	}
	if lacks := fleet.Preflight(0, fleet.Way{To: watch.Host(c.URL), Connections: o.Connections()}); len(lacks) > 0 {
		return fmt.Errorf("this machine cannot hold so many connections: %s", lacks[0])
	}
	thresholds, err := c.Output.thresholds("viewers")
	if err != nil {
		return err
	}
	same := *c // in all shards
	same.URL, same.TLSCA, same.Header, same.Shards, same.Output = "", "", nil, shardFlags{}, outputFlags{}
	run, err := c.Shards.run(0, same)
	if err != nil {
		return err
	}
	recorded := report.Options{Name: "watch", Command: t.command, Run: run, Viewers: []report.ViewerGroup{{Name: "viewers", Watch: w}}, Thresholds: thresholds}
	return c.Output.record(ctx, recorded, w.Run, func() error { return t.write(w.Report(), c.Output.JSON) })
}

func (c *watchCommand) options(t *terminal) (watch.Options, error) {
	o := watch.Options{
		URL: c.URL, Viewers: c.Viewers, For: c.For, ResumeEvery: c.ResumeEvery, ResumeShare: c.ResumeShare, GoneShare: c.GoneShare,
		HTTP2Share: c.HTTP2Share, HTTP2OwnShare: c.HTTP2Own, WebSocketShare: c.WSShare, PanEvery: c.PanEvery, SlowShare: c.SlowShare, SlowRate: c.SlowRate,
		CheckShare: c.CheckShare, ConnectRate: c.ConnectRate, Progress: t.err, Logger: t.log,
	}
	if len(c.Query) > 0 {
		o.Address = func(index int) string { return watch.WithQuery(c.URL, c.Query[index%len(c.Query)]) }
	}
	if shard := c.Shards.shard(); shard.Of > 1 {
		if o.First, o.Viewers = shard.Take(c.Viewers); o.Viewers == 0 {
			return o, codedError{fmt.Errorf("%d viewers are too few for %d shards", c.Viewers, shard.Of), 2}
		}
		o.ConnectRate /= units.Rate(shard.Of)
	}
	if c.Output.Quiet {
		o.Progress = nil
	}
	access := accessFlags{TLSCA: c.TLSCA}
	var err error
	if o.Header, err = headers(c.Header); err != nil {
		return o, err
	}
	o.TLS, err = access.config()
	return o, err
}

type floorCommand struct {
	Listen string        `help:"Address to listen on." default:"127.0.0.1:0"`
	Rate   units.Rate    `help:"Updates a second that each viewer gets." default:"1000/s"`
	Size   int           `help:"Bytes of an update." default:"250"`
	Window time.Duration `help:"Time between two writes." default:"100ms"`
	For    time.Duration `help:"How long to serve; 0 is until Ctrl-C."`
}

// Run tells the address on the first line and what was done, as JSON, at the end.
func (c *floorCommand) Run(ctx context.Context, t *terminal) error {
	f, err := floor.New(floor.Options{Listen: c.Listen, Rate: c.Rate, Size: c.Size, Window: c.Window})
	if err != nil {
		return err
	}
	address, err := f.Listen(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "listening on http://%s/\n", address)
	if c.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.For)
		defer cancel()
	}
	runErr := f.Run(ctx)
	r, err := f.Report()
	return errors.Join(runErr, err, t.json(r))
}

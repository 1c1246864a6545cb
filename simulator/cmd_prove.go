package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/prove"
	"github.com/fleetcast/fleetcast/simulator/units"
)

type proveCommand struct {
	Gateway    string        `help:"The gateway's program, which is started on free ports and killed." xor:"installation" placeholder:"FILE"`
	GatewayArg []string      `help:"A flag for the gateway, repeatable: --gateway-arg=--window=50ms." sep:"none"`
	Dir        string        `help:"Directory of the gateway's data and output; a temporary one where nothing is said."`
	KillEvery  time.Duration `help:"Mean time from a recovery to the next kill or other fault; 0 makes none." default:"5s"`
	Kills      int           `help:"Kills and other faults in all; 0 goes on until the end."`
	Down       time.Duration `help:"How long a killed gateway stays away."`

	URL  []string `name:"url" help:"An edge of an installation that somebody else runs, http://host:port; repeatable. Viewers move on at each connection." xor:"installation"`
	MQTT []string `name:"mqtt" help:"A door of that installation, host:port; repeatable." default:"127.0.0.1:1883"`

	Fault []string `help:"A command for sh that makes a fault and returns when it is over; repeatable. One is chosen at random, the kill among them." sep:"none"`

	Devices     int           `help:"How many devices." default:"50"`
	Rate        units.Rate    `help:"How often each sends." default:"5/s"`
	Viewers     int           `help:"How many viewers." default:"10"`
	For         time.Duration `help:"How long to send; 0 is until all kills were made, or Ctrl-C." default:"60s"`
	Durable     bool          `help:"What has its PUBACK survives each fault. --no-durable (or --durable=false) is for a gateway with --in-memory." default:"true" negatable:""`
	Resets      string        `help:"any: a reset declares a gap. none: it is a breach. auto: none where only a durable gateway of ours is killed." enum:"auto,any,none" default:"auto"`
	Quiet       units.Share   `name:"quiet-share" help:"Share of the devices that are silent from a fault until all was looked for." default:"50%"`
	ResumeEvery time.Duration `help:"Cut each stream at about this age, so that its viewer resumes; 0 never does." default:"15s"`
	Reconnect   time.Duration `help:"How long viewers wait before they connect again; 0 is what the stream asks for."`
	Settle      time.Duration `help:"How long a recovery may take, and all that is owed to be shown." default:"20s"`
	Fleet       string        `help:"The devices' fleet." default:"prove"`
	TLSCA       string        `name:"tls-ca" help:"Certificates that https:// trusts besides the system's." type:"existingfile"`
	Crowd       crowdFlags    `embed:""`
	Prefix      string        `help:"Begin of the devices' ids; made up where nothing is said."`
	Credentials string        `help:"A file of user names and passwords, as fleet takes it, of devices of the one fleet." type:"existingfile"`
	Header      []string      `help:"A header of every request to an edge, repeatable: Authorization: Bearer …" sep:"none" secret:"header"`
	Seed        uint64        `help:"Decides when which fault is made." default:"1"`
	JSON        bool          `name:"json" help:"Write the report as JSON."`
	NoProgress  bool          `help:"No progress."`
}

// crowdFlags say how the viewers listen, and what they do.
type crowdFlags struct {
	HTTP2Share    units.Share    `name:"http2-share" help:"Share of the viewers that share connections of HTTP/2, which a gateway of ours then speaks over TLS." default:"0"`
	HTTP2OwnShare units.Share    `name:"http2-own-share" help:"Share of the viewers that have a connection of HTTP/2 each." default:"0"`
	WSShare       units.Share    `name:"websocket-share" help:"Share of the viewers that listen over WebSocket." default:"0"`
	FilterShare   units.Share    `help:"Share of the viewers that ask for a part of the devices: a list, or a box, in turn." default:"0"`
	PanEvery      time.Duration  `help:"Move the viewport of every other viewer with a box so often; 0 never does."`
	SlowShare     units.Share    `help:"Share of the viewers that read slowly." default:"0"`
	SlowRate      units.ByteRate `help:"How slowly." default:"16kB/s"`
	ResumeShare   units.Share    `help:"Share of the viewers that --resume-every cuts; all where nothing is said." default:"0"`
	GoneShare     units.Share    `help:"Share of the viewers that leave in the middle and never return." default:"0"`
}

func (f *crowdFlags) crowd() prove.Crowd {
	return prove.Crowd{
		HTTP2Share: f.HTTP2Share, HTTP2OwnShare: f.HTTP2OwnShare, WebSocketShare: f.WSShare, FilterShare: f.FilterShare, PanEvery: f.PanEvery,
		SlowShare: f.SlowShare, SlowRate: f.SlowRate, ResumeShare: f.ResumeShare, GoneShare: f.GoneShare,
	}
}

// Exit codes of prove besides those of all commands.
const (
	exitBreached = 3
	exitNothing  = 4
)

// codedError is an error with an exit code of its own.
type codedError struct {
	error
	code int
}

func (e codedError) Unwrap() error { return e.error }

// ExitCode is what the program ends with.
func (e codedError) ExitCode() int { return e.code }

// Help explains the exit codes.
func (c *proveCommand) Help() string {
	return "Exit codes: 0 nothing was broken; 1 the run could not be made; 2 wrong command line; " +
		"3 a promise was broken; 4 too little happened to prove anything."
}

func (c *proveCommand) Run(ctx context.Context, t *terminal) (err error) {
	o := c.options(t)
	if c.Gateway == "" && len(c.URL) == 0 {
		return errors.New("say --gateway, or --url and --mqtt of an installation")
	}
	if c.Gateway != "" {
		g, err := prove.StartGateway(ctx, prove.GatewayOptions{
			Program: c.Gateway, Args: c.GatewayArg, Dir: c.Dir, Down: c.Down, Secure: c.Crowd.HTTP2Share+c.Crowd.HTTP2OwnShare > 0,
		})
		if err != nil {
			return err
		}
		defer func() {
			if stopErr := g.Stop(); stopErr != nil {
				fmt.Fprintln(t.err, "simulator: stop gateway:", stopErr)
			}
		}()
		o.URLs, o.MQTT, o.OneEdge, o.TLS = []string{g.URL()}, []string{g.MQTT()}, true, g.Trust()
		if c.KillEvery > 0 {
			o.Faults = append(o.Faults, g.KillFault())
		}
	}
	if err := c.access(&o); err != nil {
		return err
	}
	p, err := prove.New(o)
	if err != nil {
		return err
	}
	report, runErr := p.Run(ctx)
	if err := t.write(report, c.JSON); err != nil {
		return err
	}
	switch {
	case errors.Is(runErr, prove.ErrBreached):
		return codedError{runErr, exitBreached}
	case errors.Is(runErr, prove.ErrNothing):
		return codedError{runErr, exitNothing}
	}
	return runErr
}

// access reads what devices and viewers show.
func (c *proveCommand) access(o *prove.Options) (err error) {
	if c.TLSCA != "" {
		if o.TLS, err = (&accessFlags{TLSCA: c.TLSCA}).config(); err != nil {
			return err
		}
	}
	if o.Header, err = headers(c.Header); err != nil || c.Credentials == "" {
		return err
	}
	all, err := fleet.ReadIdentities(c.Credentials)
	for _, i := range all {
		o.Identities = append(o.Identities, prove.Identity{Username: i.Username, Password: i.Password})
	}
	return err
}

func (c *proveCommand) options(t *terminal) prove.Options {
	o := prove.Options{
		URLs: c.URL, MQTT: c.MQTT, Devices: c.Devices, Rate: c.Rate, Viewers: c.Viewers, For: c.For, Fleet: c.Fleet, Prefix: c.Prefix,
		Seed: c.Seed, FaultEvery: c.KillEvery, FaultCount: c.Kills, QuietShare: c.Quiet, ResumeEvery: c.ResumeEvery, Reconnect: c.Reconnect, Settle: c.Settle,
		Crowd: c.Crowd.crowd(), Progress: t.err, Logger: t.log,
	}
	o.Durable = c.Durable
	o.NoResets = c.Resets == "none" || (c.Resets == "auto" && c.Durable && c.Gateway != "" && len(c.Fault) == 0)
	for _, command := range c.Fault {
		if c.KillEvery > 0 {
			o.Faults = append(o.Faults, prove.Fault{Name: command, Break: shell(command)})
		}
	}
	if c.NoProgress {
		o.Progress = nil
	}
	return o
}

// shell runs a command; one that fails ends the run.
func shell(command string) func(context.Context) error {
	return func(ctx context.Context) error {
		out, err := exec.CommandContext(ctx, "sh", "-c", command).CombinedOutput() //nolint:gosec // the command that it is given
		if err != nil {
			return fmt.Errorf("run fault command: %w: %s", err, out)
		}
		return nil
	}
}

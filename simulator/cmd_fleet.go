package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/fleetcast/fleetcast/simulator/certs"
	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/mqttlite"
	"github.com/fleetcast/fleetcast/simulator/payload"
	"github.com/fleetcast/fleetcast/simulator/report"
	"github.com/fleetcast/fleetcast/simulator/routes"
	"github.com/fleetcast/fleetcast/simulator/tracker"
	"github.com/fleetcast/fleetcast/simulator/units"
)

type fleetCommand struct {
	Devices int        `help:"How many devices." default:"1000"`
	Rate    units.Rate `help:"How often each device sends, or looks whether it has something to report: 1/s, 12/m, 1/10s." default:"1/s"`
	Idle    bool       `help:"Connect and send nothing but the status."`
	MQTT    string     `help:"The broker, host:port or mqtts://host:port." default:"127.0.0.1:1883"`
	Fleets  int        `help:"Deal the devices over so many fleets, fleet-0 and so on." xor:"fleets"`
	Fleet   string     `help:"The one fleet of all devices; demo where nothing is said." xor:"fleets"`
	Prefix  string     `help:"Start of the device ids; the kind of vehicle where there is none."`
	Seed    uint64     `help:"The world: the same seed gives the same routes and the same messages." default:"1"`

	StartIndex int `help:"Number of the first device, for several simulators of one world."`

	For         time.Duration `help:"How long to send after the ramp; 0 is until Ctrl-C." default:"60s" aliases:"hold"`
	ConnectRate units.Rate    `help:"Connections a second; 500/s where nothing is said." xor:"ramp"`
	Ramp        time.Duration `help:"Spread all connections over this time instead." xor:"ramp"`
	RampDown    time.Duration `help:"Say goodbye over this time; at once where nothing is said."`
	Stage       *fleet.Stages `help:"Instead of all these, stages of a time and the devices at its end: 60s:5000,10m:5000,30s:0." placeholder:"STAGES"`

	QoS          byte          `name:"qos" help:"0 or 1." default:"0"`
	Commands     bool          `help:"Subscribe to commands and answer them."`
	CommandsFail units.Share   `help:"Share of the commands that the devices say failed." default:"0"`
	QoS1Share    units.Share   `name:"qos1-share" help:"Share of the devices that send at QoS 1 whatever --qos says." default:"0"`
	MQTTVersion  string        `name:"mqtt-version" help:"4 is MQTT 3.1.1; mixed makes every other device speak 5." enum:"4,5,mixed" default:"mixed"`
	Window       int           `help:"QoS 1 messages without a PUBACK, of a device." default:"32"`
	KeepAlive    time.Duration `name:"keepalive" help:"The devices' keep-alive." default:"60s"`
	Source       []string      `help:"A local address to connect from, or a range: 127.0.0.2-127.0.0.9; repeatable."`

	ClientCA    string `name:"client-ca" help:"A folder with an authority (ca.crt, ca.key), made where there is none: every device shows a certificate of its own." placeholder:"DIR"`
	ClientCerts string `help:"A folder with ID.crt and ID.key, which the device of that id shows." type:"existingdir" placeholder:"DIR"`

	Access accessFlags  `embed:""`
	World  worldFlags   `embed:""`
	Radio  trackerFlags `embed:""`
	Wrong  faultFlags   `embed:""`
	Shards shardFlags   `embed:""`
	Output outputFlags  `embed:""`
}

// worldFlags say where the vehicles are.
type worldFlags struct {
	Ships  units.Share `help:"Share of the devices that are ships." default:"0"`
	Parked units.Share `help:"Share of the vehicles that never move." default:"8%"`
	Place  []string    `help:"A city or corridor to which the vehicles are kept, as berlin; repeatable."`
	Day    string      `help:"Vehicles leave in the morning and stand in their depots at night; the run begins at this solar time, or now: 06:30, now." placeholder:"HH:MM"`
	Route  []string    `help:"A GPX or GeoJSON file whose lines are the only roads; repeatable." type:"existingfile"`
}

func (w *worldFlags) options() (routes.Options, error) {
	o := routes.Options{Ships: float64(w.Ships), Parked: float64(w.Parked), Places: w.Place}
	if o.Parked == 0 {
		o.Parked = -1 // nobody
	}
	var err error
	if o.Day, err = routes.ParseDay(w.Day, time.Now()); err != nil {
		return o, err
	}
	for _, file := range w.Route {
		lines, err := routes.ReadLines(file)
		if err != nil {
			return o, err
		}
		o.Lines = append(o.Lines, lines...)
	}
	return o, nil
}

// trackerFlags say what trackers make of it, and in which format.
type trackerFlags struct {
	Mix            payload.Mix       `help:"Formats and their weights: native=70,owntracks=20,teltonika=10." placeholder:"FORMATS"`
	Topic          map[string]string `help:"Another topic template for a format, with {fleet}, {device} and {id}: --topic nmea=boats/{device}." mapsep:"none"`
	Real           bool              `help:"As trackers are: an error of 4 m, tunnels, a cold start of 15 s, a report every 30 s (5 min parked), 250 m and 20 degrees."`
	Noise          float64           `help:"The receiver's error in metres; it wanders as a real one's does." default:"0"`
	Multipath      float64           `help:"How many metres reflections between high buildings of cities put a receiver off." default:"0"`
	Dishonest      units.Share       `help:"Share of the receivers whose accuracy does not say so." default:"50%"`
	Tunnels        bool              `help:"No fix and no network in tunnels: what was made there comes in a burst."`
	ColdStart      time.Duration     `help:"How long a receiver says 0,0 at first, and up to as long again."`
	ReportEvery    time.Duration     `help:"Report at least so often; at each look where no policy is given."`
	ReportParked   time.Duration     `help:"The same while it stands."`
	ReportDistance float64           `help:"Report after so many metres."`
	ReportHeading  float64           `help:"Report after a turn of so many degrees."`
}

func (f *trackerFlags) options() tracker.Options {
	if f.Real {
		return tracker.Options{
			Noise: 4, Multipath: f.Multipath, Dishonest: float64(f.Dishonest), Tunnels: true, ColdStart: 15 * time.Second,
			Policy: tracker.Policy{Every: 30 * time.Second, Parked: 5 * time.Minute, Distance: 250, Heading: 20},
		}
	}
	return tracker.Options{
		Noise: f.Noise, Multipath: f.Multipath, Dishonest: float64(f.Dishonest), Tunnels: f.Tunnels, ColdStart: f.ColdStart,
		Policy: tracker.Policy{Every: f.ReportEvery, Parked: f.ReportParked, Distance: f.ReportDistance, Heading: f.ReportHeading},
	}
}

// faultFlags say what goes wrong.
type faultFlags struct {
	Duplicates  units.Share   `help:"Share of the messages that are sent twice." default:"0"`
	Disorder    units.Share   `help:"Share of the messages that are sent after the one behind them." default:"0"`
	Malformed   units.Share   `help:"Share of the messages that are spoiled." default:"0"`
	ClockShare  units.Share   `help:"Share of the devices whose clock is off." default:"0"`
	ClockOffset time.Duration `help:"How far: -1h is slow." default:"-1h"`
}

func (c *fleetCommand) Run(ctx context.Context, t *terminal) error {
	o, err := c.options(t)
	if err != nil {
		return err
	}
	f, err := fleet.New(o)
	if err != nil {
		return err
	}
	ways := o.Ways()
	_, ways[0].Connections = o.Shard.Take(o.Devices)
	lacks := fleet.Preflight(0, ways...)
	for _, lack := range lacks {
		fmt.Fprintln(t.err, "missing:", lack)
	}
	if len(lacks) > 0 {
		return errors.New("this machine cannot hold so many connections")
	}
	thresholds, err := c.Output.thresholds("devices")
	if err != nil {
		return err
	}
	run, err := c.Shards.run(c.Seed, c.config())
	if err != nil {
		return err
	}
	recorded := report.Options{Name: "fleet", Command: t.command, Run: run, Devices: []report.DeviceGroup{{Name: "devices", Fleet: f}}, Thresholds: thresholds}
	return c.Output.record(ctx, recorded, func(ctx context.Context) error {
		err := f.Run(ctx)
		if err == nil && f.Counts().Connects == 0 {
			err = errors.New("no device was connected")
		}
		return err
	}, func() error { return t.write(f.Summary(), c.Output.JSON) })
}

// config is what is the same in all shards: without addresses, files of a machine, and what is told.
func (c *fleetCommand) config() fleetCommand {
	same := *c
	same.MQTT, same.Source, same.ClientCA, same.ClientCerts = "", nil, "", ""
	same.Access, same.Shards, same.Output = accessFlags{}, shardFlags{}, outputFlags{}
	same.World.Route = nil
	for _, file := range c.World.Route {
		same.World.Route = append(same.World.Route, filepath.Base(file))
	}
	return same
}

func (c *fleetCommand) options(t *terminal) (o fleet.Options, err error) {
	o = fleet.Options{
		MQTT: c.MQTT, Devices: c.Devices, StartIndex: c.StartIndex, Rate: c.Rate, For: c.For, Prefix: c.Prefix, Seed: c.Seed,
		Commands: c.Commands, CommandsFail: c.CommandsFail, QoS: c.QoS, QoS1: c.QoS1Share, Window: c.Window, KeepAlive: c.KeepAlive, Username: c.Access.Username, Password: c.Access.Password,
		ConnectRate: c.ConnectRate, Ramp: c.Ramp, RampDown: c.RampDown, Progress: t.err, Logger: t.log, Tracker: c.Radio.options(),
		Version:    map[string]mqttlite.Version{"4": mqttlite.V311, "5": mqttlite.V5}[c.MQTTVersion],
		ClockShare: c.Wrong.ClockShare, ClockOffset: c.Wrong.ClockOffset,
		Faults: fleet.Faults{Duplicates: c.Wrong.Duplicates, Disorder: c.Wrong.Disorder, Malformed: c.Wrong.Malformed},
	}
	if o.World, err = c.World.options(); err != nil {
		return o, err
	}
	if o.Mix, err = c.Radio.Mix.WithTopics(c.Radio.Topic); err != nil {
		return o, err
	}
	if o.Sources, err = fleet.ParseSources(c.Source); err != nil {
		return o, err
	}
	if o.TLS, err = c.Access.config(); err != nil {
		return o, err
	}
	if o.Certificate, err = certs.Clients(c.ClientCA, c.ClientCerts); err != nil {
		return o, err
	}
	if c.Access.Credentials != "" {
		if o.Identities, err = fleet.ReadIdentities(c.Access.Credentials); err != nil {
			return o, err
		}
	}
	c.names(&o)
	if c.Idle {
		o.Rate = 0
	}
	if c.Output.Quiet {
		o.Progress = io.Writer(nil)
	}
	return o, nil
}

func (c *fleetCommand) names(o *fleet.Options) {
	if c.Fleet != "" {
		o.Fleets = []string{c.Fleet}
	}
	if c.Fleets > 0 {
		for i := range min(c.Fleets, c.Devices) {
			o.Fleets = append(o.Fleets, fmt.Sprintf("fleet-%d", i))
		}
	}
	o.Shard = c.Shards.shard()
	if c.Stage != nil {
		o.Stages = *c.Stage
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/mqttlite"
	"github.com/fleetcast/fleetcast/simulator/units"
)

type fleetCommand struct {
	Devices    int           `help:"How many devices." default:"1000"`
	Rate       units.Rate    `help:"How often each device sends: 1/s, 12/m, 1/10s." default:"1/s"`
	Idle       bool          `help:"Connect and send nothing but the status."`
	MQTT       string        `help:"The broker, host:port." default:"127.0.0.1:1883"`
	For        time.Duration `help:"How long to send after the ramp; 0 is until Ctrl-C." default:"60s"`
	Fleets     int           `help:"Deal the devices over so many fleets, fleet-0 and so on." xor:"fleets"`
	Fleet      string        `help:"The one fleet of all devices; demo where nothing is said." xor:"fleets"`
	Prefix     string        `help:"Start of the device ids; the kind of vehicle where there is none."`
	StartIndex int           `help:"Number of the first device, for several simulators of one world."`
	Seed       uint64        `help:"The world: the same seed gives the same routes." default:"1"`

	QoS            byte          `name:"qos" help:"0 or 1." default:"0"`
	MQTTVersion    string        `name:"mqtt-version" help:"4 is MQTT 3.1.1; mixed makes every other device speak 5." enum:"4,5,mixed" default:"mixed"`
	Window         int           `help:"QoS 1 messages without a PUBACK, of a device." default:"32"`
	KeepAlive      time.Duration `name:"keepalive" help:"The devices' keep-alive." default:"60s"`
	Username       string        `help:"MQTT user name; the device's id where only a password is given."`
	Password       string        `help:"MQTT password." env:"FLEETCAST_SIMULATOR_PASSWORD"`
	OwnTracksShare units.Share   `name:"owntracks-share" help:"Share of the devices that speak OwnTracks: 10%." default:"0"`
	ConnectRate    units.Rate    `help:"Connections a second; 500/s where nothing is said." xor:"ramp"`
	Ramp           time.Duration `help:"Spread all connections over this time instead." xor:"ramp"`

	JSON  bool `name:"json" help:"Write the summary as JSON."`
	Quiet bool `help:"No progress."`
}

func (c *fleetCommand) Run(ctx context.Context, t *terminal) error {
	f, err := fleet.New(c.options(t))
	if err != nil {
		return err
	}
	lacks := fleet.Preflight(c.Devices, c.MQTT)
	for _, lack := range lacks {
		fmt.Fprintln(t.err, "missing:", lack)
	}
	if len(lacks) > 0 {
		return errors.New("this machine cannot hold so many connections")
	}
	runErr := f.Run(ctx)
	s := f.Summary()
	if runErr == nil && s.Whole.Connects == 0 {
		runErr = errors.New("no device was connected")
	}
	return errors.Join(runErr, t.write(s, c.JSON))
}

func (c *fleetCommand) options(t *terminal) fleet.Options {
	o := fleet.Options{
		MQTT: c.MQTT, Devices: c.Devices, StartIndex: c.StartIndex, Rate: c.Rate, For: c.For, Prefix: c.Prefix, Seed: c.Seed,
		OwnTracks: c.OwnTracksShare, QoS: c.QoS, Window: c.Window, KeepAlive: c.KeepAlive, Username: c.Username, Password: c.Password,
		ConnectRate: c.ConnectRate, Ramp: c.Ramp, Progress: t.err, Logger: t.log,
		Version: map[string]mqttlite.Version{"4": mqttlite.V311, "5": mqttlite.V5}[c.MQTTVersion],
	}
	if c.Fleet != "" {
		o.Fleets = []string{c.Fleet}
	}
	if c.Fleets > 0 {
		for i := range min(c.Fleets, c.Devices) {
			o.Fleets = append(o.Fleets, fmt.Sprintf("fleet-%d", i))
		}
	}
	if c.Idle {
		o.Rate = 0
	}
	if c.Quiet {
		o.Progress = io.Writer(nil)
	}
	return o
}

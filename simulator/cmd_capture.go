package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/simulator/capture"
)

// brokerFlags say which broker, and as whom.
type brokerFlags struct {
	MQTT   string      `help:"The broker, host:port or mqtts://host:port." default:"127.0.0.1:1883"`
	Access accessFlags `embed:""`
}

func (f *brokerFlags) broker() (capture.Broker, error) {
	config, err := f.Access.config()
	return capture.Broker{Address: f.MQTT, Username: f.Access.Username, Password: f.Access.Password, TLS: config}, err
}

type recordCommand struct {
	File   string        `arg:"" help:"Where to write, a message a line; - is the output."`
	Broker brokerFlags   `embed:""`
	Filter []string      `help:"A topic filter, repeatable; # where nothing is said."`
	QoS    byte          `name:"qos" help:"Of the subscriptions." default:"0"`
	For    time.Duration `help:"How long; 0 is until Ctrl-C."`
	Count  int64         `help:"How many messages; 0 is any number."`
	JSON   bool          `name:"json" help:"Write the summary as JSON."`
}

func (c *recordCommand) Run(ctx context.Context, t *terminal) error {
	broker, err := c.Broker.broker()
	if err != nil {
		return err
	}
	o := capture.RecordOptions{Broker: broker, Filters: c.Filter, QoS: min(c.QoS, 1), For: c.For, Count: c.Count}
	if c.File == "-" {
		_, err := capture.Record(ctx, o, t.out)
		return err
	}
	file, err := os.OpenFile(c.File, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("record: %w", err) // one that is there stays what it is
	}
	recorded, err := capture.Record(ctx, o, file)
	return errors.Join(err, file.Close(), t.write(recorded, c.JSON))
}

type replayCommand struct {
	File        string        `arg:"" help:"A recording." type:"existingfile"`
	Broker      brokerFlags   `embed:""`
	Speed       float64       `help:"How much faster than it was." default:"1"`
	Connections int           `help:"Over how many connections; a topic's messages keep their order." default:"4"`
	QoS         int           `name:"qos" help:"0 or 1 for all; -1 is as it was recorded." default:"-1"`
	MaxGap      time.Duration `help:"Shorten pauses that are longer."`
	Restamp     bool          `help:"Move the times in the payloads to the present, so that they are no old fixes."`
	Rename      string        `help:"Another beginning of topics: vehicles/=fleets/north/." placeholder:"FROM=TO"`
	JSON        bool          `name:"json" help:"Write the summary as JSON."`
}

func (c *replayCommand) Run(ctx context.Context, t *terminal) error {
	broker, err := c.Broker.broker()
	if err != nil {
		return err
	}
	file, err := os.Open(c.File)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	defer file.Close()
	o := capture.ReplayOptions{
		Broker: broker, Speed: c.Speed, Connections: c.Connections, QoS: c.QoS, MaxGap: c.MaxGap, Restamp: c.Restamp,
	}
	o.RenameFrom, o.RenameTo, _ = strings.Cut(c.Rename, "=")
	replayed, err := capture.Replay(ctx, o, file)
	return errors.Join(err, t.write(replayed, c.JSON))
}

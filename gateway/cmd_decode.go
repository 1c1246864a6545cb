package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/gateway/app"
)

// decodeCommand is `gateway decode`.
type decodeCommand struct {
	Topic    string    `help:"Topic that the payload came on." required:"" placeholder:"TOPIC"`
	Config   string    `help:"Settings file whose mappings and presets are to be tried as well." placeholder:"FILE"`
	Received time.Time `help:"When it is to have come, RFC 3339; now where nothing is said." placeholder:"TIME"`
}

// Help says where the payload comes from.
func (decodeCommand) Help() string {
	return "Reads a payload from standard input and prints what the gateway would make of it, and why, as one JSON object. Every preset is on."
}

// Run decodes the payload.
func (c *decodeCommand) Run(t *terminal) error {
	args := []string{}
	if c.Config != "" {
		args = append(args, "--config="+c.Config)
	}
	opts, err := app.Parse(args, t.out)
	if err != nil {
		return err
	}
	// One byte more than is ever decoded, so that what is too large is told to be.
	payload, err := io.ReadAll(io.LimitReader(t.in, dialect.MaxPayloadBytes+1))
	if err != nil {
		return fmt.Errorf("read payload: %w", err)
	}
	received := c.Received
	if received.IsZero() {
		received = time.Now()
	}
	decoding, err := opts.Decode(c.Topic, payload, received, nil)
	if err != nil {
		return err
	}
	out := json.NewEncoder(t.out)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	if err := out.Encode(decoding); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// presetsCommand is `gateway presets`.
type presetsCommand struct{}

// Run prints what is known.
func (presetsCommand) Run(t *terminal) error {
	for _, p := range dialect.Presets() {
		if _, err := fmt.Fprintf(t.out, "%-16s %s\n%16s fleet %s; %s\n", p.Name, p.About, "", p.Fleet, p.Topics); err != nil {
			return err
		}
	}
	return nil
}

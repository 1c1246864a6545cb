package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// commandsCommand is `gateway commands …`: what the API does with commands to devices, from the command line.
type commandsCommand struct {
	Send sendCommandCommand  `cmd:"" help:"Send a device a command."`
	List listCommandsCommand `cmd:"" help:"List commands, the newest first."`
	Show showCommandCommand  `cmd:"" help:"Show a command."`
}

type sendCommandCommand struct {
	remote
	output
	Device string            `arg:"" help:"Id of the device."`
	Name   string            `arg:"" help:"What it is to do, as the device calls it."`
	Param  map[string]string `help:"A parameter: NAME=VALUE, where a value that is JSON is passed on as such. Repeatable." placeholder:"NAME=VALUE"`
	Params string            `help:"All parameters, as JSON." placeholder:"JSON"`
	TTL    time.Duration     `name:"ttl" help:"How long it is of use, in whole seconds." default:"60s"`
	Wait   bool              `help:"Wait until it is done, and fail where it is not."`
}

// waitStep is the pause between looks at a command that is waited for.
const waitStep = 200 * time.Millisecond

// Run sends the command and, where asked, waits for its end.
func (c *sendCommandCommand) Run(ctx context.Context, t *terminal) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if err := c.call(ctx, http.MethodPost, devicePath(c.Device)+"/commands", nil, body, &raw); err != nil {
		return err
	}
	command, err := devices.ParseCommand(raw)
	if err != nil {
		return fmt.Errorf("read the gateway's answer: %w", err)
	}
	for c.Wait && !command.State.IsFinal() {
		timer := time.NewTimer(waitStep)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		if err := c.call(ctx, http.MethodGet, "/api/commands/"+command.ID.String(), nil, nil, &raw); err != nil {
			return err
		}
		if command, err = devices.ParseCommand(raw); err != nil {
			return fmt.Errorf("read the gateway's answer: %w", err)
		}
	}
	if err := show(t, c.JSON, raw, func() string { return commandText(command) }); err != nil {
		return err
	}
	if c.Wait && command.State != devices.CommandDone {
		return errors.New("the command was not carried out")
	}
	return nil
}

func (c *sendCommandCommand) body() (map[string]any, error) {
	body := map[string]any{"name": c.Name}
	switch {
	case c.TTL%time.Second != 0 || c.TTL <= 0:
		return nil, devices.Errorf(devices.Invalid, "ttl", "is no whole number of seconds")
	case c.Params != "" && len(c.Param) > 0:
		return nil, devices.Errorf(devices.Invalid, "params", "contradicts param")
	case c.Params != "" && !json.Valid([]byte(c.Params)):
		return nil, devices.Errorf(devices.Invalid, "params", "is no JSON")
	case c.Params != "":
		body["params"] = json.RawMessage(c.Params)
	case len(c.Param) > 0:
		params := map[string]any{}
		for name, value := range c.Param {
			if params[name] = any(value); json.Valid([]byte(value)) {
				params[name] = json.RawMessage(value)
			}
		}
		body["params"] = params
	}
	body["ttl"] = int64(c.TTL / time.Second)
	return body, nil
}

// commandText tells a command in columns.
func commandText(c *devices.Command) string {
	line := fmt.Sprintf("%s\t%s\t%s\t%s\t%s", c.ID, time.UnixMilli(c.Accepted).UTC().Format(time.RFC3339), c.Device, c.Name, c.State)
	if c.Error != "" {
		line += "\t" + c.Error
	}
	if len(c.Result) > 0 {
		line += "\t" + string(c.Result)
	}
	return line
}

type listCommandsCommand struct {
	remote
	output
	Fleet  []string `help:"Only of these fleets; repeatable." placeholder:"FLEET"`
	Device string   `help:"Only of this device." placeholder:"DEVICE"`
	State  string   `help:"Only those that are accepted, sent, delivered, done, failed or expired." placeholder:"STATE"`
}

// Run lists: a line each, JSON or columns.
func (c *listCommandsCommand) Run(ctx context.Context, t *terminal) error {
	query := url.Values{}
	if len(c.Fleet) > 0 {
		query["fleet"] = c.Fleet
	}
	if c.Device != "" {
		query.Set("device", c.Device)
	}
	if c.State != "" {
		query.Set("state", c.State)
	}
	return c.pages(ctx, "/api/commands", "commands", query, func(item json.RawMessage) error { return c.tell(t, item) })
}

func (o *output) tell(t *terminal, item json.RawMessage) error {
	command, err := devices.ParseCommand(item)
	if err != nil {
		return fmt.Errorf("read the gateway's answer: %w", err)
	}
	return show(t, o.JSON, item, func() string { return commandText(command) })
}

type showCommandCommand struct {
	remote
	output
	ID string `arg:"" help:"Id of the command."`
}

// Run shows the command.
func (c *showCommandCommand) Run(ctx context.Context, t *terminal) error {
	var raw json.RawMessage
	if err := c.call(ctx, http.MethodGet, "/api/commands/"+url.PathEscape(c.ID), nil, nil, &raw); err != nil {
		return err
	}
	return c.tell(t, raw)
}

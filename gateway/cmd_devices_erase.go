package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/fleetcast/fleetcast/gateway/history"
)

// eraseDeviceCommand is `gateway devices erase`: all that is kept of a device, on somebody's request.
type eraseDeviceCommand struct {
	remote
	output
	ID         string `arg:"" help:"Id of the device, whether it is registered or not."`
	HistoryDir string `help:"Directory of a history on this machine that the gateway that is asked does not write itself." env:"FLEETCAST_HISTORY_DIR" placeholder:"DIR"`
}

// erased is what became of it: the gateway's answer.
type erased struct {
	ID         string   `json:"id"`
	Registered bool     `json:"registered"` // it was in the registry, or in quarantine
	Live       bool     `json:"live"`       // it had a live state
	Compacted  bool     `json:"compacted"`  // the files of the gateway's directory do not have it any more
	Readings   int      `json:"readings_of_history"`
	Remains    []string `json:"remains"` // what people have to see to, in words
}

// Run erases. What it cannot reach it says; it may be run again.
func (c *eraseDeviceCommand) Run(ctx context.Context, t *terminal) error {
	var done erased
	if err := c.call(ctx, http.MethodPost, devicePath(c.ID)+"/erase", nil, nil, &done); err != nil {
		return err
	}
	if err := c.forget(&done); err != nil {
		return err
	}
	raw, err := json.Marshal(&done)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	return show(t, c.JSON, raw, func() string {
		text := c.ID + " is erased"
		if !done.Registered && !done.Live {
			text = c.ID + " was neither registered nor seen; what there was of it is erased"
		}
		text += fmt.Sprintf("; %d readings of the history are deleted", done.Readings)
		for _, what := range done.Remains {
			text += "\nWhat remains: " + what + "."
		}
		return text
	})
}

// forget deletes what the history's files of this machine have.
func (c *eraseDeviceCommand) forget(done *erased) error {
	if c.HistoryDir == "" {
		return nil
	}
	n, open, err := history.Forget(c.HistoryDir, history.Choice{Device: c.ID}, history.DefaultRotate)
	done.Readings += n
	if open > 0 {
		done.Remains = append(done.Remains, fmt.Sprintf("%d files of the history that may still be written to: run this again in an hour", open))
	}
	if err != nil {
		return errors.Join(errors.New("the device is deleted, and not all of its history"), err)
	}
	return nil
}

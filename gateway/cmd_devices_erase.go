package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/fleetcast/fleetcast/gateway/history"
)

// eraseDeviceCommand is `gateway devices erase`: all that is kept of a device, on somebody's request.
type eraseDeviceCommand struct {
	remote
	output
	ID         string `arg:"" help:"Id of the device, whether it is registered or not."`
	Admin      string `help:"Admin address of the running gateway, which has the files of its directory written anew." default:"http://127.0.0.1:8081" env:"FLEETCAST_ADMIN" placeholder:"URL"`
	HistoryDir string `help:"Directory of --history-dir, where there is one." env:"FLEETCAST_HISTORY_DIR" placeholder:"DIR"`
}

// erased is what became of it.
type erased struct {
	ID         string   `json:"id"`
	Registered bool     `json:"registered"`          // it was in the registry
	Live       bool     `json:"live"`                // it had a live state, which the deletion of a registered one may have ended before
	Readings   int      `json:"readings_of_history"` // deleted from the history's files
	Remains    []string `json:"remains,omitempty"`   // what people have to see to, in words
}

// eraseMost bounds the wait for the device's owner; eraseLook is how often it is asked for.
const (
	eraseMost = 30 * time.Second
	eraseLook = 50 * time.Millisecond
)

// Run erases. What it cannot reach it says; it may be run again.
func (c *eraseDeviceCommand) Run(ctx context.Context, t *terminal) error {
	done := erased{ID: c.ID}
	var err error
	if done.Registered, err = c.remove(ctx, devicePath(c.ID)); err != nil {
		return err
	}
	if done.Live, err = c.remove(ctx, assetPath(c.ID)); err != nil {
		return err
	}
	if err := c.awaitEnd(ctx); err != nil {
		return err
	}
	// One that registered itself by its first words may have come into the registry meanwhile.
	late, err := c.remove(ctx, devicePath(c.ID))
	if err != nil {
		return err
	}
	done.Registered = done.Registered || late
	if err := c.compact(ctx, &done); err != nil {
		return err
	}
	if err := c.forget(&done); err != nil {
		return err
	}
	done.Remains = append(done.Remains, "lines of the audit log that name it, commands and ended alerts until they are pruned, and backups that were made before")
	raw, err := json.Marshal(&done)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	return show(t, c.JSON, raw, func() string {
		text := c.ID + " is erased"
		if !done.Registered && !done.Live {
			text = c.ID + " was neither registered nor seen"
		}
		text += fmt.Sprintf("; %d readings of the history are deleted", done.Readings)
		for _, what := range done.Remains {
			text += "\nWhat remains: " + what + "."
		}
		return text
	})
}

// remove deletes what is at a path, and tells whether something was.
func (c *eraseDeviceCommand) remove(ctx context.Context, path string) (bool, error) {
	err := c.call(ctx, http.MethodDelete, path, nil, nil, nil)
	if isMissing(err) {
		return false, nil
	}
	return err == nil, err
}

func assetPath(id string) string { return "/api/assets/" + url.PathEscape(id) }

// awaitEnd waits until the device's owner has removed it: what is written anew before has it still.
func (c *eraseDeviceCommand) awaitEnd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, eraseMost)
	defer cancel()
	look := time.NewTicker(eraseLook)
	defer look.Stop()
	for {
		err := c.call(ctx, http.MethodGet, assetPath(c.ID), nil, nil, nil)
		switch {
		case isMissing(err):
			return nil
		case err != nil && ctx.Err() == nil:
			return err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("%s is there again: shut it out first, for it goes on speaking: %w", c.ID, ctx.Err())
		}
	}
}

// compact has the files of the directory written anew.
func (c *eraseDeviceCommand) compact(ctx context.Context, done *erased) error {
	running := remote{Server: c.Admin, DataDir: c.DataDir, CAFile: c.CAFile, Token: c.Token}
	err := running.call(ctx, http.MethodPost, "/-/compact", nil, nil, nil)
	if isMissing(err) {
		done.Remains = append(done.Remains, "what Redis's files hold until its next BGSAVE or BGREWRITEAOF, as there is no directory")
		return nil
	}
	if err != nil {
		return fmt.Errorf("the device is deleted, and its words are still in the log's files: %w", err)
	}
	return nil
}

// forget deletes what the history's files have.
func (c *eraseDeviceCommand) forget(done *erased) error {
	if c.HistoryDir == "" {
		done.Remains = append(done.Remains, "the history, if --history-dir is set at the gateway, and PostgreSQL if it is loaded there")
		return nil
	}
	n, open, err := history.Forget(c.HistoryDir, history.Choice{Device: c.ID}, history.DefaultRotate)
	done.Readings = n
	if open > 0 {
		done.Remains = append(done.Remains, fmt.Sprintf("%d files of the history that may still be written to: run this again in an hour", open))
	}
	if err != nil {
		return errors.Join(errors.New("the device is deleted, and not all of its history"), err)
	}
	return nil
}

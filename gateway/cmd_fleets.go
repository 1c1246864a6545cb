package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
)

// fleetsCommand is `gateway fleets …`: what the API's /api/fleets does, from the command line.
type fleetsCommand struct {
	Create createFleetCommand `cmd:"" help:"Make a fleet."`
	List   listFleetsCommand  `cmd:"" help:"List fleets."`
	Show   showFleetCommand   `cmd:"" help:"Show a fleet."`
	Update updateFleetCommand `cmd:"" help:"Change a fleet."`
	Delete deleteFleetCommand `cmd:"" help:"Delete a fleet that has no devices."`
}

func fleetPath(id string) string { return "/api/fleets/" + url.PathEscape(id) }

// fleetFlags are what people say about a fleet.
type fleetFlags struct {
	deviceFlags
	MaxDevices  *int   `help:"How many devices it may have; 0: no bound of its own." placeholder:"N"`
	Silence     *int   `name:"silence-s" help:"After how many seconds of silence a device without a connection here is offline; 0: learned." placeholder:"N"`
	RetireAfter *int   `name:"retire-after-s" help:"After how many seconds of silence an asset is removed; 0: never." placeholder:"N"`
	Alerts      *int   `name:"alerts-s" help:"For how many seconds alerts can be looked up after they were cleared; 0: as --alerts-keep says." placeholder:"N"`
	History     *int   `name:"history-s" help:"For how many seconds readings are kept in the history; 0: as --history-keep says." placeholder:"N"`
	Hygiene     string `help:"What of its readings is believed: an object of JSON that is merged into what is set." placeholder:"JSON"`
}

func (f *fleetFlags) members() (map[string]any, error) {
	m := f.deviceFlags.members()
	for name, value := range map[string]*int{"max_devices": f.MaxDevices, "silence_s": f.Silence, "retire_after_s": f.RetireAfter, "alerts_s": f.Alerts, "history_s": f.History} {
		if value != nil {
			m[name] = *value
		}
	}
	if f.Hygiene != "" {
		if !json.Valid([]byte(f.Hygiene)) {
			return nil, devices.Errorf(devices.Invalid, "hygiene", "is no JSON")
		}
		m["hygiene"] = json.RawMessage(f.Hygiene)
	}
	return m, nil
}

type createFleetCommand struct {
	remote
	output
	fleetFlags
	ID string `arg:""`
}

// Run makes the fleet and shows it.
func (c *createFleetCommand) Run(ctx context.Context, t *terminal) error {
	body, err := c.members()
	if err != nil {
		return err
	}
	body["id"] = c.ID
	var f json.RawMessage
	if err := c.call(ctx, http.MethodPost, "/api/fleets", nil, body, &f); err != nil {
		return err
	}
	return show(t, true, f, nil)
}

type listFleetsCommand struct {
	remote
	output
}

// Run lists: a line each, JSON or columns.
func (c *listFleetsCommand) Run(ctx context.Context, t *terminal) error {
	return c.pages(ctx, "/api/fleets", "fleets", url.Values{}, func(item json.RawMessage) error {
		return show(t, c.JSON, item, func() string {
			var f struct {
				ID, Name string
				Devices  int
			}
			if json.Unmarshal(item, &f) != nil {
				return string(item)
			}
			return strings.TrimRight(fmt.Sprintf("%-32s %8d %s", f.ID, f.Devices, f.Name), " ")
		})
	})
}

type showFleetCommand struct {
	remote
	output
	ID string `arg:""`
}

// Run shows the fleet as the API does.
func (c *showFleetCommand) Run(ctx context.Context, t *terminal) error {
	var f json.RawMessage
	if err := c.call(ctx, http.MethodGet, fleetPath(c.ID), nil, nil, &f); err != nil {
		return err
	}
	return show(t, true, f, nil)
}

type updateFleetCommand struct {
	remote
	output
	fleetFlags
	ID string `arg:""`
}

// Run changes what the flags name, and shows the fleet.
func (c *updateFleetCommand) Run(ctx context.Context, t *terminal) error {
	patch, err := c.members()
	if err != nil {
		return err
	}
	if len(patch) == 0 {
		return devices.Errorf(devices.Invalid, "update", "has nothing to change")
	}
	var f json.RawMessage
	if err := c.call(ctx, http.MethodPatch, fleetPath(c.ID), nil, patch, &f); err != nil {
		return err
	}
	return show(t, true, f, nil)
}

type deleteFleetCommand struct {
	remote
	output
	ID string `arg:""`
}

// Run deletes the fleet.
func (c *deleteFleetCommand) Run(ctx context.Context, t *terminal) error {
	if err := c.call(ctx, http.MethodDelete, fleetPath(c.ID), nil, nil, nil); err != nil {
		return err
	}
	return c.gone(t, "id", c.ID, "gone")
}

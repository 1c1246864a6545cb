package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
)

// keptCommand is `gateway rules …`, `fences …` and `webhooks …`: what the API's paths of those names do, from the command
// line. What is made comes from a file of JSON as the API takes it: one object, or an array of them.
type keptCommand struct {
	List   listKeptCommand   `cmd:"" help:"List them."`
	Show   showKeptCommand   `cmd:"" help:"Show one."`
	Create createKeptCommand `cmd:"" help:"Make what a file of JSON says: an object, or an array of objects."`
	Update updateKeptCommand `cmd:"" help:"Change one by a merge patch (RFC 7396)."`
	Delete deleteKeptCommand `cmd:"" help:"Delete one."`
}

// commandParent is the word before the last of the command as it was called: which things it is about.
type commandParent string

func (p commandParent) path() string { return "/api/" + string(p) }

func (p commandParent) one(id string) string { return p.path() + "/" + url.PathEscape(id) }

type listKeptCommand struct {
	remote
	output
}

// Run lists: a line each, JSON or columns.
func (c *listKeptCommand) Run(ctx context.Context, t *terminal, of *commandParent) error {
	return c.pages(ctx, of.path(), string(*of), url.Values{}, func(item json.RawMessage) error {
		return show(t, c.JSON, item, func() string { return keptLine(item) })
	})
}

// keptLine is a rule, a fence or a webhook for people.
func keptLine(item json.RawMessage) string {
	var k struct {
		ID, Name, Severity, Fault, URL string
		Disabled                       bool
		When                           struct{ Type string }
		Geometry                       struct{ Type string }
		Status                         struct{ State string }
	}
	if json.Unmarshal(item, &k) != nil {
		return string(item)
	}
	kind := k.When.Type + k.Geometry.Type + k.Status.State
	line := fmt.Sprintf("%-24s %-10s %-8s %s%s", k.ID, kind, k.Severity, k.Name, k.URL)
	if k.Disabled {
		line += " (disabled)"
	}
	if k.Fault != "" {
		line += " (" + k.Fault + ")"
	}
	return strings.TrimRight(line, " ")
}

type showKeptCommand struct {
	remote
	ID string `arg:""`
}

// Run shows one as the API does.
func (c *showKeptCommand) Run(ctx context.Context, t *terminal, of *commandParent) error {
	var v json.RawMessage
	if err := c.call(ctx, http.MethodGet, of.one(c.ID), nil, nil, &v); err != nil {
		return err
	}
	return show(t, true, v, nil)
}

type createKeptCommand struct {
	remote
	File string `arg:"" help:"The file; - is standard input."`
}

// maxKeptFile bounds what is read of a file.
const maxKeptFile = 64 << 20

// Run makes them and shows each. It ends at the first that is refused; what came before it is made.
func (c *createKeptCommand) Run(ctx context.Context, t *terminal, of *commandParent) error {
	items, err := readItems(c.File, t.in)
	if err != nil {
		return err
	}
	for i, item := range items {
		var v json.RawMessage
		if err := c.call(ctx, http.MethodPost, of.path(), nil, item, &v); err != nil {
			return fmt.Errorf("number %d of %d: %w", i+1, len(items), err)
		}
		if err := show(t, true, v, nil); err != nil {
			return err
		}
	}
	return nil
}

// readItems reads an object, or an array of them.
func readItems(path string, in io.Reader) ([]json.RawMessage, error) {
	if path != "-" {
		f, err := os.Open(path) //nolint:gosec // who calls the command names the file
		if err != nil {
			return nil, devices.Errorf(devices.Invalid, "file", "%v", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxKeptFile))
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	if text = bytes.TrimSpace(text); len(text) > 0 && text[0] == '[' {
		var items []json.RawMessage
		if err := json.Unmarshal(text, &items); err != nil {
			return nil, devices.Errorf(devices.Invalid, "file", "is no JSON: %v", err)
		}
		return items, nil
	}
	if !json.Valid(text) {
		return nil, devices.Errorf(devices.Invalid, "file", "is no JSON")
	}
	return []json.RawMessage{text}, nil
}

type updateKeptCommand struct {
	remote
	ID    string `arg:""`
	Patch string `arg:"" help:"An object of JSON with the members that change; null removes one."`
}

// Run changes one and shows it.
func (c *updateKeptCommand) Run(ctx context.Context, t *terminal, of *commandParent) error {
	if !json.Valid([]byte(c.Patch)) {
		return devices.Errorf(devices.Invalid, "patch", "is no JSON")
	}
	var v json.RawMessage
	if err := c.call(ctx, http.MethodPatch, of.one(c.ID), nil, json.RawMessage(c.Patch), &v); err != nil {
		return err
	}
	return show(t, true, v, nil)
}

type deleteKeptCommand struct {
	remote
	ID string `arg:""`
}

// Run deletes one.
func (c *deleteKeptCommand) Run(ctx context.Context, t *terminal, of *commandParent) error {
	if err := c.call(ctx, http.MethodDelete, of.one(c.ID), nil, nil, nil); err != nil {
		return err
	}
	return show(t, false, nil, func() string { return c.ID + " is gone" })
}

// alertsCommand is `gateway alerts …`.
type alertsCommand struct {
	List        listAlertsCommand  `cmd:"" help:"List alerts, the newest first: those that are open, and those that were cleared lately."`
	Acknowledge acknowledgeCommand `cmd:"" help:"Say that you have seen an alert."`
}

type listAlertsCommand struct {
	remote
	output
	Fleet []string `help:"Only of these." placeholder:"FLEET"`
	State string   `help:"Only those that are open, raised, acknowledged or cleared." placeholder:"STATE"`
}

// Run lists: a line each, JSON or columns.
func (c *listAlertsCommand) Run(ctx context.Context, t *terminal) error {
	query := url.Values{"fleet": c.Fleet}
	if c.State != "" {
		query.Set("state", c.State)
	}
	return c.pages(ctx, "/api/alerts", "alerts", query, func(item json.RawMessage) error {
		return show(t, c.JSON, item, func() string {
			var a struct{ ID, State, Severity, Fleet, Device, Text, By string }
			if json.Unmarshal(item, &a) != nil {
				return string(item)
			}
			return strings.TrimRight(fmt.Sprintf("%s %-12s %-8s %s/%s %s %s", a.ID, a.State, a.Severity, a.Fleet, a.Device, a.Text, a.By), " ")
		})
	})
}

type acknowledgeCommand struct {
	remote
	ID   string `arg:""`
	Text string `help:"What you want to say to it."`
}

// Run acknowledges the alert.
func (c *acknowledgeCommand) Run(ctx context.Context, t *terminal) error {
	body := map[string]string{}
	if c.Text != "" {
		body["text"] = c.Text
	}
	if err := c.call(ctx, http.MethodPost, "/api/alerts/"+url.PathEscape(c.ID)+"/acknowledge", nil, body, nil); err != nil {
		return err
	}
	return show(t, false, nil, func() string { return c.ID + " is acknowledged" })
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
)

// devicesCommand is `gateway devices …`: what the API's /api/devices does, from the command line.
type devicesCommand struct {
	Create  createDeviceCommand  `cmd:"" help:"Register a device and print its token, which is shown once."`
	List    listDevicesCommand   `cmd:"" help:"List devices."`
	Show    showDeviceCommand    `cmd:"" help:"Show a device."`
	Update  updateDeviceCommand  `cmd:"" help:"Change a device, or move it to another fleet."`
	Disable statusCommand        `cmd:"" help:"Shut a device out and end its connections."`
	Enable  statusCommand        `cmd:"" help:"Let a disabled device in again."`
	Delete  deleteDeviceCommand  `cmd:"" help:"Delete a device, its credential and its live state."`
	Erase   eraseDeviceCommand   `cmd:"" help:"Delete a device and what it said: in the registry, the live state, the files of the directory and the history."`
	Rotate  rotateDeviceCommand  `cmd:"" help:"Make a new token, which is shown once; the one before ends."`
	Approve approveDeviceCommand `cmd:"" help:"Let a device in that is in quarantine."`
	Reject  rejectDeviceCommand  `cmd:"" help:"Take a device out of the quarantine without letting it in."`
	Import  importDevicesCommand `cmd:"" help:"Register the devices of a CSV or JSON file. Prints a line of JSON for each, with its token."`
	Export  exportDevicesCommand `cmd:"" help:"Write all devices as CSV or JSON."`
}

// output is how a command tells its result.
type output struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// gone tells that something is not there any more: a line, or an object with its name.
func (o *output) gone(t *terminal, member, name, how string) error {
	raw, err := json.Marshal(map[string]string{member: name})
	if err != nil {
		return err
	}
	return show(t, o.JSON, raw, func() string { return name + " is " + how })
}

func devicePath(id string) string { return "/api/devices/" + url.PathEscape(id) }

// deviceFlags are what people say about a device.
type deviceFlags struct {
	Name     *string           `help:"What people call it."`
	Meta     map[string]string `help:"Metadata: NAME=VALUE. An empty value removes the name." placeholder:"NAME=VALUE"`
	Messages *int              `name:"messages-per-second" help:"How many messages it may send a second; 0: what its fleet may." placeholder:"N"`
	Bytes    *int              `name:"bytes-per-second" help:"How many bytes it may send a second; 0: what its fleet may." placeholder:"N"`
	Burst    *int              `name:"burst-s" help:"How many seconds' worth may come at once." placeholder:"N"`
}

// members are the flags as a merge patch (RFC 7396).
func (f *deviceFlags) members() map[string]any {
	m := map[string]any{}
	if f.Name != nil {
		m["name"] = *f.Name
	}
	if len(f.Meta) > 0 {
		meta := map[string]any{}
		for name, value := range f.Meta {
			if meta[name] = any(value); value == "" {
				meta[name] = nil
			}
		}
		m["metadata"] = meta
	}
	limits := map[string]any{}
	for name, value := range map[string]*int{"messages_per_second": f.Messages, "bytes_per_second": f.Bytes, "burst_s": f.Burst} {
		if value != nil {
			limits[name] = *value
		}
	}
	if len(limits) > 0 {
		m["limits"] = limits
	}
	return m
}

// secretFlags are how a device is to prove who it is.
type secretFlags struct {
	PasswordFile string `help:"File whose first line is the password that the device has, in place of a token; - is standard input." placeholder:"FILE"`
	NoCredential bool   `help:"Make no token: the device shows a certificate or a JWT."`
}

func (f *secretFlags) into(t *terminal, m map[string]any) error {
	switch {
	case f.NoCredential && f.PasswordFile != "":
		return devices.Errorf(devices.Invalid, "no-credential", "contradicts password-file")
	case f.NoCredential:
		m["credential"] = "none"
	case f.PasswordFile != "":
		password, err := firstLine(t, f.PasswordFile)
		if err != nil {
			return fmt.Errorf("read password: %w", err)
		}
		m["password"] = password
	}
	return nil
}

// shownSecret is what the gateway answers where it made a secret.
type shownSecret struct {
	ID    string `json:"id"`
	Fleet string `json:"fleet,omitempty"`
	Token string `json:"token,omitempty"`
}

func (s *shownSecret) tell(t *terminal, asJSON bool) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	return show(t, asJSON, raw, func() string {
		text := s.ID
		if s.Fleet != "" {
			text += " in fleet " + s.Fleet
		}
		if s.Token == "" {
			return text
		}
		return text + "\nMQTT user name: " + s.ID + "\nMQTT password:  " + s.Token + "\nThe password is not shown again."
	})
}

type createDeviceCommand struct {
	remote
	output
	deviceFlags
	secretFlags
	ID    string `arg:"" help:"Id of the device, unique in the installation."`
	Fleet string `required:"" help:"Fleet of the device; it is made where there is none."`
}

// Run creates the device.
func (c *createDeviceCommand) Run(ctx context.Context, t *terminal) error {
	body := c.members()
	body["id"], body["fleet"] = c.ID, c.Fleet
	if err := c.into(t, body); err != nil {
		return err
	}
	var made shownSecret
	if err := c.call(ctx, http.MethodPost, "/api/devices", nil, body, &made); err != nil {
		return err
	}
	return made.tell(t, c.JSON)
}

// deviceFilter selects devices.
type deviceFilter struct {
	Fleet  []string `help:"Only devices of these fleets."`
	Status string   `help:"Only devices of this status: enabled, disabled or quarantined."`
	Search string   `help:"Only devices with this text in id, name or metadata."`
}

func (f *deviceFilter) query() url.Values {
	q := url.Values{}
	for _, fleet := range f.Fleet {
		q.Add("fleet", fleet)
	}
	if f.Status != "" {
		q.Set("status", f.Status)
	}
	if f.Search != "" {
		q.Set("search", f.Search)
	}
	return q
}

type listDevicesCommand struct {
	remote
	output
	deviceFilter
}

// Run lists: a line each, JSON or columns.
func (c *listDevicesCommand) Run(ctx context.Context, t *terminal) error {
	return c.pages(ctx, "/api/devices", "devices", c.query(), func(item json.RawMessage) error {
		return show(t, c.JSON, item, func() string {
			var d struct{ ID, Fleet, Name, Status, Address string }
			if json.Unmarshal(item, &d) != nil {
				return string(item)
			}
			return strings.TrimRight(fmt.Sprintf("%-32s %-16s %-12s %s%s", d.ID, d.Fleet, d.Status, d.Name, d.Address), " ")
		})
	})
}

type showDeviceCommand struct {
	remote
	output
	ID string `arg:""`
}

// Run shows the device as the API does.
func (c *showDeviceCommand) Run(ctx context.Context, t *terminal) error {
	var d json.RawMessage
	if err := c.call(ctx, http.MethodGet, devicePath(c.ID), nil, nil, &d); err != nil {
		return err
	}
	return show(t, true, d, nil)
}

type updateDeviceCommand struct {
	remote
	output
	deviceFlags
	ID    string `arg:""`
	Fleet string `help:"Move it to this fleet."`
}

// Run changes what the flags name, and shows the device.
func (c *updateDeviceCommand) Run(ctx context.Context, t *terminal) error {
	patch := c.members()
	if c.Fleet != "" {
		patch["fleet"] = c.Fleet
	}
	if len(patch) == 0 {
		return devices.Errorf(devices.Invalid, "update", "has nothing to change")
	}
	var d json.RawMessage
	if err := c.call(ctx, http.MethodPatch, devicePath(c.ID), nil, patch, &d); err != nil {
		return err
	}
	return show(t, true, d, nil)
}

// statusCommand is disable or enable, as it is called.
type statusCommand struct {
	remote
	output
	ID string `arg:""`
}

// Run sets the status that the command's name says.
func (c *statusCommand) Run(ctx context.Context, t *terminal, called *commandName) error {
	status := string(*called) + "d"
	var d json.RawMessage
	if err := c.call(ctx, http.MethodPatch, devicePath(c.ID), nil, map[string]string{"status": status}, &d); err != nil {
		return err
	}
	return show(t, c.JSON, d, func() string { return c.ID + " is " + status })
}

type deleteDeviceCommand struct {
	remote
	output
	ID string `arg:""`
}

// Run deletes the device.
func (c *deleteDeviceCommand) Run(ctx context.Context, t *terminal) error {
	if err := c.call(ctx, http.MethodDelete, devicePath(c.ID), nil, nil, nil); err != nil {
		return err
	}
	return c.gone(t, "id", c.ID, "gone")
}

type rejectDeviceCommand struct {
	remote
	output
	ID string `arg:""`
}

// Run takes the device out of quarantine. A registered one stays.
func (c *rejectDeviceCommand) Run(ctx context.Context, t *terminal) error {
	if err := c.call(ctx, http.MethodDelete, devicePath(c.ID), url.Values{"status": {"quarantined"}}, nil, nil); err != nil {
		return err
	}
	return c.gone(t, "id", c.ID, "rejected")
}

type rotateDeviceCommand struct {
	remote
	output
	secretFlags
	ID string `arg:""`
}

// Run makes the secret.
func (c *rotateDeviceCommand) Run(ctx context.Context, t *terminal) error {
	body := map[string]any{}
	if err := c.into(t, body); err != nil {
		return err
	}
	var made shownSecret
	if err := c.call(ctx, http.MethodPost, devicePath(c.ID)+"/credential", nil, body, &made); err != nil {
		return err
	}
	return made.tell(t, c.JSON)
}

type approveDeviceCommand struct {
	remote
	output
	ID           string `arg:""`
	Fleet        string `help:"Its fleet, where it named none itself."`
	KeepPassword bool   `help:"What it showed when it came stays its password. Without this a token is made."`
}

// Run lets the device in.
func (c *approveDeviceCommand) Run(ctx context.Context, t *terminal) error {
	var made shownSecret
	body := map[string]any{"fleet": c.Fleet, "keep_password": c.KeepPassword}
	if err := c.call(ctx, http.MethodPost, devicePath(c.ID)+"/approve", nil, body, &made); err != nil {
		return err
	}
	return made.tell(t, c.JSON)
}

// firstLine reads a secret, so that it needs no argument that other users of the machine see.
func firstLine(t *terminal, path string) (string, error) {
	in := t.in
	if path != "-" {
		f, err := os.Open(path) //nolint:gosec // the path is the argument itself
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	text := make([]byte, 4096)
	n := 0
	for n < len(text) {
		got, err := in.Read(text[n:])
		n += got
		if err != nil || strings.Contains(string(text[:n]), "\n") {
			break
		}
	}
	line, _, _ := strings.Cut(string(text[:n]), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}

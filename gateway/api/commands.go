package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/registry"
	"github.com/fleetcast/fleetcast/gateway/audit"
	"github.com/fleetcast/fleetcast/gateway/command"
)

// Commands is how people's commands get to devices, and where it is seen what became of them: a command.Desk, or a fake.
type Commands interface {
	Send(ctx context.Context, r command.Request) (row *command.Row, repeated bool, err error)
	Get(ctx context.Context, id devices.CommandID) (*command.Row, error)
	List(q command.Query) (rows []*command.Row, next string, err error)
}

const (
	commandsPath = "/api/commands/"
	// maxKeyBytes bounds an Idempotency-Key.
	maxKeyBytes = 255
)

var errNoCommand = &devices.Error{Kind: devices.NotFound, Detail: "there is no such command"}

// commandBody is what is asked of a device.
type commandBody struct {
	Name   string  `json:"name"`
	Params rawJSON `json:"params,omitempty"`
	TTL    *int64  `json:"ttl,omitempty"` // seconds
}

// rawJSON is a member that is passed on as it is.
type rawJSON []byte

// UnmarshalJSON keeps the bytes.
func (r *rawJSON) UnmarshalJSON(b []byte) error {
	*r = append((*r)[:0], b...)
	return nil
}

// commandRoutes are those of commands.
func (a *API) commandRoutes(route func(method, path string, n need, f callerHandler)) {
	viewer := need{role: devices.Viewer}
	route(http.MethodPost, "/api/devices/{id}/commands", need{role: devices.Operator}, a.sendCommand)
	route(http.MethodGet, "/api/devices/{id}/commands", viewer, a.listDeviceCommands)
	route(http.MethodGet, "/api/commands", viewer, a.listCommands)
	route(http.MethodGet, "/api/commands/{id}", viewer, a.oneCommand)
}

// Command sends a device a command, as POST /api/devices/{id}/commands does: body is that of the request, and key its
// Idempotency-Key or "". It returns the command as JSON. It is the one way: the caller's role and scope are asked here.
func (a *API) Command(ctx context.Context, c *devices.Caller, device devices.DeviceID, body []byte, key string) ([]byte, error) {
	row, _, err := a.command(ctx, c, device, body, key)
	if err != nil {
		return nil, err
	}
	return row.Data, nil
}

func (a *API) command(
	ctx context.Context, c *devices.Caller, device devices.DeviceID, body []byte, key string,
) (row *command.Row, repeated bool, err error) {
	if a.options.Commands == nil {
		return nil, false, devices.Errorf(devices.NotFound, "", "this process takes no commands")
	}
	if !c.May(devices.Operator) {
		return nil, false, devices.Errorf(devices.Forbidden, "", "this needs the role %s", devices.Operator)
	}
	fleet, err := a.commanded(c, device)
	if err != nil {
		return nil, false, err
	}
	var in commandBody
	if err := registry.DecodeStrict(body, &in); err != nil {
		return nil, false, err
	}
	r := command.Request{Device: device, Fleet: fleet, Name: in.Name, Params: in.Params, By: c.Subject, Key: key}
	if in.TTL != nil {
		if *in.TTL < 1 || *in.TTL > int64(command.MaxTTL/time.Second) {
			return nil, false, devices.Errorf(devices.Invalid, "ttl", "is not from 1 to %d seconds", int64(command.MaxTTL/time.Second))
		}
		r.TTL = time.Duration(*in.TTL) * time.Second
	}
	if len(key) > maxKeyBytes {
		return nil, false, devices.Errorf(devices.Invalid, "Idempotency-Key", "is longer than %d bytes", maxKeyBytes)
	}
	row, repeated, err = a.options.Commands.Send(ctx, r)
	if err == nil && !repeated {
		a.record(ctx, c, audit.Entry{Action: sendCommandAction, Device: device, Fleet: fleet, Command: row.ID, Name: row.Name})
	}
	return row, repeated, err
}

// commanded is the fleet of a device that the caller may command: of the registry's, or of one that is only live. Of
// another's device it says what it says of none.
func (a *API) commanded(c *devices.Caller, id devices.DeviceID) (devices.FleetID, error) {
	if a.options.Registry != nil {
		if d, ok := a.options.Registry.Device(id); ok {
			if !c.Scope.Sees(d.Fleet) {
				return devices.FleetID{}, registry.ErrNoDevice
			}
			return d.Fleet, nil
		}
	}
	fleet, ok := a.options.Assets.Fleet(id)
	if !ok || !c.Scope.Sees(fleet) {
		return devices.FleetID{}, registry.ErrNoDevice
	}
	return fleet, nil
}

func (a *API) sendCommand(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	id, err := registered(r)
	if err != nil {
		return err
	}
	if _, err := a.commanded(c, id); err != nil { // before the body: who may not know of the device learns nothing
		return err
	}
	body, err := readJSON(r, false)
	if err != nil {
		return err
	}
	row, repeated, err := a.command(r.Context(), c, id, body, strings.TrimSpace(r.Header.Get("Idempotency-Key")))
	if err != nil {
		return err
	}
	if repeated {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	w.Header().Set("Location", commandsPath+row.ID.String())
	writeJSON(w, http.StatusAccepted, row.Data)
	return nil
}

func (a *API) oneCommand(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	name, ok := nameIn(r, commandsPath)
	id, err := devices.ParseCommandID(name)
	if !ok || err != nil {
		return errNoCommand
	}
	row, err := a.options.Commands.Get(r.Context(), id)
	if err != nil {
		return err
	}
	if !c.Scope.Sees(row.Fleet) {
		return errNoCommand
	}
	writeJSON(w, http.StatusOK, row.Data)
	return nil
}

func (a *API) listCommands(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	values, err := parseQuery(r, "fleet", "device", "state", "limit", "after")
	if err != nil {
		return err
	}
	var q command.Query
	if len(values["fleet"]) > maxFleets {
		return devices.Errorf(devices.Invalid, "fleet", "is given more than %d times", maxFleets)
	}
	var fleets []devices.FleetID
	for _, name := range values["fleet"] {
		id, err := devices.ParseFleetID(name)
		if err != nil {
			return err
		}
		fleets = append(fleets, id)
	}
	q.Scope = c.Scope.Narrow(fleets)
	if values.Has("device") {
		if q.Device, err = devices.ParseDeviceID(values.Get("device")); err != nil {
			return err
		}
	}
	return a.writeCommands(w, q, values)
}

func (a *API) listDeviceCommands(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	values, err := parseQuery(r, "state", "limit", "after")
	if err != nil {
		return err
	}
	id, err := registered(r)
	if err != nil {
		return err
	}
	if _, err := a.commanded(c, id); err != nil {
		return err
	}
	return a.writeCommands(w, command.Query{Scope: c.Scope, Device: id}, values)
}

// writeCommands answers {"commands":[…],"next":"…"}, the newest first.
func (a *API) writeCommands(w http.ResponseWriter, q command.Query, values url.Values) (err error) {
	if values.Has("state") {
		if q.State, err = devices.ParseCommandState(values.Get("state")); err != nil {
			return err
		}
	}
	if q.Limit, err = parseLimit(values); err != nil {
		return err
	}
	q.After = values.Get("after")
	rows, next, err := a.options.Commands.List(q)
	if err != nil {
		return err
	}
	out := []byte(`{"commands":[`)
	for i, row := range rows {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, row.Data...)
	}
	out = append(out, ']')
	if next != "" {
		out = append(devices.AppendJSONString(append(out, `,"next":`...), next), '}')
	} else {
		out = append(out, '}')
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

package api

import (
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/registry"
	"github.com/fleetcast/fleetcast/devices/store"
)

const devicesPath = "/api/devices/"

// deviceView is a device as it is shown.
type deviceView struct {
	*registry.Device
	Credential string         `json:"credential"` // token, password or none
	Revision   store.Revision `json:"revision"`   // what If-Match takes
}

// strangerView is a device in quarantine.
type strangerView struct {
	ID       devices.DeviceID `json:"id"`
	Fleet    string           `json:"fleet,omitempty"`
	Status   registry.Status  `json:"status"`
	Address  string           `json:"address,omitempty"`
	Via      string           `json:"via,omitempty"`
	Password bool             `json:"has_password"` // it may be let in with what it showed
	Seen     int64            `json:"seen"`
	Revision store.Revision   `json:"revision"`
}

func (a *API) viewDevice(d *registry.Device) deviceView {
	v := deviceView{Device: d, Credential: "none", Revision: d.Revision}
	if c, ok := a.options.Registry.Credential(d.ID.String()); ok {
		switch {
		case c.Token != nil:
			v.Credential = "token"
		case c.Password != "":
			v.Credential = "password"
		}
	}
	return v
}

func viewStranger(s *registry.Stranger) strangerView {
	return strangerView{s.ID, s.Fleet, registry.Quarantined, s.Address, s.Via, s.Password != "", s.Seen, s.Revision}
}

// parseDevices reads the query of a list or an export of devices. known are the parameters besides those of the filter.
func parseDevices(r *http.Request, known ...string) (registry.Query, url.Values, error) {
	values, err := parseQuery(r, append(known, "fleet", "status", "search", "metadata")...)
	if err != nil {
		return registry.Query{}, nil, err
	}
	q := registry.Query{Status: registry.Status(values.Get("status")), Search: values.Get("search")}
	if len(values["fleet"]) > maxFleets {
		return q, nil, devices.Errorf(devices.Invalid, "fleet", "is given more than %d times", maxFleets)
	}
	for _, name := range values["fleet"] {
		id, err := devices.ParseFleetID(name)
		if err != nil {
			return q, nil, err
		}
		q.Fleets = append(q.Fleets, id)
	}
	switch q.Status {
	case registry.Enabled, registry.Disabled, registry.Quarantined:
	default:
		if values.Has("status") {
			return q, nil, devices.Errorf(devices.Invalid, "status", "is none of %s, %s, %s", registry.Enabled, registry.Disabled, registry.Quarantined)
		}
	}
	if q.Metadata, err = parseMetadata(values["metadata"]); err != nil {
		return q, nil, err
	}
	if len(q.Search) > registry.MaxMetadataValueBytes {
		return q, nil, devices.Errorf(devices.Invalid, "search", "is longer than %d bytes", registry.MaxMetadataValueBytes)
	}
	return q, values, nil
}

// registered reads the id in the path. What cannot be an id is not found.
func registered(r *http.Request) (devices.DeviceID, error) {
	name, ok := nameIn(r, devicesPath)
	id, err := devices.ParseDeviceID(name)
	if !ok || err != nil {
		return devices.DeviceID{}, registry.ErrNoDevice
	}
	return id, nil
}

func (a *API) oneDevice(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	id, err := registered(r)
	if err != nil {
		return err
	}
	if d, err := a.deviceSeen(c, id); err == nil {
		setTag(w, d.Revision)
		return writeValue(w, http.StatusOK, a.viewDevice(d))
	}
	if s, ok := a.options.Registry.Stranger(id); ok && c.Scope.IsAll() {
		setTag(w, s.Revision)
		return writeValue(w, http.StatusOK, viewStranger(s))
	}
	return registry.ErrNoDevice
}

// createDevice makes a device and answers {id, fleet, token}. The token is shown here and never again.
func (a *API) createDevice(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	var body struct {
		ID       devices.DeviceID  `json:"id"`
		Fleet    devices.FleetID   `json:"fleet"`
		Name     string            `json:"name"`
		Status   registry.Status   `json:"status"`
		Metadata map[string]string `json:"metadata"`
		Limits   *registry.Limits  `json:"limits"`
		secretBody
	}
	if err := readBody(r, &body, false); err != nil {
		return err
	}
	secret, err := body.secret()
	if err != nil {
		return err
	}
	if err := mayUse(c, body.Fleet); err != nil {
		return err
	}
	d, token, err := a.options.Registry.CreateDevice(r.Context(), registry.Device{
		ID: body.ID, Fleet: body.Fleet, Name: body.Name, Status: body.Status, Metadata: body.Metadata, Limits: body.Limits,
	}, secret)
	if err != nil {
		return err
	}
	return created(w, devicesPath, d.ID.String(), d.Revision, secretView{d.ID.String(), d.Fleet.String(), token})
}

// updateDevice applies a merge patch (RFC 7396).
func (a *API) updateDevice(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	id, at, patch, err := a.change(r)
	if err != nil {
		return err
	}
	if err := a.mayChange(c, id, patch); err != nil {
		return err
	}
	d, err := a.options.Registry.UpdateDevice(r.Context(), id, patch, at)
	if err != nil {
		return err
	}
	setTag(w, d.Revision)
	return writeValue(w, http.StatusOK, a.viewDevice(d))
}

// change reads what a PATCH of a device says.
func (a *API) change(r *http.Request) (id devices.DeviceID, at store.Revision, patch []byte, err error) {
	if _, err = parseQuery(r); err != nil {
		return id, 0, nil, err
	}
	if id, err = registered(r); err != nil {
		return id, 0, nil, err
	}
	if at, err = expected(r); err != nil {
		return id, 0, nil, err
	}
	patch, err = readJSON(r, false)
	return id, at, patch, err
}

// mayChange tells whether the caller may change a device so: it is in a fleet of theirs, and where it moves it stays so.
func (a *API) mayChange(c *devices.Caller, id devices.DeviceID, patch []byte) error {
	if _, err := a.deviceSeen(c, id); err != nil {
		return err
	}
	var moves struct {
		Fleet devices.FleetID `json:"fleet"`
	}
	if err := json.Unmarshal(patch, &moves); err != nil {
		return &devices.Error{Kind: devices.Invalid, Field: "body", Detail: "is not a patch of a device", Err: err}
	}
	return mayUse(c, moves.Fleet)
}

// deleteDevice removes a device, with its credential, its connections and its asset; or rejects one in quarantine.
// With ?status=quarantined it does only that: who rejects a stranger must not delete a device that somebody let in meanwhile.
func (a *API) deleteDevice(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	values, err := parseQuery(r, "status")
	if err != nil {
		return err
	}
	strangers := values.Has("status")
	if strangers && values.Get("status") != string(registry.Quarantined) {
		return devices.Errorf(devices.Invalid, "status", "is not %s", registry.Quarantined)
	}
	id, err := registered(r)
	if err != nil {
		return err
	}
	at, err := expected(r)
	if err != nil {
		return err
	}
	if _, err := a.deviceSeen(c, id); err != nil && !c.Scope.IsAll() {
		return err
	}
	if !strangers {
		err = a.options.Registry.DeleteDevice(r.Context(), id, at)
	}
	if strangers || devices.KindOf(err) == devices.NotFound {
		err = a.options.Registry.Reject(r.Context(), id)
	}
	return noContent(w, err)
}

func (a *API) rotateDevice(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	id, err := registered(r)
	if err != nil {
		return err
	}
	var body secretBody
	if err := readBody(r, &body, true); err != nil {
		return err
	}
	secret, err := body.secret()
	if err != nil {
		return err
	}
	if _, err := a.deviceSeen(c, id); err != nil {
		return err
	}
	d, token, err := a.options.Registry.RotateDevice(r.Context(), id, secret)
	if err != nil {
		return err
	}
	setTag(w, d.Revision)
	return writeValue(w, http.StatusOK, secretView{id.String(), d.Fleet.String(), token})
}

// approveDevice lets a device in that is in quarantine.
func (a *API) approveDevice(w http.ResponseWriter, r *http.Request) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	id, err := registered(r)
	if err != nil {
		return err
	}
	var body struct {
		Fleet string `json:"fleet"`         // needed where the device named none
		Keep  bool   `json:"keep_password"` // what it showed stays its password; else a token is made
	}
	if err := readBody(r, &body, true); err != nil {
		return err
	}
	var fleet devices.FleetID
	if body.Fleet != "" {
		if fleet, err = devices.ParseFleetID(body.Fleet); err != nil {
			return err
		}
	}
	d, token, err := a.options.Registry.Approve(r.Context(), id, fleet, body.Keep)
	if err != nil {
		return err
	}
	setTag(w, d.Revision)
	return writeValue(w, http.StatusOK, secretView{id.String(), d.Fleet.String(), token})
}

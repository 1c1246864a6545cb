package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/registry"
	"github.com/fleetcast/fleetcast/devices/store"
)

// registryRoutes are the routes of devices, fleets and credentials. Whose fleet a device is of is asked in each; what
// belongs to no fleet, or may belong to any, is for who may see all.
func (a *API) registryRoutes(plainRoute func(method, path string, n need, f callerHandler)) {
	route := func(method, path string, n need, f callerHandler) { plainRoute(method, path, n, a.loaded(f)) }
	viewer, admin, ruler := need{role: devices.Viewer}, need{role: devices.Admin}, need{role: devices.Admin, all: true}
	route(http.MethodGet, "/api/devices", viewer, a.listDevices)
	route(http.MethodPost, "/api/devices", admin, a.createDevice)
	route(http.MethodGet, exportCSV, viewer, a.exportDevices)
	route(http.MethodGet, exportJSON, viewer, a.exportDevices)
	route(http.MethodPost, exportCSV, ruler, plain(a.importDevices))
	route(http.MethodPost, exportJSON, ruler, plain(a.importDevices))
	route(http.MethodGet, "/api/devices/{id}", viewer, a.oneDevice)
	route(http.MethodPatch, "/api/devices/{id}", admin, a.updateDevice)
	route(http.MethodDelete, "/api/devices/{id}", admin, a.deleteDevice)
	route(http.MethodPost, "/api/devices/{id}/credential", admin, a.rotateDevice)
	route(http.MethodPost, "/api/devices/{id}/approve", ruler, plain(a.approveDevice))
	route(http.MethodPost, "/api/devices/{id}/erase", ruler, plain(a.eraseDevice))

	route(http.MethodGet, "/api/fleets", viewer, a.listFleets)
	route(http.MethodPost, "/api/fleets", ruler, plain(a.createFleet))
	route(http.MethodGet, "/api/fleets/{id}", viewer, a.oneFleet)
	route(http.MethodPatch, "/api/fleets/{id}", admin, a.updateFleet)
	route(http.MethodDelete, "/api/fleets/{id}", ruler, plain(a.deleteFleet))

	route(http.MethodGet, "/api/credentials", ruler, plain(a.listCredentials))
	route(http.MethodPost, "/api/credentials", ruler, plain(a.createCredential))
	route(http.MethodGet, "/api/credentials/{id}", ruler, plain(a.oneCredential))
	route(http.MethodPatch, "/api/credentials/{id}", ruler, plain(a.updateCredential))
	route(http.MethodDelete, "/api/credentials/{id}", ruler, plain(a.deleteCredential))
	route(http.MethodPost, "/api/credentials/{id}/credential", ruler, plain(a.rotateCredential))
}

// loaded answers only once the registry is there.
func (a *API) loaded(f callerHandler) callerHandler {
	return func(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
		if !a.options.Registry.Ready() {
			return devices.Errorf(devices.Unavailable, "", "the registry is not loaded yet; try again")
		}
		return f(w, r, c)
	}
}

// deviceSeen is a device that is registered in a fleet of the caller's. Of another's it says what it says of none.
func (a *API) deviceSeen(c *devices.Caller, id devices.DeviceID) (*registry.Device, error) {
	d, ok := a.options.Registry.Device(id)
	if !ok || !c.Scope.Sees(d.Fleet) {
		return nil, registry.ErrNoDevice
	}
	return d, nil
}

// mayUse tells whether the caller may put a device into a fleet.
func mayUse(c *devices.Caller, fleet devices.FleetID) error {
	if !fleet.IsZero() && !c.Scope.Sees(fleet) {
		return devices.Errorf(devices.Forbidden, "fleet", "is none of yours")
	}
	return nil
}

// nameIn reads the part of the path behind prefix and before the next '/'. It is decoded once, from the escaped path:
// see deviceOf.
func nameIn(r *http.Request, prefix string) (string, bool) {
	escaped, ok := strings.CutPrefix(r.URL.EscapedPath(), prefix)
	escaped, _, _ = strings.Cut(escaped, "/")
	name, err := url.PathUnescape(escaped)
	return name, ok && err == nil
}

// readBody decodes a body of JSON into v, which knows all its members. An empty body leaves v as it is where that is
// allowed.
func readBody(r *http.Request, v any, mayBeEmpty bool) error {
	body, err := readJSON(r, mayBeEmpty)
	if err != nil || len(body) == 0 && mayBeEmpty {
		return err
	}
	return registry.DecodeStrict(body, v)
}

// readAll reads a body whose size is bounded.
func readAll(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, devices.Errorf(devices.TooLarge, "", "the body is larger than %d bytes", tooLarge.Limit)
	}
	if err != nil {
		return nil, &devices.Error{Kind: devices.Invalid, Field: "body", Detail: "did not come whole", Err: err}
	}
	return body, nil
}

func readJSON(r *http.Request, mayBeEmpty bool) ([]byte, error) {
	body, err := readAll(r)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 && mayBeEmpty {
		return nil, nil
	}
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if kind = strings.TrimSpace(strings.ToLower(kind)); kind != "application/json" && kind != "application/merge-patch+json" {
		return nil, &devices.Error{Kind: devices.Invalid, Field: "Content-Type", Detail: "is not application/json", Err: errMediaType}
	}
	return body, nil
}

// errMediaType has handle answer 415.
var errMediaType = errors.New("the media type is not taken")

// expected reads If-Match (RFC 9110 section 13.1.1): the revision that the caller read, or 0 where it does not care.
func expected(r *http.Request) (store.Revision, error) {
	tag := r.Header.Get("If-Match")
	if tag == "" || tag == "*" {
		return 0, nil
	}
	n, err := strconv.ParseUint(strings.Trim(tag, `"`), 10, 64)
	if err != nil || n == 0 {
		return 0, devices.Errorf(devices.Invalid, "If-Match", "is not one entity tag of this API")
	}
	return store.Revision(n), nil
}

func setTag(w http.ResponseWriter, revision store.Revision) {
	w.Header().Set("ETag", fmt.Sprintf(`"%d"`, revision))
}

// writeValue answers with v as JSON, whose strings hold no markup: encoding/json escapes it.
func writeValue(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	writeJSON(w, status, body)
	return nil
}

func noContent(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// created answers that something was made, and where it is.
func created(w http.ResponseWriter, prefix, id string, revision store.Revision, v any) error {
	w.Header().Set("Location", prefix+url.PathEscape(id))
	if revision != 0 {
		setTag(w, revision)
	}
	return writeValue(w, http.StatusCreated, v)
}

// parseLimit reads the limit of a list.
func parseLimit(values url.Values) (int, error) {
	if !values.Has("limit") {
		return DefaultLimit, nil
	}
	n, err := strconv.ParseUint(values.Get("limit"), 10, 32)
	if err != nil || n < 1 || n > MaxLimit {
		return 0, devices.Errorf(devices.Invalid, "limit", "is no whole number from 1 to %d", MaxLimit)
	}
	return int(n), nil
}

// page reads the limit and the after of a list of few things.
func page(values url.Values) (after string, limit int, err error) {
	if limit, err = parseLimit(values); err != nil {
		return "", 0, err
	}
	if after = values.Get("after"); values.Has("after") {
		if err := checkAfter(after); err != nil {
			return "", 0, err
		}
	}
	return after, limit, nil
}

// secretBody is how a credential is asked for.
type secretBody struct {
	Password   string `json:"password,omitempty"`
	Credential string `json:"credential,omitempty"` // token (the default) or none
}

func (s *secretBody) secret() (registry.Secret, error) {
	switch {
	case s.Credential == "none" && s.Password == "":
		return registry.Secret{None: true}, nil
	case s.Credential != "" && s.Credential != "token" && s.Password == "", s.Credential != "" && s.Password != "":
		return registry.Secret{}, devices.Errorf(devices.Invalid, "credential", "is none of token, none, or stands beside a password")
	}
	return registry.Secret{Password: s.Password}, nil
}

// secretView shows a secret that was made: once.
type secretView struct {
	ID    string `json:"id"`
	Fleet string `json:"fleet,omitempty"`
	Token string `json:"token,omitempty"`
}

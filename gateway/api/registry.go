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

	"github.com/go-chi/chi/v5"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/registry"
	"github.com/fleetcast/fleetcast/devices/store"
)

// The scopes of what people do to the registry. Who has which is asked in one place: see guarded.
const (
	scopeRead  = "devices:read"
	scopeWrite = "devices:write"
)

// registryRoutes are the routes of devices, fleets and credentials.
func (a *API) registryRoutes(r chi.Router) {
	route := func(method, path, scope string, f func(http.ResponseWriter, *http.Request) error) {
		r.Method(method, path, a.handle(a.guarded(scope, f)))
		if method == http.MethodGet {
			r.Method(http.MethodHead, path, a.handle(a.guarded(scope, f))) // net/http leaves the body out
		}
	}
	route(http.MethodGet, "/api/devices", scopeRead, a.listDevices)
	route(http.MethodPost, "/api/devices", scopeWrite, a.createDevice)
	route(http.MethodGet, exportCSV, scopeRead, a.exportDevices)
	route(http.MethodGet, exportJSON, scopeRead, a.exportDevices)
	route(http.MethodPost, exportCSV, scopeWrite, a.importDevices)
	route(http.MethodPost, exportJSON, scopeWrite, a.importDevices)
	route(http.MethodGet, "/api/devices/{id}", scopeRead, a.oneDevice)
	route(http.MethodPatch, "/api/devices/{id}", scopeWrite, a.updateDevice)
	route(http.MethodDelete, "/api/devices/{id}", scopeWrite, a.deleteDevice)
	route(http.MethodPost, "/api/devices/{id}/credential", scopeWrite, a.rotateDevice)
	route(http.MethodPost, "/api/devices/{id}/approve", scopeWrite, a.approveDevice)

	route(http.MethodGet, "/api/fleets", scopeRead, a.listFleets)
	route(http.MethodPost, "/api/fleets", scopeWrite, a.createFleet)
	route(http.MethodGet, "/api/fleets/{id}", scopeRead, a.oneFleet)
	route(http.MethodPatch, "/api/fleets/{id}", scopeWrite, a.updateFleet)
	route(http.MethodDelete, "/api/fleets/{id}", scopeWrite, a.deleteFleet)

	route(http.MethodGet, "/api/credentials", scopeRead, a.listCredentials)
	route(http.MethodPost, "/api/credentials", scopeWrite, a.createCredential)
	route(http.MethodGet, "/api/credentials/{id}", scopeRead, a.oneCredential)
	route(http.MethodPatch, "/api/credentials/{id}", scopeWrite, a.updateCredential)
	route(http.MethodDelete, "/api/credentials/{id}", scopeWrite, a.deleteCredential)
	route(http.MethodPost, "/api/credentials/{id}/credential", scopeWrite, a.rotateCredential)
}

// guarded is the one place where it is asked whether the caller may. Today everybody may who reaches the port, which is
// on loopback only; scopes of callers come with their credentials.
func (a *API) guarded(_ string, f func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !a.options.Registry.Ready() {
			return devices.Errorf(devices.Unavailable, "", "the registry is not loaded yet; try again")
		}
		return f(w, r)
	}
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

func readJSON(r *http.Request, mayBeEmpty bool) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, devices.Errorf(devices.TooLarge, "", "the body is larger than %d bytes", tooLarge.Limit)
	}
	if err != nil {
		return nil, &devices.Error{Kind: devices.Invalid, Field: "body", Detail: "did not come whole", Err: err}
	}
	if len(body) == 0 && mayBeEmpty {
		return nil, nil
	}
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if kind = strings.TrimSpace(strings.ToLower(kind)); kind != "application/json" && kind != "application/merge-patch+json" {
		return nil, devices.Errorf(devices.Invalid, "Content-Type", "is not application/json")
	}
	return body, nil
}

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
	setTag(w, revision)
	return writeValue(w, http.StatusCreated, v)
}

// page reads the limit and the after of a list of few things.
func page(values url.Values) (after string, limit int, err error) {
	limit = DefaultLimit
	if values.Has("limit") {
		n, err := strconv.ParseUint(values.Get("limit"), 10, 32)
		if err != nil || n < 1 || n > MaxLimit {
			return "", 0, devices.Errorf(devices.Invalid, "limit", "is no whole number from 1 to %d", MaxLimit)
		}
		limit = int(n)
	}
	if after = values.Get("after"); values.Has("after") {
		if _, err := devices.ParseDeviceID(after); err != nil {
			return "", 0, devices.Errorf(devices.Invalid, "after", "is not what a list gave as next")
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

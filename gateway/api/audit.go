package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/audit"
)

// Audit keeps who did what: an audit.Log, or a fake.
type Audit interface {
	Record(ctx context.Context, e audit.Entry) error
	List(q audit.Query) (entries []audit.Entry, next string)
}

// unaudited are routes that change nothing, or that say themselves what was done.
var unaudited = map[string]bool{
	"POST /api/decode": true, "POST /api/tickets": true, sendCommandAction: true,
}

const sendCommandAction = "POST /api/devices/{id}/commands"

// audited records what a route changed, when it did. That it cannot be recorded ends no request: it is counted and logged.
func (a *API) audited(method, path string, f callerHandler) callerHandler {
	action := method + " " + path
	if a.options.Audit == nil || method == http.MethodGet || unaudited[action] {
		return f
	}
	return func(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
		err := f(w, r, c)
		if err == nil {
			e := audit.Entry{Action: action}
			if route := chi.RouteContext(r.Context()); route != nil && strings.Contains(path, "{id}") {
				e.Target, _ = nameIn(r, path[:strings.Index(path, "{id}")])
			}
			if id, bad := devices.ParseDeviceID(e.Target); bad == nil && strings.HasPrefix(path, devicesPath) {
				e.Device = id
			}
			a.record(r.Context(), c, e)
		}
		return err
	}
}

// record records what a caller did.
func (a *API) record(ctx context.Context, c *devices.Caller, e audit.Entry) {
	if a.options.Audit == nil {
		return
	}
	e.By, e.Proof, e.Role = c.Subject, c.Proof, c.Role.String()
	if err := a.options.Audit.Record(context.WithoutCancel(ctx), e); err != nil {
		a.log.WarnContext(ctx, "what somebody did was not recorded", "action", e.Action, "error", err)
	}
}

// listAudit answers {"entries":[…],"next":"…"}, the newest first.
func (a *API) listAudit(w http.ResponseWriter, r *http.Request, _ *devices.Caller) error {
	values, err := parseQuery(r, "by", "action", "device", "limit", "after")
	if err != nil {
		return err
	}
	q := audit.Query{By: values.Get("by"), Action: values.Get("action"), After: values.Get("after")}
	if q.Limit, err = parseLimit(values); err != nil {
		return err
	}
	if values.Has("device") {
		if q.Device, err = devices.ParseDeviceID(values.Get("device")); err != nil {
			return err
		}
	}
	var answer struct {
		Entries []audit.Entry `json:"entries"`
		Next    string        `json:"next,omitempty"`
	}
	if answer.Entries, answer.Next = a.options.Audit.List(q); answer.Entries == nil {
		answer.Entries = []audit.Entry{}
	}
	return writeValue(w, http.StatusOK, answer)
}

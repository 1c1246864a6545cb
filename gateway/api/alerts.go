package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/rules"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/sse/hub"
)

// Notes is what the edge holds beside the assets: the hub, or a fake.
type Notes interface {
	Notes(q hub.NotesQuery) []hub.Note
	Note(name, id string) (hub.Note, bool)
}

const (
	alertsPath = "/api/alerts/"
	alertNote  = "alert"
	// maxComment bounds what who acknowledges an alert may write, in bytes.
	maxComment = bus.MaxTextBytes
)

var errNoAlert = devices.Errorf(devices.NotFound, "", "there is no such alert")

func (a *API) alertRoutes(route func(method, path string, n need, f callerHandler)) {
	viewer, operator := need{role: devices.Viewer}, need{role: devices.Operator}
	route(http.MethodGet, "/api/alerts", viewer, a.listAlerts)
	route(http.MethodGet, "/api/alerts/{id}", viewer, a.oneAlert)
	route(http.MethodPost, "/api/alerts/{id}/acknowledge", operator, a.acknowledgeAlert)
}

// alertsQuery is what a list of alerts asks for.
type alertsQuery struct {
	notes    hub.NotesQuery
	rule     string
	severity string
	state    string
	limit    int
}

func parseAlerts(r *http.Request) (alertsQuery, error) {
	values, err := parseQuery(r, "fleet", "device", "rule", "severity", "state", "limit", "after")
	if err != nil {
		return alertsQuery{}, err
	}
	q := alertsQuery{
		notes: hub.NotesQuery{Name: alertNote}, limit: DefaultLimit,
		rule: values.Get("rule"), severity: values.Get("severity"), state: values.Get("state"),
	}
	if len(values["fleet"]) > maxFleets {
		return q, devices.Errorf(devices.Invalid, "fleet", "is given more than %d times", maxFleets)
	}
	for _, name := range values["fleet"] {
		id, err := devices.ParseFleetID(name)
		if err != nil {
			return q, err
		}
		q.notes.Fleets = append(q.notes.Fleets, id)
	}
	if values.Has("device") {
		if q.notes.Device, err = devices.ParseDeviceID(values.Get("device")); err != nil {
			return q, err
		}
	}
	if values.Has("severity") && !slices.Contains([]rules.Severity{rules.Info, rules.Warning, rules.Critical}, rules.Severity(q.severity)) {
		return q, devices.Errorf(devices.Invalid, "severity", "is none of info, warning, critical")
	}
	if values.Has("state") && !slices.Contains([]string{"open", string(rules.Raised), string(rules.Acknowledged), string(rules.Cleared)}, q.state) {
		return q, devices.Errorf(devices.Invalid, "state", "is none of open, raised, acknowledged, cleared")
	}
	return q, q.parsePage(values)
}

func (q *alertsQuery) parsePage(values url.Values) error {
	if values.Has("limit") {
		n, err := strconv.ParseUint(values.Get("limit"), 10, 32)
		if err != nil || n < 1 || n > MaxLimit {
			return devices.Errorf(devices.Invalid, "limit", "is no whole number from 1 to %d", MaxLimit)
		}
		q.limit = int(n)
	}
	if !values.Has("after") {
		return nil
	}
	at, id, ok := strings.Cut(values.Get("after"), "-")
	n, err := strconv.ParseInt(at, 10, 64)
	if !ok || err != nil || id == "" || len(id) > bus.MaxNoteIDBytes {
		return devices.Errorf(devices.Invalid, "after", "is not what a list gave as next")
	}
	q.notes.BeforeAt, q.notes.BeforeID = n, id
	return nil
}

func (q *alertsQuery) takes(a *rules.Alert) bool {
	switch {
	case q.rule != "" && a.Rule != q.rule, q.severity != "" && string(a.Severity) != q.severity:
		return false
	case q.state == "open":
		return a.State != rules.Cleared
	}
	return q.state == "" || string(a.State) == q.state
}

// listAlerts answers {"alerts":[…],"next":"…"}: the newest first, open ones and those that were cleared lately.
func (a *API) listAlerts(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	q, err := parseAlerts(r)
	if err != nil {
		return err
	}
	answer := struct {
		Alerts []*rules.Alert `json:"alerts"`
		Next   string         `json:"next,omitempty"`
	}{Alerts: []*rules.Alert{}}
	if !c.Scope.IsAll() {
		left := c.Scope.Narrow(q.notes.Fleets)
		if left.IsEmpty() {
			return writeValue(w, http.StatusOK, answer) // to the hub, no fleet is every fleet
		}
		q.notes.Fleets = left.Fleets()
	}
	for _, n := range a.options.Notes.Notes(q.notes) {
		alert, err := valueOf[rules.Alert](n.Data)
		if err != nil {
			return err
		}
		if !q.takes(alert) {
			continue
		}
		if len(answer.Alerts) == q.limit {
			last := answer.Alerts[q.limit-1]
			answer.Next = strconv.FormatInt(last.Raised, 10) + "-" + last.ID
			break
		}
		answer.Alerts = append(answer.Alerts, alert)
	}
	return writeValue(w, http.StatusOK, answer)
}

// alertSeen is an alert of a fleet of the caller's. Of another's it says what it says of none.
func (a *API) alertSeen(r *http.Request, c *devices.Caller) (hub.Note, error) {
	id, err := plainName(r, alertsPath, errNoAlert)
	if err != nil {
		return hub.Note{}, err
	}
	n, ok := a.options.Notes.Note(alertNote, id)
	if !ok || !c.Scope.Sees(n.Fleet) {
		return hub.Note{}, errNoAlert
	}
	return n, nil
}

func (a *API) oneAlert(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	n, err := a.alertSeen(r, c)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, n.Data)
	return nil
}

// acknowledgeAlert passes on to the owner that somebody has seen an alert, and answers the alert as it is now. That it is
// acknowledged is seen as an event. One that was is not asked for again.
func (a *API) acknowledgeAlert(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	n, err := a.alertSeen(r, c)
	if err != nil {
		return err
	}
	var body struct {
		Text string `json:"text,omitempty"`
	}
	if err := readBody(r, &body, true); err != nil {
		return err
	}
	if len(body.Text) > maxComment || !utf8.ValidString(body.Text) || strings.ContainsFunc(body.Text, unprintable) {
		return devices.Errorf(devices.Invalid, "text", "is longer than %d bytes, or not printable", maxComment)
	}
	alert, err := valueOf[rules.Alert](n.Data)
	if err != nil {
		return err
	}
	switch alert.State {
	case rules.Cleared:
		return devices.Errorf(devices.Conflict, "", "the alert was cleared")
	case rules.Raised:
		ctx, cancel := context.WithTimeout(r.Context(), appendTimeout)
		defer cancel()
		if err := a.append(ctx, bus.Entry{
			Kind: bus.KindAcknowledgement, Device: n.Device, Fleet: n.Fleet,
			Acknowledgement: &bus.Acknowledgement{Alert: alert.ID, By: shorten(c.Subject, bus.MaxByBytes), Text: body.Text},
		}); err != nil {
			return err
		}
	case rules.Acknowledged:
	}
	writeJSON(w, http.StatusAccepted, n.Data)
	return nil
}

func unprintable(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }

// shorten cuts a text to whole letters.
func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

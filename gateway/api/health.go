package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/problem"
)

// Check is one condition of readiness.
type Check struct {
	Role string // broker, bridge or edge
	Name string
	// Ready returns what is in the way, for people, or "". It must not wait: a probe asks it every second.
	Ready func() string
}

var roles = []string{"broker", "bridge", "edge"}

func knownRole(role string) bool { return slices.Contains(roles, role) }

// readyRetry is when a client that was told 503 by /readyz may ask again.
const readyRetry = time.Second

// health says that the process lives, and nothing else: whoever restarts processes asks it, and a bus that is away is no
// reason to restart this one.
func (a *API) health(w http.ResponseWriter, r *http.Request) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, []byte(`{"status":"ok"}`))
	return nil
}

// ready says whether work may be sent here: to the whole process, or to the role that is asked for.
func (a *API) ready(w http.ResponseWriter, r *http.Request) error {
	values, err := parseQuery(r, "role")
	if err != nil {
		return err
	}
	role := values.Get("role")
	if values.Has("role") && !knownRole(role) {
		return devices.Errorf(devices.Invalid, "role", "is none of broker, bridge, edge")
	}
	var reasons []problem.Reason
	asked := 0
	for _, c := range a.options.Checks {
		if role != "" && c.Role != role {
			continue
		}
		asked++
		if reason := c.Ready(); reason != "" {
			reasons = append(reasons, problem.Reason{Role: c.Role, Check: c.Name, Reason: reason})
		}
	}
	if asked == 0 {
		reasons = append(reasons, problem.Reason{Role: role, Check: "role", Reason: "this process does not have the role"})
	}
	if len(reasons) == 0 {
		writeJSON(w, http.StatusOK, []byte(`{"status":"ready"}`))
		return nil
	}
	p := problem.Of(devices.Errorf(devices.Unavailable, "", "this process is not ready"))
	p.Reasons, p.RetryAfter = reasons, readyRetry
	p.Write(w, r)
	return nil
}

func (a *API) stats(w http.ResponseWriter, r *http.Request) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	var v any = struct{}{}
	if a.options.Stats != nil {
		v = a.options.Stats()
	}
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode counters: %w", err)
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}

package api

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/sse/hub"
)

// Bounds of a list.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
	// MaxFeatures bounds a feature collection, which tools that read GeoJSON want whole. Above it there is a next.
	MaxFeatures = 100_000
	// maxFleets bounds a filter; each asset is compared with all of them.
	maxFleets = 100
)

// parseQuery reads the query of a request that knows these parameters. All but fleet are single.
func parseQuery(r *http.Request, known ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, devices.Errorf(devices.Invalid, "query", "is not well encoded")
	}
	for name, given := range values {
		switch {
		case !slices.Contains(known, name):
			return nil, devices.Errorf(devices.Invalid, name, "is no parameter of this resource, which has %s", cmp.Or(strings.Join(known, ", "), "none"))
		case len(given) > 1 && name != "fleet":
			return nil, devices.Errorf(devices.Invalid, name, "is given more than once")
		}
	}
	return values, nil
}

// parseList reads the query of a list whose limit is fallback where none is given.
func parseList(r *http.Request, fallback, most int) (hub.ListQuery, error) {
	values, err := parseQuery(r, "fleet", "status", "limit", "after")
	if err != nil {
		return hub.ListQuery{}, err
	}
	q := hub.ListQuery{Limit: fallback, Status: values.Get("status"), After: values.Get("after")}
	if len(values["fleet"]) > maxFleets {
		return hub.ListQuery{}, devices.Errorf(devices.Invalid, "fleet", "is given more than %d times", maxFleets)
	}
	for _, name := range values["fleet"] {
		id, err := devices.ParseFleetID(name)
		if err != nil {
			return hub.ListQuery{}, err
		}
		q.Fleets = append(q.Fleets, id)
	}
	if values.Has("status") {
		if _, err := devices.ParseStatus(q.Status); err != nil {
			return hub.ListQuery{}, err
		}
	}
	if values.Has("limit") {
		n, err := strconv.ParseUint(values.Get("limit"), 10, 32)
		if err != nil || n < 1 || n > uint64(most) {
			return hub.ListQuery{}, devices.Errorf(devices.Invalid, "limit", "is no whole number from 1 to %d", most)
		}
		q.Limit = int(n)
	}
	if values.Has("after") {
		if _, err := devices.ParseDeviceID(q.After); err != nil {
			return hub.ListQuery{}, devices.Errorf(devices.Invalid, "after", "is not what a list gave as next")
		}
	}
	return q, nil
}

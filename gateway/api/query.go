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

// parseQuery reads the query of a request that knows these parameters. All but fleet and metadata are single.
func parseQuery(r *http.Request, known ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, devices.Errorf(devices.Invalid, "query", "is not well encoded")
	}
	for name, given := range values {
		switch {
		case !slices.Contains(known, name):
			return nil, devices.Errorf(devices.Invalid, name, "is no parameter of this resource, which has %s", cmp.Or(strings.Join(known, ", "), "none"))
		case len(given) > 1 && name != "fleet" && name != "metadata":
			return nil, devices.Errorf(devices.Invalid, name, "is given more than once")
		}
	}
	return values, nil
}

// assetQuery is a list of assets that was asked for.
type assetQuery struct {
	hub.ListQuery
	list listQuery
	bbox devices.BBox
}

// looksInside tells whether assets have to be read to find those that are asked for.
func (q *assetQuery) looksInside() bool {
	return q.list.search != "" || q.list.isSorted() || !q.bbox.IsZero()
}

// parseAssets reads the query of a list of assets whose limit is fallback where none is given.
func parseAssets(r *http.Request, fallback, most int, known ...string) (q assetQuery, err error) {
	values, err := parseQuery(r, append(known, "fleet", "status", "bbox", "search", "limit", "after")...)
	if err != nil {
		return q, err
	}
	q.Limit, q.Status = fallback, values.Get("status")
	if len(values["fleet"]) > maxFleets {
		return q, devices.Errorf(devices.Invalid, "fleet", "is given more than %d times", maxFleets)
	}
	for _, name := range values["fleet"] {
		id, err := devices.ParseFleetID(name)
		if err != nil {
			return q, err
		}
		q.Fleets = append(q.Fleets, id)
	}
	if values.Has("status") {
		if _, err := devices.ParseStatus(q.Status); err != nil {
			return q, err
		}
	}
	if values.Has("limit") {
		n, err := strconv.ParseUint(values.Get("limit"), 10, 32)
		if err != nil || n < 1 || n > uint64(most) {
			return q, devices.Errorf(devices.Invalid, "limit", "is no whole number from 1 to %d", most)
		}
		q.Limit = int(n)
		values.Del("limit")
	}
	if values.Has("bbox") {
		if q.bbox, err = parseBBox(values.Get("bbox")); err != nil {
			return q, err
		}
	}
	q.list, err = assetListing.parse(values)
	q.list.limit, q.After = q.Limit, q.list.after
	return q, err
}

// maxBBox bounds the text of four numbers.
const maxBBox = 256

func parseBBox(text string) (devices.BBox, error) {
	if len(text) > maxBBox {
		return devices.BBox{}, devices.Errorf(devices.Invalid, "bbox", "is longer than %d bytes", maxBBox)
	}
	return devices.ParseBBox(text)
}

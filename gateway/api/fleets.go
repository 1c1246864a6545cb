package api

import (
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/registry"
	"github.com/fleetcast/fleetcast/devices/store"
)

const fleetsPath = "/api/fleets/"

// fleetView is a fleet as it is shown.
type fleetView struct {
	*registry.Fleet
	Devices  int            `json:"devices"`
	Revision store.Revision `json:"revision"`
}

func viewFleet(f registry.FleetView) fleetView { return fleetView{f.Fleet, f.Devices, f.Revision} }

var fleetListing = listing[registry.FleetView]{
	id:   func(f registry.FleetView) string { return f.ID.String() },
	text: func(f registry.FleetView) []string { return append(slices.Collect(maps.Values(f.Metadata)), f.Name) },
	keys: map[string]func(registry.FleetView) sortKey{
		"name":    func(f registry.FleetView) sortKey { return byText(f.Name) },
		"devices": func(f registry.FleetView) sortKey { return byNumber(f.Devices) },
		"created": func(f registry.FleetView) sortKey { return byTime(f.Created) },
		"updated": func(f registry.FleetView) sortKey { return byTime(f.Updated) },
	},
}

// listFleets answers {"fleets":[…],"next":"…"}: a page of those that the caller may see.
func (a *API) listFleets(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	found, next, err := pageOf(r, &fleetListing, func(url.Values) ([]registry.FleetView, error) { return a.fleetsSeen(c), nil })
	if err != nil {
		return err
	}
	answer := struct {
		Fleets []fleetView `json:"fleets"`
		Next   string      `json:"next,omitempty"`
	}{[]fleetView{}, next}
	for _, f := range found {
		answer.Fleets = append(answer.Fleets, viewFleet(f))
	}
	return writeValue(w, http.StatusOK, answer)
}

// fleetsSeen are the fleets that the caller may see.
func (a *API) fleetsSeen(c *devices.Caller) (found []registry.FleetView) {
	if c.Scope.IsAll() {
		found, _ = a.options.Registry.Fleets("", math.MaxInt)
		return found
	}
	for _, id := range c.Scope.Fleets() {
		if f, ok := a.options.Registry.Fleet(id); ok {
			found = append(found, f)
		}
	}
	return found
}

func fleetOf(r *http.Request) (devices.FleetID, error) {
	if _, err := parseQuery(r); err != nil {
		return devices.FleetID{}, err
	}
	name, ok := nameIn(r, fleetsPath)
	id, err := devices.ParseFleetID(name)
	if !ok || err != nil {
		return devices.FleetID{}, registry.ErrNoFleet
	}
	return id, nil
}

func (a *API) oneFleet(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	id, err := fleetOf(r)
	if err != nil {
		return err
	}
	f, ok := a.options.Registry.Fleet(id)
	if !ok || !c.Scope.Sees(id) {
		return registry.ErrNoFleet
	}
	setTag(w, f.Revision)
	return writeValue(w, http.StatusOK, viewFleet(f))
}

func (a *API) createFleet(w http.ResponseWriter, r *http.Request) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	var body registry.Fleet
	if err := readBody(r, &body, false); err != nil {
		return err
	}
	f, err := a.options.Registry.CreateFleet(r.Context(), body)
	if err != nil {
		return err
	}
	return created(w, fleetsPath, f.ID.String(), f.Revision, fleetView{f, 0, f.Revision})
}

// updateFleet applies a merge patch (RFC 7396).
func (a *API) updateFleet(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	id, err := fleetOf(r)
	if err != nil {
		return err
	}
	if !c.Scope.Sees(id) {
		return registry.ErrNoFleet
	}
	at, err := expected(r)
	if err != nil {
		return err
	}
	patch, err := readJSON(r, false)
	if err != nil {
		return err
	}
	f, err := a.options.Registry.UpdateFleet(r.Context(), id, patch, at)
	if err != nil {
		return err
	}
	setTag(w, f.Revision)
	now, _ := a.options.Registry.Fleet(id)
	return writeValue(w, http.StatusOK, fleetView{f, now.Devices, f.Revision})
}

func (a *API) deleteFleet(w http.ResponseWriter, r *http.Request) error {
	id, err := fleetOf(r)
	if err != nil {
		return err
	}
	at, err := expected(r)
	if err != nil {
		return err
	}
	return noContent(w, a.options.Registry.DeleteFleet(r.Context(), id, at))
}

package api

import (
	"net/http"

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

// listFleets answers {"fleets":[…],"next":"…"}: a page by id.
func (a *API) listFleets(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	values, err := parseQuery(r, "limit", "after")
	if err != nil {
		return err
	}
	after, limit, err := page(values)
	if err != nil {
		return err
	}
	var answer struct {
		Fleets []fleetView `json:"fleets"`
		Next   string      `json:"next,omitempty"`
	}
	answer.Fleets = []fleetView{}
	found, next := a.fleetsSeen(c, after, limit)
	for _, f := range found {
		answer.Fleets = append(answer.Fleets, viewFleet(f))
	}
	answer.Next = next
	return writeValue(w, http.StatusOK, answer)
}

// fleetsSeen is a page of the fleets that the caller may see.
func (a *API) fleetsSeen(c *devices.Caller, after string, limit int) (found []registry.FleetView, next string) {
	if c.Scope.IsAll() {
		return a.options.Registry.Fleets(after, limit)
	}
	for _, id := range c.Scope.Fleets() { // they are sorted
		f, ok := a.options.Registry.Fleet(id)
		if !ok || id.String() <= after {
			continue
		}
		if len(found) == limit {
			return found, found[limit-1].ID.String()
		}
		found = append(found, f)
	}
	return found, ""
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

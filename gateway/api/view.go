package api

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/fleetcast/fleetcast/devices"
)

// changeView has a stream show something else: 202 where it will, 204 where a newer change came before this one.
func (a *API) changeView(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	body, err := readJSON(r, false)
	if err != nil {
		return err
	}
	taken, err := a.options.Views.Change(r.Context(), c, chi.URLParam(r, "sid"), body)
	switch {
	case err != nil:
		return err
	case taken:
		w.WriteHeader(http.StatusAccepted)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
	return nil
}

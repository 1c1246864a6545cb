package api

import (
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/api/openapi"
)

const (
	descriptionPath = "/api/openapi.json"
	messagesPath    = "/api/asyncapi.json"
	docsPath        = "/api/docs"
)

// describe answers the OpenAPI description. It tells nothing of an installation, so everybody may read it.
func (a *API) describe(w http.ResponseWriter, r *http.Request) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	body, err := openapi.Document()
	if err != nil {
		return fmt.Errorf("make description: %w", err)
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}

// describeMessages answers the AsyncAPI description, likewise.
func (a *API) describeMessages(w http.ResponseWriter, r *http.Request) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	body, err := openapi.Messages()
	if err != nil {
		return fmt.Errorf("make description of messages: %w", err)
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}

// docs answers the page that shows the description, and its parts.
func (a *API) docs(w http.ResponseWriter, r *http.Request) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	body, contentType, ok := openapi.Page(chi.URLParam(r, "file"))
	if !ok {
		return devices.Errorf(devices.NotFound, "", "the page has no such part")
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Security-Policy", openapi.PagePolicy)
	_, _ = w.Write(body) //nolint:gosec // a file of ours; a client that is gone needs no answer
	return nil
}

package api

import (
	"math"
	"net/http"
	"net/url"
	"slices"

	"github.com/fleetcast/fleetcast/devices/registry"
	"github.com/fleetcast/fleetcast/devices/store"
)

const credentialsPath = "/api/credentials/"

// credentialView is the credential of a gateway or a client as it is shown: without any part of its secret.
type credentialView struct {
	Name     string                  `json:"name"`
	Kind     registry.CredentialKind `json:"kind"`
	Fleets   []string                `json:"fleets,omitempty"`
	Rules    []registry.Rule         `json:"rules,omitempty"`
	Status   registry.Status         `json:"status"`
	Created  int64                   `json:"created"`
	Updated  int64                   `json:"updated"`
	Revision store.Revision          `json:"revision"`
	Token    string                  `json:"token,omitempty"` // where it was just made
}

func viewCredential(c *registry.Credential, token string) credentialView {
	return credentialView{c.Name, c.Kind, c.Fleets, c.Rules, c.Status, c.Created, c.Updated, c.Revision, token}
}

var credentialListing = listing[*registry.Credential]{
	id:   func(c *registry.Credential) string { return c.Name },
	text: func(c *registry.Credential) []string { return c.Fleets },
	keys: map[string]func(*registry.Credential) sortKey{
		"kind":    func(c *registry.Credential) sortKey { return byText(string(c.Kind)) },
		"created": func(c *registry.Credential) sortKey { return byTime(c.Created) },
		"updated": func(c *registry.Credential) sortKey { return byTime(c.Updated) },
	},
}

// listCredentials answers {"credentials":[…],"next":"…"}: those of gateways and clients.
func (a *API) listCredentials(w http.ResponseWriter, r *http.Request) error {
	found, next, err := pageOf(r, &credentialListing, a.credentialsOf, "kind", "status")
	if err != nil {
		return err
	}
	answer := struct {
		Credentials []credentialView `json:"credentials"`
		Next        string           `json:"next,omitempty"`
	}{[]credentialView{}, next}
	for _, c := range found {
		answer.Credentials = append(answer.Credentials, viewCredential(c, ""))
	}
	return writeValue(w, http.StatusOK, answer)
}

func (a *API) credentialsOf(values url.Values) ([]*registry.Credential, error) {
	kind, err := oneOf(values, "kind", string(registry.ForGateway), string(registry.ForClient))
	if err != nil {
		return nil, err
	}
	status, err := oneOf(values, "status", string(registry.Enabled), string(registry.Disabled))
	if err != nil {
		return nil, err
	}
	all, _ := a.options.Registry.Credentials("", math.MaxInt)
	return slices.DeleteFunc(all, func(c *registry.Credential) bool {
		return kind != "" && string(c.Kind) != kind || status != "" && string(c.Status) != status
	}), nil
}

func credentialOf(r *http.Request) (string, error) {
	if _, err := parseQuery(r); err != nil {
		return "", err
	}
	name, ok := nameIn(r, credentialsPath)
	if !ok {
		return "", registry.ErrNoCredential
	}
	return name, nil
}

func (a *API) oneCredential(w http.ResponseWriter, r *http.Request) error {
	name, err := credentialOf(r)
	if err != nil {
		return err
	}
	c, ok := a.options.Registry.Credential(name)
	if !ok || c.Kind == registry.ForDevice {
		return registry.ErrNoCredential
	}
	setTag(w, c.Revision)
	return writeValue(w, http.StatusOK, viewCredential(c, ""))
}

// createCredential makes the credential of a gateway or a client. Its token is shown here and never again.
func (a *API) createCredential(w http.ResponseWriter, r *http.Request) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	var body struct {
		Name   string                  `json:"name"`
		Kind   registry.CredentialKind `json:"kind"`
		Fleets []string                `json:"fleets"`
		Rules  []registry.Rule         `json:"rules"`
		Status registry.Status         `json:"status"`
		secretBody
	}
	if err := readBody(r, &body, false); err != nil {
		return err
	}
	secret, err := body.secret()
	if err != nil {
		return err
	}
	c, token, err := a.options.Registry.CreateCredential(r.Context(), registry.Credential{
		Name: body.Name, Kind: body.Kind, Fleets: body.Fleets, Rules: body.Rules, Status: body.Status,
	}, secret)
	if err != nil {
		return err
	}
	return created(w, credentialsPath, c.Name, c.Revision, viewCredential(c, token))
}

// updateCredential applies a merge patch (RFC 7396) to the fleets, rules and status.
func (a *API) updateCredential(w http.ResponseWriter, r *http.Request) error {
	name, err := credentialOf(r)
	if err != nil {
		return err
	}
	at, err := expected(r)
	if err != nil {
		return err
	}
	patch, err := readJSON(r, false)
	if err != nil {
		return err
	}
	c, err := a.options.Registry.UpdateCredential(r.Context(), name, patch, at)
	if err != nil {
		return err
	}
	setTag(w, c.Revision)
	return writeValue(w, http.StatusOK, viewCredential(c, ""))
}

func (a *API) deleteCredential(w http.ResponseWriter, r *http.Request) error {
	name, err := credentialOf(r)
	if err != nil {
		return err
	}
	at, err := expected(r)
	if err != nil {
		return err
	}
	return noContent(w, a.options.Registry.DeleteCredential(r.Context(), name, at))
}

func (a *API) rotateCredential(w http.ResponseWriter, r *http.Request) error {
	name, err := credentialOf(r)
	if err != nil {
		return err
	}
	var body secretBody
	if err := readBody(r, &body, true); err != nil {
		return err
	}
	secret, err := body.secret()
	if err != nil {
		return err
	}
	c, token, err := a.options.Registry.RotateCredential(r.Context(), name, secret)
	if err != nil {
		return err
	}
	setTag(w, c.Revision)
	return writeValue(w, http.StatusOK, viewCredential(c, token))
}

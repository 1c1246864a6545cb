package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// credentialsCommand is `gateway credentials …`: the credentials of gateways, which speak for the devices of fleets, and
// of other MQTT clients, which speak for none. A device's own goes with the device.
type credentialsCommand struct {
	Gateway gatewayCredentialCommand `cmd:"" help:"Make the credential of a network server or a platform and print its token, which is shown once."`
	Client  clientCredentialCommand  `cmd:"" help:"Make the credential of another MQTT client and print its token, which is shown once."`
	List    listCredentialsCommand   `cmd:"" help:"List them."`
	Show    showCredentialCommand    `cmd:"" help:"Show one, without its secret."`
	Disable credentialStatusCommand  `cmd:"" help:"Shut one out and end its connections."`
	Enable  credentialStatusCommand  `cmd:"" help:"Let one in again."`
	Rotate  rotateCredentialCommand  `cmd:"" help:"Make a new token, which is shown once; the one before ends."`
	Delete  deleteCredentialCommand  `cmd:"" help:"Delete one and end its connections."`
}

func credentialPath(name string) string { return "/api/credentials/" + url.PathEscape(name) }

// shownCredential is a credential with the token that was made.
type shownCredential struct {
	Name  string `json:"name"`
	Token string `json:"token,omitempty"`
}

func (s *shownCredential) tell(t *terminal, asJSON bool, raw json.RawMessage) error {
	if asJSON {
		return show(t, true, raw, nil)
	}
	shown := shownSecret{ID: s.Name, Token: s.Token}
	return shown.tell(t, false)
}

// make sends what makes a secret and tells it.
func makeCredential(ctx context.Context, r *remote, t *terminal, path string, body any, asJSON bool) error {
	var raw json.RawMessage
	if err := r.call(ctx, http.MethodPost, path, nil, body, &raw); err != nil {
		return err
	}
	var made shownCredential
	if err := json.Unmarshal(raw, &made); err != nil {
		return fmt.Errorf("read the gateway's answer: %w", err)
	}
	return made.tell(t, asJSON, raw)
}

type gatewayCredentialCommand struct {
	remote
	output
	secretFlags
	Name   string   `arg:"" help:"The MQTT user name."`
	Fleets []string `required:"" help:"The fleets whose devices it speaks for."`
}

// Run makes the credential.
func (c *gatewayCredentialCommand) Run(ctx context.Context, t *terminal) error {
	body := map[string]any{"name": c.Name, "kind": "gateway", "fleets": c.Fleets}
	if err := c.into(t, body); err != nil {
		return err
	}
	return makeCredential(ctx, &c.remote, t, "/api/credentials", body, c.JSON)
}

type clientCredentialCommand struct {
	remote
	output
	secretFlags
	Name      string   `arg:"" help:"The MQTT user name."`
	Publish   []string `help:"Topic filters that it may publish to."`
	Subscribe []string `help:"Topic filters that it may subscribe to."`
}

// Run makes the credential.
func (c *clientCredentialCommand) Run(ctx context.Context, t *terminal) error {
	rules := []map[string]any{}
	for _, filter := range c.Publish {
		rules = append(rules, map[string]any{"filter": filter, "publish": true})
	}
	for _, filter := range c.Subscribe {
		rules = append(rules, map[string]any{"filter": filter, "subscribe": true})
	}
	body := map[string]any{"name": c.Name, "kind": "client", "rules": rules}
	if err := c.into(t, body); err != nil {
		return err
	}
	return makeCredential(ctx, &c.remote, t, "/api/credentials", body, c.JSON)
}

type listCredentialsCommand struct {
	remote
	output
}

// Run lists: a line each, JSON or columns.
func (c *listCredentialsCommand) Run(ctx context.Context, t *terminal) error {
	return c.pages(ctx, "/api/credentials", "credentials", url.Values{}, func(item json.RawMessage) error {
		return show(t, c.JSON, item, func() string {
			var v struct {
				Name, Kind, Status string
				Fleets             []string
				Rules              []struct{}
			}
			if json.Unmarshal(item, &v) != nil {
				return string(item)
			}
			what := strings.Join(v.Fleets, ",")
			if v.Kind == "client" {
				what = fmt.Sprintf("%d rules", len(v.Rules))
			}
			return fmt.Sprintf("%-32s %-8s %-9s %s", v.Name, v.Kind, v.Status, what)
		})
	})
}

type showCredentialCommand struct {
	remote
	output
	Name string `arg:""`
}

// Run shows the credential as the API does.
func (c *showCredentialCommand) Run(ctx context.Context, t *terminal) error {
	var v json.RawMessage
	if err := c.call(ctx, http.MethodGet, credentialPath(c.Name), nil, nil, &v); err != nil {
		return err
	}
	return show(t, true, v, nil)
}

// credentialStatusCommand is disable or enable, as it is called.
type credentialStatusCommand struct {
	remote
	output
	Name string `arg:""`
}

// Run sets the status that the command's name says.
func (c *credentialStatusCommand) Run(ctx context.Context, t *terminal, called *commandName) error {
	status := string(*called) + "d"
	var v json.RawMessage
	if err := c.call(ctx, http.MethodPatch, credentialPath(c.Name), nil, map[string]string{"status": status}, &v); err != nil {
		return err
	}
	return show(t, c.JSON, v, func() string { return c.Name + " is " + status })
}

type rotateCredentialCommand struct {
	remote
	output
	secretFlags
	Name string `arg:""`
}

// Run makes the secret.
func (c *rotateCredentialCommand) Run(ctx context.Context, t *terminal) error {
	body := map[string]any{}
	if err := c.into(t, body); err != nil {
		return err
	}
	return makeCredential(ctx, &c.remote, t, credentialPath(c.Name)+"/credential", body, c.JSON)
}

type deleteCredentialCommand struct {
	remote
	output
	Name string `arg:""`
}

// Run deletes the credential.
func (c *deleteCredentialCommand) Run(ctx context.Context, t *terminal) error {
	if err := c.call(ctx, http.MethodDelete, credentialPath(c.Name), nil, nil, nil); err != nil {
		return err
	}
	return c.gone(t, "name", c.Name, "gone")
}

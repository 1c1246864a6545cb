package api

import (
	"context"
	"net/http"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/registry"
	"github.com/fleetcast/fleetcast/devices/rulebook"
	"github.com/fleetcast/fleetcast/devices/store"
	"github.com/fleetcast/fleetcast/gateway/webhook"
)

// Webhooks checks and tries what is told of events: a webhook.Sender, or a fake.
type Webhooks interface {
	Check(hook *rulebook.Webhook) error
	Test(ctx context.Context, hook *rulebook.Webhook) webhook.Result
}

const webhooksPath = "/api/webhooks/"

var errNoWebhook = devices.Errorf(devices.NotFound, "", "there is no such webhook")

// webhookRoutes are for who rules all: a webhook hears of every fleet that it names, or of all.
func (a *API) webhookRoutes(plainRoute func(method, path string, n need, f callerHandler)) {
	ruler := need{role: devices.Admin, all: true}
	route := func(method, path string, f handlerFunc) { plainRoute(method, path, ruler, a.bookLoaded(plain(f))) }
	route(http.MethodGet, "/api/webhooks", a.listWebhooks)
	route(http.MethodPost, "/api/webhooks", a.createWebhook)
	route(http.MethodGet, "/api/webhooks/{id}", a.oneWebhook)
	route(http.MethodPatch, "/api/webhooks/{id}", a.updateWebhook)
	route(http.MethodDelete, "/api/webhooks/{id}", a.deleteWebhook)
	route(http.MethodPost, "/api/webhooks/{id}/test", a.testWebhook)
}

// webhookView is a webhook as it is shown: with its secret only where it was just made or set.
type webhookView struct {
	rulebook.Webhook
	Created  int64          `json:"created"`
	Updated  int64          `json:"updated"`
	Revision store.Revision `json:"revision"`
	Status   webhookStatus  `json:"status"`
}

type webhookStatus struct {
	State     string `json:"state"` // new, ok, failing, disabled
	Failing   int64  `json:"failing_since,omitempty"`
	Delivered int64  `json:"delivered_at,omitempty"`
	Status    int    `json:"last_status,omitempty"`
	Error     string `json:"last_error,omitempty"`
	Dropped   uint64 `json:"dropped"`
}

func (a *API) viewWebhook(k *rulebook.Kept[rulebook.Webhook], withSecret bool) webhookView {
	v := webhookView{Webhook: k.Value, Created: k.Created, Updated: k.Updated, Revision: k.Revision, Status: webhookStatus{State: "new"}}
	if !withSecret {
		v.Secret = ""
	}
	st := &v.Status
	for _, s := range a.options.Rules.WebhookStates(k.Value.ID) { // of each partition
		st.Dropped += s.Dropped
		if s.Delivered > st.Delivered {
			st.Delivered, st.State = s.Delivered, "ok"
			if st.Failing == 0 {
				st.Status = s.Status
			}
		}
		if s.Failing != 0 && (st.Failing == 0 || s.Failing < st.Failing) {
			st.Failing, st.Status, st.Error = s.Failing, s.Status, s.Error
		}
	}
	switch {
	case k.Value.Disabled:
		st.State = "disabled"
	case st.Failing != 0:
		st.State = "failing"
	}
	return v
}

// listWebhooks answers {"webhooks":[…],"next":"…"}: a page by id.
func (a *API) listWebhooks(w http.ResponseWriter, r *http.Request) error {
	values, err := parseQuery(r, "limit", "after")
	if err != nil {
		return err
	}
	after, limit, err := page(values)
	if err != nil {
		return err
	}
	var answer struct {
		Webhooks []webhookView `json:"webhooks"`
		Next     string        `json:"next,omitempty"`
	}
	answer.Webhooks = []webhookView{}
	found, next := a.options.Rules.WebhooksPage(after, limit)
	for _, k := range found {
		answer.Webhooks = append(answer.Webhooks, a.viewWebhook(k, false))
	}
	answer.Next = next
	return writeValue(w, http.StatusOK, answer)
}

func (a *API) webhookOf(r *http.Request) (*rulebook.Kept[rulebook.Webhook], error) {
	id, err := plainName(r, webhooksPath, errNoWebhook)
	if err != nil {
		return nil, err
	}
	k, ok := a.options.Rules.Webhook(id)
	if !ok {
		return nil, errNoWebhook
	}
	return k, nil
}

func (a *API) oneWebhook(w http.ResponseWriter, r *http.Request) error {
	k, err := a.webhookOf(r)
	if err != nil {
		return err
	}
	setTag(w, k.Revision)
	return writeValue(w, http.StatusOK, a.viewWebhook(k, false))
}

// webhookBody is what people say of a webhook.
type webhookBody struct {
	ID       string            `json:"id"`
	URL      string            `json:"url"`
	Events   []string          `json:"events"`
	Fleets   []devices.FleetID `json:"fleets,omitempty"`
	Disabled bool              `json:"disabled,omitempty"`
	Secret   string            `json:"secret,omitempty"`
}

func (b *webhookBody) webhook() rulebook.Webhook {
	return rulebook.Webhook{ID: b.ID, URL: b.URL, Events: b.Events, Fleets: b.Fleets, Disabled: b.Disabled, Secret: b.Secret}
}

func (a *API) createWebhook(w http.ResponseWriter, r *http.Request) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	body := webhookBody{Events: []string{alertNote}}
	if err := readBody(r, &body, false); err != nil {
		return err
	}
	hook := body.webhook()
	if hook.ID == "" {
		hook.ID = rulebook.NewID()
	}
	if hook.Secret == "" {
		hook.Secret = rulebook.NewWebhookSecret()
	}
	if err := a.options.Webhooks.Check(&hook); err != nil {
		return err
	}
	k, err := a.options.Rules.CreateWebhook(r.Context(), hook)
	if err != nil {
		return err
	}
	return created(w, webhooksPath, hook.ID, k.Revision, a.viewWebhook(k, true))
}

// updateWebhook applies a merge patch (RFC 7396). A webhook that is enabled again begins with what comes from then on.
func (a *API) updateWebhook(w http.ResponseWriter, r *http.Request) error {
	id, err := plainName(r, webhooksPath, errNoWebhook)
	if err != nil {
		return err
	}
	rotated := false
	k, err := changeKept(r, func(ctx context.Context, patch []byte) (*rulebook.Kept[rulebook.Webhook], store.Revision, error) {
		k, err := a.options.Rules.ReadWebhook(ctx, id)
		if err != nil {
			return nil, 0, err
		}
		old := k.Value
		before := webhookBody{ID: old.ID, URL: old.URL, Events: old.Events, Fleets: old.Fleets, Disabled: old.Disabled, Secret: old.Secret}
		var after webhookBody
		if err := registry.MergePatch(&before, patch, &after); err != nil {
			return nil, 0, err
		}
		if after.ID != old.ID {
			return nil, 0, devices.Errorf(devices.Invalid, "id", "is not yours to change")
		}
		if after.Secret == "" {
			after.Secret = rulebook.NewWebhookSecret() // null asks for another one
		}
		k.Value = after.webhook()
		rotated = after.Secret != old.Secret
		if k.Value.Disabled {
			k.Value.Reason = old.Reason
		} else if old.Disabled {
			if err := a.options.Rules.ForgetWebhookStates(ctx, id); err != nil {
				return nil, 0, err
			}
		}
		return k, k.Revision, a.options.Webhooks.Check(&k.Value)
	}, a.options.Rules.ReplaceWebhook)
	if err != nil {
		return err
	}
	setTag(w, k.Revision)
	return writeValue(w, http.StatusOK, a.viewWebhook(k, rotated))
}

func (a *API) deleteWebhook(w http.ResponseWriter, r *http.Request) error {
	id, err := plainName(r, webhooksPath, errNoWebhook)
	if err != nil {
		return err
	}
	return a.deleteKept(w, r, func(ctx context.Context) (store.Revision, error) {
		k, err := a.options.Rules.ReadWebhook(ctx, id)
		if err != nil {
			return 0, err
		}
		return k.Revision, nil
	}, func(ctx context.Context, at store.Revision) error { return a.options.Rules.DeleteWebhook(ctx, id, at) })
}

// testWebhook sends a test once, whether or not the webhook is disabled, and says what came of it.
func (a *API) testWebhook(w http.ResponseWriter, r *http.Request) error {
	id, err := plainName(r, webhooksPath, errNoWebhook)
	if err != nil {
		return err
	}
	k, ok := a.options.Rules.Webhook(id)
	if !ok {
		return errNoWebhook
	}
	return writeValue(w, http.StatusOK, a.options.Webhooks.Test(r.Context(), &k.Value))
}

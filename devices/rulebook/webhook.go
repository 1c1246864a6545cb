package rulebook

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

// Bounds of a webhook.
const (
	MaxWebhookURLBytes = 2_000
	maxWebhookFleets   = 1_000
)

// WebhookEvents are the events that a webhook may be told.
var WebhookEvents = []string{"alert", "command"}

// Webhook is an address that is told of events.
type Webhook struct {
	ID  string `json:"id"`
	URL string `json:"url"`
	// Secret signs what is sent: "whsec_" and base64, as Standard Webhooks has it.
	Secret string            `json:"secret,omitempty"`
	Events []string          `json:"events"`           // alert where none is named
	Fleets []devices.FleetID `json:"fleets,omitempty"` // empty: all
	// Disabled: nothing is sent, and what happens meanwhile is not sent later.
	Disabled bool `json:"disabled,omitempty"`
	// Reason says why it was disabled, where nobody did.
	Reason string `json:"reason,omitempty"`
}

// WebhookState is how far a partition's owner is with a webhook. The record's id is the webhook's, a slash and the
// partition.
type WebhookState struct {
	Epoch     uint64 `json:"epoch"`
	Offset    uint64 `json:"offset"` // all up to here was sent
	Failing   int64  `json:"failing_since,omitempty"`
	Delivered int64  `json:"delivered_at,omitempty"`
	Status    int    `json:"last_status,omitempty"` // of HTTP; 0: there was no answer
	Error     string `json:"last_error,omitempty"`
	Dropped   uint64 `json:"dropped,omitempty"` // events that were not sent: too many waited, or for too long
}

// Check tells the first thing that is wrong, as an Invalid error. Where the address leads is asked when it is called.
func (w *Webhook) Check() error {
	u, err := url.Parse(w.URL)
	switch {
	case w.ID == "" || len(w.ID) > 64 || strings.ContainsFunc(w.ID, func(r rune) bool { return !isIDRune(r) }):
		return devices.Errorf(devices.Invalid, "id", "is empty, longer than 64 bytes, or holds something other than letters, digits, '-', '_' and '.'")
	case w.URL == "" || len(w.URL) > MaxWebhookURLBytes || err != nil || u.Host == "":
		return devices.Errorf(devices.Invalid, "url", "is no URL of at most %d bytes", MaxWebhookURLBytes)
	case u.Scheme != "https" && u.Scheme != "http":
		return devices.Errorf(devices.Invalid, "url", "is neither https nor http")
	case u.User != nil || u.Fragment != "":
		return devices.Errorf(devices.Invalid, "url", "holds a user or a fragment")
	case len(w.Fleets) > maxWebhookFleets:
		return devices.Errorf(devices.Invalid, "fleets", "has more than %d names", maxWebhookFleets)
	case len(w.Events) == 0:
		return devices.Errorf(devices.Invalid, "events", "is empty")
	}
	for i, e := range w.Events {
		if !slices.Contains(WebhookEvents, e) || slices.Contains(w.Events[:i], e) {
			return devices.Errorf(devices.Invalid, "events", "%q is none of %s, or there twice", e, strings.Join(WebhookEvents, ", "))
		}
	}
	if _, err := w.Key(); err != nil {
		return err
	}
	return nil
}

func isIDRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r)
}

const secretPrefix = "whsec_"

// NewWebhookSecret makes up a secret.
func NewWebhookSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(b[:])
}

// Key is what signs.
func (w *Webhook) Key() ([]byte, error) {
	text, ok := strings.CutPrefix(w.Secret, secretPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, devices.Errorf(devices.Invalid, "secret", "is not %s and 24 to 64 bytes in base64", secretPrefix)
	}
	return key, nil
}

// Wants tells whether an event is for the webhook.
func (w *Webhook) Wants(event string, fleet devices.FleetID) bool {
	return !w.Disabled && slices.Contains(w.Events, event) && (len(w.Fleets) == 0 || slices.Contains(w.Fleets, fleet))
}

// Webhook returns a webhook as this process has it.
func (b *Book) Webhook(id string) (*Kept[Webhook], bool) { return b.hooks.get(id) }

// WebhooksPage returns a page of the webhooks, by id.
func (b *Book) WebhooksPage(after string, limit int) ([]*Kept[Webhook], string) {
	return b.hooks.page(after, limit, nil)
}

// Webhooks are all of them.
func (b *Book) Webhooks() []Webhook { return b.hooks.values() }

// ReadWebhook returns a webhook as the store has it.
func (b *Book) ReadWebhook(ctx context.Context, id string) (*Kept[Webhook], error) {
	return read[Webhook](ctx, b, KindWebhook, id)
}

// CreateWebhook keeps a new webhook, which was checked.
func (b *Book) CreateWebhook(ctx context.Context, w Webhook) (*Kept[Webhook], error) {
	return create(ctx, b, &b.hooks, KindWebhook, w.ID, &Kept[Webhook]{Value: w}, MaxWebhooks)
}

// ReplaceWebhook writes a changed webhook over the one of a revision.
func (b *Book) ReplaceWebhook(ctx context.Context, w *Kept[Webhook], at store.Revision) (*Kept[Webhook], error) {
	return replace(ctx, b, KindWebhook, w.Value.ID, w, at)
}

// DeleteWebhook removes a webhook, and how far it was.
func (b *Book) DeleteWebhook(ctx context.Context, id string, at store.Revision) error {
	if err := remove(ctx, b, KindWebhook, id, at); err != nil {
		return err
	}
	return b.ForgetWebhookStates(ctx, id)
}

// ForgetWebhookStates has a webhook begin anew: with what comes from then on.
func (b *Book) ForgetWebhookStates(ctx context.Context, id string) error {
	for _, state := range b.stateIDs(id) {
		if err := remove(ctx, b, KindWebhookState, state, 0); err != nil {
			return err
		}
	}
	return nil
}

// StateID names how far a partition's owner is with a webhook.
func StateID(hook string, partition int) string { return fmt.Sprintf("%s/%d", hook, partition) }

func (b *Book) stateIDs(hook string) (ids []string) {
	b.states.mu.RLock()
	defer b.states.mu.RUnlock()
	for id := range b.states.held {
		if strings.HasPrefix(id, hook+"/") {
			ids = append(ids, id)
		}
	}
	return ids
}

// WebhookStates are how far the owners of all partitions are with a webhook, as they last said.
func (b *Book) WebhookStates(hook string) (out []WebhookState) {
	for _, id := range b.stateIDs(hook) {
		if s, ok := b.states.get(id); ok {
			out = append(out, s.Value)
		}
	}
	return out
}

// ReadWebhookState returns how far a partition's owner was, and false where it never began.
func (b *Book) ReadWebhookState(ctx context.Context, hook string, partition int) (WebhookState, bool, error) {
	s, err := read[WebhookState](ctx, b, KindWebhookState, StateID(hook, partition))
	switch {
	case devices.KindOf(err) == devices.NotFound:
		return WebhookState{}, false, nil
	case err != nil:
		return WebhookState{}, false, err
	}
	return s.Value, true, nil
}

// KeepWebhookState writes how far a partition's owner is. It does not wait until anybody sees it.
func (b *Book) KeepWebhookState(ctx context.Context, hook string, partition int, s WebhookState) error {
	now := b.o.Now().UnixMilli()
	value, err := json.Marshal(Kept[WebhookState]{Value: s, Created: now, Updated: now})
	if err != nil {
		return fmt.Errorf("encode webhook state: %w", err)
	}
	_, err = b.o.Store.Commit(ctx, []store.Op{{Kind: KindWebhookState, ID: StateID(hook, partition), Value: value}})
	return err
}

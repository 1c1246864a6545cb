package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/fleetcast/fleetcast/bridge/rules"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/registry"
	"github.com/fleetcast/fleetcast/devices/rulebook"
	"github.com/fleetcast/fleetcast/devices/store"
)

const rulesPath = "/api/rules/"

var errNoRule = devices.Errorf(devices.NotFound, "", "there is no such rule")

// maxChangeTries bounds how often a change is tried that others' changes overtook.
const maxChangeTries = 5

// ruleRoutes are the routes of rules and fences. Whose fleets one is of is asked in each.
func (a *API) ruleRoutes(plainRoute func(method, path string, n need, f callerHandler)) {
	route := func(method, path string, n need, f callerHandler) { plainRoute(method, path, n, a.bookLoaded(f)) }
	viewer, operator := need{role: devices.Viewer}, need{role: devices.Operator}
	route(http.MethodGet, "/api/rules", viewer, a.listRules)
	route(http.MethodPost, "/api/rules", operator, a.createRule)
	route(http.MethodGet, "/api/rules/{id}", viewer, a.oneRule)
	route(http.MethodPatch, "/api/rules/{id}", operator, a.updateRule)
	route(http.MethodDelete, "/api/rules/{id}", operator, a.deleteRule)

	route(http.MethodGet, "/api/fences", viewer, a.listFences)
	route(http.MethodPost, "/api/fences", operator, a.createFence)
	route(http.MethodGet, "/api/fences/{id}", viewer, a.oneFence)
	route(http.MethodPatch, "/api/fences/{id}", operator, a.updateFence)
	route(http.MethodDelete, "/api/fences/{id}", operator, a.deleteFence)
}

// bookLoaded answers only once the rules are there.
func (a *API) bookLoaded(f callerHandler) callerHandler {
	return func(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
		if !a.options.Rules.Ready() {
			return devices.Errorf(devices.Unavailable, "", "the rules are not loaded yet; try again")
		}
		return f(w, r, c)
	}
}

// ruleView is a rule as it is shown.
type ruleView struct {
	*rules.Rule
	Created  int64          `json:"created"`
	Updated  int64          `json:"updated"`
	Revision store.Revision `json:"revision"`
	// Fault says why it is not asked, or not of every device.
	Fault string `json:"fault,omitempty"`
}

func (a *API) viewRule(k *rulebook.Kept[rules.Rule]) ruleView {
	v := ruleView{Rule: &k.Value, Created: k.Created, Updated: k.Updated, Revision: k.Revision}
	if err := a.options.Rules.Fault(k.Value.ID); err != nil {
		v.Fault = err.Error()
	}
	return v
}

// seesAll tells whether the caller sees every fleet that something names. What names no fleet is about all of them.
func seesAll(c *devices.Caller, fleets []devices.FleetID) bool {
	if len(fleets) == 0 {
		return c.Scope.IsAll()
	}
	return devices.OnlyFleets(fleets...).Within(c.Scope)
}

// ruleSeen tells whether the caller may see a rule: one that is of fleets beyond theirs would tell of those, and one of
// all fleets that names devices may name others'.
func ruleSeen(c *devices.Caller, r *rules.Rule) bool {
	return seesAll(c, r.Fleets) || len(r.Fleets) == 0 && len(r.Devices) == 0
}

// listRules answers {"rules":[…],"next":"…"}: a page by id.
func (a *API) listRules(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	values, err := parseQuery(r, "limit", "after")
	if err != nil {
		return err
	}
	after, limit, err := page(values)
	if err != nil {
		return err
	}
	var answer struct {
		Rules []ruleView `json:"rules"`
		Next  string     `json:"next,omitempty"`
	}
	answer.Rules = []ruleView{}
	found, next := a.options.Rules.RulesPage(after, limit, func(r *rules.Rule) bool { return ruleSeen(c, r) })
	for _, k := range found {
		answer.Rules = append(answer.Rules, a.viewRule(k))
	}
	answer.Next = next
	return writeValue(w, http.StatusOK, answer)
}

func (a *API) oneRule(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	id, err := plainName(r, rulesPath, errNoRule)
	if err != nil {
		return err
	}
	k, ok := a.options.Rules.Rule(id)
	if !ok || !ruleSeen(c, &k.Value) {
		return errNoRule
	}
	setTag(w, k.Revision)
	return writeValue(w, http.StatusOK, a.viewRule(k))
}

// plainName reads the name at the end of the path of a request without a query.
func plainName(r *http.Request, prefix string, missing error) (string, error) {
	if _, err := parseQuery(r); err != nil {
		return "", err
	}
	name, ok := nameIn(r, prefix)
	if !ok || name == "" {
		return "", missing
	}
	return name, nil
}

// mayKeepRule tells whether the caller may make a rule what it is: about fleets of theirs, and about a fence that they see,
// or its alerts would tell where others' fences are.
func (a *API) mayKeepRule(c *devices.Caller, r *rules.Rule) error {
	if err := r.Check(); err != nil {
		return err
	}
	if !seesAll(c, r.Fleets) {
		if len(r.Fleets) == 0 {
			return devices.Errorf(devices.Forbidden, "fleets", "is empty, which is all fleets: this needs a proof for all fleets")
		}
		return devices.Errorf(devices.Forbidden, "fleets", "names one that is none of yours")
	}
	if r.When.Type != rules.InFence {
		return nil
	}
	if f, ok := a.options.Rules.Fence(r.When.Fence); !ok || !fenceSeen(c, &f.Value) {
		return devices.Errorf(devices.Invalid, "when.fence", "is no fence")
	}
	return nil
}

func (a *API) createRule(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	body, err := readJSON(r, false)
	if err != nil {
		return err
	}
	rule := rules.Rule{Severity: rules.Warning}
	if err := registry.DecodeStrict(body, &rule); err != nil {
		return err
	}
	if rule.ID == "" {
		rule.ID = rulebook.NewID()
	}
	if err := a.mayKeepRule(c, &rule); err != nil {
		return err
	}
	k, err := a.options.Rules.CreateRule(r.Context(), rule)
	if err != nil {
		return err
	}
	return created(w, rulesPath, rule.ID, k.Revision, a.viewRule(k))
}

// updateRule applies a merge patch (RFC 7396).
func (a *API) updateRule(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	id, err := plainName(r, rulesPath, errNoRule)
	if err != nil {
		return err
	}
	k, err := changeKept(r, func(ctx context.Context, patch []byte) (*rulebook.Kept[rules.Rule], store.Revision, error) {
		k, err := a.ruleToChange(ctx, c, id)
		if err != nil {
			return nil, 0, err
		}
		at, before := k.Revision, k.Value
		k.Value = rules.Rule{}
		if err := patched(&before, patch, &k.Value, before.ID, func() string { return k.Value.ID }); err != nil {
			return nil, 0, err
		}
		return k, at, a.mayKeepRule(c, &k.Value)
	}, a.options.Rules.ReplaceRule)
	if err != nil {
		return err
	}
	setTag(w, k.Revision)
	return writeValue(w, http.StatusOK, a.viewRule(k))
}

// ruleToChange is a rule as the store has it that the caller may change.
func (a *API) ruleToChange(ctx context.Context, c *devices.Caller, id string) (*rulebook.Kept[rules.Rule], error) {
	k, err := a.options.Rules.ReadRule(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case !ruleSeen(c, &k.Value):
		return nil, errNoRule
	case !seesAll(c, k.Value.Fleets):
		return nil, devices.Errorf(devices.Forbidden, "", "the rule is about all fleets: this needs a proof for all fleets")
	}
	return k, nil
}

func (a *API) deleteRule(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	id, err := plainName(r, rulesPath, errNoRule)
	if err != nil {
		return err
	}
	return a.deleteKept(w, r, func(ctx context.Context) (store.Revision, error) {
		k, err := a.ruleToChange(ctx, c, id)
		if err != nil {
			return 0, err
		}
		return k.Revision, nil
	}, func(ctx context.Context, at store.Revision) error { return a.options.Rules.DeleteRule(ctx, id, at) })
}

// deleteKept deletes what load read, at the revision that the caller read or at the present one.
func (a *API) deleteKept(w http.ResponseWriter, r *http.Request, load func(context.Context) (store.Revision, error), remove func(context.Context, store.Revision) error) error {
	asked, err := expected(r)
	if err != nil {
		return err
	}
	return noContent(w, retried(asked, func() error {
		at, err := load(r.Context())
		if err != nil {
			return err
		}
		if asked != 0 && asked != at {
			return rulebook.ErrStale
		}
		return remove(r.Context(), at)
	}))
}

// retried runs a step again while others' changes overtake it, unless the caller said what they had read.
func retried(asked store.Revision, step func() error) error {
	for range maxChangeTries {
		if err := step(); err == nil || asked != 0 || err != error(rulebook.ErrStale) { //nolint:errorlint // it is that very one
			return err
		}
	}
	return rulebook.ErrStale
}

// changeKept applies the patch in a request's body to what load read.
func changeKept[T any](r *http.Request, load func(ctx context.Context, patch []byte) (*rulebook.Kept[T], store.Revision, error),
	replace func(context.Context, *rulebook.Kept[T], store.Revision) (*rulebook.Kept[T], error),
) (out *rulebook.Kept[T], err error) {
	asked, err := expected(r)
	if err != nil {
		return nil, err
	}
	patch, err := readJSON(r, false)
	if err != nil {
		return nil, err
	}
	err = retried(asked, func() error {
		k, at, err := load(r.Context(), patch)
		if err != nil {
			return err
		}
		if asked != 0 && asked != at {
			return rulebook.ErrStale
		}
		out, err = replace(r.Context(), k, at)
		return err
	})
	return out, err
}

// patched merges a patch into a value whose id must stay.
func patched(before any, patch []byte, after any, id string, idOf func() string) error {
	if err := registry.MergePatch(before, patch, after); err != nil {
		return err
	}
	if idOf() != id {
		return devices.Errorf(devices.Invalid, "id", "is not yours to change")
	}
	return nil
}

// valueOf is a note's alert.
func valueOf[T any](data []byte) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(data, v); err != nil {
		return nil, fmt.Errorf("decode note: %w", err)
	}
	return v, nil
}

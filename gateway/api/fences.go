package api

import (
	"context"
	"net/http"

	"github.com/fleetcast/fleetcast/bridge/rules"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/registry"
	"github.com/fleetcast/fleetcast/devices/rulebook"
	"github.com/fleetcast/fleetcast/devices/store"
)

const fencesPath = "/api/fences/"

var errNoFence = devices.Errorf(devices.NotFound, "", "there is no such fence")

// fenceView is a fence as it is shown.
type fenceView struct {
	*rules.Fence
	Created  int64          `json:"created"`
	Updated  int64          `json:"updated"`
	Revision store.Revision `json:"revision"`
}

func viewFence(k *rulebook.Kept[rules.Fence]) fenceView {
	return fenceView{&k.Value, k.Created, k.Updated, k.Revision}
}

// fenceSeen tells whether the caller may see a fence. One of no fleet is a place for everybody.
func fenceSeen(c *devices.Caller, f *rules.Fence) bool {
	return len(f.Fleets) == 0 || seesAll(c, f.Fleets)
}

// listFences answers {"fences":[…],"next":"…"}: a page by id.
func (a *API) listFences(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	values, err := parseQuery(r, "limit", "after")
	if err != nil {
		return err
	}
	after, limit, err := page(values)
	if err != nil {
		return err
	}
	var answer struct {
		Fences []fenceView `json:"fences"`
		Next   string      `json:"next,omitempty"`
	}
	answer.Fences = []fenceView{}
	found, next := a.options.Rules.FencesPage(after, limit, func(f *rules.Fence) bool { return fenceSeen(c, f) })
	for _, k := range found {
		answer.Fences = append(answer.Fences, viewFence(k))
	}
	answer.Next = next
	return writeValue(w, http.StatusOK, answer)
}

func (a *API) oneFence(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	id, err := plainName(r, fencesPath, errNoFence)
	if err != nil {
		return err
	}
	k, ok := a.options.Rules.Fence(id)
	if !ok || !fenceSeen(c, &k.Value) {
		return errNoFence
	}
	setTag(w, k.Revision)
	return writeValue(w, http.StatusOK, viewFence(k))
}

func mayKeepFence(c *devices.Caller, f *rules.Fence) error {
	if err := f.Check(); err != nil {
		return err
	}
	if seesAll(c, f.Fleets) {
		return nil
	}
	if len(f.Fleets) == 0 {
		return devices.Errorf(devices.Forbidden, "fleets", "is empty, which is all fleets: this needs a proof for all fleets")
	}
	return devices.Errorf(devices.Forbidden, "fleets", "names one that is none of yours")
}

func (a *API) createFence(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	body, err := readJSON(r, false)
	if err != nil {
		return err
	}
	var fence rules.Fence
	if err := registry.DecodeStrict(body, &fence); err != nil {
		return err
	}
	if fence.ID == "" {
		fence.ID = rulebook.NewID()
	}
	if err := mayKeepFence(c, &fence); err != nil {
		return err
	}
	k, err := a.options.Rules.CreateFence(r.Context(), fence)
	if err != nil {
		return err
	}
	return created(w, fencesPath, fence.ID, k.Revision, viewFence(k))
}

// updateFence applies a merge patch (RFC 7396).
func (a *API) updateFence(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	id, err := plainName(r, fencesPath, errNoFence)
	if err != nil {
		return err
	}
	k, err := changeKept(r, func(ctx context.Context, patch []byte) (*rulebook.Kept[rules.Fence], store.Revision, error) {
		k, err := a.fenceToChange(ctx, c, id)
		if err != nil {
			return nil, 0, err
		}
		at, before := k.Revision, k.Value
		k.Value = rules.Fence{}
		if err := patched(&before, patch, &k.Value, before.ID, func() string { return k.Value.ID }); err != nil {
			return nil, 0, err
		}
		return k, at, mayKeepFence(c, &k.Value)
	}, a.options.Rules.ReplaceFence)
	if err != nil {
		return err
	}
	setTag(w, k.Revision)
	return writeValue(w, http.StatusOK, viewFence(k))
}

func (a *API) fenceToChange(ctx context.Context, c *devices.Caller, id string) (*rulebook.Kept[rules.Fence], error) {
	k, err := a.options.Rules.ReadFence(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case !fenceSeen(c, &k.Value):
		return nil, errNoFence
	case !seesAll(c, k.Value.Fleets):
		return nil, devices.Errorf(devices.Forbidden, "", "the fence is everybody's: this needs a proof for all fleets")
	}
	return k, nil
}

func (a *API) deleteFence(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	id, err := plainName(r, fencesPath, errNoFence)
	if err != nil {
		return err
	}
	return a.deleteKept(w, r, func(ctx context.Context) (store.Revision, error) {
		k, err := a.fenceToChange(ctx, c, id)
		if err != nil {
			return 0, err
		}
		return k.Revision, nil
	}, func(ctx context.Context, at store.Revision) error { return a.options.Rules.DeleteFence(ctx, id, at) })
}

package api

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/auth"
)

func grantKeys[T any](grant func(T) *auth.Grant) func(T) sortKey {
	return func(t T) sortKey { return byNumber(int(grant(t).Role)) }
}

func fleetNames(g *auth.Grant) (names []string) {
	for _, fleet := range g.Fleets {
		names = append(names, fleet.String())
	}
	return names
}

var userListing = listing[auth.User]{
	id:   func(u auth.User) string { return u.Name },
	text: func(u auth.User) []string { return fleetNames(&u.Grant) },
	keys: map[string]func(auth.User) sortKey{
		"role":    grantKeys(func(u auth.User) *auth.Grant { return &u.Grant }),
		"created": func(u auth.User) sortKey { return byTime(u.Created) },
		"updated": func(u auth.User) sortKey { return byTime(u.Updated) },
	},
}

// roleOf reads the filter by role.
func roleOf(values url.Values) (devices.Role, error) {
	if !values.Has("role") {
		return devices.NoRole, nil
	}
	return devices.ParseRole(values.Get("role"))
}

// listUsers answers {"users":[…],"next":"…"}.
func (a *API) listUsers(w http.ResponseWriter, r *http.Request, _ *devices.Caller) error {
	found, next, err := pageOf(r, &userListing, func(values url.Values) ([]auth.User, error) {
		role, err := roleOf(values)
		if err != nil {
			return nil, err
		}
		status, err := oneOf(values, "status", "enabled", "disabled")
		if err != nil {
			return nil, err
		}
		all, _ := a.options.Auth.Users("", auth.MaxUsers)
		return slices.DeleteFunc(all, func(u auth.User) bool {
			return role != devices.NoRole && u.Role != role || status != "" && u.Disabled != (status == "disabled")
		}), nil
	}, "role", "status")
	if err != nil {
		return err
	}
	answer := struct {
		Users []userView `json:"users"`
		Next  string     `json:"next,omitempty"`
	}{[]userView{}, next}
	for i := range found {
		answer.Users = append(answer.Users, viewUser(&found[i]))
	}
	return writeValue(w, http.StatusOK, answer)
}

// showUser answers one user.
func (a *API) showUser(w http.ResponseWriter, r *http.Request, _ *devices.Caller) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	name, _ := nameIn(r, usersPath)
	u, err := a.options.Auth.User(name)
	if err != nil {
		return devices.Errorf(devices.NotFound, "", "there is no such user")
	}
	return writeValue(w, http.StatusOK, viewUser(&u))
}

var keyListing = listing[auth.Key]{
	id:   func(k auth.Key) string { return k.ID },
	text: func(k auth.Key) []string { return append(fleetNames(&k.Grant), k.Note, k.By) },
	keys: map[string]func(auth.Key) sortKey{
		"role":    grantKeys(func(k auth.Key) *auth.Grant { return &k.Grant }),
		"note":    func(k auth.Key) sortKey { return byText(k.Note) },
		"created": func(k auth.Key) sortKey { return byTime(k.Created) },
		"expires": func(k auth.Key) sortKey { return byTime(k.Expires) },
	},
}

// listKeys answers {"keys":[…],"next":"…"}.
func (a *API) listKeys(w http.ResponseWriter, r *http.Request, _ *devices.Caller) error {
	found, next, err := pageOf(r, &keyListing, func(values url.Values) ([]auth.Key, error) {
		role, err := roleOf(values)
		if err != nil {
			return nil, err
		}
		all, _ := a.options.Auth.Keys("", auth.MaxKeys)
		return slices.DeleteFunc(all, func(k auth.Key) bool { return role != devices.NoRole && k.Role != role }), nil
	}, "role")
	if err != nil {
		return err
	}
	answer := struct {
		Keys []keyView `json:"keys"`
		Next string    `json:"next,omitempty"`
	}{[]keyView{}, next}
	for i := range found {
		answer.Keys = append(answer.Keys, viewKey(&found[i], ""))
	}
	return writeValue(w, http.StatusOK, answer)
}

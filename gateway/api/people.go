package api

import (
	"net/http"
	"net/url"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/auth"
	"github.com/fleetcast/fleetcast/gateway/problem"
)

const (
	usersPath = "/api/users/"
	keysPath  = "/api/keys/"
)

// peopleRoutes are the routes of signing in, and of who may. In open mode they are not there but for the session, which
// says that nobody is asked.
func (a *API) peopleRoutes(r chi.Router, route func(method, path string, n need, f callerHandler)) {
	viewer, ruler := need{role: devices.Viewer}, need{role: devices.Admin, all: true}
	route(http.MethodGet, "/api/session", viewer, a.showSession)
	if a.options.Auth == nil {
		return
	}
	r.Method(http.MethodPost, "/api/session", a.handle(a.signIn))
	r.Method(http.MethodPost, "/api/setup", a.handle(a.setUp))
	route(http.MethodDelete, "/api/session", viewer, a.signOut)
	route(http.MethodPost, "/api/tickets", viewer, a.createTicket)
	route(http.MethodPost, "/api/tokens", need{role: devices.Admin}, a.createToken)
	route(http.MethodPost, "/api/tokens/revoke", ruler, a.revokeToken)
	route(http.MethodGet, "/api/users", ruler, a.listUsers)
	route(http.MethodPost, "/api/users", ruler, a.createUser)
	route(http.MethodGet, "/api/users/{name}", ruler, a.showUser)
	route(http.MethodPatch, "/api/users/{name}", ruler, a.updateUser)
	route(http.MethodDelete, "/api/users/{name}", ruler, a.deleteUser)
	route(http.MethodGet, "/api/keys", ruler, a.listKeys)
	route(http.MethodPost, "/api/keys", need{role: devices.Admin}, a.createKey)
	route(http.MethodDelete, "/api/keys/{id}", ruler, a.deleteKey)
}

// grantBody is what somebody may, in a request and an answer.
type grantBody struct {
	Role      devices.Role      `json:"role"`
	Fleets    []devices.FleetID `json:"fleets,omitempty"`
	AllFleets bool              `json:"all_fleets,omitempty"`
}

func (g grantBody) grant() auth.Grant {
	return auth.Grant{Role: g.Role, Fleets: g.Fleets, AllFleets: g.AllFleets}
}

// sessionView is who asks, as it is told to them.
type sessionView struct {
	Name string `json:"name"`
	grantBody
	Expires int64 `json:"expires,omitempty"` // unix ms
	Open    bool  `json:"open,omitempty"`    // nobody is asked who they are
}

func (a *API) viewCaller(c *devices.Caller) sessionView {
	v := sessionView{Name: c.Subject, Open: a.options.Auth == nil}
	v.Role, v.Fleets, v.AllFleets = c.Role, c.Scope.Fleets(), c.Scope.IsAll()
	if !c.Expires.IsZero() {
		v.Expires = c.Expires.UnixMilli()
	}
	return v
}

func (a *API) showSession(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	return writeValue(w, http.StatusOK, a.viewCaller(c))
}

// signIn begins a session and sets its cookie, which is what an EventSource of this site then shows.
func (a *API) signIn(w http.ResponseWriter, r *http.Request) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	var body struct {
		Name     string `json:"name"`
		Password string `json:"password"`
	}
	if err := readBody(r, &body, false); err != nil {
		return err
	}
	c, cookie, err := a.options.Auth.SignIn(r.Context(), body.Name, body.Password, a.addressOf(r))
	if err != nil {
		return throttled(w, r, err)
	}
	http.SetCookie(w, cookie)
	return writeValue(w, http.StatusOK, a.viewCaller(&c))
}

// throttled says when to come again to who has guessed too often.
func throttled(w http.ResponseWriter, r *http.Request, err error) error {
	if devices.KindOf(err) != devices.Exhausted {
		return err
	}
	p := problem.Of(err)
	p.RetryAfter = auth.ThrottleWindow
	p.Write(w, r)
	return nil
}

func (a *API) signOut(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	cookie, err := a.options.Auth.SignOut(r.Context(), c)
	http.SetCookie(w, cookie)
	return noContent(w, err)
}

// setUp makes the first admin of an installation, for who has the link of its first start.
func (a *API) setUp(w http.ResponseWriter, r *http.Request) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	var body struct {
		Setup    string `json:"setup"`
		Name     string `json:"name"`
		Password string `json:"password"`
	}
	if err := readBody(r, &body, false); err != nil {
		return err
	}
	u, err := a.options.Auth.SetUp(r.Context(), body.Setup, body.Name, body.Password, a.addressOf(r))
	if err != nil {
		return throttled(w, r, err)
	}
	return created(w, usersPath, u.Name, 0, viewUser(&u))
}

// createTicket makes a ticket for one stream: {"url":"/stream/assets?fleet=north"} gives {"ticket", "url", "expires_in_s"}.
func (a *API) createTicket(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	var body struct {
		URL string `json:"url"`
	}
	if err := readBody(r, &body, false); err != nil {
		return err
	}
	u, err := url.Parse(body.URL)
	if err != nil || u.IsAbs() || u.Host != "" {
		return devices.Errorf(devices.Invalid, "url", "is not the path and query of a stream here")
	}
	ticket, err := a.options.Auth.SignTicket(r.Context(), c, u.Path, u.RawQuery)
	if err != nil {
		return err
	}
	values := u.Query()
	values.Set(auth.TicketParameter, ticket)
	answer := struct {
		Ticket    string `json:"ticket"`
		URL       string `json:"url"` // with the ticket in it
		ExpiresIn int    `json:"expires_in_s"`
	}{ticket, u.Path + "?" + values.Encode(), int(auth.TicketTTL / time.Second)}
	return writeValue(w, http.StatusCreated, answer)
}

// maxTTLSeconds is the longest time that a body may ask for.
const maxTTLSeconds = int64(auth.MaxTokenTTL / time.Second)

func ttlOf(seconds int64) (time.Duration, error) {
	if seconds < 0 || seconds > maxTTLSeconds {
		return 0, devices.Errorf(devices.Invalid, "ttl_s", "is not between 0 and %d", maxTTLSeconds)
	}
	return time.Duration(seconds) * time.Second, nil
}

func (a *API) createToken(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	var body struct {
		Subject string `json:"subject"`
		grantBody
		TTL int64 `json:"ttl_s"`
	}
	if err := readBody(r, &body, false); err != nil {
		return err
	}
	ttl, err := ttlOf(body.TTL)
	if err != nil {
		return err
	}
	if body.Subject == "" {
		body.Subject = "token-of-" + c.Subject
	}
	token, err := a.options.Auth.SignToken(r.Context(), c, body.Subject, body.grant(), ttl)
	if err != nil {
		return err
	}
	return writeValue(w, http.StatusCreated, struct {
		Token string `json:"token"`
	}{token})
}

func (a *API) revokeToken(w http.ResponseWriter, r *http.Request, _ *devices.Caller) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	var body struct {
		Token string `json:"token"`
	}
	if err := readBody(r, &body, false); err != nil {
		return err
	}
	return noContent(w, a.options.Auth.Revoke(r.Context(), body.Token))
}

// userView is a user without what proves them.
type userView struct {
	Name string `json:"name"`
	grantBody
	Disabled bool  `json:"disabled,omitempty"`
	Created  int64 `json:"created"`
	Updated  int64 `json:"updated"`
}

func viewGrant(g *auth.Grant) grantBody { return grantBody{g.Role, g.Fleets, g.AllFleets} }

func viewUser(u *auth.User) userView {
	return userView{u.Name, viewGrant(&u.Grant), u.Disabled, u.Created, u.Updated}
}

func (a *API) createUser(w http.ResponseWriter, r *http.Request, _ *devices.Caller) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	var body struct {
		Name     string `json:"name"`
		Password string `json:"password"`
		grantBody
	}
	if err := readBody(r, &body, false); err != nil {
		return err
	}
	u, err := a.options.Auth.CreateUser(r.Context(), body.Name, body.Password, body.grant())
	if err != nil {
		return err
	}
	return created(w, usersPath, u.Name, 0, viewUser(&u))
}

// updateUser changes what the body names; role, fleets and all_fleets go together.
func (a *API) updateUser(w http.ResponseWriter, r *http.Request, _ *devices.Caller) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	name, ok := nameIn(r, usersPath)
	if !ok {
		return devices.Errorf(devices.NotFound, "", "there is no such user")
	}
	var body struct {
		Password  *string           `json:"password"`
		Disabled  *bool             `json:"disabled"`
		Role      *devices.Role     `json:"role"`
		Fleets    []devices.FleetID `json:"fleets"`
		AllFleets bool              `json:"all_fleets"`
	}
	if err := readBody(r, &body, false); err != nil {
		return err
	}
	change := auth.UserChange{Password: body.Password, Disabled: body.Disabled}
	switch {
	case body.Role != nil:
		change.Grant = &auth.Grant{Role: *body.Role, Fleets: body.Fleets, AllFleets: body.AllFleets}
	case body.Fleets != nil || body.AllFleets:
		return devices.Errorf(devices.Invalid, "role", "is missing: it goes with its fleets")
	}
	u, err := a.options.Auth.UpdateUser(r.Context(), name, change)
	if err != nil {
		return err
	}
	return writeValue(w, http.StatusOK, viewUser(&u))
}

func (a *API) deleteUser(w http.ResponseWriter, r *http.Request, _ *devices.Caller) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	name, ok := nameIn(r, usersPath)
	if !ok {
		return devices.Errorf(devices.NotFound, "", "there is no such user")
	}
	return noContent(w, a.options.Auth.DeleteUser(r.Context(), name))
}

// keyView is a key without what proves it, but where it was just made.
type keyView struct {
	ID string `json:"id"`
	grantBody
	Note    string `json:"note,omitempty"`
	Created int64  `json:"created"`
	Expires int64  `json:"expires,omitempty"`
	By      string `json:"by"`
	Key     string `json:"key,omitempty"`
}

func viewKey(k *auth.Key, token string) keyView {
	return keyView{k.ID, viewGrant(&k.Grant), k.Note, k.Created, k.Expires, k.By, token}
}

func (a *API) createKey(w http.ResponseWriter, r *http.Request, c *devices.Caller) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	var body struct {
		grantBody
		Note string `json:"note"`
		TTL  int64  `json:"ttl_s"` // 0: until it is deleted
	}
	if err := readBody(r, &body, false); err != nil {
		return err
	}
	ttl, err := ttlOf(body.TTL)
	if err != nil {
		return err
	}
	k, token, err := a.options.Auth.CreateKey(r.Context(), c, body.grant(), body.Note, ttl)
	if err != nil {
		return err
	}
	return created(w, keysPath, k.ID, 0, viewKey(&k, token))
}

func (a *API) deleteKey(w http.ResponseWriter, r *http.Request, _ *devices.Caller) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	id, _ := nameIn(r, keysPath)
	return noContent(w, a.options.Auth.DeleteKey(r.Context(), id))
}

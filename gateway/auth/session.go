package auth

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/secret"
	"github.com/fleetcast/fleetcast/devices/store"
)

// errSignIn is what everybody is told who does not get in, whatever was wrong: it must not say which names there are.
var errSignIn = devices.Errorf(devices.Unauthorized, "", "the name or the password is wrong")

// dummyHash is what the passwords of people who are not there are compared with, so that the answer takes as long.
var dummyHash = secret.HashPassword([]byte("nobody has this password"))

// SignIn begins a session. address is where the request comes from, for the throttle. The cookie is to be set.
func (a *Authority) SignIn(ctx context.Context, name, password, address string) (devices.Caller, *http.Cookie, error) {
	if !a.Ready() {
		return devices.Caller{}, nil, errNotLoaded
	}
	if err := a.throttle.allow(name, address); err != nil {
		a.counts.throttled.Add(1)
		return devices.Caller{}, nil, err
	}
	a.dir.mu.RLock()
	u := a.dir.users[name]
	a.dir.mu.RUnlock()
	hash := dummyHash
	if u != nil {
		hash = u.Password
	}
	right, err := a.pass.Verify(ctx, []byte(password), hash, a.o.Now())
	if err != nil {
		return devices.Caller{}, nil, err
	}
	if u == nil || !right || u.Disabled {
		a.throttle.failed(name, address)
		a.counts.wrong.Add(1)
		return devices.Caller{}, nil, errSignIn
	}
	return a.begin(ctx, u)
}

// begin keeps a new session, and ends the person's oldest where there are too many.
func (a *Authority) begin(ctx context.Context, u *User) (devices.Caller, *http.Cookie, error) {
	a.changing.Lock()
	defer a.changing.Unlock()
	now := a.o.Now()
	token, _ := secret.NewToken()
	id := idOf(token)
	s := session{User: u.Name, Serial: u.Serial, Created: now.UnixMilli(), Expires: now.Add(a.o.SessionTTL).UnixMilli()}
	ops := []store.Op{{Kind: KindSession, ID: id, Value: encode(s), If: store.Condition{Absent: true}}}
	theirs, all := a.sessionsOf(u.Name)
	if all >= MaxSessions && len(theirs) == 0 {
		return devices.Caller{}, nil, devices.Errorf(devices.Exhausted, "", "too many people are signed in")
	}
	if len(theirs) >= MaxSessionsPerUser {
		ops = append(ops, store.Op{Kind: KindSession, ID: theirs[0]})
	}
	if err := a.commit(ctx, ops...); err != nil {
		return devices.Caller{}, nil, err
	}
	a.counts.signIns.Add(1)
	c, err := a.bySession(token)
	return c, a.bake(token, a.o.SessionTTL), err
}

// sessionsOf are the ids of a person's sessions, the oldest first, and the number of all.
func (a *Authority) sessionsOf(name string) (ids []string, all int) {
	a.dir.mu.RLock()
	defer a.dir.mu.RUnlock()
	for id, s := range a.dir.sessions {
		if s.User == name {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(x, y string) int { return int(a.dir.sessions[x].Created - a.dir.sessions[y].Created) })
	return ids, len(a.dir.sessions)
}

// bake makes the session's cookie: no script reads it, and no other site's page sends it.
func (a *Authority) bake(value string, ttl time.Duration) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure where people come by https; on loopback they do not
		Name: a.cookie(), Value: value, Path: "/", MaxAge: int(ttl / time.Second),
		HttpOnly: true, Secure: a.o.SecureCookies, SameSite: http.SameSiteStrictMode,
	}
}

// SignOut ends the caller's session. The cookie is to be set; it takes the other away.
func (a *Authority) SignOut(ctx context.Context, c *devices.Caller) (*http.Cookie, error) {
	gone := a.bake("", -time.Second) // in the past
	id, ok := cutSession(c)
	if !ok {
		return gone, nil
	}
	return gone, a.commit(ctx, store.Op{Kind: KindSession, ID: id})
}

func cutSession(c *devices.Caller) (string, bool) {
	if len(c.Proof) > len(bySession) && c.Proof[:len(bySession)] == bySession {
		return c.Proof[len(bySession):], true
	}
	return "", false
}

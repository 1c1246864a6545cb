package auth

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// clock is a time that tests move.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ms.Store(time.Now().UnixMilli())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMilli(c.ms.Load()) }
func (c *clock) forward(d time.Duration) { c.ms.Add(d.Milliseconds()) }

func start(t *testing.T, s store.Store, o Options) *Authority {
	t.Helper()
	o.Store = s
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := a.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	wait, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if err := a.follower.Wait(wait, 0); err != nil {
		t.Fatal(err)
	}
	for !a.Ready() {
		select {
		case <-wait.Done():
			t.Fatal("it is never ready")
		case <-time.After(time.Millisecond):
		}
	}
	return a
}

func memory(t *testing.T) store.Store {
	t.Helper()
	s := store.NewMemory(store.MemoryOptions{})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func fleets(t *testing.T, names ...string) []devices.FleetID {
	t.Helper()
	var ids []devices.FleetID
	for _, n := range names {
		id, err := devices.ParseFleetID(n)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func viewerOf(t *testing.T, names ...string) Grant {
	return Grant{Role: devices.Viewer, Fleets: fleets(t, names...)}
}

func request(with func(*http.Request)) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/stream/assets?fleet=north", http.NoBody)
	if with != nil {
		with(r)
	}
	return r
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func wantKind(t *testing.T, what string, err error, kind devices.Kind) {
	t.Helper()
	if err == nil || devices.KindOf(err) != kind {
		t.Errorf("%s: %v, want %v", what, err, kind)
	}
}

func TestATokenOpensWhatItGrantsUntilItEndsOrIsRevoked(t *testing.T) {
	c := newClock()
	a := start(t, memory(t), Options{Now: c.now})
	token, err := a.SignToken(t.Context(), Local(), "grafana", viewerOf(t, "north"), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	caller, err := a.Identify(request(bearer(token)))
	if err != nil || caller.Subject != "grafana" || !caller.May(devices.Viewer) || caller.May(devices.Operator) ||
		!caller.Scope.Sees(fleets(t, "north")[0]) || caller.Scope.Sees(fleets(t, "south")[0]) {
		t.Fatalf("%+v, %v", caller, err)
	}
	for what, with := range map[string]func(*http.Request){
		"nothing":               nil,
		"an empty header":       bearer(""),
		"another scheme":        func(r *http.Request) { r.Header.Set("Authorization", "Basic "+token) },
		"a token that was cut":  bearer(token[:len(token)-1]),
		"a line end in a token": bearer(strings.Replace(token, ".", ".\n", 1)),
		"a megabyte":            bearer(strings.Repeat("eyJ.", 1<<18)),
		"a token in the URL":    func(r *http.Request) { r.URL.RawQuery = "token=" + token + "&access_token=" + token },
		"a token as a cookie":   func(r *http.Request) { r.AddCookie(&http.Cookie{Name: cookieName, Value: token}) },
	} {
		_, err := a.Identify(request(with))
		wantKind(t, what, err, devices.Unauthorized)
	}
	ended := make(chan struct{})
	unwatch := a.Watch(&caller, func() { close(ended) })
	defer unwatch()
	if err := a.Revoke(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	await(t, ended)
	_, err = a.Identify(request(bearer(token)))
	wantKind(t, "a token that was revoked", err, devices.Unauthorized)

	token, err = a.SignToken(t.Context(), Local(), "short", viewerOf(t, "north"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	c.forward(time.Minute)
	_, err = a.Identify(request(bearer(token)))
	wantKind(t, "a token that has ended", err, devices.Unauthorized)
}

func await(t *testing.T, ended <-chan struct{}) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("it was not ended")
	}
}

func TestNobodyGivesMoreThanTheyHave(t *testing.T) {
	a := start(t, memory(t), Options{})
	operator := devices.Caller{Subject: "ann", Role: devices.Operator, Scope: devices.OnlyFleets(fleets(t, "north", "west")...)}
	for what, g := range map[string]Grant{
		"another fleet": viewerOf(t, "south"), "all fleets": {Role: devices.Viewer, AllFleets: true},
		"a higher role": {Role: devices.Admin, Fleets: fleets(t, "north")},
	} {
		_, err := a.SignToken(t.Context(), &operator, "x", g, time.Hour)
		wantKind(t, what, err, devices.Forbidden)
		_, _, err = a.CreateKey(t.Context(), &operator, g, "", 0)
		wantKind(t, what, err, devices.Forbidden)
	}
	if _, err := a.SignToken(t.Context(), &operator, "x", viewerOf(t, "west"), time.Hour); err != nil {
		t.Error(err)
	}
	for what, g := range map[string]Grant{"no role": {Fleets: fleets(t, "a")}, "no fleet": {Role: devices.Viewer}, "both": {Role: devices.Viewer, Fleets: fleets(t, "a"), AllFleets: true}} {
		_, err := a.SignToken(t.Context(), Local(), "x", g, time.Hour)
		wantKind(t, what, err, devices.Invalid)
	}
}

func TestTwoEdgesDecideTheSame(t *testing.T) {
	s := memory(t)
	a, b := start(t, s, Options{}), start(t, s, Options{})
	token, err := a.SignToken(t.Context(), Local(), "x", viewerOf(t, "north"), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var caller devices.Caller
	eventually(t, func() bool {
		caller, err = b.Identify(request(bearer(token)))
		return err == nil
	})
	ended := make(chan struct{})
	defer b.Watch(&caller, func() { close(ended) })()
	if err := a.Revoke(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	await(t, ended)
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never holds")
		}
	}
}

func TestAPersonSignsInAndEverySessionEndsWithWhatItStandsOn(t *testing.T) {
	c := newClock()
	a := start(t, memory(t), Options{Now: c.now, SessionTTL: time.Hour})
	if _, err := a.CreateUser(t.Context(), "root", "a long enough password", Grant{Role: devices.Admin, AllFleets: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.CreateUser(t.Context(), "ann", "another long password", viewerOf(t, "north")); err != nil {
		t.Fatal(err)
	}
	for name, password := range map[string]string{"ann": "a long enough password", "nobody": "another long password", "": ""} {
		_, _, err := a.SignIn(t.Context(), name, password, "192.0.2.1")
		wantKind(t, name, err, devices.Unauthorized)
	}
	signIn := func(password string) (devices.Caller, *http.Cookie) {
		t.Helper()
		caller, cookie, err := a.SignIn(t.Context(), "ann", password, "192.0.2.1")
		if err != nil {
			t.Fatal(err)
		}
		if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" {
			t.Errorf("%+v", cookie)
		}
		return caller, cookie
	}
	holds := func(cookie *http.Cookie) bool {
		_, err := a.Identify(request(func(r *http.Request) { r.AddCookie(cookie) }))
		return err == nil
	}
	caller, cookie := signIn("another long password")
	if !holds(cookie) || caller.Subject != "ann" || caller.Scope.IsAll() {
		t.Errorf("%+v", caller)
	}
	if _, err := a.SignOut(t.Context(), &caller); err != nil || holds(cookie) {
		t.Errorf("signed out, %v", err)
	}
	_, cookie = signIn("another long password")
	c.forward(time.Hour)
	if holds(cookie) {
		t.Error("a session outlives its time")
	}
	yes, no, password := true, false, "yet another password"
	for what, change := range map[string]UserChange{
		"a new password": {Password: &password}, "disabled": {Disabled: &yes}, "another grant": {Grant: &Grant{Role: devices.Viewer, Fleets: fleets(t, "south")}},
	} {
		if _, err := a.UpdateUser(t.Context(), "ann", UserChange{Disabled: &no}); err != nil {
			t.Fatal(err)
		}
		old := "another long password"
		if _, err := a.UpdateUser(t.Context(), "ann", UserChange{Password: &old}); err != nil {
			t.Fatal(err)
		}
		caller, cookie := signIn(old)
		ended := make(chan struct{})
		unwatch := a.Watch(&caller, func() { close(ended) })
		if _, err := a.UpdateUser(t.Context(), "ann", change); err != nil {
			t.Fatal(err)
		}
		await(t, ended)
		unwatch()
		if holds(cookie) {
			t.Errorf("%s: the session holds", what)
		}
	}
	if _, err := a.UpdateUser(t.Context(), "ann", UserChange{Disabled: &no}); err != nil {
		t.Fatal(err)
	}
	if err := a.DeleteUser(t.Context(), "ann"); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"deleted": a.DeleteUser(t.Context(), "root"),
		"disabled": func() error {
			_, err := a.UpdateUser(t.Context(), "root", UserChange{Disabled: &yes})
			return err
		}(),
	} {
		wantKind(t, "the last admin is "+what, err, devices.Conflict)
	}
}

func TestGuessingIsSlowedBeforeAnythingIsHashed(t *testing.T) {
	c := newClock()
	a := start(t, memory(t), Options{Now: c.now})
	if _, err := a.CreateUser(t.Context(), "ann", "another long password", viewerOf(t, "north")); err != nil {
		t.Fatal(err)
	}
	for range failuresPerName {
		_, _, err := a.SignIn(t.Context(), "ann", "wrong password", "192.0.2.1")
		wantKind(t, "a wrong password", err, devices.Unauthorized)
	}
	hashed, _, _ := a.pass.Counts()
	_, _, err := a.SignIn(t.Context(), "ann", "another long password", "192.0.2.2")
	wantKind(t, "one more", err, devices.Exhausted)
	if now, _, _ := a.pass.Counts(); now != hashed {
		t.Error("a throttled password was hashed")
	}
	c.forward(ThrottleWindow)
	a.throttle.forget()
	if _, _, err := a.SignIn(t.Context(), "ann", "another long password", "192.0.2.1"); err != nil {
		t.Error(err)
	}
}

func TestAKeyOpensUntilItIsDeleted(t *testing.T) {
	a := start(t, memory(t), Options{})
	k, token, err := a.CreateKey(t.Context(), Local(), Grant{Role: devices.Operator, Fleets: fleets(t, "north")}, "cron", 0)
	if err != nil {
		t.Fatal(err)
	}
	caller, err := a.Identify(request(bearer(token)))
	if err != nil || caller.Role != devices.Operator || caller.Subject != "key:"+k.ID {
		t.Fatalf("%+v, %v", caller, err)
	}
	if page, _ := a.Keys("", 10); len(page) != 1 || page[0].By != "local" || strings.Contains(string(encode(page[0])), token) {
		t.Errorf("%+v", page)
	}
	ended := make(chan struct{})
	defer a.Watch(&caller, func() { close(ended) })()
	if err := a.DeleteKey(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	await(t, ended)
	_, err = a.Identify(request(bearer(token)))
	wantKind(t, "a key that is gone", err, devices.Unauthorized)
	wantKind(t, "deleting it again", a.DeleteKey(t.Context(), k.ID), devices.NotFound)
}

func TestATicketOpensItsStreamOnceAndThenItsReconnections(t *testing.T) {
	c := newClock()
	a := start(t, memory(t), Options{Now: c.now})
	_, key, err := a.CreateKey(t.Context(), Local(), Grant{Role: devices.Admin, Fleets: fleets(t, "north")}, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	caller, err := a.Identify(request(bearer(key)))
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := a.SignTicket(t.Context(), &caller, "/stream/assets", "fleet=north&every=1000")
	if err != nil {
		t.Fatal(err)
	}
	open := func(query string, with func(*http.Request)) (devices.Caller, *http.Cookie, error) {
		r := httptest.NewRequest(http.MethodGet, "/stream/assets?"+query, http.NoBody)
		if with != nil {
			with(r)
		}
		return a.ByTicket(t.Context(), r, ticket)
	}
	const same = "every=1000&fleet=north&ticket=x"
	_, _, err = open("fleet=north", nil)
	wantKind(t, "another filter", err, devices.Unauthorized)
	by, cookie, err := open(same, nil)
	if err != nil || cookie == nil || by.Role != devices.Viewer || by.Proof != caller.Proof {
		t.Fatalf("%+v, %v, %v", by, cookie, err)
	}
	_, _, err = open(same, nil)
	wantKind(t, "a second use by who has the URL only", err, devices.Unauthorized)
	_, _, err = open(same, func(r *http.Request) { r.AddCookie(&http.Cookie{Name: ticketCookie, Value: "made up"}) })
	wantKind(t, "a made up cookie", err, devices.Unauthorized)
	c.forward(time.Hour)
	if _, _, err := open(same, func(r *http.Request) { r.AddCookie(cookie) }); err != nil {
		t.Errorf("a browser that reconnects: %v", err)
	}
	if _, _, err := open(same, func(r *http.Request) { r.Header.Set("Last-Event-ID", "1") }); err != nil {
		t.Errorf("an EventSource that reconnects: %v", err)
	}
	if err := a.DeleteKey(t.Context(), strings.TrimPrefix(caller.Subject, "key:")); err != nil {
		t.Fatal(err)
	}
	_, _, err = open(same, func(r *http.Request) { r.AddCookie(cookie) })
	wantKind(t, "a ticket whose key is gone", err, devices.Unauthorized)

	_, err = a.Identify(request(bearer(ticket)))
	wantKind(t, "a ticket as a token", err, devices.Unauthorized)
	_, err = a.SignTicket(t.Context(), Local(), "/api/devices", "")
	wantKind(t, "a ticket for no stream", err, devices.Invalid)
}

func TestATicketThatWaitsIsSpent(t *testing.T) {
	c := newClock()
	a := start(t, memory(t), Options{Now: c.now})
	token, err := a.SignToken(t.Context(), Local(), "x", viewerOf(t, "north"), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	caller, err := a.Identify(request(bearer(token)))
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := a.SignTicket(t.Context(), &caller, "/stream/assets", "")
	if err != nil {
		t.Fatal(err)
	}
	c.forward(TicketTTL + time.Second)
	r := httptest.NewRequest(http.MethodGet, "/stream/assets", http.NoBody)
	_, _, err = a.ByTicket(t.Context(), r, ticket)
	wantKind(t, "a late ticket", err, devices.Unauthorized)
	r.Header.Set("Last-Event-ID", "1")
	_, _, err = a.ByTicket(t.Context(), r, ticket)
	wantKind(t, "a late ticket that was never used", err, devices.Unauthorized)
}

func TestTheFirstAdminSignsUpOnce(t *testing.T) {
	a := start(t, memory(t), Options{})
	link, err := a.NewSetup(t.Context())
	if err != nil || link == "" {
		t.Fatal(link, err)
	}
	_, err = a.SetUp(t.Context(), "fct_wrong", "root", "a long enough password", "192.0.2.1")
	wantKind(t, "a wrong link", err, devices.Unauthorized)
	u, err := a.SetUp(t.Context(), link, "root", "a long enough password", "192.0.2.1")
	if err != nil || !u.rules() {
		t.Fatalf("%+v, %v", u, err)
	}
	_, err = a.SetUp(t.Context(), link, "eve", "a long enough password", "192.0.2.1")
	wantKind(t, "the link again", err, devices.Unauthorized)
	if link, err := a.NewSetup(t.Context()); err != nil || link != "" {
		t.Errorf("%q, %v", link, err)
	}
}

func TestEndedRecordsAreRemoved(t *testing.T) {
	c := newClock()
	a := start(t, memory(t), Options{Now: c.now})
	if _, err := a.CreateUser(t.Context(), "ann", "another long password", viewerOf(t, "north")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.SignIn(t.Context(), "ann", "another long password", ""); err != nil {
		t.Fatal(err)
	}
	if ops := a.ended(); len(ops) != 0 {
		t.Errorf("%+v", ops)
	}
	c.forward(DefaultSessionTTL + time.Hour)
	if ops := a.ended(); len(ops) != 1 || ops[0].Kind != KindSession {
		t.Errorf("%+v", ops)
	}
}

func slogDiscard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func runJWKS(t *testing.T, k *jwks) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { k.run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		k.o.Client.CloseIdleConnections()
	})
}

package app

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/auth"
)

func requireViewers(o *Options) { o.People.Viewer = AuthRequired }

func grantAll(role devices.Role) auth.Grant { return auth.Grant{Role: role, AllFleets: true} }

// tokenOf signs a token that grants something.
func (g *gateway) tokenOf(t rapid.TB, role devices.Role, fleets ...string) string {
	t.Helper()
	grant := auth.Grant{Role: role, AllFleets: len(fleets) == 0}
	for _, name := range fleets {
		id, err := devices.ParseFleetID(name)
		if err != nil {
			t.Fatal(err)
		}
		grant.Fleets = append(grant.Fleets, id)
	}
	token, err := g.parts.viewers.SignToken(g.t.Context(), auth.Local(), "test", grant, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// snapshotOf are the ids of a stream's first assets, with the status where it is none.
func (g *gateway) snapshotOf(t rapid.TB, path, token string) (ids []string, status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, g.url(path), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := (&http.Client{Transport: transport, Timeout: patience}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	event := "" // of the message that is read: an asset has none
	for lines := bufio.NewScanner(res.Body); res.StatusCode == http.StatusOK && lines.Scan(); {
		line := lines.Text()
		if name, named := strings.CutPrefix(line, "event: "); named || line == "" {
			event = name
		}
		if event == "ready" {
			break
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok && event == "" {
			var a struct{ ID string }
			if err := json.Unmarshal([]byte(data), &a); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, a.ID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), res.StatusCode // one that changed meanwhile comes again
}

// The walls of fleets for people: whatever role and fleets a token has, and whatever it asks for, it sees and changes
// nothing but its own. The model is the table in this test.
func TestFleetsAreWallsForPeople(t *testing.T) {
	t.Parallel()
	g := startGateway(t, requireViewers)
	fleets := []string{"north", "south", "west"}
	for _, f := range fleets {
		for n := range 2 {
			g.telemetry(f, fmt.Sprintf("%s-%d", f, n), `{"lat":1,"lon":2}`)
		}
	}
	all := g.tokenOf(t, devices.Admin)
	waitFor(t, "all are seen", func() bool {
		ids, _ := g.snapshotOf(t, "/stream/assets", all)
		return len(ids) == 6
	}, func() string { return "" })
	waitFor(t, "all are registered", func() bool {
		return strings.Count(string(g.request(http.MethodGet, "/api/devices", "Authorization", "Bearer "+all).body), `"id"`) == 6
	}, func() string { return "" })
	sent := map[string]string{} // by fleet, the id of a command
	for _, f := range fleets {
		sent[f] = g.command(f+"-0", `{"name":"x","ttl":3600}`, "Authorization", "Bearer "+all).ID
	}
	rapid.Check(t, func(t *rapid.T) {
		role := rapid.SampledFrom([]devices.Role{devices.Viewer, devices.Operator, devices.Admin}).Draw(t, "role")
		own := rapid.SliceOfNDistinct(rapid.SampledFrom(fleets), 1, 2, rapid.ID[string]).Draw(t, "own")
		token := g.tokenOf(t, role, own...)
		sees := func(f string) bool { return slices.Contains(own, f) }
		ask := func(method, path string) answer {
			return g.request(method, path, "Authorization", "Bearer "+token)
		}
		asked := rapid.SliceOfDistinct(rapid.SampledFrom(fleets), rapid.ID[string]).Draw(t, "asked")
		query := ""
		var want []string
		for _, f := range fleets {
			if sees(f) && (len(asked) == 0 || slices.Contains(asked, f)) {
				want = append(want, f+"-0", f+"-1")
			}
		}
		for _, f := range asked {
			query += "&fleet=" + f
		}
		ids, status := g.snapshotOf(t, "/stream/assets?every=100"+query, token)
		if len(want) == 0 && status != http.StatusForbidden || len(want) > 0 && !slices.Equal(ids, want) {
			t.Fatalf("a token of %v that asks for %v gets %d %v", own, asked, status, ids)
		}
		if rapid.IntRange(0, 4).Draw(t, "streams") == 0 {
			g.holdTheWalls(t, token, own, asked, want)
		}
		for _, path := range []string{"/api/assets?limit=100", "/api/assets.geojson?limit=100", "/api/devices?limit=100", "/api/commands?limit=100"} {
			body := string(ask(http.MethodGet, path+query).body)
			for _, f := range fleets {
				if strings.Contains(body, `"`+f+"-0") != slices.Contains(want, f+"-0") {
					t.Fatalf("a token of %v that asks %s%s gets %s", own, path, query, body)
				}
			}
		}
		f := rapid.SampledFrom(fleets).Draw(t, "fleet")
		const (
			viewer, operator, admin = devices.Viewer, devices.Operator, devices.Admin
			hidden, never           = 404, 403
		)
		for _, c := range []struct {
			method, path string
			role         devices.Role
			yes, no      int // the statuses in and out of the scope; no is 0 where the scope must be all
		}{
			{"GET", "/api/assets/" + f + "-0", viewer, 200, hidden},
			{"GET", "/api/assets/" + f + "-0/trail", viewer, 200, hidden},
			{"GET", "/api/devices/" + f + "-0", viewer, 200, hidden},
			{"GET", "/api/fleets/" + f, viewer, 200, hidden},
			{"DELETE", "/api/assets/nobody", operator, hidden, hidden},
			{"DELETE", "/api/devices/nobody", admin, hidden, hidden},
			{"POST", "/api/devices/" + f + "-0/credential", admin, 200, hidden},
			{"GET", "/api/devices/" + f + "-0/commands", viewer, 200, hidden},
			{"GET", "/api/commands/" + sent[f], viewer, 200, hidden},
			{"POST", "/api/devices/" + f + "-0/commands", operator, 415, hidden}, // without a body
			{"GET", "/api/audit", admin, 0, 0},
			{"GET", "/api/credentials", admin, 0, 0},
			{"GET", "/api/users", admin, 0, 0},
			{"GET", "/api/keys", admin, 0, 0},
			{"DELETE", "/api/fleets/" + f, admin, 0, 0},
			{"GET", "/api/dead-letters", operator, 0, 0},
			{"GET", "/api/stats", operator, 0, 0},
			{"GET", "/api/devices.csv?hashes=true", admin, 0, 0},
			{"GET", "/api/devices?status=quarantined", viewer, 0, 0},
		} {
			want := c.no
			switch {
			case role < c.role || c.yes == 0:
				want = never
			case sees(f):
				want = c.yes
			}
			if got := ask(c.method, c.path); got.StatusCode != want {
				t.Fatalf("a token of role %v for %v, %s %s: %d %s, want %d", role, own, c.method, c.path, got.StatusCode, got.body, want)
			}
			if got := g.request(c.method, c.path); got.StatusCode != http.StatusUnauthorized {
				t.Fatalf("%s %s without a proof: %d", c.method, c.path, got.StatusCode)
			}
		}
	})
}

func TestWithoutAProofNothingButHealthIsTold(t *testing.T) {
	g := startGateway(t, requireViewers)
	for path, want := range map[string]int{
		"/healthz": 200, "/readyz": 200, "/": 200, "/api/assets": 401, "/stream/assets": 401, "/api/session": 401, "/api/stats": 401,
	} {
		got := g.request(http.MethodGet, path)
		if got.StatusCode != want || want == 401 && got.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %v", path, got.StatusCode, got.Header)
		}
	}
}

func TestARevokedTokenEndsItsStreams(t *testing.T) {
	g := startGateway(t, requireViewers)
	token := g.tokenOf(t, devices.Viewer, "north")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url("/stream/assets"), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "event: ready") {
		continue
	}
	if err := g.parts.viewers.Revoke(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		continue // until it ends
	}
	waitFor(t, "the end is counted", func() bool { return g.parts.stream.Stats().Ended["expired"] == 1 }, func() string {
		return fmt.Sprint(g.parts.stream.Stats())
	})
}

func TestTheCommandLineOfTheMachineIsItsAdmin(t *testing.T) {
	g := startGateway(t, requireViewers)
	path := filepath.Join(g.opts.Store.DataDir, localTokenFile)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info, err)
	}
	token, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := g.request(http.MethodGet, "/api/users", "Authorization", "Bearer "+strings.TrimSpace(string(token))); got.StatusCode != http.StatusOK {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	open := startGateway(t)
	if _, err := os.Stat(filepath.Join(open.opts.Store.DataDir, localTokenFile)); !os.IsNotExist(err) {
		t.Errorf("in open mode there is a token, or %v", err)
	}
}

func TestAPublicAddressNeedsThatViewersShowWhoTheyAre(t *testing.T) {
	o := testOptions(t)
	o.HTTP.Listen = "0.0.0.0:0"
	if err := o.Check(); devices.KindOf(err) != devices.Invalid {
		t.Errorf("open on all addresses: %v", err)
	}
	o.People.Viewer = AuthRequired
	if err := o.Check(); err != nil {
		t.Error(err)
	}
	for _, bad := range []func(*PeopleOptions){
		func(p *PeopleOptions) { p.SessionTTL = time.Second },
		func(p *PeopleOptions) { p.PublicURL = "fleet.example.org" },
		func(p *PeopleOptions) { p.JWKSURL = "https://id.example" },
		func(p *PeopleOptions) { p.JWKSIssuer = "id.example" },
	} {
		o := testOptions(t)
		bad(&o.People)
		if err := o.Check(); devices.KindOf(err) != devices.Invalid {
			t.Errorf("%+v: %v", o.People, err)
		}
	}
}

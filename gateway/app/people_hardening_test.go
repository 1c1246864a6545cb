package app

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/auth"
)

// watch opens a stream and returns a channel that is closed with its end, once the stream is ready.
func (g *gateway) watch(t *testing.T, path string, header ...string) <-chan struct{} {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url(path), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d", path, res.StatusCode)
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "event: ready") {
		continue
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines.Scan() {
			continue
		}
	}()
	return ended
}

func endsSoon(t *testing.T, what string, ended <-chan struct{}) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		t.Errorf("%s goes on", what)
	}
}

// Two edges over one Redis decide the same: what is made, used and ended at one holds at the other, and the streams there
// end with it.
func TestWhatEndsAtOneEdgeEndsAtTheOther(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	bridge := startGateway(t, redis.role(RoleBridge), requireViewers)
	here, there := startGateway(t, redis.role(RoleEdge), requireViewers), startGateway(t, redis.role(RoleEdge), requireViewers)
	bridge.waitReady(RoleBridge)
	here.waitReady(RoleEdge)
	there.waitReady(RoleEdge)
	root := here.tokenOf(t, devices.Admin)
	asRoot := []string{"Authorization", "Bearer " + root}
	do := func(g *gateway, method, path, body string, header ...string) map[string]any {
		t.Helper()
		status, v := g.askJSONAs(method, path, body, append(header, asRoot...)...)
		if status >= 300 {
			t.Fatalf("%s %s: %d %v", method, path, status, v)
		}
		return v
	}
	do(here, "POST", "/api/users", `{"name":"ann","password":"correct horse battery","role":"viewer","fleets":["north"]}`)
	key := do(here, "POST", "/api/keys", `{"role":"viewer","fleets":["north"]}`)
	token := do(here, "POST", "/api/tokens", `{"role":"viewer","fleets":["north"],"ttl_s":3600}`)
	short := do(here, "POST", "/api/tokens", `{"role":"viewer","fleets":["north"],"ttl_s":4}`)
	repeated := do(here, "POST", "/api/keys", `{"role":"viewer","all_fleets":true}`, "Idempotency-Key", "k-1")
	if again := do(there, "POST", "/api/keys", `{"role":"viewer","all_fleets":true}`, "Idempotency-Key", "k-1"); again["key"] != repeated["key"] {
		t.Errorf("another edge makes another key: %v and %v", repeated, again)
	}
	waitFor(t, "the other edge to know them", func() bool {
		for _, proof := range []any{key["key"], token["token"]} {
			if there.request("GET", "/api/session", "Authorization", fmt.Sprint("Bearer ", proof)).StatusCode != 200 {
				return false
			}
		}
		return true
	}, func() string { return "" })
	const path = "/stream/assets?fleet=north"
	streams := map[string]<-chan struct{}{
		"short": there.watch(t, path, "Authorization", fmt.Sprint("Bearer ", short["token"])),
		"key":   there.watch(t, path, "Authorization", fmt.Sprint("Bearer ", key["key"])),
		"token": there.watch(t, path, "Authorization", fmt.Sprint("Bearer ", token["token"])),
	}
	_, cookie := here.signIn(t, "ann", "correct horse battery")
	waitFor(t, "the other edge to know the session", func() bool {
		return there.request("GET", "/api/session", "Cookie", cookie).StatusCode == 200
	}, func() string { return "" })
	streams["session"] = there.watch(t, path, "Cookie", cookie)
	// A ticket of one edge opens a stream of the other, once; who has its cookie comes back by the same URL.
	status, ticket := here.askJSONAs("POST", "/api/tickets", `{"url":"`+path+`"}`, "Cookie", cookie)
	if status != 201 {
		t.Fatal(status, ticket)
	}
	url := fmt.Sprint(ticket["url"])
	streams["ticket"] = there.watch(t, url)
	waitFor(t, "the ticket to be spent at this edge too", func() bool {
		return here.request("GET", url, "Range", "bytes=0-0").StatusCode == 401
	}, func() string { return "" })
	streams["ticket again"] = here.watch(t, url, "Last-Event-ID", "anything")
	if got := here.request("GET", url+"&fleet=south", "Last-Event-ID", "x"); got.StatusCode != 401 {
		t.Errorf("the ticket opens another filter: %d", got.StatusCode)
	}

	endsSoon(t, "a stream of a token that has ended", streams["short"])
	do(here, "DELETE", fmt.Sprint("/api/keys/", key["id"]), "")
	endsSoon(t, "a stream of a key that was deleted", streams["key"])
	do(here, "POST", "/api/tokens/revoke", fmt.Sprintf(`{"token":%q}`, token["token"]))
	endsSoon(t, "a stream of a token that was revoked", streams["token"])
	do(here, "PATCH", "/api/users/ann", `{"disabled":true}`)
	for _, name := range []string{"session", "ticket", "ticket again"} {
		endsSoon(t, "the stream by "+name+" of who is disabled", streams[name])
	}
	if got := there.request("GET", "/api/session", "Cookie", cookie); got.StatusCode != 401 {
		t.Errorf("who is disabled is let in: %d", got.StatusCode)
	}
}

// askJSONAs asks with a body of JSON, and headers.
func (g *gateway) askJSONAs(method, path, body string, header ...string) (int, map[string]any) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), method, g.url(path), strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}).Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	var v map[string]any
	_ = json.NewDecoder(res.Body).Decode(&v) // there may be none
	return res.StatusCode, v
}

// signIn signs in and returns the cookie as a browser sends it.
func (g *gateway) signIn(t *testing.T, name, password string) (status int, cookie string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url("/api/session"), strings.NewReader(fmt.Sprintf(`{"name":%q,"password":%q}`, name, password)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := adminClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	cookie, _, _ = strings.Cut(res.Header.Get("Set-Cookie"), ";")
	return res.StatusCode, cookie
}

// Tokens that others sign, with each algorithm: by keys that an identity provider publishes, and by a secret that is
// shared with a server of one's own.
func TestTokensThatOthersSignAreProofs(t *testing.T) {
	t.Parallel()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	var set jwkset.JWKSMarshal
	for kid, key := range map[string]any{"ed": ed.Public(), "ec": ec.Public(), "rs": rs.Public()} {
		jwk, err := jwkset.NewJWKFromKey(key, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid}})
		if err != nil {
			t.Fatal(err)
		}
		set.Keys = append(set.Keys, jwk.Marshal())
	}
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode(set); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(provider.Close)
	shared := strings.Repeat("a shared secret ", 3)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(shared+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := startGateway(t, requireViewers, func(o *Options) {
		o.People.JWKSURL, o.People.JWKSIssuer, o.People.JWKSAudience = provider.URL, "https://id.example", "fleetcast"
		o.People.JWTKeys, o.People.JWTIssuer, o.People.JWTAudience = []string{"mine:HS256:" + file}, "shop", "fleetcast"
	})
	sign := func(method jwt.SigningMethod, kid, issuer string, key any) string {
		token := jwt.NewWithClaims(method, jwt.MapClaims{
			"sub": "ann", "iss": issuer, "aud": "fleetcast", "exp": time.Now().Add(time.Hour).Unix(), "role": "operator", "fleets": []string{"north"},
		})
		token.Header["kid"] = kid
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, token := range map[string]string{
		"EdDSA": sign(jwt.SigningMethodEdDSA, "ed", "https://id.example", ed), "ES256": sign(jwt.SigningMethodES256, "ec", "https://id.example", ec),
		"RS256": sign(jwt.SigningMethodRS256, "rs", "https://id.example", rs), "HS256": sign(jwt.SigningMethodHS256, "mine", "shop", []byte(strings.TrimSpace(shared))),
	} {
		var got answer
		waitFor(t, name+" to be taken", func() bool {
			got = g.request("GET", "/api/session", "Authorization", "Bearer "+token)
			return got.StatusCode == 200
		}, func() string { return string(got.body) })
		if !strings.Contains(string(got.body), `"role":"operator","fleets":["north"]`) {
			t.Errorf("%s: %s", name, got.body)
		}
	}
	got := g.request("GET", "/api/session", "Authorization", "Bearer "+sign(jwt.SigningMethodHS256, "mine", "https://id.example", []byte(strings.TrimSpace(shared))))
	if got.StatusCode != 401 || !strings.Contains(got.Header.Get("WWW-Authenticate"), "invalid_token") {
		t.Errorf("a token of another issuer: %d %v", got.StatusCode, got.Header)
	}
}

// A page of another site that has its visitor's browser send a form, or a fetch, changes nothing, whatever cookie goes along.
func TestAFormOfAnotherSiteChangesNothingWithAValidCookie(t *testing.T) {
	t.Parallel()
	g := startGateway(t, requireViewers)
	if _, err := g.parts.viewers.CreateUser(t.Context(), "root", "correct horse battery", auth.Grant{Role: devices.Admin, AllFleets: true}); err != nil {
		t.Fatal(err)
	}
	_, cookie := g.signIn(t, "root", "correct horse battery")
	for _, c := range []struct {
		header []string
		status int
	}{
		{[]string{"Sec-Fetch-Site", "cross-site", "Content-Type", "text/plain"}, 403},
		{[]string{"Sec-Fetch-Site", "cross-site", "Content-Type", "application/x-www-form-urlencoded"}, 403},
		{[]string{"Sec-Fetch-Site", "same-site"}, 403},
		{[]string{"Origin", "https://evil.example"}, 403},
		{[]string{"Origin", "null"}, 403},
		{[]string{"Content-Type", "application/x-www-form-urlencoded"}, 415}, // a browser so old that it says nothing
		{[]string{"Content-Type", "text/plain"}, 415},
		{[]string{"Content-Type", "multipart/form-data; boundary=x"}, 415},
		{[]string{"Sec-Fetch-Site", "same-origin"}, 201},
	} {
		status, v := g.askJSONAs("POST", "/api/fleets", `{"id":"planted"}`, append(c.header, "Cookie", cookie)...)
		if status != c.status {
			t.Errorf("%v: %d %v, want %d", c.header, status, v, c.status)
		}
	}
}

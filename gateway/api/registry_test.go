package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices/registry"
	"github.com/fleetcast/fleetcast/devices/store"
)

// newPeople returns an API over a registry of its own.
func newPeople(t testing.TB, o registry.Options) *world {
	t.Helper()
	s := store.NewMemory(store.MemoryOptions{})
	o.Store = s
	r, err := registry.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	waiting, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	if err := r.Wait(waiting, 0); err != nil {
		t.Fatal(err)
	}
	return newWorld(t, func(o *Options) { o.Registry = r })
}

// send is do with a body of JSON, or of the content type among the headers.
func (w *world) send(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return w.exchange(r, body, headers)
}

func decoded(t testing.TB, rec *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
		t.Fatalf("%d %s: %v", rec.Code, rec.Body, err)
	}
	return v
}

func TestADeviceIsMadeShownChangedAndDeletedByREST(t *testing.T) {
	w := newPeople(t, registry.Options{})
	rec := w.send("POST", "/api/devices", `{"id":"truck 17","fleet":"north","name":"Truck 17","metadata":{"plate":"AB 1"}}`)
	made := decoded(t, rec)
	token, _ := made["token"].(string)
	if rec.Code != 201 || rec.Header().Get("Location") != "/api/devices/truck%2017" || rec.Header().Get("ETag") == "" || made["id"] != "truck 17" ||
		made["fleet"] != "north" || len(made) != 3 || len(token) < 43 {
		t.Fatalf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	tag := rec.Header().Get("ETag")
	rec = w.do("GET", "/api/devices/truck%2017")
	v := decoded(t, rec)
	if rec.Code != 200 || rec.Header().Get("ETag") != tag || v["name"] != "Truck 17" || v["credential"] != "token" || v["status"] != "enabled" || strings.Contains(rec.Body.String(), "fct_") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	isProblem(t, w.send("POST", "/api/devices", `{"id":"truck 17","fleet":"north"}`), 409, "id")
	rec = w.send("PATCH", "/api/devices/truck%2017", `{"fleet":"south","metadata":{"plate":null}}`, "If-Match: "+tag, "Content-Type: application/merge-patch+json")
	if v := decoded(t, rec); rec.Code != 200 || v["fleet"] != "south" || v["metadata"] != nil || rec.Header().Get("ETag") == tag {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	isProblem(t, w.send("PATCH", "/api/devices/truck%2017", `{"name":"x"}`, "If-Match: "+tag), 409, "")
	isProblem(t, w.do("DELETE", "/api/devices/truck%2017", "If-Match: "+tag), 409, "")
	rec = w.send("POST", "/api/devices/truck%2017/credential", "")
	if v := decoded(t, rec); rec.Code != 200 || v["token"] == token || v["token"] == nil {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := w.do("DELETE", "/api/devices/truck%2017"); rec.Code != 204 || rec.Body.Len() != 0 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	for _, r := range []*httptest.ResponseRecorder{
		w.do("GET", "/api/devices/truck%2017"), w.do("DELETE", "/api/devices/truck%2017"), w.send("PATCH", "/api/devices/x", `{}`),
		w.send("POST", "/api/devices/x/credential", ""), w.send("POST", "/api/devices/x/approve", `{"fleet":"f"}`), w.do("GET", "/api/devices/%00"),
	} {
		isProblem(t, r, 404, "")
	}
}

func TestWhatIsWrongWithABodyIsNamed(t *testing.T) {
	w := newPeople(t, registry.Options{})
	w.send("POST", "/api/devices", `{"id":"d","fleet":"f"}`)
	for _, c := range []struct{ method, path, body, parameter string }{
		{"POST", "/api/devices", ``, "body"},
		{"POST", "/api/devices", `{"id":"x"}`, "fleet"},
		{"POST", "/api/devices", `{"fleet":"x"}`, "id"},
		{"POST", "/api/devices", `{"id":"a/b","fleet":"x"}`, "device"},
		{"POST", "/api/devices", `{"id":"x","fleet":"f","nmae":"x"}`, "nmae"},
		{"POST", "/api/devices", `{"id":"x","fleet":"f","name":5}`, "name"},
		{"POST", "/api/devices", `{"id":"x","fleet":"f"}{}`, "body"},
		{"POST", "/api/devices", `{"id":"x","fleet":"f","password":"short"}`, "password"},
		{"POST", "/api/devices", `{"id":"x","fleet":"f","credential":"magic"}`, "credential"},
		{"POST", "/api/devices", `{"id":"x","fleet":"f","status":"quarantined"}`, "status"},
		{"PATCH", "/api/devices/d", `{"limits":{"burst_s":-1}}`, "limits"},
		{"PATCH", "/api/devices/d", `[]`, "body"},
		{"POST", "/api/fleets", `{"id":"g","silence_s":1}`, "silence_s"},
		{"POST", "/api/fleets", `{"id":"g","hygiene":{"max_sped":1}}`, "max_sped"},
		{"PATCH", "/api/fleets/f", `{"hygiene":{"max_speed":-1}}`, "hygiene.max_speed"},
		{"POST", "/api/credentials", `{"name":"g","kind":"gateway"}`, "fleets"},
		{"POST", "/api/credentials", `{"name":"g","kind":"device"}`, "kind"},
	} {
		rec := w.send(c.method, c.path, c.body)
		isProblem(t, rec, 400, c.parameter)
	}
	isProblem(t, w.send("POST", "/api/devices", `{"id":"x","fleet":"f"}`, "Content-Type: text/plain"), 415, "Content-Type")
	isProblem(t, w.send("PATCH", "/api/devices/d", `{}`, "If-Match: W/x"), 400, "If-Match")
	isProblem(t, w.send("POST", "/api/devices", `{"id":"x","fleet":"f"}`, "Sec-Fetch-Site: cross-site"), 403, "")
	isProblem(t, w.do("GET", "/api/devices?status=gone"), 400, "status")
	isProblem(t, w.do("GET", "/api/devices?limit=0"), 400, "limit")
	isProblem(t, w.do("GET", "/api/devices?serach=x"), 400, "serach")
	isProblem(t, w.do("PUT", "/api/devices/d"), 405, "")
}

func TestListsOfDevicesFleetsAndCredentialsArePaged(t *testing.T) {
	w := newPeople(t, registry.Options{})
	for i := range 5 {
		w.send("POST", "/api/devices", fmt.Sprintf(`{"id":"d%d","fleet":"f%d"}`, i, i%2))
		w.send("POST", "/api/credentials", fmt.Sprintf(`{"name":"g%d","kind":"gateway","fleets":["f1"]}`, i))
	}
	for path, member := range map[string]string{"/api/devices": "devices", "/api/credentials": "credentials"} {
		first := decoded(t, w.do("GET", path+"?limit=3"))
		if n := len(first[member].([]any)); n != 3 || first["next"] == nil {
			t.Errorf("%s: %v", path, first)
		}
		rest := decoded(t, w.do("GET", path+"?limit=3&after="+first["next"].(string)))
		if n := len(rest[member].([]any)); n != 2 || rest["next"] != nil {
			t.Errorf("%s: %v", path, rest)
		}
	}
	fleets := decoded(t, w.do("GET", "/api/fleets"))["fleets"].([]any)
	if len(fleets) != 2 || fleets[0].(map[string]any)["devices"] != 3.0 {
		t.Errorf("%v", fleets)
	}
	if n := len(decoded(t, w.do("GET", "/api/devices?fleet=f1&fleet=f0&search=D3"))["devices"].([]any)); n != 1 {
		t.Errorf("%d found", n)
	}
	if rec := newPeople(t, registry.Options{}).do("GET", "/api/devices"); rec.Body.String() != `{"devices":[]}` {
		t.Errorf("an empty list is %s", rec.Body)
	}
}

func TestFleetsAndCredentialsByREST(t *testing.T) {
	w := newPeople(t, registry.Options{})
	rec := w.send("POST", "/api/fleets", `{"id":"north","hygiene":{"max_speed":50}}`)
	if rec.Code != 201 || rec.Header().Get("Location") != "/api/fleets/north" {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	rec = w.send("PATCH", "/api/fleets/north", `{"hygiene":{"min_distance":5},"retire_after_s":3600,"alerts_s":7200,"history_s":86400}`, "If-Match: "+rec.Header().Get("ETag"))
	v := decoded(t, rec)
	if h, _ := v["hygiene"].(map[string]any); h["max_speed"] != 50.0 || h["min_distance"] != 5.0 || v["retire_after_s"] != 3600.0 || v["alerts_s"] != 7200.0 || v["history_s"] != 86400.0 {
		t.Errorf("%s", rec.Body)
	}
	isProblem(t, w.send("PATCH", "/api/fleets/north", `{"history_s":60}`), 400, "history_s")
	w.send("POST", "/api/devices", `{"id":"d","fleet":"north"}`)
	isProblem(t, w.do("DELETE", "/api/fleets/north"), 409, "")
	w.do("DELETE", "/api/devices/d")
	if rec := w.do("DELETE", "/api/fleets/north"); rec.Code != 204 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	isProblem(t, w.do("GET", "/api/fleets/north"), 404, "")

	rec = w.send("POST", "/api/credentials", `{"name":"lns","kind":"gateway","fleets":["north"]}`)
	if v := decoded(t, rec); rec.Code != 201 || v["token"] == nil {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if rec := w.do("GET", "/api/credentials/lns"); decoded(t, rec)["token"] != nil || rec.Code != 200 {
		t.Errorf("%s", rec.Body)
	}
	rec = w.send("PATCH", "/api/credentials/lns", `{"status":"disabled","fleets":["north","south"]}`)
	if v := decoded(t, rec); v["status"] != "disabled" || len(v["fleets"].([]any)) != 2 {
		t.Errorf("%s", rec.Body)
	}
	if rec := w.send("POST", "/api/credentials/lns/credential", ""); rec.Code != 200 || decoded(t, rec)["token"] == nil {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := w.do("DELETE", "/api/credentials/lns"); rec.Code != 204 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	w.send("POST", "/api/devices", `{"id":"d","fleet":"north"}`)
	isProblem(t, w.do("GET", "/api/credentials/d"), 404, "")
}

func TestManyDevicesComeAndGoAsCSVAndJSON(t *testing.T) {
	w := newPeople(t, registry.Options{})
	rec := w.send("POST", "/api/devices.csv", "id,fleet,meta.plate\na,f,X\nb/c,f,\nc,f,\n", "Content-Type: text/csv")
	lines := strings.Split(strings.TrimSpace(rec.Body.String()), "\n")
	if rec.Code != 200 || rec.Header().Get("Content-Type") != "application/x-ndjson" || len(lines) != 4 || lines[3] != `{"created":2,"updated":0,"unchanged":0,"failed":1}` {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if !strings.Contains(rec.Body.String(), `{"line":3,"error":"device: holds '/', which no id may hold"}`) || strings.Count(rec.Body.String(), "fct_") != 2 {
		t.Errorf("%s", rec.Body)
	}
	if rec := w.send("POST", "/api/devices.csv?all=true", "id,fleet\nnew,f\na,f\n"); !strings.HasSuffix(strings.TrimSpace(rec.Body.String()), `"failed":1}`) || strings.Contains(rec.Body.String(), "new") {
		t.Errorf("%s", rec.Body)
	}
	rec = w.do("GET", "/api/devices.csv")
	if rec.Code != 200 || !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/csv") || !strings.HasPrefix(rec.Body.String(), "id,fleet,") || strings.Count(rec.Body.String(), "\n") != 3 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	exported := w.do("GET", "/api/devices.json?hashes=true").Body.String()
	other := newPeople(t, registry.Options{})
	if rec := other.send("POST", "/api/devices.json", exported); !strings.Contains(rec.Body.String(), `"created":2`) || strings.Contains(rec.Body.String(), "fct_") {
		t.Errorf("%s\n%s", exported, rec.Body)
	}
	if rec := other.send("POST", "/api/devices.json?update=true", exported); !strings.Contains(rec.Body.String(), `"unchanged":2`) {
		t.Errorf("%s", rec.Body)
	}
	isProblem(t, w.do("GET", "/api/devices.csv?limit=5"), 400, "limit")
	isProblem(t, w.send("POST", "/api/devices.csv?all=yes", "id\n"), 400, "all")
	isProblem(t, w.send("GET", "/api/devices.csv?status=quarantined", ""), 400, "status")
}

func TestABodyOfAnImportIsBoundedToo(t *testing.T) {
	w := newPeople(t, registry.Options{})
	rec := w.send("POST", "/api/devices.json", strings.Repeat(" ", registry.MaxImportBytes+1))
	isProblem(t, rec, 413, "")
	rec = w.send("POST", "/api/devices", `{"id":"`+strings.Repeat("x", MaxBody)+`"}`)
	isProblem(t, rec, 413, "")
}

func TestQuarantinedDevicesAreListedLetInAndRejected(t *testing.T) {
	w := newPeople(t, registry.Options{Unknown: registry.Quarantine, StrangersPerMinute: 6000})
	for _, name := range []string{"a", "b"} {
		if _, err := w.options.Registry.Authenticate(t.Context(), registry.Login{Username: name, Password: []byte("a password of its own")}); err == nil {
			t.Fatal("a stranger came in")
		}
	}
	deadline, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for len(decoded(t, w.do("GET", "/api/devices?status=quarantined"))["devices"].([]any)) < 2 {
		select {
		case <-tick.C:
		case <-deadline.Done():
			t.Fatal("nobody is in quarantine")
		}
	}
	if v := decoded(t, w.do("GET", "/api/devices/a")); v["status"] != "quarantined" || v["has_password"] != true {
		t.Errorf("%v", v)
	}
	isProblem(t, w.send("POST", "/api/devices/a/approve", ""), 400, "fleet")
	if rec := w.send("POST", "/api/devices/a/approve", `{"fleet":"north","keep_password":true}`); rec.Code != 200 || rec.Body.String() != `{"id":"a","fleet":"north"}` {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	isProblem(t, w.do("DELETE", "/api/devices/a?status=quarantined"), 404, "") // somebody let it in: it is not deleted by who rejects it
	isProblem(t, w.do("DELETE", "/api/devices/a?status=enabled"), 400, "status")
	if v := decoded(t, w.do("GET", "/api/devices/a")); v["status"] != "enabled" {
		t.Errorf("%v", v)
	}
	if rec := w.do("DELETE", "/api/devices/b?status=quarantined"); rec.Code != 204 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := w.do("GET", "/api/devices?status=quarantined"); rec.Body.String() != `{"devices":[]}` {
		t.Errorf("%s", rec.Body)
	}
}

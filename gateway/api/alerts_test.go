package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/rules"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/rulebook"
	"github.com/fleetcast/fleetcast/devices/store"
	"github.com/fleetcast/fleetcast/gateway/webhook"
	"github.com/fleetcast/fleetcast/sse/hub"
)

// fakeNotes holds alerts.
type fakeNotes struct{ held []hub.Note }

func (f *fakeNotes) Notes(q hub.NotesQuery) (out []hub.Note) {
	for _, n := range f.held {
		if (len(q.Fleets) == 0 || slices.Contains(q.Fleets, n.Fleet)) && (q.Device.IsZero() || q.Device == n.Device) &&
			(q.BeforeID == "" || n.At < q.BeforeAt || n.At == q.BeforeAt && n.ID > q.BeforeID) {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b hub.Note) int { return cmp.Or(cmp.Compare(b.At, a.At), cmp.Compare(a.ID, b.ID)) })
	return out
}

func (f *fakeNotes) Note(_, id string) (hub.Note, bool) {
	for _, n := range f.held {
		if n.ID == id {
			return n, true
		}
	}
	return hub.Note{}, false
}

func (f *fakeNotes) add(t testing.TB, a *rules.Alert, fleet, device string) {
	t.Helper()
	var err1, err2 error
	a.Fleet, err1 = devices.ParseFleetID(fleet)
	a.Device, err2 = devices.ParseDeviceID(device)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	f.held = append(f.held, hub.Note{Note: bus.Note{Name: "alert", ID: a.ID, At: a.Raised, Data: a.JSON()}, Device: a.Device, Fleet: a.Fleet})
}

// newBook returns a rulebook that runs.
func newBook(t testing.TB) *rulebook.Book {
	t.Helper()
	s := store.NewMemory(store.MemoryOptions{})
	book, err := rulebook.New(rulebook.Options{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := book.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done; _ = s.Close() })
	if err := book.Wait(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	return book
}

// as asks in the name of somebody.
func (w *world) as(t testing.TB, c devices.Caller, f callerHandler, method, target, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	w.handle(func(w http.ResponseWriter, r *http.Request) error { return f(w, r, &c) }).ServeHTTP(rec, r)
	return rec
}

func callerOfFleets(t testing.TB, names ...string) devices.Caller {
	t.Helper()
	var fleets []devices.FleetID
	for _, name := range names {
		id, err := devices.ParseFleetID(name)
		if err != nil {
			t.Fatal(err)
		}
		fleets = append(fleets, id)
	}
	return devices.Caller{Subject: "ann", Role: devices.Operator, Scope: devices.OnlyFleets(fleets...)}
}

func TestAlertsAreListedNewestFirstAndByTheirFilters(t *testing.T) {
	notes := &fakeNotes{}
	for i, a := range []rules.Alert{
		{ID: "a1", Rule: "fast", Severity: rules.Warning, State: rules.Raised, At: 10, Raised: 10},
		{ID: "a2", Rule: "fast", Severity: rules.Critical, State: rules.Cleared, At: 30, Raised: 20},
		{ID: "a3", Rule: "gone", Severity: rules.Info, State: rules.Acknowledged, At: 30, Raised: 20, By: "ann"},
	} {
		notes.add(t, &a, []string{"north", "south", "south"}[i], fmt.Sprint("d", i))
	}
	w := newWorld(t, func(o *Options) { o.Notes = notes })
	for query, want := range map[string]string{
		"":                           "a2 a3 a1",
		"?limit=2":                   "a2 a3 next 20-a3",
		"?limit=2&after=20-a3":       "a1",
		"?fleet=north":               "a1",
		"?fleet=north&fleet=south":   "a2 a3 a1",
		"?device=d2":                 "a3",
		"?rule=fast&state=open":      "a1",
		"?severity=critical":         "a2",
		"?state=cleared&limit=1":     "a2",
		"?state=open&limit=1":        "a3 next 20-a3",
		"?state=acknowledged&rule=x": "",
	} {
		rec := w.do(http.MethodGet, "/api/alerts"+query)
		var got struct {
			Alerts []rules.Alert
			Next   string
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != 200 {
			t.Fatalf("%s: %d %s", query, rec.Code, rec.Body)
		}
		var ids []string
		for _, a := range got.Alerts {
			ids = append(ids, a.ID)
		}
		if got.Next != "" {
			ids = append(ids, "next", got.Next)
		}
		if s := strings.Join(ids, " "); s != want {
			t.Errorf("%s: %q, want %q", query, s, want)
		}
	}
	for query, parameter := range map[string]string{"?state=new": "state", "?severity=x": "severity", "?after=a": "after", "?limit=0": "limit", "?fleet=a/b": "fleet", "?colour=red": "colour"} {
		isProblem(t, w.do(http.MethodGet, "/api/alerts"+query), 400, parameter)
	}
	if rec := w.do(http.MethodGet, "/api/alerts/a3"); rec.Code != 200 || !strings.Contains(rec.Body.String(), `"by":"ann"`) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	isProblem(t, w.do(http.MethodGet, "/api/alerts/a4"), 404, "")
}

func TestAnAcknowledgementGoesToTheOwnerOnce(t *testing.T) {
	notes := &fakeNotes{}
	notes.add(t, &rules.Alert{ID: "a1", Rule: "fast", Severity: rules.Warning, State: rules.Raised, At: 10, Raised: 10}, "north", "d1")
	notes.add(t, &rules.Alert{ID: "a2", Rule: "fast", Severity: rules.Warning, State: rules.Acknowledged, At: 10, Raised: 10}, "north", "d1")
	notes.add(t, &rules.Alert{ID: "a3", Rule: "fast", Severity: rules.Warning, State: rules.Cleared, At: 10, Raised: 10}, "north", "d1")
	w := newWorld(t, func(o *Options) { o.Notes = notes })
	north, south := callerOfFleets(t, "north"), callerOfFleets(t, "south")
	post := func(c devices.Caller, id, body string) int {
		return w.as(t, c, w.acknowledgeAlert, http.MethodPost, "/api/alerts/"+id+"/acknowledge", body).Code
	}
	for _, c := range []struct {
		caller   devices.Caller
		id, body string
		want     int
	}{
		{north, "a1", `{"text":"on it"}`, 202},
		{north, "a1", "", 202},
		{north, "a2", "", 202},
		{north, "a3", "", 409},
		{south, "a1", "", 404},
		{north, "a1", `{"text":"` + strings.Repeat("x", 1001) + `"}`, 400},
		{north, "a1", `{"who":"me"}`, 400},
	} {
		if got := post(c.caller, c.id, c.body); got != c.want {
			t.Errorf("%s %s: %d, want %d", c.id, c.body, got, c.want)
		}
	}
	if n := len(w.inlet.appends); n != 2 {
		t.Fatalf("%d entries", n)
	}
	e := w.inlet.appends[0].Entries[0]
	if e.Kind != bus.KindAcknowledgement || *e.Acknowledgement != (bus.Acknowledgement{Alert: "a1", By: "ann", Text: "on it"}) || e.Device.String() != "d1" || e.Check() != nil {
		t.Errorf("%+v", e)
	}
}

const fastBody = `{"id":"fast","when":{"type":"threshold","field":"speed","above":20}}`

func (w *world) post(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	return w.send(method, target, body, append(headers, "Content-Type: application/json")...)
}

func TestARuleIsMadeChangedAndDeleted(t *testing.T) {
	book := newBook(t)
	w := newWorld(t, func(o *Options) { o.Rules = book })
	rec := w.post("POST", "/api/rules", fastBody)
	if rec.Code != 201 || rec.Header().Get("Location") != "/api/rules/fast" || !strings.Contains(rec.Body.String(), `"severity":"warning"`) {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	tag := rec.Header().Get("ETag")
	isProblem(t, w.post("POST", "/api/rules", fastBody), 409, "id")
	isProblem(t, w.post("POST", "/api/rules", `{"id":"b","when":{"type":"fence","fence":"depot","on":"enter"}}`), 400, "when.fence")
	isProblem(t, w.post("POST", "/api/rules", `{"id":"b","when":{"type":"offline"},"x":1}`), 400, "x")
	if rec = w.post("PATCH", "/api/rules/fast", `{"when":{"above":30},"for_s":5}`, "If-Match: "+tag); rec.Code != 200 || !strings.Contains(rec.Body.String(), `"above":30`) {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	isProblem(t, w.post("PATCH", "/api/rules/fast", `{"for_s":6}`, "If-Match: "+tag), 409, "")
	isProblem(t, w.post("PATCH", "/api/rules/fast", `{"id":"slow"}`), 400, "id")
	isProblem(t, w.post("PATCH", "/api/rules/fast", `{"when":{"above":null}}`), 400, "when")
	isProblem(t, w.post("PATCH", "/api/rules/none", `{}`), 404, "")
	if rec = w.post("POST", "/api/fences", `{"id":"depot","geometry":{"type":"circle","center":[2,48],"radius":500}}`); rec.Code != 201 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if rec = w.post("POST", "/api/rules", `{"when":{"type":"fence","fence":"depot","on":"enter"}}`); rec.Code != 201 || book.Rules().Len() != 2 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if rec = w.post("PATCH", "/api/fences/depot", `{"geometry":{"radius":600}}`); rec.Code != 200 || !strings.Contains(rec.Body.String(), `"radius":600`) {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if rec = w.do("GET", "/api/fences/depot"); rec.Code != 200 || rec.Header().Get("ETag") == "" {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if rec = w.do("DELETE", "/api/fences/depot"); rec.Code != 204 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if rec = w.do("GET", "/api/rules?limit=1"); !strings.Contains(rec.Body.String(), `"next":`) {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if rec = w.do("GET", "/api/rules"); !strings.Contains(rec.Body.String(), `"fault":"when.fence: is not there"`) {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if rec = w.do("DELETE", "/api/rules/fast"); rec.Code != 204 || w.do("GET", "/api/rules/fast").Code != 404 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
}

// Who sees and changes what: the table is the model.
func TestRulesAndFencesAreOfTheirFleets(t *testing.T) {
	book := newBook(t)
	w := newWorld(t, func(o *Options) { o.Rules = book })
	all := devices.Caller{Role: devices.Operator, Scope: devices.AllFleets()}
	north := callerOfFleets(t, "north")
	make1 := func(c devices.Caller, f callerHandler, body string) int {
		return w.as(t, c, f, http.MethodPost, "/api/x", body).Code
	}
	rule := func(id, more string) string {
		return fmt.Sprintf(`{"id":%q,"when":{"type":"offline"}%s}`, id, more)
	}
	fence := func(id, more string) string {
		return fmt.Sprintf(`{"id":%q,"geometry":{"type":"circle","center":[2,48],"radius":500}%s}`, id, more)
	}
	for _, c := range []struct {
		id, more   string
		make, sees int // what a caller of north is told who makes it, and who looks
		change     int
	}{
		{"mine", `,"fleets":["north"]`, 201, 200, 204},
		{"theirs", `,"fleets":["south"]`, 403, 404, 404},
		{"both", `,"fleets":["north","south"]`, 403, 404, 404},
		{"all", ``, 403, 200, 403},
	} {
		if got := make1(north, w.createRule, rule(c.id, c.more)); got != c.make {
			t.Errorf("make rule %s: %d, want %d", c.id, got, c.make)
		}
		if got := make1(north, w.createFence, fence(c.id, c.more)); got != c.make {
			t.Errorf("make fence %s: %d, want %d", c.id, got, c.make)
		}
		make1(all, w.createRule, rule(c.id, c.more))
		make1(all, w.createFence, fence(c.id, c.more))
		for path, f := range map[string][2]callerHandler{"/api/rules/": {w.oneRule, w.deleteRule}, "/api/fences/": {w.oneFence, w.deleteFence}} {
			if got := w.as(t, north, f[0], http.MethodGet, path+c.id, "").Code; got != c.sees {
				t.Errorf("see %s%s: %d, want %d", path, c.id, got, c.sees)
			}
			if c.change == 204 {
				continue
			}
			if got := w.as(t, north, f[1], http.MethodDelete, path+c.id, "").Code; got != c.change {
				t.Errorf("delete %s%s: %d, want %d", path, c.id, got, c.change)
			}
		}
	}
	make1(all, w.createRule, rule("named", `,"devices":["truck-1"]`))
	if got := w.as(t, north, w.oneRule, http.MethodGet, "/api/rules/named", "").Code; got != 404 {
		t.Errorf("a rule that may name others' devices: %d", got)
	}
	hidden := `{"id":"spy","fleets":["north"],"when":{"type":"fence","fence":"theirs","on":"enter"}}`
	if got := make1(north, w.createRule, hidden); got != 400 {
		t.Errorf("a rule about a fence that is not seen: %d", got)
	}
	body := w.as(t, north, w.listRules, http.MethodGet, "/api/rules", "").Body.String()
	if strings.Contains(body, "south") || strings.Contains(body, "truck-1") || !strings.Contains(body, `"mine"`) || !strings.Contains(body, `"all"`) {
		t.Errorf("%s", body)
	}
	if body := w.as(t, north, w.listFences, http.MethodGet, "/api/fences", "").Body.String(); strings.Contains(body, "south") || strings.Count(body, `"id"`) != 2 {
		t.Errorf("%s", body)
	}
	for _, patch := range []string{`{"fleets":["south"]}`, `{"fleets":null}`, `{"fleets":["north","south"]}`} {
		if got := w.as(t, north, w.updateRule, http.MethodPatch, "/api/rules/mine", patch).Code; got != 403 {
			t.Errorf("%s: %d", patch, got)
		}
	}
}

// newSender returns a sender that may reach this machine.
func newSender(t testing.TB, book *rulebook.Book) *webhook.Sender {
	t.Helper()
	s, err := webhook.New(webhook.Options{Book: book, Guard: webhook.Guard{Insecure: true, Allow: []string{"127.0.0.1"}}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAWebhookShowsItsSecretOnce(t *testing.T) {
	book := newBook(t)
	w := newWorld(t, func(o *Options) { o.Rules, o.Webhooks = book, newSender(t, book) })
	tried := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { tried++ }))
	defer server.Close()
	rec := w.post("POST", "/api/webhooks", `{"id":"pager","url":"`+server.URL+`/x"}`)
	if rec.Code != 201 || !strings.Contains(rec.Body.String(), `"secret":"whsec_`) || !strings.Contains(rec.Body.String(), `"events":["alert"]`) {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	for _, path := range []string{"/api/webhooks", "/api/webhooks/pager"} {
		if rec := w.do("GET", path); rec.Code != 200 || strings.Contains(rec.Body.String(), "whsec_") || !strings.Contains(rec.Body.String(), `"state":"new"`) {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
	if rec := w.do("POST", "/api/webhooks/pager/test"); rec.Code != 200 || !strings.Contains(rec.Body.String(), `"delivered":true`) || tried != 1 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	isProblem(t, w.post("POST", "/api/webhooks", `{"url":"http://10.0.0.1/"}`), 400, "url")
	isProblem(t, w.post("PATCH", "/api/webhooks/pager", `{"events":["asset"]}`), 400, "events")
	if rec := w.post("PATCH", "/api/webhooks/pager", `{"disabled":true}`); rec.Code != 200 || strings.Contains(rec.Body.String(), "whsec_") || !strings.Contains(rec.Body.String(), `"state":"disabled"`) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := w.do("DELETE", "/api/webhooks/pager"); rec.Code != 204 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	isProblem(t, w.do("POST", "/api/webhooks/pager/test"), 404, "")
}

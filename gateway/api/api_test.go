package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

func TestAListIsPagedAndItsAssetsAreTheStreams(t *testing.T) {
	w := newWorld(t, nil, "a", "b", "c")
	rec := w.do("GET", "/api/assets?limit=2")
	want := `{"assets":[` + frameOf("a") + `,` + frameOf("b") + `],"next":"b"}`
	if rec.Code != 200 || rec.Body.String() != want || rec.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	rec = w.do("GET", "/api/assets?limit=2&after=b")
	if rec.Body.String() != `{"assets":[`+frameOf("c")+`]}` {
		t.Errorf("the second page is %s", rec.Body)
	}
	if rec := newWorld(t, nil).do("GET", "/api/assets"); rec.Body.String() != `{"assets":[]}` {
		t.Errorf("an empty list is %s", rec.Body)
	}
}

func TestTheFilterReachesTheHub(t *testing.T) {
	w := newWorld(t, nil)
	w.do("GET", "/api/assets?fleet=north&fleet=Linie%204&status=offline&after=%C3%A9")
	if q := w.assets.asked; fmt.Sprint(q.Fleets) != "[north Linie 4]" || q.Status != "offline" || q.After != "é" || q.Limit != DefaultLimit {
		t.Errorf("asked for %+v", q)
	}
	w.do("GET", "/api/assets.geojson?fleet=north")
	if q := w.assets.asked; fmt.Sprint(q.Fleets) != "[north]" || q.Limit != MaxFeatures {
		t.Errorf("asked for %+v", q)
	}
}

func TestWrongParametersOfListsAreNamed(t *testing.T) {
	w := newWorld(t, nil, "a")
	for query, parameter := range map[string]string{
		"fleets=north": "fleets", "limit=0": "limit", "limit=1001": "limit", "limit=-1": "limit", "limit=x": "limit", "limit=": "limit",
		"limit=1&limit=2": "limit", "status=gone": "status", "status=": "status", "status=online&status=online": "status",
		"fleet=": "fleet", "fleet=a%2Fb": "fleet", "after=": "after", "after=%00": "after", "after=a&after=b": "after",
		"a=%zz": "query", "a;b": "query", "device=a": "device",
	} {
		isProblem(t, w.do("GET", "/api/assets?"+query), 400, parameter)
	}
	isProblem(t, w.do("GET", "/api/assets.geojson?limit=100001"), 400, "limit")
	isProblem(t, w.do("GET", "/healthz?verbose=1"), 400, "verbose")
	isProblem(t, w.do("GET", "/api/stats?x=1"), 400, "x")
}

func TestIdsOfAnyLegalTextAreFoundAndDecodedOnce(t *testing.T) {
	ids := []string{
		"truck-17", "Linie 4 €", "..", ".", "%41", "%2541", "100%", "a?b=c", "ann:phone", "🚚", "a;b", "a&b", "geojson", "a\\b", "~", "(x)", "é",
	}
	w := newWorld(t, nil, ids...)
	srv := httptest.NewServer(w)
	defer srv.Close()
	for _, id := range ids {
		for _, escaped := range []string{url.PathEscape(id), escapeAll(id)} {
			// Through a real client and server, each of which has ideas about paths.
			res, err := srv.Client().Get(srv.URL + "/api/assets/" + escaped)
			if err != nil {
				t.Fatal(err)
			}
			var got struct{ ID string }
			err = json.NewDecoder(res.Body).Decode(&got)
			res.Body.Close()
			if err != nil || res.StatusCode != 200 || got.ID != id {
				t.Errorf("%q as %s: %d %q %v", id, escaped, res.StatusCode, got.ID, err)
			}
		}
	}
	for _, path := range []string{"truck-18", "a%2Fb", "%00", "%FF", "", "truck-17/", "truck-17/x", "%254"} {
		isProblem(t, w.do("GET", "/api/assets/"+path), 404, "")
	}
}

func escapeAll(s string) (out string) {
	for i := range len(s) {
		out += fmt.Sprintf("%%%02X", s[i])
	}
	return out
}

func TestGeoJSONIsAFeatureCollectionWithIDs(t *testing.T) {
	w := newWorld(t, nil, "a")
	w.assets.frames["b"] = `{"id":"b","fleet":"north","status":"unknown","received":5,"metrics":{"lat":1,"lon":2}}`
	rec := w.do("GET", "/api/assets.geojson")
	want := `{"type":"FeatureCollection","features":[` +
		`{"type":"Feature","id":"a","geometry":{"type":"Point","coordinates":[2.29513,48.85833]},"properties":` + frameOf("a") + `},` +
		`{"type":"Feature","id":"b","geometry":null,"properties":` + w.assets.frames["b"] + `}]}`
	if rec.Code != 200 || rec.Body.String() != want || rec.Header().Get("Content-Type") != "application/geo+json" {
		t.Errorf("%d %v\n%s\nwant\n%s", rec.Code, rec.Header(), rec.Body, want)
	}
	if !json.Valid(rec.Body.Bytes()) {
		t.Error("it is not JSON")
	}
	if rec := w.do("GET", "/api/assets.geojson?limit=1"); !json.Valid(rec.Body.Bytes()) || rec.Body.String()[rec.Body.Len()-13:] != `}],"next":"a"}`[1:] {
		t.Errorf("a part does not say so: %s", rec.Body)
	}
	if rec := newWorld(t, nil).do("GET", "/api/assets.geojson"); rec.Body.String() != `{"type":"FeatureCollection","features":[]}` {
		t.Errorf("an empty collection is %s", rec.Body)
	}
}

func TestARemovalIsAnEntryOfTheInlet(t *testing.T) {
	w := newWorld(t, nil, "truck 17", "b")
	rec := w.do("DELETE", "/api/assets/truck%2017")
	if rec.Code != 202 || rec.Body.String() != `{"id":"truck 17","fleet":"north"}` {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if got := w.inlet.appends; len(got) != 1 || len(got[0].Entries) != 1 || got[0].Door == 0 {
		t.Fatalf("appended %+v", got)
	}
	if e := w.inlet.appends[0].Entries[0]; e.Kind != bus.KindRemoval || e.Device.String() != "truck 17" || e.Fleet.String() != "north" {
		t.Errorf("appended %+v", e)
	}
	w.do("DELETE", "/api/assets/b")
	if a, b := w.inlet.appends[0], w.inlet.appends[1]; a.Door != b.Door || b.Seq <= a.Seq {
		t.Errorf("numbers %+v %+v", a, b)
	}
	isProblem(t, w.do("DELETE", "/api/assets/unknown"), 404, "")
	isProblem(t, w.do("DELETE", "/api/assets"), 405, "")
}

func TestRemovalsAtOneTimeAreAppendedInTheOrderOfTheirNumbers(t *testing.T) {
	w := newWorld(t, nil, "a")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { w.do("DELETE", "/api/assets/a") })
	}
	wg.Wait()
	var last uint64
	for _, a := range w.inlet.appends {
		if a.Seq <= last {
			t.Fatalf("%d after %d", a.Seq, last)
		}
		last = a.Seq
	}
	if len(w.inlet.appends) != 50 {
		t.Errorf("%d appends", len(w.inlet.appends))
	}
}

func TestABusThatRefusesOrWaitsIs503(t *testing.T) {
	for _, err := range []error{bus.ErrInletFull, fmt.Errorf("append: %w", bus.ErrClosed), errors.New("secret"), context.DeadlineExceeded} {
		w := newWorld(t, nil, "a")
		w.inlet.err = err
		rec := w.do("DELETE", "/api/assets/a")
		isProblem(t, rec, 503, "")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, "a")
		w.inlet.wait = make(chan struct{})
		var wg sync.WaitGroup
		for range 3 { // one waits for the bus, the others for it
			wg.Go(func() { isProblem(t, w.do("DELETE", "/api/assets/a"), 503, "") })
		}
		wg.Wait()
	})
}

func TestHealthLivesAndReadinessHasReasons(t *testing.T) {
	broker := "the port is not bound"
	w := newWorld(t, func(o *Options) {
		o.Checks = []Check{{Role: "broker", Name: "listener", Ready: func() string { return broker }}}
	})
	w.assets.notReady = true
	if rec := w.do("GET", "/healthz"); rec.Code != 200 || rec.Body.String() != `{"status":"ok"}` {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	rec := w.do("GET", "/readyz")
	isProblem(t, rec, 503, "")
	var p struct {
		Reasons []struct{ Role, Check, Reason string }
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || len(p.Reasons) != 2 || p.Reasons[0].Check != "tables" || p.Reasons[1].Reason != broker {
		t.Errorf("%s", rec.Body)
	}
	if rec.Header().Get("Retry-After") != "1" {
		t.Errorf("%v", rec.Header())
	}
	w.assets.notReady = false
	for role, status := range map[string]int{"edge": 200, "broker": 503, "bridge": 503} {
		if rec := w.do("GET", "/readyz?role="+role); rec.Code != status {
			t.Errorf("%s: %d %s", role, rec.Code, rec.Body)
		}
	}
	broker = ""
	if rec := w.do("GET", "/readyz"); rec.Code != 200 || rec.Body.String() != `{"status":"ready"}` {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	isProblem(t, w.do("GET", "/readyz?role=king"), 400, "role")
	isProblem(t, w.do("GET", "/readyz?role="), 400, "role")
}

func TestCountersAreShown(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Stats = func() any { return map[string]int{"viewers": 3} } })
	if rec := w.do("GET", "/api/stats"); rec.Code != 200 || rec.Body.String() != `{"viewers":3}` {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := newWorld(t, nil).do("GET", "/api/stats"); rec.Body.String() != `{}` {
		t.Errorf("%s", rec.Body)
	}
	bad := newWorld(t, func(o *Options) { o.Stats = func() any { return func() {} } })
	isProblem(t, bad.do("GET", "/api/stats"), 500, "")
}

func TestMountPoints(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/stream/assets?fleet=north", "stream GET"},
		{"OPTIONS", "/stream/assets", "stream OPTIONS"},
		{"HEAD", "/stream/assets", "stream HEAD"},
		{"GET", "/", "page /"},
		{"GET", "/app.js", "page /app.js"},
		{"GET", "/apis", "page /apis"},
	} {
		if rec := w.do(c.method, c.path); rec.Body.String() != c.body {
			t.Errorf("%s %s gives %s", c.method, c.path, rec.Body)
		}
	}
	for _, path := range []string{"/api", "/api/", "/api/nothing", "/stream", "/stream/", "/stream/other", "/problems/none", "/problems"} {
		isProblem(t, w.do("GET", path), 404, "")
	}
	isProblem(t, newWorld(t, func(o *Options) { o.Dashboard = nil }).do("GET", "/"), 404, "")
	if rec := w.do("GET", "/problems/invalid"); rec.Code != 200 || rec.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestOtherMethodsAre405WithThoseThatThereAre(t *testing.T) {
	w := newWorld(t, nil)
	for path, allow := range map[string]string{
		"/api/assets": "GET, HEAD", "/api/assets/a%2Fb": "GET, HEAD, DELETE", "/api/assets.geojson": "GET, HEAD", "/healthz": "GET, HEAD",
	} {
		for _, method := range []string{"POST", "PUT", "PATCH", "OPTIONS"} {
			rec := w.do(method, path)
			isProblem(t, rec, 405, "")
			if rec.Header().Get("Allow") != allow {
				t.Errorf("%s %s allows %q", method, path, rec.Header().Get("Allow"))
			}
		}
	}
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	srv := httptest.NewServer(newWorld(t, nil, "a"))
	defer srv.Close()
	for _, path := range []string{"/api/assets", "/api/assets/a", "/api/assets.geojson", "/healthz", "/readyz", "/api/stats"} {
		get, err := srv.Client().Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		get.Body.Close()
		head, err := srv.Client().Head(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		head.Body.Close()
		if head.StatusCode != 200 || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
			t.Errorf("%s: %d %v", path, head.StatusCode, head.Header)
		}
	}
}

func TestOptionsOfTheAPIAreChecked(t *testing.T) {
	good := Options{Assets: &fakeAssets{}, Inlet: &fakeInlet{}, Stream: http.NotFoundHandler()}
	for name, spoil := range map[string]func(*Options){
		"no assets": func(o *Options) { o.Assets = nil }, "no inlet": func(o *Options) { o.Inlet = nil }, "no stream": func(o *Options) { o.Stream = nil },
		"a host with a path": func(o *Options) { o.Hosts = []string{"a/b"} }, "a check of no role": func(o *Options) { o.Checks = []Check{{Role: "x", Ready: func() string { return "" }}} },
		"an empty check": func(o *Options) { o.Checks = []Check{{Role: "edge"}} },
	} {
		o := good
		spoil(&o)
		if _, err := New(o); err == nil {
			t.Errorf("New takes %s", name)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}

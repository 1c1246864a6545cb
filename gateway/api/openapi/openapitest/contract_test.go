package openapitest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// What a server could do wrong is seen, and what it does right is not complained about.
func TestWhatIsNotAsDescribedIsSeen(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	const asset = `{"id":"a","fleet":"f","status":"online","received":5}`
	const problem = `{"type":"/problems/invalid","title":"x","status":400}`
	for _, x := range []struct {
		method, target, body string
		status               int
		kind, answer         string
		wrong                bool
	}{
		{"GET", "/api/assets/a", "", 200, "application/json", asset, false},
		{"HEAD", "/api/assets/a", "", 200, "application/json", "", false},
		{"GET", "/api/assets/a", "", 200, "application/json", strings.Replace(asset, `"received"`, `"recieved"`, 1), true},
		{"GET", "/api/assets/a", "", 200, "application/json", strings.Replace(asset, "5}", `5,"secret":1}`, 1), true},
		{"GET", "/api/assets/a", "", 200, "text/plain", asset, true},
		{"GET", "/api/assets/a", "", 201, "application/json", asset, true},
		{"GET", "/api/assets/a", "", 400, "application/problem+json", problem, false},
		{"GET", "/api/assets/a", "", 400, "application/problem+json", strings.Replace(problem, "title", "tilte", 1), true},
		{"GET", "/api/assets/a", "", 400, "application/json", problem, true},
		{"GET", "/api/assets?limit=5", "", 200, "application/json", `{"assets":[` + asset + `],"next":"a"}`, false},
		{"GET", "/api/assets?limit=x", "", 200, "application/json", `{"assets":[]}`, true},
		{"GET", "/api/assets?limt=5", "", 200, "application/json", `{"assets":[]}`, true},
		{"GET", "/api/assets?limt=5", "", 400, "application/problem+json", problem, false},
		{"GET", "/api/assets.geojson", "", 200, "application/geo+json", `{"type":"FeatureCollection","features":[]}`, false},
		{"GET", "/api/assets.geojson", "", 200, "application/geo+json", `{"type":"Feature","features":[]}`, true},
		{"POST", "/api/devices", `{"id":"a","fleet":"f"}`, 201, "application/json", `{"id":"a","fleet":"f","token":"t"}`, false},
		{"POST", "/api/devices", `{"id":"a","fleet":"f","nmae":"x"}`, 201, "application/json", `{"id":"a","fleet":"f","token":"t"}`, true},
		{"POST", "/api/devices", `{"id":"a/b","fleet":"f"}`, 201, "application/json", `{"id":"a","fleet":"f","token":"t"}`, true},
		{"DELETE", "/api/devices/a%2Fb", "", 404, "application/problem+json", problem, false},
		{"DELETE", "/api/devices/a", "", 204, "", "", false},
		{"GET", "/stream/assets?ticket=x", "", 200, "text/event-stream", "data: x", false},
		{"GET", "/stream/assets", "", 401, "text/plain", "no", true},
		{"GET", "/elsewhere", "", 200, "text/plain", "", false},
	} {
		u, err := url.Parse("http://localhost" + x.target)
		if err != nil {
			t.Fatal(err)
		}
		answer := http.Header{}
		if x.kind != "" {
			answer.Set("Content-Type", x.kind)
		}
		err = c.Check(t.Context(), &Exchange{
			Method: x.method, URL: u, Request: http.Header{"Content-Type": {"application/json"}}, RequestBody: []byte(x.body),
			Status: x.status, Answer: answer, AnswerBody: []byte(x.answer),
		})
		if (err != nil) != x.wrong {
			t.Errorf("%s %s %s gives %d %s %s: %v", x.method, x.target, x.body, x.status, x.kind, x.answer, err)
		}
	}
}

func TestATransportReportsAndPassesOn(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.Copy(w, r.Body)
	}))
	defer srv.Close()
	reported := 0
	client := &http.Client{Transport: &Transport{Next: srv.Client().Transport, Report: func(error) { reported++ }}}
	res, err := client.Post(srv.URL+"/api/decode?topic=t", "application/json", strings.NewReader(`{"x":1}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != `{"x":1}` || reported != 1 {
		t.Errorf("%v %s, %d reports", err, body, reported)
	}
}

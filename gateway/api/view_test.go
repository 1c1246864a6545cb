package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
)

// fakeViews knows one stream, whose newest change is 5.
type fakeViews struct{ asked []string }

func (f *fakeViews) Change(_ context.Context, c *devices.Caller, sid string, body []byte) (bool, error) {
	f.asked = append(f.asked, c.Subject+" "+sid+" "+string(body))
	switch {
	case sid != "e.1":
		return false, devices.Errorf(devices.NotFound, "", "there is no such stream of yours")
	case strings.Contains(string(body), "fast"):
		return false, devices.Errorf(devices.Exhausted, "", "too often")
	}
	return !strings.Contains(string(body), `"seq":4`), nil
}

// A change of a view is taken, left out where it is old, or refused; it needs JSON and the stream's id.
func TestAChangeOfAViewIsAnswered(t *testing.T) {
	f := &fakeViews{}
	w := newWorld(t, func(o *Options) { o.Views = f })
	put := func(target, kind, body string) *httptest.ResponseRecorder {
		return w.exchange(httptest.NewRequest(http.MethodPut, target, strings.NewReader(body)), body, []string{"Content-Type: " + kind})
	}
	for _, c := range []struct {
		target, kind, body string
		want               int
	}{
		{"/stream/e.1/view", "application/json", `{"seq":6,"bbox":[1,2,3,4]}`, 202},
		{"/stream/e.1/view", "application/json", `{"seq":4}`, 204},
		{"/stream/e.2/view", "application/json", `{"seq":4}`, 404},
		{"/stream/e.1/view", "application/json", `{"seq":7,"fleets":["fast"]}`, 429},
		{"/stream/e.1/view", "text/plain", `{"seq":6}`, 415},
		{"/stream/e.1/view", "application/json", `{"seq":6,"fields":["` + strings.Repeat("x", MaxBody) + `"]}`, 413},
	} {
		if rec := put(c.target, c.kind, c.body); rec.Code != c.want {
			t.Errorf("%s %s %.60s gives %d %s", c.target, c.kind, c.body, rec.Code, rec.Body)
		}
	}
	if f.asked[0] != `local e.1 {"seq":6,"bbox":[1,2,3,4]}` {
		t.Errorf("%q", f.asked)
	}
	if rec := w.do(http.MethodPost, "/stream/e.1/view"); rec.Code != http.StatusMethodNotAllowed || rec.Header().Get("Allow") != http.MethodPut {
		t.Errorf("POST gives %d, %v", rec.Code, rec.Header())
	}
	r := httptest.NewRequest(http.MethodPut, "/stream/e.1/view", strings.NewReader(`{"seq":9}`))
	if rec := w.exchange(r, `{"seq":9}`, []string{"Content-Type: application/json", "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}); rec.Code != http.StatusForbidden {
		t.Errorf("a page of another site gives %d", rec.Code)
	}
}

package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/api/openapi/openapitest"
	"github.com/fleetcast/fleetcast/sse/hub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeAssets holds frames by id. Its lists know no filter; they remember what was asked.
type fakeAssets struct {
	frames   map[string]string
	notReady bool
	asked    hub.ListQuery
}

func (f *fakeAssets) Ready() bool { return !f.notReady }

func (f *fakeAssets) Asset(id devices.DeviceID) ([]byte, bool) {
	frame, ok := f.frames[id.String()]
	return []byte(frame), ok
}

func (f *fakeAssets) Fleet(id devices.DeviceID) (devices.FleetID, bool) {
	if _, ok := f.frames[id.String()]; !ok {
		return devices.FleetID{}, false
	}
	fleet, err := devices.ParseFleetID("north")
	return fleet, err == nil
}

func (f *fakeAssets) Assets(q hub.ListQuery) (frames [][]byte, next string) {
	f.asked = q
	var ids []string
	for id := range f.frames {
		if id > q.After {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	if len(ids) > q.Limit {
		ids = ids[:q.Limit]
		next = ids[q.Limit-1]
	}
	for _, id := range ids {
		frames = append(frames, []byte(f.frames[id]))
	}
	return frames, next
}

// fakeInlet keeps what it is given, or fails.
type fakeInlet struct {
	mu      sync.Mutex
	appends []bus.Append
	err     error
	wait    chan struct{} // when set, Append waits for it or for its context
}

func (f *fakeInlet) Append(ctx context.Context, a bus.Append) error {
	if f.wait != nil {
		select {
		case <-f.wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.appends = append(f.appends, a)
	return f.err
}

func frameOf(id string) string {
	return string(append(devices.AppendJSONString([]byte(`{"id":`), id),
		`,"fleet":"north","status":"online","received":5,"lat":48.85833,"lon":2.29513,"altitude":167}`...))
}

// world is an API over fakes.
type world struct {
	*API
	t      testing.TB
	assets *fakeAssets
	inlet  *fakeInlet
}

func newWorld(t testing.TB, change func(*Options), ids ...string) *world {
	t.Helper()
	w := &world{t: t, assets: &fakeAssets{frames: map[string]string{}}, inlet: &fakeInlet{}}
	for _, id := range ids {
		w.assets.frames[id] = frameOf(id)
	}
	o := Options{
		Assets: w.assets, Inlet: w.inlet,
		Stream:    http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("stream " + r.Method)) }),
		Dashboard: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("page " + r.URL.Path)) }),
	}
	if change != nil {
		change(&o)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	w.API = a
	return w
}

func (w *world) do(method, target string, headers ...string) *httptest.ResponseRecorder {
	return w.exchange(httptest.NewRequest(method, target, nil), "", headers)
}

// exchange serves a request, and holds it and its answer to the description.
func (w *world) exchange(r *http.Request, body string, headers []string) *httptest.ResponseRecorder {
	r.Host = "localhost:8080"
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	contract, err := openapitest.Load()
	if err == nil {
		err = contract.Check(r.Context(), &openapitest.Exchange{
			Method: r.Method, URL: r.URL, Request: r.Header, RequestBody: []byte(body), Status: rec.Code, Answer: rec.Header(), AnswerBody: rec.Body.Bytes(),
		})
	}
	if err != nil {
		w.t.Error(err)
	}
	return rec
}

// isProblem checks that an answer is a problem of the status about the parameter.
func isProblem(t testing.TB, rec *httptest.ResponseRecorder, status int, parameter string) {
	t.Helper()
	var p struct {
		Type, Title, Detail, Parameter string
		Status                         int
	}
	err := json.Unmarshal(rec.Body.Bytes(), &p)
	if err != nil || rec.Code != status || p.Status != status || p.Parameter != parameter || p.Title == "" ||
		!strings.HasPrefix(p.Type, "/problems/") || rec.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v %s (%v), want a problem %d about %q", rec.Code, rec.Header(), rec.Body, err, status, parameter)
	}
}

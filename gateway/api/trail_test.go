package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
)

// fakeTrails gives the same fixes for every device and remembers what was asked.
type fakeTrails struct {
	fixes []devices.Fix
	err   error
	asked devices.TrailQuery
}

func (f *fakeTrails) Trail(_ context.Context, _ devices.FleetID, _ devices.DeviceID, q devices.TrailQuery) ([]devices.Fix, error) {
	f.asked = q
	return f.fixes, f.err
}

func trailWorld(t *testing.T, trails *fakeTrails) *world {
	t.Helper()
	return newWorld(t, func(o *Options) { o.Trails = trails }, "truck-17", "ann:phone", "50%")
}

func TestATrailIsOneFeature(t *testing.T) {
	const at = 1780315200000
	moving := devices.Fix{
		At: at, Lat: 48.85833, Lon: 2.29513, Has: devices.FieldSpeed | devices.FieldHeading, Speed: 16.94, Heading: 271.5,
	}
	fiji := []devices.Fix{{At: at, Lat: -18, Lon: 179.9}, {At: at + 4000, Lat: -18.2, Lon: -179.7}}
	then := devices.Fix{At: at + 10_500, Lat: 48.85843, Lon: 2.295}
	for _, c := range []struct {
		name  string
		fixes []devices.Fix
		want  string
	}{
		{"none", nil, `{"type":"Feature","id":"truck-17","geometry":null,"properties":{"id":"truck-17","fleet":"north","coordTimes":[]}}`},
		{"one place", []devices.Fix{then}, `{"type":"Feature","id":"truck-17","geometry":{"type":"Point","coordinates":[2.295,48.85843]},` +
			`"properties":{"id":"truck-17","fleet":"north","coordTimes":["2026-06-01T12:00:10.500Z"]}}`},
		{"a line", []devices.Fix{moving, then}, `{"type":"Feature","id":"truck-17","geometry":{"type":"LineString","coordinates":[[2.29513,48.85833],[2.295,48.85843]]},` +
			`"properties":{"id":"truck-17","fleet":"north","coordTimes":["2026-06-01T12:00:00.000Z","2026-06-01T12:00:10.500Z"],"speeds":[16.94,null],"headings":[271.5,null]}}`},
		{"across the antimeridian", fiji, `{"type":"Feature","id":"truck-17","geometry":{"type":"MultiLineString","coordinates":[[[179.9,-18],[180,-18.05]],[[-180,-18.05],[-179.7,-18.2]]]},` +
			`"properties":{"id":"truck-17","fleet":"north","coordTimes":[["2026-06-01T12:00:00.000Z","2026-06-01T12:00:01.000Z"],["2026-06-01T12:00:01.000Z","2026-06-01T12:00:04.000Z"]]}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := trailWorld(t, &fakeTrails{fixes: c.fixes})
			rec := w.do(http.MethodGet, "/api/assets/truck-17/trail")
			if rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != "application/geo+json" || !json.Valid(rec.Body.Bytes()) {
				t.Fatalf("%d %v %s", rec.Code, rec.Header(), rec.Body)
			}
			if got := rec.Body.String(); got != c.want {
				t.Errorf("trail\n%s, want\n%s", got, c.want)
			}
		})
	}
}

func TestATrailIsAskedForByTimeNumberAndTolerance(t *testing.T) {
	trails := new(fakeTrails)
	w := trailWorld(t, trails)
	for query, want := range map[string]devices.TrailQuery{
		"":                                     {},
		"?from=1780315200000&to=1780315260000": {From: 1780315200000, To: 1780315260000},
		"?from=2026-06-01T12:00:00Z&to=2026-06-01T14:01:00%2B02:00": {From: 1780315200000, To: 1780315260000},
		"?limit=20&simplify=12.5":                                   {Limit: 20, Simplify: 12.5},
	} {
		if rec := w.do(http.MethodGet, "/api/assets/truck-17/trail"+query); rec.Code != http.StatusOK || !reflect.DeepEqual(trails.asked, want) {
			t.Errorf("%s: %d, asked %+v, want %+v", query, rec.Code, trails.asked, want)
		}
	}
	for query, parameter := range map[string]string{
		"?from=yesterday": "from", "?to=-5": "to", "?to=1e99": "to", "?from=9&to=8": "to", "?limit=0": "limit", "?limit=10001": "limit",
		"?limit=x": "limit", "?simplify=-1": "simplify", "?simplify=NaN": "simplify", "?simplify=1e9": "simplify", "?every=1": "every",
		"?limit=1&limit=2": "limit", "?from=": "from",
	} {
		isProblem(t, w.do(http.MethodGet, "/api/assets/truck-17/trail"+query), http.StatusBadRequest, parameter)
	}
}

func TestATrailOfNobodyIsNotFound(t *testing.T) {
	trails := new(fakeTrails)
	w := trailWorld(t, trails)
	for _, path := range []string{"/api/assets/nobody/trail", "/api/assets/a%2Fb/trail", "/api/assets//trail", "/api/assets/truck-17/trail/x"} {
		if rec := w.do(http.MethodGet, path); rec.Code != http.StatusNotFound && rec.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
	for _, path := range []string{"/api/assets/ann:phone/trail", "/api/assets/ann%3Aphone/trail", "/api/assets/50%25/trail"} {
		if rec := w.do(http.MethodGet, path); rec.Code != http.StatusOK {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
	id, err := devices.ParseDeviceID("truck-17")
	if err != nil {
		t.Fatal(err)
	}
	other, err := devices.ParseFleetID("south")
	if err != nil {
		t.Fatal(err)
	}
	for _, scope := range []devices.Scope{{}, devices.OnlyFleets(other)} {
		if _, _, err := w.trailOf(t.Context(), id, &devices.Caller{Role: devices.Viewer, Scope: scope}, devices.TrailQuery{}); devices.KindOf(err) != devices.NotFound {
			t.Errorf("a caller of %v sees the trail: %v", scope, err)
		}
	}
	trails.err = devices.Errorf(devices.NotFound, "", "there is no such asset")
	isProblem(t, w.do(http.MethodGet, "/api/assets/truck-17/trail"), http.StatusNotFound, "")
	trails.err = errors.New("the bus of 10.0.0.7 is away")
	isProblem(t, w.do(http.MethodGet, "/api/assets/truck-17/trail"), http.StatusServiceUnavailable, "")
	isProblem(t, w.do(http.MethodDelete, "/api/assets/truck-17/trail"), http.StatusMethodNotAllowed, "")
}

package dashboard_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/fleetcast/fleetcast/sse/dashboard"
)

// A MapLibre style of another origin is drawn, with what it loads from there, and pins and geofences on it.
func TestAppDrawsTheUsersStyle(t *testing.T) {
	t.Parallel()
	var style atomic.Value
	other := http.NewServeMux() // its server of letters lacks the page's font: MapLibre then draws them itself
	other.HandleFunc("GET /style.json", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		says(style.Load().(string))(w, r)
	})
	other.HandleFunc("GET /land.json", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		says(`{"type":"Feature","properties":{"name":"Atlantis"},"geometry":{"type":"Polygon","coordinates":[[[-10,-10],[10,-10],[10,10],[-10,10],[-10,-10]]]}}`)(w, r)
	})
	tiles := httptest.NewServer(other)
	t.Cleanup(tiles.Close)
	style.Store(fmt.Sprintf(`{"version":8,"name":"ours","glyphs":"%[1]s/{fontstack}/{range}.pbf","sources":{"mine":{"type":"geojson","data":"%[1]s/land.json"}},"layers":[
		{"id":"sea","type":"background","paint":{"background-color":"#123456"}},
		{"id":"ground","type":"fill","source":"mine","paint":{"fill-color":"#654321"}}]}`, tiles.URL))
	stream := newFakeStream()
	stream.put(asset(t, "a", 5, 5, nil), asset(t, "b", 30, 30, nil))
	b := openAppWith(t, stream, map[string]http.HandlerFunc{
		"GET /api/session": says(operator),
		"GET /api/fences":  says(`{"fences":[{"id":"f","name":"Depot","geometry":{"type":"polygon","coordinates":[[[4,4],[6,4],[6,6],[4,6],[4,4]]]}}]}`),
	}, func(o *dashboard.Options) { o.MapStyle = tiles.URL + "/style.json" })
	b.WaitFor(`map().pins === '2' && fleetcast.map().map.getStyle().name === 'ours' && fleetcast.map().map.isSourceLoaded('mine')`)
	b.WaitFor(`(() => {
		const { map } = fleetcast.map()
		const drawn = (lon, lat) => map.queryRenderedFeatures(map.project([lon, lat]), { layers: ['ground'] }).map(f => f.properties.name).join()
		return drawn(5, 5) === 'Atlantis' && drawn(30, 30) === '' && map.getPaintProperty('sea', 'background-color') === '#123456'
	})()`)
	b.Eval(`fleetcast.map().map.jumpTo({ center: [5, 5], zoom: 6 }), undefined`, nil)
	b.WaitFor(`(() => { const { map } = fleetcast.map(); return map.queryRenderedFeatures(map.project([5, 5]), { layers: ['fence-area'] }).length === 1 })()`)
	noErrors(t, b)
}

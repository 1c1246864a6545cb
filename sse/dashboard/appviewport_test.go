package dashboard_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/fleetcast/fleetcast/sse/dashboard"
)

// Where there are more assets than a setting says, the page is sent what is in its window and around it, wherever that
// goes: by hand, by an alert of what is not in it, and over a lost stream.
func TestAppFollowsItsWindowWhereTheFleetIsLarge(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	for i := range 60 {
		stream.put(asset(t, fmt.Sprintf("paris-%d", i), 48.8+float64(i)/1000, 2.3, nil), asset(t, fmt.Sprintf("tokyo-%d", i), 35.6+float64(i)/1000, 139.7, nil))
	}
	b := openAppWith(t, stream, map[string]http.HandlerFunc{
		"GET /api/session":             says(operator),
		"GET /api/alerts":              says(`{"alerts":[` + alertJSON("one", "tokyo-7", "raised", "critical", 1795353543900) + `]}`),
		"GET /api/assets/tokyo-7":      says(asset(t, "tokyo-7", 35.607, 139.7, nil)),
		"GET /api/assets/{id}/{trail}": func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) },
	}, func(o *dashboard.Options) { o.ViewportFrom = 100 })
	b.WaitFor(`text('.freshness .total') === '120 nearby' && text('.footer').includes('in and around the window')`)
	jump := func(lon, lat float64) {
		t.Helper()
		b.Eval(fmt.Sprintf(`fleetcast.map().map.jumpTo({ center: [%v, %v], zoom: 8 }), undefined`, lon, lat), nil)
	}
	jump(2.3, 48.8)
	b.WaitFor(`fleetcast.fleet.size === 60 && entry('paris-59') && !entry('tokyo-7') && text('.freshness .total') === '60 nearby'`)
	stream.put(asset(t, "paris-0", 60, 10, nil), asset(t, "van", 48.9, 2.4, nil), asset(t, "far", 0, 0, nil))
	b.WaitFor(`entry('van') && !entry('paris-0') && !entry('far')`) // it came in, it left, it never was in it

	// What an alert names is outside: the window goes there, and the stream with it.
	b.Eval(`location.hash = '#/alerts'`, nil)
	b.Eval(`click('.alert .face')`, nil)
	b.WaitFor(`text('.details h2') === 'tokyo-7' && text('.details .sub').includes('online') && fleetcast.fleet.size === 60 && !entry('van')`)
	b.WaitFor(`!where('tokyo-7').Hidden && where('tokyo-7').X > 400 && where('tokyo-7').X < innerWidth`)

	stream.cutAll()
	stream.put(asset(t, "tokyo-new", 35.6, 139.8, nil), asset(t, "paris-new", 48.8, 2.4, nil))
	b.WaitFor(`state() === 'live' && entry('tokyo-new') && !entry('paris-new') && fleetcast.fleet.size === 61`)
	if box := stream.newestBox(); len(box) != 4 || box[0] < 130 || box[2] > 150 {
		t.Errorf("the stream that came back shows %v", box)
	}
	// Where nothing is, nobody is told that there are no devices.
	jump(-150, -40)
	b.WaitFor(`fleetcast.fleet.size === 0 && document.querySelector('.empty') === null`)
	noErrors(t, b)
}

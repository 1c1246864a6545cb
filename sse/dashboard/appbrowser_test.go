package dashboard_test

import (
	"os"
	"testing"

	"github.com/fleetcast/fleetcast/sse/dashboard"
	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

// openApp serves the application, built from its sources, before a fake stream, and opens it. In the page, `fleetcast`
// is what main.tsx shows the curious.
func openApp(t *testing.T, stream *fakeStream) *browsertest.Browser {
	t.Helper()
	page, err := dashboard.New(dashboard.Options{Dist: os.DirFS(browsertest.BuildApp(t))})
	if err != nil {
		t.Fatal(err)
	}
	b := browsertest.Start(t)
	b.Prefer("prefers-reduced-motion", "reduce") // pins and camera are where they should be at once
	b.Open(stream.serveWith(t, page))
	b.Eval(`(() => {
		window.rows = () => [...document.querySelectorAll('.row')]
		window.shown = part => rows().map(row => row.querySelector('.' + part).textContent)
		window.state = () => document.documentElement.dataset.stream
		window.text = selector => document.querySelector(selector)?.textContent ?? ''
		window.map = () => document.querySelector('[data-view=map]').dataset
	})()`, nil)
	return b
}

func TestAppShowsAndFollowsTheStream(t *testing.T) {
	stream := newFakeStream()
	stream.put(asset(t, "truck-2", 48, 2, heading(90)), asset(t, "truck-10", 52, 13, nil), asset(t, "van", -10, 40, nil))
	b := openApp(t, stream)
	b.WaitFor(`state() === 'live' && text('.freshness strong') === 'Live'`)
	b.WaitFor(`shown('label').join() === 'truck-2,truck-10,van' && map().pins === '3'`)
	stream.put(asset(t, "truck-2", 48.5, 2.5, nil))
	b.WaitFor(`fleetcast.fleet.get('truck-2').asset.lat === 48.5`)
	noErrors(t, b)
}

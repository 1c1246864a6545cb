package app

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

// The application in a real Chromium against the real gateway: the first admin signs up by the link of the first start, a
// device moves, a second tab shows the same stream, and a gateway that went and came back is gone on with.
func TestTheApplicationFromSignUpToRestart(t *testing.T) {
	t.Parallel()
	program(t, "mosquitto_pub")
	built := browsertest.BuildApp(t)
	page := func(o *Options) { o.Map.Page = os.DirFS(built) }
	banner := &syncBuffer{}
	g := startGateway(t, requireViewers, page, func(o *Options) { o.Report.Banner = banner })
	_, link, found := strings.Cut(banner.String(), "sign up  ")
	if !found {
		t.Fatal(banner.String())
	}
	link, _, _ = strings.Cut(link, "\n")
	drive := func(lat float64) {
		t.Helper()
		g.telemetry("north", "truck-1", fmt.Sprintf(`{"lat":%v,"lon":2.3,"speed":10,"heading":90}`, lat))
	}
	drive(48)

	b := browsertest.Start(t)
	b.Open(link)
	b.WaitFor(`document.querySelector('[data-view=signin] h1')?.textContent === 'Set up the first admin' && location.hash === ''`)
	b.Eval(`(() => {
		const { name, password } = document.querySelector('form').elements
		name.value = 'root'; password.value = 'correct horse battery'
		document.querySelector('form').requestSubmit()
	})()`, nil)
	b.WaitFor(`document.documentElement.dataset.stream === 'live' && fleetcast.fleet.get('truck-1')?.asset.lat === 48`)
	b.WaitFor(`document.querySelector('[data-view=map]').dataset.pins === '1'`)
	drive(48.1)
	b.WaitFor(`fleetcast.fleet.get('truck-1').asset.lat === 48.1`)
	b.Eval(`document.querySelector('.row').click()`, nil)
	b.WaitFor(`document.querySelector('.details h2').textContent === 'truck-1'`)

	b.Eval(`void (window.second = window.open('/'))`, nil)
	b.WaitFor(`second.document.documentElement.dataset.stream === 'live' && second.fleetcast.fleet.get('truck-1')?.asset.lat === 48.1`)
	if open := g.parts.stream.Stats().Open; open != 1 {
		t.Errorf("two tabs hold %d streams", open)
	}
	b.Eval(`second.close()`, nil)

	g.stop()
	b.WaitFor(`document.documentElement.dataset.stream === 'offline' && document.querySelector('.freshness strong').textContent === 'Reconnecting'`)
	g = startGateway(t, requireViewers, page, g.samePorts, g.sameData)
	drive(48.2)
	b.WaitFor(`document.documentElement.dataset.stream === 'live' && fleetcast.fleet.get('truck-1').asset.lat === 48.2`)
	for _, e := range b.Errors() {
		t.Errorf("the console says %q", e)
	}
}

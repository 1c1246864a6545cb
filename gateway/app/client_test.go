package app

import (
	"fmt"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/auth"
	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

// The client package in a real Chromium against the real gateway, behind a proxy that answers 502 as proxies do: sign-in,
// one stream for two tabs, which goes on where it was when its tab closes and when the gateway restarts, and the ways of
// a token.
func TestTheClientPackageInABrowser(t *testing.T) {
	program(t, "mosquitto_pub")
	g := startGateway(t, requireViewers)
	url := g.url("") // of the next gateway too
	north, err := devices.ParseFleetID("north")
	if err != nil {
		t.Fatal(err)
	}
	grant := auth.Grant{Role: devices.Viewer, Fleets: []devices.FleetID{north}}
	if _, err := g.parts.viewers.CreateUser(t.Context(), "ann", "correct horse battery", grant); err != nil {
		t.Fatal(err)
	}
	token := g.tokenOf(t, devices.Viewer, "north")
	b := browsertest.Start(t)
	drive := func(id string, speed int) {
		t.Helper()
		g.telemetry("north", id, fmt.Sprintf(`{"lat":48.8,"lon":2.3,"speed":%d}`, speed))
	}
	shows := func(tab, id string, speed int) {
		t.Helper()
		b.WaitFor(fmt.Sprintf(`page.speed(%q, %q) === '%d m/s'`, tab, id, speed))
	}
	state := func(tab, want string) {
		t.Helper()
		b.WaitFor(fmt.Sprintf(`page.of(%q).connection.state === %q`, tab, want))
	}

	drive("truck-1", 1)
	g.telemetry("south", "secret", `{"speed":1}`)
	b.Open(browsertest.ServeClient(t, func() string { return url }))
	b.Eval(`page.tab('one')`, nil)
	state("one", "signed-out")
	b.Eval(`page.tab('two')`, nil)
	state("two", "signed-out")
	b.Eval(`fetch('/api/session', { method: 'POST', headers: { 'content-type': 'application/json' },
		body: JSON.stringify({ name: 'ann', password: 'correct horse battery' }) }).then(() => page.of('two').connection.reconnect())`, nil)
	shows("one", "truck-1", 1)
	shows("two", "truck-1", 1)
	if open := g.parts.stream.Stats().Open; open != 1 {
		t.Errorf("two tabs hold %d streams", open)
	}

	b.Eval(`document.getElementById('one').remove()`, nil) // the tab that held the stream
	drive("truck-1", 2)
	shows("two", "truck-1", 2)
	b.Eval(`page.tab('three')`, nil)
	shows("three", "truck-1", 2)
	b.WaitFor(`page.of('two').connection.leading && !page.of('three').connection.leading`)

	g.stop() // 502 from the proxy: no EventSource survives it
	state("two", "offline")
	g = startGateway(t, requireViewers, g.samePorts, g.sameData)
	drive("truck-2", 3)
	shows("two", "truck-2", 3)
	shows("three", "truck-2", 3)
	var resets int
	b.Eval(`page.of('two').log.length + page.of('three').log.length`, &resets)
	if resets != 0 {
		t.Errorf("what was there was dropped %d times", resets)
	}

	for _, transport := range []string{"fetch", "eventsource"} { // as a header, and as a ticket
		b.Eval(fmt.Sprintf(`page.open({ token: %q, transport: %q, fleets: ['north'] })`, token, transport), nil)
		b.WaitFor(`document.querySelector('#assets[data-state="live"] [data-id="truck-2"]')?.textContent === '3 m/s'`)
		b.Eval(`page.connection.close()`, nil)
	}
	for _, e := range b.Errors() {
		t.Errorf("the console says %q", e)
	}
}

package app

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// registersAGateway makes the account of a gateway, and speaks for a device with what the page shows.
func registersAGateway(t *testing.T, p *person, g *gateway) {
	t.Helper()
	p.goes("devices")
	p.does(`pick('tab', 'accounts')`, `press('Add a gateway or client')`, `fill('name', 'lorawan')`, `press('Add')`)
	p.WaitFor(`wrong('fleets') !== '' && document.activeElement === field('fleets')`)
	p.does(`fill('fleets', 'north')`, `press('Add')`)
	p.WaitFor(`document.querySelector('code[data-secret]') !== null`)
	p.check("account-secret")
	p.photo("account-secret")
	var token string
	p.Eval(`document.querySelector('code[data-secret]').textContent`, &token)
	g.publish("-u", "lorawan", "-P", token, "-q", "1", "-t", "fleets/north/devices/meter-1/telemetry", "-m", `{"lat":48.87,"lon":2.37}`)
	p.does(`press('Done')`, `!open_()`, `row('lorawan') !== null`)
	p.WaitFor(`fleetcast.fleet.get('meter-1')?.asset.lat === 48.87`)
	p.check("accounts")
	p.photo("accounts")
	p.does(`press('Add a gateway or client')`, `pick('kind', 'client')`, `fill('name', 'reports')`, `fill('rules', 'all of it')`, `press('Add')`)
	p.WaitFor(`wrong('rules').includes('Line 1')`)
	p.does(`fill('rules', 'sub fleets/north/#')`, `press('Add')`, `document.querySelector('code[data-secret]') !== null`, `press('Done')`, `!open_() && row('reports').textContent.includes('sub fleets/north/#')`)
	p.does(`pressIn('reports', 'Edit')`, `fill('status', 'disabled')`, `press('Save')`, `!open_() && row('reports').dataset.off === 'true'`)
	p.does(`pressIn('lorawan', 'New token')`, `press('New token')`)
	p.WaitFor(fmt.Sprintf(`(document.querySelector('code[data-secret]')?.textContent ?? %q) !== %q`, token, token))
	p.does(`press('Done')`, `!open_()`)
	for _, name := range []string{"lorawan", "reports"} {
		p.does(fmt.Sprintf(`pressIn(%q, 'Delete')`, name), `press('Delete')`, fmt.Sprintf(`!open_() && row(%q) === null`, name))
	}
}

// setsAFleet gives a fleet and a device limits, notes and what is believed of them, and takes some of it back.
func setsAFleet(t *testing.T, p *person) {
	t.Helper()
	p.goes("devices")
	p.does(`pick('tab', 'fleets')`, `pressIn('north', 'Edit')`, `fill('silence_s', '120')`, `fill('alerts_s', '3600')`, `fill('history_s', '86400')`, `fill('limits.messages_per_second', 'many')`, `press('Save')`)
	p.WaitFor(`wrong('limits.messages_per_second') !== '' && document.activeElement === field('limits.messages_per_second')`)
	p.does(`fill('limits.messages_per_second', '20')`, `fill('hygiene.max_speed', '50')`, `fill('hygiene.bbox', '2, 48, 3')`, `press('Jumps')`, `fill('metadata', 'region = north')`, `press('Save')`)
	p.WaitFor(`wrong('hygiene.bbox') !== ''`)
	p.does(`fill('hygiene.bbox', '2, 48, 3, 49')`)
	p.check("fleet")
	p.photo("fleet")
	p.does(`press('Save')`, `!open_()`)
	held := func(path, want string) {
		t.Helper()
		p.WaitFor(fmt.Sprintf(`fetch(%q).then(r => r.json()).then(it => JSON.stringify([it.silence_s, it.limits, it.metadata, it.hygiene?.max_speed === 50, it.hygiene?.bbox, it.hygiene?.off, it.alerts_s, it.history_s]) === %q)`, path, want))
	}
	held("/api/fleets/north", `[120,{"messages_per_second":20},{"region":"north"},true,[2,48,3,49],["jump"],3600,86400]`)
	p.does(`pressIn('north', 'Edit')`, `field('hygiene.max_speed').value === '50'`, `field('hygiene.bbox').value === '2, 48, 3, 49'`, `fill('hygiene.max_speed', '')`, `fill('hygiene.bbox', '')`, `press('Jumps')`, `fill('metadata', '')`, `fill('silence_s', '')`, `fill('alerts_s', '')`, `field('history_s').value === '86400'`, `press('Save')`, `!open_()`)
	held("/api/fleets/north", `[null,{"messages_per_second":20},null,false,null,null,null,86400]`)
	p.does(`pick('tab', 'devices')`, `pressIn('truck-1', 'Edit')`, `fill('limits.burst_s', '5')`, `fill('metadata', 'plate = AB 123')`, `press('Save')`, `!open_()`)
	held("/api/devices/truck-1", `[null,{"burst_s":5},{"plate":"AB 123"},false,null,null,null,null]`)
}

// tellsAnAddress makes a webhook, whose secret is shown once, tries it, turns it off and takes it away.
func tellsAnAddress(t *testing.T, p *person) {
	t.Helper()
	signed := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		signed <- r.Header.Get("Webhook-Signature")
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(receiver.Close)
	p.goes("webhooks")
	p.does(`press('Add a webhook')`, `fill('url', 'nowhere')`, `press('Add')`)
	p.WaitFor(`wrong('url') !== '' && document.activeElement === field('url')`)
	p.does(fmt.Sprintf(`fill('url', %q)`, receiver.URL), `press('Add')`)
	p.WaitFor(`document.querySelector('code[data-secret]')?.textContent.startsWith('whsec_')`)
	p.photo("webhook-secret")
	var secret, id string
	p.Eval(`document.querySelector('code[data-secret]').textContent`, &secret)
	p.does(`press('Done')`, `!open_()`)
	p.WaitFor(fmt.Sprintf(`!document.documentElement.outerHTML.includes(%q)`, secret))
	p.Eval(`document.querySelector('tr[data-id]').dataset.id`, &id)
	p.does(fmt.Sprintf(`pressIn(%q, 'Test')`, id))
	p.WaitFor(`document.querySelector('.result')?.textContent.startsWith('Delivered: HTTP 204')`)
	if got := <-signed; !strings.HasPrefix(got, "v1,") {
		t.Errorf("what is sent is signed %q", got)
	}
	p.check("webhooks")
	p.photo("webhooks")
	p.does(fmt.Sprintf(`row(%q).querySelector('[role=switch]').click() ?? true`, id), fmt.Sprintf(`row(%q).dataset.off === 'true' && row(%q).textContent.includes('Off')`, id, id))
	p.does(fmt.Sprintf(`pressIn(%q, 'Edit')`, id), `press('New secret')`, `press('New secret')`)
	p.WaitFor(fmt.Sprintf(`(document.querySelector('code[data-secret]')?.textContent ?? %q) !== %q`, secret, secret))
	p.does(`press('Done')`, `!open_()`, fmt.Sprintf(`pressIn(%q, 'Delete')`, id), `press('Delete')`, fmt.Sprintf(`!open_() && row(%q) === null`, id))
}

// keepsAHole has a hole cut into a fence elsewhere, as a program does, and moves a corner of it here.
func keepsAHole(p *person, id string) {
	p.t.Helper()
	p.Eval(fmt.Sprintf(`fetch('/api/fences/%s').then(r => r.json()).then(({ geometry }) => fetch('/api/fences/%s', { method: 'PATCH', headers: { 'content-type': 'application/json' }, body: JSON.stringify({
		geometry: { ...geometry, coordinates: [geometry.coordinates[0], [[2.355, 48.845], [2.356, 48.845], [2.356, 48.846], [2.355, 48.845]]] } }) })).then(r => r.status)`, id, id), nil)
	p.goes("alerts")
	p.goes("fences")
	p.does(fmt.Sprintf(`row(%q) !== null`, id),
		// The list is read anew; until it was, the fence is as it was.
		fmt.Sprintf(`pressIn(%q, 'Edit') && new Promise(done => setTimeout(done, 50)).then(() => said().includes('The hole in it stays') || (press('Cancel'), false))`, id))
	p.does(`fill('geometry', '48.839, 2.35\n48.86, 2.35\n48.86, 2.37\n48.84, 2.37')`, `press('Save')`, `document.querySelector('.things li') !== null`)
	p.WaitFor(fmt.Sprintf(`fetch('/api/fences/%s').then(r => r.json()).then(({ geometry }) => geometry.coordinates.length === 2 && geometry.coordinates[0][0][1] === 48.839)`, id))
}

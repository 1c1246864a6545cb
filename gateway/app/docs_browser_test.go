package app

import (
	"testing"

	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

// The page that shows the description shows all of it, under its own policy, and can ask this server.
func TestThePageOfTheDescriptionShowsEveryOperation(t *testing.T) {
	g := startGateway(t)
	g.telemetry("north", "truck-1", `{"lat":48.8,"lon":2.3}`)
	browser := browsertest.Start(t)
	browser.Open(g.url("/api/docs#getAsset"))
	browser.WaitFor(`document.querySelectorAll('details.operation').length > 40`)
	browser.WaitFor(`document.activeElement.parentElement.id === 'getAsset' && document.getElementById('getAsset').open`)
	var missing []string
	browser.Eval(`fetch('/api/openapi.json').then(r => r.json()).then(d => Object.values(d.paths)
		.flatMap(item => Object.values(item)).map(o => o.operationId).filter(id => id && !document.getElementById(id)))`, &missing)
	if len(missing) > 0 {
		t.Errorf("%v are not shown", missing)
	}
	browser.Eval(`(() => {
		const form = document.querySelector('#getAsset .try')
		form.open = true
		form.querySelector('input').value = 'truck-1'
		form.querySelector('button').click()
		const filter = document.getElementById('filter')
		filter.value = 'post token'
		filter.dispatchEvent(new Event('input'))
	})()`, nil)
	browser.WaitFor(`document.querySelector('#getAsset .try pre').textContent.includes('"fleet": "north"')`)
	browser.WaitFor(`document.getElementById('listAssets').hidden && !document.getElementById('createToken').hidden`)
	if errs := browser.Errors(); len(errs) > 0 {
		t.Errorf("the console says %q", errs)
	}
}

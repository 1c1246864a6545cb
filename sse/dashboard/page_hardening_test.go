package dashboard_test

import (
	"fmt"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
)

// Whatever a device calls itself or its metrics is text: it makes no element, runs no code and shows as it stands.
func TestHostileNamesAreText(t *testing.T) {
	t.Parallel()
	const hostile = `<img src=x onerror=window.pwned=1><script>window.pwned=1<\script>"'&amp;`
	const metric = `</dt><svg onload=window.pwned=1>`
	stream := newFakeStream()
	stream.put(asset(t, hostile, 1, 1, func(a *devices.Asset) {
		a.Name = "</span>" + hostile
		a.Metrics = []devices.Metric{
			{Name: metric, Value: devices.TextValue(hostile)},
			{Name: "__proto__", Value: devices.TextValue("polluted")},
			{Name: "bidi", Value: devices.TextValue("\u202egnp.exe")},
		}
	}), asset(t, "__proto__", 2, 2, nil), asset(t, "constructor", 3, 3, nil))
	b := openPage(t, stream)
	b.WaitFor(`rows().length === 3`)
	b.Eval(`window.elements = document.querySelectorAll('*').length`, nil)
	b.Eval(`rows().find(row => row.dataset.id.startsWith('<img')).click()`, nil)
	b.WaitFor(fmt.Sprintf(`part('title') === %q && part('subtitle').includes(%q)`, "</span>"+hostile, hostile))
	b.WaitFor(fmt.Sprintf(`[...document.querySelectorAll('.details .metric')].map(n => n.textContent).includes(%q)`, metric))
	b.WaitFor(`[...document.querySelectorAll('.details dd')].some(n => n.textContent === 'polluted')`)
	var found struct {
		Images, Scripts, Drawings int
		Pwned, Polluted           bool
	}
	b.Eval(`({
		Images: document.querySelectorAll('main img').length,
		Scripts: document.scripts.length,
		Drawings: document.querySelectorAll('aside svg, .details dl svg').length,
		Pwned: 'pwned' in window,
		Polluted: 'polluted' in {} || {}.lat !== undefined,
	})`, &found)
	if found.Images+found.Drawings > 0 || found.Scripts != 1 || found.Pwned || found.Polluted {
		t.Errorf("hostile text became %+v", found)
	}
	noErrors(t, b)
}

// What the gateway would never send must not end the page either: another version may be at the other end.
func TestMessagesThatAreNoAssetsAreSkipped(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	b := openPage(t, stream)
	b.WaitFor(`state() === 'connected'`)
	for _, data := range []string{`7`, `null`, `{}`, `[null,7,"x",[],{},{"id":9}]`, `[{"id":"odd","lat":"<b>","lon":[],"metrics":"m","status":{},"fleet":7,"received":"x"}]`} {
		stream.announce("batch", data)
	}
	stream.announce("removed", `{}`)
	stream.announce("heartbeat", `{"now":"x","lag_ms":null}`)
	stream.announce("tomorrow", `{"new":true}`)
	stream.put(asset(t, "good", 1, 1, nil))
	b.WaitFor(`shown('label').includes('good') && shown('label').includes('odd')`)
	b.Eval(`rows()[shown('label').indexOf('odd')].click()`, nil)
	b.WaitFor(`part('title') === 'odd' && document.querySelector('.map').dataset.pins === '1'`)
	noErrors(t, b)
}

// The policy is in force in the browser: a sink that parses HTML throws, and an inline handler does not run.
func TestBrowserEnforcesThePolicy(t *testing.T) {
	t.Parallel()
	b := openPage(t, newFakeStream())
	b.WaitFor(`state() === 'connected'`)
	var threw bool
	b.Eval(`(() => { try { document.createElement('p').innerHTML = '<b>x</b>' } catch { return true } return false })()`, &threw)
	if !threw {
		t.Error("the page may parse HTML")
	}
	b.Eval(`(() => { const p = document.createElement('p'); p.setAttribute('style', 'color: red'); document.body.append(p); window.styled = p.style.color })()`, nil)
	b.WaitFor(`window.styled === ''`)
}

package app

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/auth"
	"github.com/fleetcast/fleetcast/sse/dashboard"
	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

// hands are what a person does with the page, for tests: they fill in fields by the name that the gateway has for them,
// and press what they read.
const hands = `(() => {
	const $ = selector => document.querySelector(selector)
	const top = () => [...document.querySelectorAll('dialog[open]')].at(-1) ?? document.body
	window.field = name => top().querySelector('[data-field="' + name + '"]')
	window.fill = (name, value) => {
		const el = field(name)
		Object.getOwnPropertyDescriptor(Object.getPrototypeOf(el), 'value').set.call(el, value)
		el.dispatchEvent(new Event(el.tagName === 'SELECT' ? 'change' : 'input', { bubbles: true }))
		return true
	}
	window.button = text => [...top().querySelectorAll('button')].find(b => b.textContent.trim() === text && !b.disabled)
	window.press = text => { button(text).click(); return true }
	window.row = id => top().querySelector('tr[data-id="' + CSS.escape(id) + '"], li[data-id="' + CSS.escape(id) + '"]')
	window.pressIn = (id, text) => { [...row(id).querySelectorAll('button')].find(b => b.textContent.trim() === text).click(); return true }
	window.pick = (group, value) => { top().querySelector('[data-group="' + group + '"] [data-value="' + value + '"]').click(); return true }
	window.said = () => top().textContent
	window.wrong = name => document.getElementById(field(name).getAttribute('aria-describedby'))?.textContent ?? ''
	window.open_ = () => $('dialog[open]') !== null
	window.rail = () => [...document.querySelectorAll('.rail li a')].map(a => a.getAttribute('href')).join()
})()`

// person is somebody at the page.
type person struct {
	*browsertest.Browser
	t *testing.T
}

// sit opens the application before the gateway, signed in as a user.
func sit(t *testing.T, b *browsertest.Browser, page, name string) *person {
	t.Helper()
	p := &person{b, t}
	b.Open(page + "simple")
	b.Eval(fmt.Sprintf(`fetch('/api/session', { method: 'POST', headers: { 'content-type': 'application/json' },
		body: JSON.stringify({ name: %q, password: 'correct horse battery' }) }).then(r => r.status)`, name), nil)
	b.Open(page)
	b.Eval(hands, nil)
	axe, err := os.ReadFile(filepath.Join(browsertest.Packages(t), "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	b.Eval(string(axe)+";0", nil)
	b.WaitFor(`document.documentElement.dataset.stream === 'live'`)
	return p
}

// does evaluates an action until it can be done: what it needs may not be drawn yet.
func (p *person) does(actions ...string) {
	p.t.Helper()
	for _, action := range actions {
		p.WaitFor(action)
	}
}

func (p *person) goes(section string) {
	p.t.Helper()
	p.Eval(fmt.Sprintf(`location.hash = '#/%s'`, section), nil)
}

// photo keeps what the page looks like, where somebody wants to look: light, dark and on a phone.
func (p *person) photo(name string) {
	p.t.Helper()
	dir := os.Getenv("FLEETCAST_SCREENSHOTS")
	if dir == "" {
		return
	}
	take := func(kind string) {
		p.Eval(`new Promise(done => setTimeout(done, 400))`, nil)
		p.Screenshot(filepath.Join(dir, "acting-"+name+kind+".png"))
	}
	take("")
	p.Prefer("prefers-color-scheme", "dark")
	take("-dark")
	p.ResizePhone(390, 844)
	p.Prefer("prefers-reduced-motion", "reduce")
	take("-phone")
	p.Resize(1280, 800)
}

// check has axe look for what keeps people out: names, roles, contrast.
func (p *person) check(what string) {
	p.t.Helper()
	var found json.RawMessage
	p.Eval(`axe.run(document, { resultTypes: ['violations'] }).then(r => r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html.slice(0, 160) + ' ' + n.failureSummary).join(' | ')))`, &found)
	var violations []string
	if err := json.Unmarshal(found, &violations); err != nil {
		p.t.Fatal(err)
	}
	for _, v := range violations {
		p.t.Errorf("%s: %s", what, v)
	}
}

// userOf makes somebody who can sign in.
func (g *gateway) userOf(t *testing.T, name string, role devices.Role, fleets ...string) {
	t.Helper()
	grant := auth.Grant{Role: role, AllFleets: len(fleets) == 0}
	for _, f := range fleets {
		id, err := devices.ParseFleetID(f)
		if err != nil {
			t.Fatal(err)
		}
		grant.Fleets = append(grant.Fleets, id)
	}
	if _, err := g.parts.viewers.CreateUser(t.Context(), name, "correct horse battery", grant); err != nil {
		t.Fatal(err)
	}
}

// A person acts on the page in a real Chromium, and the gateway and a device hear of it: a device is made, whose token is
// shown once; roles hide what they may not do.
func TestActingOnThePage(t *testing.T) {
	t.Parallel()
	program(t, "mosquitto_pub")
	g := startGateway(t, requireViewers, func(o *Options) { o.Alerts.WebhookInsecure, o.Alerts.WebhookAllow = true, []string{"127.0.0.1/32"} })
	g.userOf(t, "root", devices.Admin)
	g.userOf(t, "nora", devices.Admin, "north")
	g.userOf(t, "vera", devices.Viewer, "north")
	page, err := dashboard.New(dashboard.Options{Dist: os.DirFS(browsertest.BuildApp(t))})
	if err != nil {
		t.Fatal(err)
	}
	address := browsertest.ServeBefore(t, page, func() string { return g.url("") })
	b := browsertest.Start(t)
	b.Prefer("prefers-reduced-motion", "reduce")
	g.telemetry("north", "truck-1", `{"lat":48.85,"lon":2.35,"speed":8,"battery":80}`)
	root := sit(t, b, address, "root")
	registersAPhone(t, root, g)
	registersAGateway(t, root, g)
	setsAFleet(t, root)
	tellsAnAddress(t, root)
	managesPeople(root)
	id := drawsAFence(root)
	watchesIt(t, root, g, id)
	commandsIt(t, root, g)

	vera := sit(t, b, address, "vera")
	vera.WaitFor(`rail() === '#/,#/alerts'`)
	vera.goes("map/truck-1")
	vera.WaitFor(`document.querySelector('.details h2').textContent === 'truck-1'`)
	vera.WaitFor(`button('Send a command') === undefined`)
	for _, hidden := range []string{"devices", "people", "webhooks", "fences", "rules"} { // nor by the address
		vera.goes(hidden)
		vera.WaitFor(`document.querySelector('.panel.board') !== null && document.querySelector('.acting, .fences, .rules') === null`)
	}
	nora := sit(t, b, address, "nora") // who rules one fleet does not rule people
	nora.WaitFor(`rail() === '#/,#/alerts,#/fences,#/rules,#/devices'`)
	for _, e := range b.Errors() {
		t.Errorf("the console says %q", e)
	}
}

// registersAPhone makes a device, and signs in with what the page shows.
func registersAPhone(t *testing.T, p *person, g *gateway) {
	t.Helper()
	p.goes("devices")
	p.does(`row('truck-1') !== null`, `press('Add a device')`, `fill('id', 'no phone')`)
	p.does(`(document.querySelector('dialog .check input').click(), true)`, `press('Add')`)
	p.WaitFor(`wrong('id').includes('user:device') && document.activeElement === field('id')`)
	p.check("device-wrong")
	p.photo("device-wrong")
	p.does(`fill('id', 'ann:phone')`, `fill('fleet', 'north')`, `fill('name', 'Ann')`, `press('Add')`)
	p.WaitFor(`document.querySelector('code[data-secret]') !== null`)
	p.check("device-secret")
	p.photo("device-secret")
	var token, link string
	p.Eval(`document.querySelector('code[data-secret]').textContent`, &token)
	p.Eval(`document.querySelector('.qr').dataset.text`, &link)
	if got := configurationIn(t, link); got["username"] != "ann:phone" || got["password"] != token || got["pubTopicBase"] != "owntracks/ann/phone" || got["_type"] != "configuration" {
		t.Errorf("the QR code says %v", got)
	}
	g.publish("-u", "ann:phone", "-P", token, "-q", "1", "-t", "owntracks/ann/phone", "-m", fmt.Sprintf(`{"_type":"location","lat":48.86,"lon":2.36,"tst":%d}`, 1795353543))
	p.does(`press('Done')`, `!open_()`, `row('ann:phone') !== null`)
	p.WaitFor(`fleetcast.fleet.get("ann:phone")?.asset.fleet === "north"`)
	p.WaitFor(fmt.Sprintf(`!document.documentElement.outerHTML.includes(%q)`, token)) // it is shown once
	p.check("devices")
	p.photo("devices")

	p.does(`pressIn('ann:phone', 'New token')`, `open_() && press('New token')`)
	p.WaitFor(fmt.Sprintf(`document.querySelector('code[data-secret]')?.textContent !== undefined && document.querySelector('code[data-secret]').textContent !== %q`, token))
	p.does(`press('Done')`, `!open_()`, `pressIn('ann:phone', 'Delete')`, `press('Delete')`, `!open_() && row('ann:phone') === null`)
}

// configurationIn is what a phone reads in an OwnTracks link.
func configurationIn(t *testing.T, link string) map[string]any {
	t.Helper()
	_, inline, _ := strings.Cut(link, "owntracks:///config?inline=")
	inline, err := url.QueryUnescape(inline)
	if err != nil {
		t.Fatal(err)
	}
	text, err := base64.StdEncoding.DecodeString(inline)
	if err != nil {
		t.Fatalf("read %q: %v", link, err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// managesPeople makes a user and a key, and takes both away.
func managesPeople(p *person) {
	p.t.Helper()
	p.goes("people")
	p.does(`row('vera') !== null`, `press('Add a user')`, `fill('name', 'otto')`, `fill('password', 'short')`, `press('Add')`)
	p.WaitFor(`wrong('password').includes('12') && document.activeElement === field('password')`)
	p.does(`fill('password', 'a longer password')`, `fill('role', 'operator')`, `press('Add')`, `!open_() && row('otto') !== null`)
	p.check("people")
	p.photo("people")
	p.does(`pressIn('otto', 'Delete')`, `press('Delete')`, `!open_() && row('otto') === null`)
	p.does(`pick('tab', 'keys')`, `press('Make a key')`, `fill('note', 'export')`, `[...document.querySelectorAll('dialog footer button')].at(-1).click() ?? true`)
	p.WaitFor(`document.querySelector('code[data-secret]') !== null`)
	p.does(`press('Done')`, `!open_() && said().includes('export')`)
}

// drawsAFence draws a circle around the truck with the mouse, and gives it a size by its field.
func drawsAFence(p *person) (id string) {
	p.t.Helper()
	p.goes("fences")
	p.does(`press('New geofence')`, `fill('name', 'Old depot')`, `fleetcast.map().map.isStyleLoaded() && (fleetcast.map().map.jumpTo({ center: [2.36, 48.85], zoom: 13 }), true)`)
	var box struct{ X, Y, Width, Height float64 }
	p.Eval(`(() => { const { x, y, width, height } = document.querySelector('.map canvas').getBoundingClientRect(); return { x, y, width, height } })()`, &box)
	p.Click(box.X+box.Width/2, box.Y+box.Height/2)
	p.WaitFor(`Number(field('geometry.radius').value) > 100 && field('geometry').value.startsWith('48.8')`)
	p.does(`fill('geometry.radius', '400')`)
	p.photo("fence-circle")
	p.does(`pick('shape', 'polygon')`, `fill('geometry', '48.85, x')`)
	p.WaitFor(`wrong('geometry').includes('Line 1')`)
	p.does(`fill('geometry', '48.84, 2.35\n48.86, 2.35\n48.86, 2.37\n48.84, 2.37')`)
	p.check("fence-polygon")
	p.photo("fence-polygon")
	p.does(`press('Save')`, `document.querySelector('.things li') !== null`)
	p.Eval(`document.querySelector('.things li').dataset.id`, &id)
	p.WaitFor(`fleetcast.map().map.querySourceFeatures('fences').length > 0`)
	p.photo("fences")
	keepsAHole(p, id)
	// The corridor, of which only the shape is looked at.
	p.does(`press('New geofence')`, `pick('shape', 'corridor')`, `fill('geometry', '48.84, 2.35\n48.85, 2.36\n48.845, 2.38')`, `fill('geometry.width', '300')`, `fill('name', 'Road')`)
	p.photo("fence-corridor")
	p.does(`press('Save')`, `document.querySelectorAll('.things li').length === 2`)
	p.does(`pressIn('road', 'Delete')`, `press('Delete')`, `!open_() && document.querySelectorAll('.things li').length === 1`)
	return id
}

// watchesIt makes rules of all kinds, and sees the alert of the fence through to its acknowledgement.
func watchesIt(t *testing.T, p *person, g *gateway, fence string) {
	t.Helper()
	p.goes("rules")
	p.does(`press('New rule')`, `fill('name', 'Too fast')`, `fill('when.above', '90')`)
	p.WaitFor(`wrong('when.above').includes('25 m/s')`)
	p.does(`fill('when.hysteresis', '5')`, `fill('for_s', 'x')`, `press('Save')`)
	p.WaitFor(`wrong('for_s') !== '' && document.activeElement === field('for_s')`)
	p.check("rule")
	p.photo("rule")
	p.does(`fill('for_s', '10')`, `press('Save')`, `!open_() && said().includes('Speed above 90 km/h for 10 s')`)
	p.does(`press('New rule')`, `pick('type', 'expression')`, `fill('when.expression', 'speed >')`, `fill('name', 'Broken')`, `press('Save')`)
	p.WaitFor(`wrong('when.expression') !== '' && document.activeElement === field('when.expression')`)
	p.does(`pick('type', 'fence')`, fmt.Sprintf(`fill('when.fence', %q)`, fence), `fill('name', 'At the depot')`, `fill('severity', 'critical')`, `press('Save')`, `!open_() && said().includes('Enters Old depot')`)
	p.check("rules")
	p.photo("rules")
	p.does(`row('too-fast').querySelector('[role=switch]').click() ?? true`, `row('too-fast').dataset.off === 'true'`)
	p.does(`pressIn('too-fast', 'Edit')`, `field('when.above').value === '90' && field('when.hysteresis').value === '5'`, `fill('when.above', '100')`, `press('Save')`, `!open_() && said().includes('above 100 km/h')`)

	p.goes("alerts")
	g.telemetry("north", "truck-1", `{"lat":48.9,"lon":2.5}`) // outside, and then inside
	g.telemetry("north", "truck-1", `{"lat":48.85,"lon":2.36}`)
	p.WaitFor(`document.querySelector('.alert[data-state=raised][data-severity=critical]') !== null`)
	p.does(`press('Acknowledge')`, `document.querySelector('.alert[data-state=acknowledged]') !== null`)
	p.photo("alert")
}

// commandsIt sends the truck a command, and sees it done.
func commandsIt(t *testing.T, p *person, g *gateway) {
	t.Helper()
	device := g.listen(g.Addrs().MQTT.String(), "north", "truck-1", "-V", "5")
	p.goes("map/truck-1")
	p.does(`press('Send a command')`, `fill('name', 'reboot')`, `fill('params', '{"delay": }')`, `[...document.querySelectorAll('dialog button[type=submit]')].at(-1).click() ?? true`)
	p.WaitFor(`wrong('params') !== '' && document.activeElement === field('params')`)
	p.check("command")
	p.photo("command")
	p.does(`fill('params', '{"delay": 3}')`, `[...document.querySelectorAll('dialog button[type=submit]')].at(-1).click() ?? true`, `!open_()`)
	_, response, _, payload := device.next()
	if !strings.Contains(payload, `"name":"reboot","params":{"delay":3}`) {
		t.Errorf("the device gets %s", payload)
	}
	p.WaitFor(`document.querySelector('.command[data-state=delivered]') !== null`)
	g.publish("-q", "1", "-t", response, "-m", `{"status":"done"}`)
	p.WaitFor(`document.querySelector('.command[data-state=done] strong').textContent === 'reboot'`)
	p.photo("command-done")
}

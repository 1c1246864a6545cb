package dashboard_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/sse/dashboard"
	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

// openApp serves the application, built from its sources, before a fake stream, and opens it. In the page, `fleetcast`
// is what main.tsx shows the curious.
func openApp(t *testing.T, stream *fakeStream) *browsertest.Browser {
	t.Helper()
	return openAppWith(t, stream, nil)
}

// openAppWith also answers requests, by method and path, and may change the page's options.
func openAppWith(t *testing.T, stream *fakeStream, answers map[string]http.HandlerFunc, change ...func(*dashboard.Options)) *browsertest.Browser {
	t.Helper()
	url := serveApp(t, stream, answers, change...)
	b := browsertest.Start(t)
	b.Prefer("prefers-reduced-motion", "reduce") // pins and camera are where they should be at once
	b.ResizeCoarse(1280, 800)
	b.Open(url)
	b.Eval(`(() => {
		window.rows = () => [...document.querySelectorAll('.row')]
		window.shown = part => rows().map(row => row.querySelector('.' + part).textContent)
		window.state = () => document.documentElement.dataset.stream
		window.text = selector => document.querySelector(selector)?.textContent ?? ''
		window.map = () => document.querySelector('[data-view=map]').dataset
		window.entry = id => fleetcast.fleet.get(id)
		window.click = (selector, word = '') => [...document.querySelectorAll(selector)].find(e => e.textContent.includes(word)).click()
		window.where = id => {
			const at = fleetcast.map().whereIs(id), box = document.querySelector('[data-view=map]').getBoundingClientRect()
			return { X: box.x + at.x, Y: box.y + at.y, Hidden: at.hidden }
		}
	})()`, nil)
	return b
}

func serveApp(t *testing.T, stream *fakeStream, answers map[string]http.HandlerFunc, change ...func(*dashboard.Options)) string {
	t.Helper()
	options := dashboard.Options{Dist: os.DirFS(browsertest.BuildApp(t))}
	for _, f := range change {
		f(&options)
	}
	page, err := dashboard.New(options)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", page)
	for pattern, answer := range answers {
		mux.Handle(pattern, answer)
	}
	return stream.serveWith(t, mux)
}

func TestAppShowsAndFollowsTheStream(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	stream.put(asset(t, "truck-2", 48, 2, heading(90)), asset(t, "truck-10", 52, 13, func(a *devices.Asset) {
		a.Name, a.Status, a.Has, a.Speed = "Anna", devices.Unknown, a.Has|devices.FieldSpeed, 10
	}), asset(t, "sensor", 0, 0, func(a *devices.Asset) { a.Has, a.Status = 0, devices.Offline }))
	b := openApp(t, stream)
	b.WaitFor(`state() === 'live' && text('.freshness strong') === 'Live' && text('.freshness .total') === '3 assets'`)
	b.WaitFor(`shown('label').join() === 'Anna,sensor,truck-2' && map().pins === '2'`)
	b.WaitFor(`shown('sub').join() === 'north · truck-10,north,north' && shown('age')[1] === 'no position'`)
	b.WaitFor(`[...document.querySelectorAll('.board .tile b')].map(b => b.textContent).join() === '3,1,1,1'`)
	// Both pins are in the window, which was fitted to them.
	b.WaitFor(`[where('truck-2'), where('truck-10')].every(at => at.X > 400 && at.X < innerWidth && at.Y > 0 && at.Y < innerHeight)`)

	stream.put(asset(t, "truck-2", 48.5, 2.5, func(a *devices.Asset) { a.Name = "Zoë"; heading(45)(a) }))
	b.WaitFor(`shown('label').join() === 'Anna,sensor,Zoë' && entry('truck-2').asset.lat === 48.5`)
	stream.announce("removed", `{"id":"truck-2","fleet":"south"}`) // held with north: it is another fleet's news
	stream.remove("sensor", "north")
	b.WaitFor(`shown('label').join() === 'Anna,Zoë'`)

	// The list, the map and the address say the same of what is selected.
	b.Eval(`rows()[0].click()`, nil)
	b.WaitFor(`location.hash === '#/map/truck-10' && text('.details h2') === 'Anna' && document.querySelector('.row[aria-selected=true]').dataset.id === 'truck-10'`)
	b.WaitFor(`[...document.querySelectorAll('.figures dd')].map(n => n.textContent).join() === '36 km/h'`)
	b.Eval(`history.back()`, nil)
	b.WaitFor(`document.querySelector('.details') === null`)
	var at struct{ X, Y float64 }
	b.Eval(`fleetcast.map().map.jumpTo({ center: [2.5, 48.5], zoom: 14 })`+`, undefined`, nil)
	b.WaitFor(`!where('truck-2').Hidden`)
	b.Eval(`where('truck-2')`, &at)
	b.Click(at.X, at.Y)
	b.WaitFor(`location.hash === '#/map/truck-2' && text('.details h2') === 'Zoë'`)
	b.Keys("\x1b")
	b.WaitFor(`location.hash === '#/'`)
	noErrors(t, b)
}

func TestAppFiltersAndTheMapFollows(t *testing.T) {
	t.Parallel()
	const many = 5000
	stream := newFakeStream()
	assets := make([]string, many)
	for i := range assets {
		assets[i] = asset(t, "d"+strconv.Itoa(i), float64(i%120)-60, float64(i%350)-175, heading(float64(i%360)))
	}
	stream.put(assets...)
	stream.put(asset(t, "van", 0.5, 0.5, func(a *devices.Asset) { a.Status = devices.Offline }))
	b := openApp(t, stream)
	b.WaitFor(`shown('label')[1] === 'd1' && document.querySelectorAll('.row').length < 60`)
	// Far out thousands are a few bubbles and pins, and none is lost between them.
	b.WaitFor(`Number(map().clusters) > 3 && Number(map().pins) < 200`)
	var inside int
	b.Eval(`fleetcast.map().clustering.clusters.reduce((sum, c) => sum + c.count, Number(map().pins))`, &inside)
	if inside != many+1 {
		t.Errorf("%d assets are on the map", inside)
	}
	b.Eval(`document.querySelector('.rows').scrollTop = 1e9`, nil)
	b.WaitFor(`shown('label').includes('van') && document.querySelectorAll('.row').length < 60`)
	b.Eval(`click('.tile', 'Offline')`, nil)
	b.WaitFor(`shown('label').join() === 'van' && map().pins === '1' && map().clusters === '0'`)
	b.Eval(`click('.tile', 'All')`, nil)
	var typed bool // whether "/" would also be typed
	b.Eval(`document.body.dispatchEvent(new KeyboardEvent('keydown', { key: '/', bubbles: true, cancelable: true }))`, &typed)
	if typed {
		t.Error("the key that leads to the search is typed into it")
	}
	b.Keys("D49 nor")
	b.WaitFor(`rows().length > 5 && shown('label').every(label => label.includes('d49'))`)
	b.Keys("x")
	b.WaitFor(`rows().length === 0 && text('.nothing').includes('No asset matches')`)
	b.Eval(`click('.nothing button')`, nil)
	b.WaitFor(`text('.footer') === '5,001 assets'`)
	noErrors(t, b)
}

func TestAppSaysHowOldItsDataIs(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	longAgo := func(a *devices.Asset) { a.At -= 3600_000; a.Received -= 3600_000 }
	stream.put(asset(t, "fresh", 0, 0, nil), asset(t, "old", 0, 10, longAgo))
	b := openApp(t, stream)
	b.WaitFor(`state() === 'live' && rows().length === 2`)
	b.WaitFor(`rows()[1].querySelector('.cells.stale') && !rows()[0].querySelector('.cells.stale') && shown('age')[1] === '1 h'`)
	b.Eval(`rows()[1].click()`, nil)
	b.WaitFor(`text('.details .note').includes('where it was 1 h ago')`)

	stream.refuseAll(true)
	stream.cutAll()
	b.WaitFor(`state() === 'offline' && text('.freshness strong') === 'Reconnecting' && document.title.startsWith('Reconnecting')`)
	b.WaitFor(`text('.banner').includes('The connection is lost')`)
	b.WaitFor(`getComputedStyle(rows()[0].querySelector('.dot.online')).backgroundColor === 'rgba(0, 0, 0, 0)'`) // nobody knows
	release := stream.holdReady()
	defer release()
	stream.put(asset(t, "fresh", 1, 1, nil))
	stream.remove("old", "north")
	stream.refuseAll(false)
	b.Eval(`dispatchEvent(new Event('online'))`, nil) // the next attempt would come after up to half a minute
	b.WaitFor(`text('.freshness strong') === 'Catching up'`)
	release()
	b.WaitFor(`state() === 'live' && document.querySelector('.banner') === null && rows().length === 1 && entry('fresh').asset.lat === 1`)
	if last := stream.lastResume(); last.id == "" {
		t.Error("the page did not go on from where it was")
	}
	stream.restart()
	stream.put(asset(t, "new", 1, 1, nil))
	b.WaitFor(`state() === 'live' && shown('label').join() === 'new'`)
	noErrors(t, b)
}

func TestAppOfAnEmptyInstallationSaysWhatToDoNext(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	b := openApp(t, stream)
	var line string
	b.WaitFor(`document.querySelector('.empty code')`)
	b.Eval(`text('.empty code')`, &line)
	axe(t, b)("empty installation")
	want := "mosquitto_pub -t fleets/north/devices/truck-17/telemetry \\\n  -m '{\"lat\":48.85833,\"lon\":2.29513,\"speed\":16.9,\"heading\":71}'"
	if line != want {
		t.Errorf("the page says to try %s", line)
	}
	stream.put(asset(t, "truck-17", 48.85833, 2.29513, nil))
	b.WaitFor(`document.querySelector('.empty') === null && rows().length === 1 && map().pins === '1'`)
	noErrors(t, b)
}

// Whatever a device calls itself or its metrics is text: it makes no element, runs no code and shows as it stands. The
// policy is in force in the browser.
func TestAppShowsHostileNamesAsText(t *testing.T) {
	t.Parallel()
	const hostile = `<img src=x onerror=window.pwned=1><script>window.pwned=1<\script>"'&amp;`
	stream := newFakeStream()
	stream.put(asset(t, hostile, 1, 1, func(a *devices.Asset) {
		a.Name = "</span>" + hostile
		a.Metrics = []devices.Metric{
			{Name: `</dt><svg onload=window.pwned=1>`, Value: devices.TextValue(hostile)},
			{Name: "__proto__", Value: devices.TextValue("polluted")},
		}
	}), asset(t, "__proto__", 2, 2, nil), asset(t, "constructor", 3, 3, nil))
	b := openApp(t, stream)
	for _, data := range []string{`7`, `null`, `{}`, `[null,7,"x",[],{},{"id":9}]`, `[{"id":"odd","lat":"<b>","lon":[],"metrics":"m","status":{},"fleet":7,"received":"x"}]`} {
		stream.announce("batch", data)
	}
	stream.announce("alert", `{"id":7}`)
	stream.announce("command", `[]`)
	b.WaitFor(`rows().length >= 3`)
	b.Eval(`rows().find(row => row.dataset.id.startsWith('<img')).click()`, nil)
	b.WaitFor(fmt.Sprintf(`text('.details h2') === %q`, "</span>"+hostile))
	b.WaitFor(fmt.Sprintf(`[...document.querySelectorAll('.details dd')].some(n => n.textContent === %q)`, hostile))
	b.WaitFor(`[...document.querySelectorAll('.details dd')].some(n => n.textContent === 'polluted')`)
	var found struct {
		Images           int
		Pwned, Polluted  bool
		HTML, Code, Data bool
		Styled           string
	}
	b.Eval(`(() => {
		const refused = f => { try { f() } catch { return true } return false }
		const p = document.createElement('p'); p.setAttribute('style', 'color: red'); document.body.append(p)
		return {
			Images: document.querySelectorAll('img').length, Pwned: 'pwned' in window, Polluted: 'polluted' in {} || {}.lat !== undefined,
			HTML: refused(() => { document.createElement('p').innerHTML = '<b>x</b>' }), Code: refused(() => setTimeout('1')),
			Data: refused(() => { document.createElement('script').src = '/assets/other.js' }), Styled: p.style.color,
		}
	})()`, &found)
	if found.Images > 0 || found.Pwned || found.Polluted || found.Styled != "" {
		t.Errorf("hostile text became %+v", found)
	}
	if !found.HTML || !found.Code || !found.Data {
		t.Errorf("the page may do what it must not: %+v", found)
	}
}

// The application's own tests, and its types.
func TestModulesOfTheApp(t *testing.T) {
	t.Parallel()
	dir := browsertest.Workspace(t, "app")
	modules := filepath.Join(filepath.Dir(dir), "node_modules")
	browsertest.Node(t, dir, "", filepath.Join(modules, "typescript", "bin", "tsc"), "--noEmit")
	browsertest.Node(t, dir, "", filepath.Join(modules, "vitest", "vitest.mjs"), "run", "--no-color")
}

package dashboard_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"testing/fstest"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/sse/dashboard"
	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

// openPage serves the page as a plain build has it, without outlines, before a fake stream, and opens it. In the page,
// `page` is main.js, `entry(id)` an asset as the page holds it and `shown` what the rows of the list show.
func openPage(t *testing.T, stream *fakeStream) *browsertest.Browser {
	t.Helper()
	page, err := dashboard.New(dashboard.Options{Dist: fstest.MapFS{}})
	if err != nil {
		t.Fatal(err)
	}
	url := stream.serveWith(t, page)
	b := browsertest.Start(t)
	b.Prefer("prefers-reduced-motion", "reduce") // pins and camera are where they should be at once
	b.Open(url)
	b.Eval(`import('/page/main.js').then(m => {
		window.page = m
		window.entry = id => m.fleet.get(id)
		window.rows = () => [...document.querySelectorAll('.row:not([hidden])')]
		window.shown = part => rows().map(row => row.querySelector('.' + part).textContent)
		window.part = name => document.querySelector('[data-part=' + name + ']').textContent
		window.state = () => document.documentElement.dataset.stream
		// The colour of the map's upper canvas at an offset from where an asset stands.
		window.pixel = (id, dx, dy) => {
			const { camera } = m.map, { x, y } = entry(id).target
			const canvas = document.createElement('canvas'), ctx = canvas.getContext('2d', { willReadFrequently: true })
			ctx.drawImage(document.querySelector('canvas[data-part=pins]'), -Math.round(camera.screenX(x) + dx), -Math.round(camera.screenY(y) + dy))
			return [...ctx.getImageData(0, 0, 1, 1).data]
		}
	})`, nil)
	return b
}

func noErrors(t *testing.T, b *browsertest.Browser) {
	t.Helper()
	if errs := b.Errors(); len(errs) > 0 {
		t.Errorf("the console says %q", errs)
	}
}

// asset makes one that was heard of just now; change may set anything.
func asset(t testing.TB, id string, lat, lon float64, change func(*devices.Asset)) string {
	t.Helper()
	device, err := devices.ParseDeviceID(id)
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := devices.ParseFleetID("north")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UnixMilli()
	a := devices.Asset{
		ID: device, Fleet: fleet, Status: devices.Online, At: now, Received: now,
		Measures: devices.Measures{Has: devices.FieldPosition, Lat: lat, Lon: lon},
	}
	if change != nil {
		change(&a)
	}
	return string(a.AppendJSON(nil))
}

func heading(degrees float64) func(*devices.Asset) {
	return func(a *devices.Asset) { a.Has |= devices.FieldHeading; a.Heading = degrees }
}

func TestPageShowsAndFollowsTheStream(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	stream.put(asset(t, "truck-2", 48, 2, nil), asset(t, "truck-10", 52, 13, func(a *devices.Asset) {
		a.Name, a.Status, a.Has, a.Speed = "Anna", devices.Unknown, a.Has|devices.FieldSpeed, 10
	}), asset(t, "sensor", 0, 0, func(a *devices.Asset) { a.Has, a.Status = 0, devices.Offline }))
	b := openPage(t, stream)
	b.WaitFor(`state() === 'connected' && part('state') === 'Connected' && part('assets') === '3'`)
	b.WaitFor(`shown('label').join() === 'Anna,sensor,truck-2'`)
	b.WaitFor(`shown('fleet').join() === 'north · truck-10,north,north' && shown('speed').join() === '36 km/h,,'`)
	b.WaitFor(`shown('age')[1] === 'no position' && rows()[1].querySelector('.dot.offline')`)
	b.WaitFor(`[...document.querySelectorAll('.chips b')].map(b => b.textContent).join() === '3,1,1,1'`)
	// Both pins are in the window, which was fitted to them: 11 degrees of longitude over most of its width.
	b.WaitFor(`document.querySelector('.map').dataset.pins === '2'`)
	b.WaitFor(`page.map.camera.scale * 11 / 360 > page.map.camera.width / 2`)

	stream.put(asset(t, "truck-2", 48.5, 2, func(a *devices.Asset) { a.Name = "Zoë"; heading(45)(a) }))
	b.WaitFor(`shown('label').join() === 'Anna,sensor,Zoë' && entry('truck-2').asset.lat === 48.5`)
	stream.announce("heartbeat", fmt.Sprintf(`{"now":%d,"lag_ms":1234}`, time.Now().UnixMilli()))
	b.WaitFor(`part('lag') === '1.2 s'`)

	stream.announce("removed", `{"id":"truck-2","fleet":"south"}`) // held with north: it is another fleet's news
	stream.remove("sensor", "north")
	b.WaitFor(`shown('label').join() === 'Anna,Zoë' && part('assets') === '2'`)
	noErrors(t, b)
}

// A pin's tip is opaque where the heading points and nothing is there on the other side.
func TestPinsTurnWithTheirHeading(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	stream.put(asset(t, "a", 10, 20, heading(0)))
	b := openPage(t, stream)
	b.WaitFor(`document.querySelector('.map').dataset.pins === '1'`)
	for _, c := range []struct {
		heading float64
		dx, dy  int
	}{{0, 0, -8}, {90, 8, 0}, {180, 0, 8}, {270, -8, 0}} {
		stream.put(asset(t, "a", 10, 20, heading(c.heading)))
		b.WaitFor(fmt.Sprintf(`entry('a').asset.heading === %v && pixel('a', %d, %d)[3] > 200 && pixel('a', %d, %d)[3] < 100`,
			c.heading, c.dx, c.dy, -c.dx, -c.dy))
	}
	noErrors(t, b)
}

func TestPinsAreColouredByStatusAndFadeWithAge(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	longAgo := func(a *devices.Asset) { a.At -= 3600_000; a.Received -= 3600_000 }
	stream.put(asset(t, "fresh", 0, 0, nil), asset(t, "old", 0, 10, longAgo),
		asset(t, "unknown", 0, 20, func(a *devices.Asset) { a.Status = devices.Unknown }))
	b := openPage(t, stream)
	b.WaitFor(`document.querySelector('.map').dataset.pins === '3'`)
	b.WaitFor(`pixel('fresh', 0, 0)[3] === 255 && pixel('old', 0, 0)[3] < 120 && pixel('old', 0, 0)[3] > 60`)
	b.WaitFor(`pixel('fresh', 0, 0).join() !== pixel('unknown', 0, 0).join()`)
	b.WaitFor(`rows()[shown('label').indexOf('old')].matches('.stale') && !rows()[0].matches('.stale') && shown('age').includes('1 h')`)
	noErrors(t, b)
}

func TestPageSaysThatItCatchesUpAndThatItReconnects(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	release := stream.holdReady()
	defer release()
	stream.put(asset(t, "a", 1, 1, nil))
	b := openPage(t, stream)
	b.WaitFor(`state() === 'catching-up' && part('state') === 'Catching up' && part('assets') === '1'`)
	release()
	b.WaitFor(`state() === 'connected'`)

	release = stream.holdReady()
	defer release()
	b.Eval(`window.seen = []; new MutationObserver(() => seen.push(state())).observe(document.documentElement, { attributes: true })`, nil)
	stream.cutAll()
	stream.put(asset(t, "a", 2, 2, nil), asset(t, "b", 3, 3, nil))
	b.WaitFor(`seen.includes('reconnecting') && state() === 'catching-up' && part('assets') === '2' && entry('a').asset.lat === 2`)
	release()
	b.WaitFor(`state() === 'connected'`)
	if last := stream.lastResume(); last.id == "" || last.byQuery {
		t.Errorf("the browser went on from %+v", last)
	}
	noErrors(t, b)
}

// A 503 ends an EventSource for good; the page opens another, with the last id in the query.
func TestPageComesBackAfterAnAnswerThatEndsTheEventSource(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	stream.put(asset(t, "a", 1, 1, nil), asset(t, "b", 1, 1, nil))
	b := openPage(t, stream)
	b.WaitFor(`state() === 'connected'`)
	stream.refuseAll(true)
	stream.cutAll()
	b.WaitFor(`page.stream.source.readyState === EventSource.CLOSED`)
	b.WaitFor(`state() === 'reconnecting' && part('state') === 'Reconnecting' && part('lag') === '–'`)
	stream.remove("b", "north")
	stream.refuseAll(false)
	b.WaitFor(`state() === 'connected' && part('assets') === '1'`)
	if last := stream.lastResume(); last.id == "" || !last.byQuery {
		t.Errorf("the new stream went on from %+v", last)
	}
}

func TestPageDropsEverythingWhenTheGatewayHasForgotten(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	stream.put(asset(t, "a", 1, 1, nil), asset(t, "b", 1, 1, nil))
	b := openPage(t, stream)
	b.WaitFor(`part('assets') === '2'`)
	stream.restart()
	stream.put(asset(t, "c", 1, 1, nil))
	b.WaitFor(`state() === 'connected' && shown('label').join() === 'c'`)
	noErrors(t, b)
}

func TestListAndMapAreLinked(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	stream.put(asset(t, "a", 10, 10, nil), asset(t, "b", -10, -10, func(a *devices.Asset) {
		a.Metrics = []devices.Metric{{Name: "fuel", Value: devices.NumberValue(41.5)}}
	}))
	b := openPage(t, stream)
	b.WaitFor(`rows().length === 2 && document.querySelector('.map').dataset.pins === '2'`)
	var at struct{ X, Y float64 }
	b.Eval(`(() => {
		const { camera } = page.map, { x, y } = entry('b').target, box = document.querySelector('.map').getBoundingClientRect()
		return { X: box.x + camera.screenX(x), Y: box.y + camera.screenY(y) }
	})()`, &at)
	b.Click(at.X, at.Y)
	b.WaitFor(`document.querySelector('.row[aria-selected=true]')?.dataset.id === 'b'`)
	b.WaitFor(`part('title') === 'b' && [...document.querySelectorAll('.details .metric')].map(n => n.textContent).join() === 'fuel,41.5'`)
	b.Eval(`rows()[0].click()`, nil)
	b.WaitFor(`page.map.selected === 'a' && part('title') === 'a'`)
	stream.remove("a", "north")
	b.WaitFor(`document.querySelector('.details').hidden && rows().length === 1`)
	noErrors(t, b)
}

func TestListFiltersAndTheMapFollows(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	stream.put(asset(t, "truck-1", 10, 10, nil), asset(t, "truck-2", 0, 0, func(a *devices.Asset) { a.Status = devices.Offline }), asset(t, "van", -10, -10, nil))
	b := openPage(t, stream)
	b.WaitFor(`rows().length === 3`)
	var typed bool // whether "/" would also be typed; Chromium's driver types it in any case
	b.Eval(`document.body.dispatchEvent(new KeyboardEvent('keydown', { key: '/', bubbles: true, cancelable: true }))`, &typed)
	if typed {
		t.Error("the key that leads to the search is typed into it")
	}
	b.Keys("TRUCK nor")
	b.WaitFor(`shown('label').join() === 'truck-1,truck-2' && !entry('van').match && pixel('van', 0, 0)[3] < 60`)
	b.Eval(`document.querySelector('[data-status=offline]').click()`, nil)
	b.WaitFor(`shown('label').join() === 'truck-2'`)
	b.Keys("x")
	b.WaitFor(`rows().length === 0 && !document.querySelector('.nothing').hidden`)
	noErrors(t, b)
}

func TestMapObeysTheKeyboard(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	stream.put(asset(t, "a", 10, 10, nil), asset(t, "b", -10, -10, nil))
	b := openPage(t, stream)
	b.WaitFor(`state() === 'connected' && page.map.fitted`)
	b.Eval(`window.before = { x: page.map.camera.x, scale: page.map.camera.scale }; document.querySelector('canvas[tabindex]').focus()`, nil)
	b.Keys("++")
	b.WaitFor(`page.map.camera.scale > before.scale * 2`)
	b.Eval(`document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight' }))`, nil)
	b.WaitFor(`page.map.camera.x > before.x`)
	b.Keys("0")
	b.WaitFor(`Math.abs(page.map.camera.scale - before.scale) < 1e-6 && Math.abs(page.map.camera.x - before.x) < 1e-9`)
}

func TestEmptyInstallationSaysWhatToDoNext(t *testing.T) {
	t.Parallel()
	stream := newFakeStream()
	b := openPage(t, stream)
	b.WaitFor(`!document.querySelector('.empty').hidden`)
	var line string
	b.Eval(`document.querySelector('.empty code').textContent`, &line)
	want := "mosquitto_pub -t fleets/north/devices/truck-17/telemetry \\\n  -m '{\"lat\":48.85833,\"lon\":2.29513,\"speed\":16.9,\"heading\":71}'"
	if line != want {
		t.Errorf("the page says to try %s", line)
	}
	stream.put(asset(t, "truck-17", 48.85833, 2.29513, nil))
	b.WaitFor(`document.querySelector('.empty').hidden && rows().length === 1 && page.map.fitted`)
	b.WaitFor(`document.querySelector('.map').dataset.pins === '1'`)
	noErrors(t, b)
}

func TestThousandsOfAssetsAreAllOnTheMapAndFewRowsInTheDocument(t *testing.T) {
	t.Parallel()
	const many = 5000
	stream := newFakeStream()
	assets := make([]string, many)
	for i := range assets {
		assets[i] = asset(t, "d"+strconv.Itoa(i), float64(i%120)-60, float64(i%350)-175, heading(float64(i%360)))
	}
	stream.put(assets...)
	b := openPage(t, stream)
	b.WaitFor(`part('assets') === '5,000' && document.querySelector('.map').dataset.pins === '5000'`)
	b.WaitFor(`shown('label')[1] === 'd1' && document.querySelectorAll('.row').length < 60`)
	b.Eval(`document.querySelector('.rows').scrollTop = 1e9`, nil)
	b.WaitFor(`shown('label').includes('d4999') && document.querySelectorAll('.row').length < 60`)
	noErrors(t, b)
}

// The pure modules of the page are tested where they run: in JavaScript.
func TestModulesOfThePage(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("page_test/*.test.js")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in page_test: %v", err)
	}
	browsertest.Node(t, ".", "", append([]string{"--test"}, files...)...)
}

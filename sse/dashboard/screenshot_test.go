package dashboard_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/sse/dashboard"
	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

// TestScreenshots writes pictures of the application into the folder that FLEETCAST_SCREENSHOTS names, and is skipped without:
//
//	FLEETCAST_SCREENSHOTS=$PWD/bench-out/page go test -run 'TestScreenshots$' ./sse/dashboard
//
// They show a made-up fleet, or with FLEETCAST_SCREENSHOT_URL what a running gateway shows, for example one that was
// started with --demo 200. The picture of the README is light.png of such a one.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("FLEETCAST_SCREENSHOTS")
	if dir == "" {
		t.Skip("FLEETCAST_SCREENSHOTS names no folder")
	}
	var b *browsertest.Browser
	if url := os.Getenv("FLEETCAST_SCREENSHOT_URL"); url != "" {
		b = browsertest.Start(t)
		b.Open(url)
	} else {
		stream := newFakeStream()
		fleet := drive(t, stream)
		b = openAppWith(t, stream, map[string]http.HandlerFunc{
			"GET /api/session": says(operator), "GET /api/alerts": says(`{"alerts":[` + strings.Join(fleet.alerts(), ",") + `]}`),
			"GET /api/assets/{id}/trail": fleet.trail,
		})
	}
	b.Prefer("prefers-reduced-motion", "no-preference")
	for loaded, tries := false, 0; !loaded && tries < 200; tries++ { // drawn without a graphics card, on a machine that does other things
		b.Eval(`new Promise(done => setTimeout(done, 500)).then(() => document.querySelectorAll('.row').length > 5 && Boolean(globalThis.fleetcast?.map()?.map.isSourceLoaded('land')))`, &loaded)
	}
	shoot := func(name string) {
		b.Eval(`new Promise(done => setTimeout(done, 3000))`, nil) // flights of the camera end
		b.Screenshot(filepath.Join(dir, name+".png"))
	}
	look := func(lon, lat, zoom float64) {
		b.Eval(fmt.Sprintf(`fleetcast.map().map.jumpTo({ center: [%v, %v], zoom: %v }), undefined`, lon, lat, zoom), nil)
	}
	for _, scheme := range []string{"light", "dark"} {
		b.Prefer("prefers-color-scheme", scheme)
		b.Resize(1440, 900)
		b.Eval(`location.hash = '#/'`, nil)
		look(20, 30, 1.9)
		shoot(scheme + "-world")
		b.Eval(`location.hash = '#/map/' + encodeURIComponent(([...fleetcast.fleet.entries.values()].find(e => e.status === 'online' && e.asset.lat > 44 && e.asset.lat < 51 && e.asset.lon > 2 && e.asset.lon < 12) ?? fleetcast.fleet.entries.values().next().value).id)`, nil)
		b.WaitFor(`document.querySelector('.details .chart')`)
		shoot(scheme + "-near")
		look(8, 48.5, 4.6)
		shoot(scheme)
		b.Eval(`location.hash = '#/alerts'`, nil)
		shoot(scheme + "-alerts")
		b.Resize(2560, 1440)
		shoot(scheme + "-wide")
		b.ResizePhone(390, 844)
		b.Eval(`location.hash = '#/'`, nil)
		shoot(scheme + "-phone")
		b.Eval(`document.querySelector('.row').click()`, nil)
		shoot(scheme + "-phone-selected")
	}
}

// The states that a running fleet does not show.
func TestScreenshotsOfOtherStates(t *testing.T) {
	dir := os.Getenv("FLEETCAST_SCREENSHOTS")
	if dir == "" {
		t.Skip("FLEETCAST_SCREENSHOTS names no folder")
	}
	stream := newFakeStream()
	b := openApp(t, stream)
	b.Resize(1440, 900)
	b.WaitFor(`document.querySelector('.empty')`)
	b.Screenshot(filepath.Join(dir, "empty.png"))
	b.ResizePhone(390, 844)
	b.Screenshot(filepath.Join(dir, "empty-phone.png"))
	b.Resize(1440, 900)
	fleet := drive(t, stream)
	b.WaitFor(`document.querySelectorAll('.row').length > 5`)
	fleet.stop()
	stream.refuseAll(true)
	stream.cutAll()
	b.WaitFor(`document.querySelector('.banner')`)
	b.Eval(`new Promise(done => setTimeout(done, 8000))`, nil) // the pins have faded
	b.Screenshot(filepath.Join(dir, "reconnecting.png"))
	b.Eval(`location.hash = '#setup=x'`, nil)
	b.Eval(`void location.reload()`, nil)
	b.WaitFor(`document.querySelector('[data-view=signin]')`)
	b.Screenshot(filepath.Join(dir, "setup.png"))
}

func pageWithOutlines(t *testing.T) *dashboard.Dashboard {
	t.Helper()
	page, err := dashboard.New(dashboard.Options{Dist: os.DirFS(browsertest.Outlines(t))})
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// routes are pairs of places with a road between them, as latitude and longitude.
var routes = [][4]float64{
	{52.52, 13.40, 48.14, 11.58},
	{48.86, 2.35, 43.30, 5.37},
	{51.51, -0.13, 53.48, -2.24},
	{40.42, -3.70, 41.39, 2.17},
	{41.90, 12.50, 45.46, 9.19},
	{52.23, 21.01, 50.06, 19.94},
	{59.33, 18.07, 57.71, 11.97},
	{60.17, 24.94, 61.50, 23.79},
	{40.71, -74.01, 41.88, -87.63},
	{34.05, -118.24, 37.77, -122.42},
	{29.76, -95.37, 32.78, -96.80},
	{33.75, -84.39, 25.76, -80.19},
	{39.74, -104.99, 47.61, -122.33},
	{45.50, -73.57, 43.65, -79.38},
	{49.28, -123.12, 51.05, -114.07},
	{19.43, -99.13, 20.67, -103.35},
	{-23.55, -46.63, -22.91, -43.17},
	{-34.60, -58.38, -31.42, -64.18},
	{-33.45, -70.67, -29.90, -71.25},
	{4.71, -74.07, 6.24, -75.58},
	{-26.20, 28.05, -29.86, 31.02},
	{-1.29, 36.82, -4.04, 39.67},
	{6.52, 3.38, 9.06, 7.49},
	{30.04, 31.24, 25.69, 32.64},
	{33.57, -7.59, 31.63, -8.01},
	{28.61, 77.21, 19.08, 72.88},
	{12.97, 77.59, 13.08, 80.27},
	{39.90, 116.41, 31.23, 121.47},
	{23.13, 113.26, 30.57, 114.30},
	{35.68, 139.69, 34.69, 135.50},
	{37.57, 126.98, 35.18, 129.08},
	{13.76, 100.50, 18.79, 98.99},
	{-33.87, 151.21, -37.81, 144.96},
	{-27.47, 153.03, -33.87, 151.21},
	{-31.95, 115.86, -34.93, 138.60},
	{-36.85, 174.76, -41.29, 174.78},
	{55.76, 37.62, 59.93, 30.34},
	{41.01, 28.98, 39.93, 32.86},
	{24.71, 46.68, 21.49, 39.19},
	{51.17, 71.45, 43.24, 76.89},
}

// drivenFleet is 200 vehicles that move along routes until it is stopped or the test ends.
type drivenFleet struct {
	t    *testing.T
	stop func()

	mu       sync.Mutex
	vehicles []vehicle
}

func drive(t *testing.T, stream *fakeStream) *drivenFleet {
	t.Helper()
	random := rand.New(rand.NewPCG(7, 17))
	f := &drivenFleet{t: t, vehicles: make([]vehicle, 200)}
	for i := range f.vehicles {
		f.vehicles[i] = newVehicle(random, i)
		stream.put(f.vehicles[i].json(time.Now()))
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				stream.put(f.step(now)...)
				stream.announce("heartbeat", fmt.Sprintf(`{"now":%d,"lag_ms":%d}`, now.UnixMilli(), 6+random.IntN(9)))
			case <-ctx.Done():
				return
			}
		}
	})
	f.stop = func() { cancel(); done.Wait() }
	t.Cleanup(f.stop)
	return f
}

func (f *drivenFleet) step(now time.Time) (assets []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.vehicles {
		if f.vehicles[i].status == devices.Online {
			f.vehicles[i].step(0.5)
			assets = append(assets, f.vehicles[i].json(now))
		}
	}
	return assets
}

func (f *drivenFleet) alerts() (alerts []string) {
	now := time.Now().UnixMilli()
	for i, a := range []struct{ name, severity, state, text string }{
		{"Cargo too warm", "critical", "raised", "cargo.temperature is 11.3, above 8"},
		{"Speeding", "warning", "raised", "speed is 27.9 m/s, above 25, for 30 s"},
		{"Left the depot", "info", "acknowledged", "outside of Rotterdam depot"},
		{"Battery low", "warning", "raised", "battery is 14 %, below 15"},
	} {
		at := now - int64(i*7+2)*60_000
		alerts = append(alerts, fmt.Sprintf(`{"id":"a%d","rule":"r%d","name":%q,"severity":%q,"device":%q,"fleet":"north","state":%q,"at":%d,"raised":%d,"text":%q,"by":"ann"}`,
			i, i, a.name, a.severity, f.vehicles[i*7+1].id, a.state, at, at, a.text))
	}
	return alerts
}

// trail is where a vehicle was in the last hour, as the gateway tells it.
func (f *drivenFleet) trail(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var places, times, speeds []string
	for i := range f.vehicles {
		if f.vehicles[i].id != r.PathValue("id") {
			continue
		}
		v := f.vehicles[i]
		now := time.Now()
		for k := 240; k >= 0; k-- {
			past := v
			past.step(-15 * float64(k))
			lat, lon := past.place(past.part)
			places = append(places, fmt.Sprintf("[%.5f,%.5f]", lon, lat))
			times = append(times, fmt.Sprintf("%q", now.Add(-15*time.Second*time.Duration(k)).UTC().Format(time.RFC3339)))
			speeds = append(speeds, fmt.Sprintf("%.1f", v.speed*(1+0.18*math.Sin(float64(k)/9)+0.05*math.Sin(float64(k)*1.7))))
		}
	}
	says(fmt.Sprintf(`{"type":"Feature","geometry":{"type":"LineString","coordinates":[%s]},"properties":{"coordTimes":[%s],"speeds":[%s]}}`,
		strings.Join(places, ","), strings.Join(times, ","), strings.Join(speeds, ",")))(w, r)
}

type vehicle struct {
	id, name, fleet string
	status          devices.Status
	age             time.Duration // since it was last heard of, for what is not online
	route           [4]float64
	part, speed     float64
	swing           float64 // how far the road bends from the straight line, degrees
	fuel, battery   float64
}

func newVehicle(random *rand.Rand, i int) vehicle {
	kinds := []string{"Truck", "Van", "Trailer", "Coach"}
	kind := random.IntN(len(kinds))
	v := vehicle{
		id: fmt.Sprintf("%s-%d", []string{"truck", "van", "trailer", "coach"}[kind], i+1), name: fmt.Sprintf("%s %d", kinds[kind], i+1),
		fleet: []string{"north", "south", "harbour"}[random.IntN(3)], status: devices.Online,
		route: routes[i%len(routes)], part: random.Float64(), speed: 12 + 18*random.Float64(),
		swing: (random.Float64() - 0.5) * 2, fuel: 10 + 80*random.Float64(), battery: 40 + 60*random.Float64(),
	}
	switch n := random.IntN(100); {
	case n < 9:
		v.status, v.age, v.speed = devices.Offline, time.Duration(1+random.IntN(300))*time.Minute, 0
	case n < 13:
		v.status, v.age, v.speed = devices.Unknown, time.Duration(20+random.IntN(600))*time.Second, 0
	}
	return v
}

func (v *vehicle) place(part float64) (lat, lon float64) {
	bend := math.Sin(part*2*math.Pi) * v.swing
	return v.route[0] + (v.route[2]-v.route[0])*part + bend*0.4, v.route[1] + (v.route[3]-v.route[1])*part + bend
}

func (v *vehicle) step(seconds float64) {
	degrees := math.Hypot(v.route[2]-v.route[0], v.route[3]-v.route[1])
	v.part += v.speed * seconds / 111_000 / degrees
	if v.part > 1 {
		v.part = 0
	}
}

func (v *vehicle) json(now time.Time) string {
	lat, lon := v.place(v.part)
	nextLat, nextLon := v.place(v.part + 1e-4)
	heading := math.Atan2((nextLon-lon)*math.Cos(lat*math.Pi/180), nextLat-lat) * 180 / math.Pi
	id, _ := devices.ParseDeviceID(v.id)
	fleet, _ := devices.ParseFleetID(v.fleet)
	heard := now.Add(-v.age).UnixMilli()
	a := devices.Asset{
		ID: id, Fleet: fleet, Name: v.name, Status: v.status, At: heard - 140, Received: heard,
		Measures: devices.Measures{
			Has: devices.FieldPosition | devices.FieldSpeed | devices.FieldHeading | devices.FieldBattery | devices.FieldAccuracy,
			Lat: lat, Lon: lon, Speed: v.speed, Heading: math.Mod(heading+360, 360), Battery: v.battery, Accuracy: 5,
		},
		Metrics: []devices.Metric{
			{Name: "cargo.temperature", Value: devices.NumberValue(4.2)},
			{Name: "doors.closed", Value: devices.BoolValue(true)},
			{Name: "fuel", Value: devices.NumberValue(math.Round(v.fuel*10) / 10)},
		},
	}
	return string(a.AppendJSON(nil))
}

package dashboard_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/sse/dashboard"
	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

// TestScreenshots writes pictures of the page into the folder that FLEETCAST_SCREENSHOTS names, and is skipped without:
//
//	FLEETCAST_SCREENSHOTS=$PWD/bench-out/page go test -run TestScreenshots ./sse/dashboard
//
// They show a made-up fleet, or with FLEETCAST_SCREENSHOT_URL what a running gateway shows, for example one that was
// started with --demo 200. The picture of the README is light.png.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("FLEETCAST_SCREENSHOTS")
	if dir == "" {
		t.Skip("FLEETCAST_SCREENSHOTS names no folder")
	}
	url := os.Getenv("FLEETCAST_SCREENSHOT_URL")
	if url == "" {
		stream := newFakeStream()
		url = stream.serveWith(t, pageWithOutlines(t))
		drive(t, stream)
	}
	b := browsertest.Start(t)
	b.Open(url)
	b.WaitFor(`document.documentElement.dataset.stream === 'connected'`)
	b.WaitFor(`document.querySelectorAll('.row:not([hidden])').length > 5`)
	// Some seconds of life, so that pins have turned and the selected one has a trail.
	b.Eval(`import('/page/main.js').then(m => { window.page = m })`, nil)
	b.WaitFor(`[...window.page.fleet.values()].some(e => e.trail.length >= 5)`)
	shoot := func(name string) {
		b.Eval(`new Promise(done => setTimeout(done, 1200))`, nil) // flights of the camera end
		b.Screenshot(filepath.Join(dir, name+".png"))
	}
	selectRow := `[...document.querySelectorAll('.row:not([hidden])')].find(r => r.querySelector('.dot.online')).click()`
	for _, scheme := range []string{"light", "dark"} {
		b.Prefer("prefers-color-scheme", scheme)
		b.Resize(1280, 800)
		shoot(scheme + "-world")
		b.Eval(selectRow, nil)
		b.Eval(`document.querySelector('[data-act=fit]').click()`, nil)
		shoot(scheme)
		b.Eval(`window.page.map.zoomBy(12)`, nil)
		b.Eval(selectRow, nil)
		shoot(scheme + "-near")
		b.ResizePhone(390, 844)
		b.Eval(selectRow, nil)
		shoot(scheme + "-phone-selected")
		b.Eval(`document.querySelector('[data-act=fit]').click()`, nil)
		b.Eval(`document.querySelector('.details button').click()`, nil)
		shoot(scheme + "-phone")
	}
}

// The states that a running fleet does not show.
func TestScreenshotsOfOtherStates(t *testing.T) {
	dir := os.Getenv("FLEETCAST_SCREENSHOTS")
	if dir == "" {
		t.Skip("FLEETCAST_SCREENSHOTS names no folder")
	}
	stream := newFakeStream()
	b := browsertest.Start(t)
	b.Open(stream.serveWith(t, pageWithOutlines(t)))
	b.WaitFor(`!document.querySelector('.empty').hidden`)
	b.Screenshot(filepath.Join(dir, "empty.png"))
	b.ResizePhone(390, 844)
	b.Screenshot(filepath.Join(dir, "empty-phone.png"))
	b.Resize(1280, 800)
	stop := drive(t, stream)
	b.WaitFor(`document.querySelectorAll('.row:not([hidden])').length > 5`)
	stop()
	stream.refuseAll(true)
	stream.cutAll()
	b.WaitFor(`document.documentElement.dataset.stream === 'reconnecting'`)
	b.Eval(`new Promise(done => setTimeout(done, 800))`, nil)
	b.Screenshot(filepath.Join(dir, "reconnecting.png"))
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

// drive publishes 200 vehicles that move along routes until it is stopped or the test ends.
func drive(t *testing.T, stream *fakeStream) (stop func()) {
	t.Helper()
	random := rand.New(rand.NewPCG(7, 17))
	fleet := make([]vehicle, 200)
	for i := range fleet {
		fleet[i] = newVehicle(random, i)
		stream.put(fleet[i].json(time.Now()))
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				var assets []string
				for i := range fleet {
					if fleet[i].status == devices.Online {
						fleet[i].step(0.5)
						assets = append(assets, fleet[i].json(now))
					}
				}
				stream.put(assets...)
				stream.announce("heartbeat", fmt.Sprintf(`{"now":%d,"lag_ms":%d}`, now.UnixMilli(), 6+random.IntN(9)))
			case <-ctx.Done():
				return
			}
		}
	})
	stop = func() { cancel(); done.Wait() }
	t.Cleanup(stop)
	return stop
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

package dashboard_test

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/sse/dashboard"
	"github.com/fleetcast/fleetcast/sse/dashboard/browsertest"
)

// What TestAppCarriesALargeFleet offers.
const (
	loadAssets = 10_000 // each at one update a second
	loadTick   = 100 * time.Millisecond
	loadEnd    = 1 // the last update of every asset says that it was received then

	// What the heap may grow by from the middle of a part to its end, when it has long settled: a leak of what each of
	// 10,000 updates a second brings would be tenfold within a minute.
	loadGrowth = 1.5
)

// TestAppCarriesALargeFleet shows 10,000 moving assets for ten minutes (FLEETCAST_LOAD_SECONDS for another time) and
// logs what it cost: frames, long tasks, the main thread's time and memory. It judges what no machine excuses: that the
// page never says that it is late or lost, that in the end it shows the newest of every asset, and that memory does not
// grow once it has settled. It needs go test -timeout 15m. A part of `make soak`.
func TestAppCarriesALargeFleet(t *testing.T) {
	if os.Getenv("FLEETCAST_SOAK") == "" {
		t.Skip("set FLEETCAST_SOAK=1")
	}
	seconds := 600
	if s, err := strconv.Atoi(os.Getenv("FLEETCAST_LOAD_SECONDS")); err == nil {
		seconds = s
	}
	page, err := dashboard.New(dashboard.Options{Dist: os.DirFS(browsertest.BuildApp(t))})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", page)
	load := &load{stop: make(chan struct{})}
	mux.HandleFunc("/stream/assets", func(w http.ResponseWriter, r *http.Request) { load.stream(t, w, r) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	b := browsertest.Start(t)
	b.Resize(1440, 900)
	b.Open(server.URL)
	b.WaitFor(`globalThis.fleetcast?.fleet.size > 0`)
	b.WaitFor(fmt.Sprintf(`fleetcast.fleet.size === %d && document.documentElement.dataset.stream === 'live'`, loadAssets))
	b.WaitFor(`fleetcast.map()`)
	b.WaitFor(`fleetcast.map().map.isSourceLoaded('land')`)
	b.Eval(`(() => { window.states = []; fleetcast.streamState.subscribe(() => states.push(fleetcast.streamState.get())) })()`, nil)
	for _, where := range []struct {
		name, look string
		zoom       float64
		share      float64
	}{{"the whole fleet, in clusters", "[9, 49]", 4, 0.2}, {"a city of it, 2,500 pins in the window", "[9, 49]", 13.2, 0.7}} {
		b.Eval(fmt.Sprintf(`fleetcast.map().map.jumpTo({ center: %s, zoom: %v }), undefined`, where.look, where.zoom), nil)
		measure(t, b, where.name, time.Duration(float64(seconds)*where.share)*time.Second)
	}
	b.Eval(`void document.querySelector('.row').click()`, nil)
	measure(t, b, "the same with one selected", time.Duration(seconds)*time.Second/10)
	var states []string
	if b.Eval(`states`, &states); len(states) > 0 {
		t.Errorf("the page left the state live: %q", states)
	}
	close(load.stop)
	b.WaitFor(fmt.Sprintf(`[...fleetcast.fleet.entries.values()].filter(e => e.asset.received === %d).length === %d`, loadEnd, loadAssets))
	noErrors(t, b)
}

func measure(t *testing.T, b *browsertest.Browser, what string, d time.Duration) {
	t.Helper()
	b.Eval(`(() => {
		window.seen = { frames: 0, long: 0, longest: 0, blocked: 0, stop: false }
		const frame = () => { seen.frames++; if (!seen.stop) requestAnimationFrame(frame) }
		requestAnimationFrame(frame)
		window.observer = new PerformanceObserver(list => {
			for (const { duration } of list.getEntries()) { seen.long++; seen.blocked += duration - 50; seen.longest = Math.max(seen.longest, duration) }
		})
		observer.observe({ type: 'longtask' })
	})()`, nil)
	before := b.Metrics()
	begin := time.Now()
	version := 0.0
	var heap [2]float64
	b.Eval(`fleetcast.fleet.version`, &version)
	for half := range 2 {
		b.Eval(fmt.Sprintf(`window.done = false, void setTimeout(() => { window.done = true }, %d)`, (d/2).Milliseconds()), nil)
		for !finished(b) {
			select {
			case <-time.After(time.Second):
			case <-t.Context().Done():
				return
			}
		}
		heap[half] = b.Heap()
		t.Logf("%s: heap %.1f MB after %v", what, heap[half]/1e6, d/2*time.Duration(half+1))
	}
	after := b.Metrics()
	took := time.Since(begin).Seconds()
	var seen struct {
		Frames, Long              int
		Longest, Blocked, Version float64
	}
	b.Eval(`(() => { seen.stop = true; observer.disconnect(); return { Frames: seen.frames, Long: seen.long, Longest: seen.longest, Blocked: seen.blocked, Version: fleetcast.fleet.version } })()`, &seen)
	spent := func(name string) float64 { return (after[name] - before[name]) / took * 1000 }
	t.Logf("%s: %.0f s, %.0f updates/s applied, %.1f frames/s; main thread %.0f ms of CPU a second (script %.0f, layout %.0f, style %.0f); "+
		"%d long tasks, the longest %.0f ms, %.1f ms blocked a second",
		what, took, (seen.Version-version)/took, float64(seen.Frames)/took, spent("TaskDuration"), spent("ScriptDuration"), spent("LayoutDuration"), spent("RecalcStyleDuration"),
		seen.Long, seen.Longest, seen.Blocked/took)
	if seen.Version == version {
		t.Errorf("%s: nothing came", what)
	}
	if heap[1] > loadGrowth*heap[0] {
		t.Errorf("%s: the heap grew from %.1f to %.1f MB", what, heap[0]/1e6, heap[1]/1e6)
	}
}

func finished(b *browsertest.Browser) bool {
	var done bool
	b.Eval(`window.done`, &done)
	return done
}

// load is a fleet that drives in circles; a quarter of it in one city. After stop every asset is told of once more.
type load struct{ stop chan struct{} }

func (l *load) stream(t *testing.T, w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-transform")
	flusher := http.NewResponseController(w)
	var out bytes.Buffer
	begin := time.Now()
	put := func(from, to int, received int64) {
		out.WriteString("event: batch\ndata: [")
		for i := from; i < to; i++ {
			if i > from {
				out.WriteByte(',')
			}
			out.WriteString(circling(t, i, time.Since(begin).Seconds(), received))
		}
		fmt.Fprintf(&out, "]\nid: %d\n\n", time.Now().UnixNano())
	}
	put(0, loadAssets, time.Now().UnixMilli())
	fmt.Fprintf(&out, "event: ready\ndata: {\"sid\":\"s\",\"assets\":%d,\"position\":\"1\"}\n\n", loadAssets)
	tick := time.NewTicker(loadTick)
	defer tick.Stop()
	const part = loadAssets / int(time.Second/loadTick)
	stop, ticks := l.stop, tick.C
	for n := 0; ; n++ {
		if n%50 == 0 {
			fmt.Fprintf(&out, "event: heartbeat\ndata: {\"now\":%d,\"lag_ms\":5}\n\n", time.Now().UnixMilli())
		}
		if _, err := w.Write(out.Bytes()); err != nil || flusher.Flush() != nil {
			return
		}
		out.Reset()
		select {
		case <-ticks:
			from := n % (loadAssets / part) * part
			put(from, from+part, time.Now().UnixMilli())
		case <-stop:
			put(0, loadAssets, loadEnd)
			stop, ticks = nil, nil
		case <-r.Context().Done():
			return
		}
	}
}

func circling(t *testing.T, i int, seconds float64, received int64) string {
	lat, lon, radius := 36+float64(i*7919%2000)/100, -8+float64(i*104729%3000)/100, 0.02
	if i%4 == 0 { // the city
		lat, lon, radius = 48.98+float64(i*7919%400)/1e4, 8.96+float64(i*104729%800)/1e4, 0.004
	}
	angle := seconds/60 + float64(i)
	return asset(t, "d"+strconv.Itoa(i), lat+radius*math.Sin(angle), lon+radius*math.Cos(angle)*1.5, func(a *devices.Asset) {
		a.Has |= devices.FieldHeading | devices.FieldSpeed
		a.Heading, a.Speed = math.Mod(360-angle*180/math.Pi+36000, 360), 13
		a.At, a.Received = received, received
		a.Metrics = []devices.Metric{{Name: "fuel", Value: devices.NumberValue(41.5)}, {Name: "doors.closed", Value: devices.BoolValue(true)}}
	})
}

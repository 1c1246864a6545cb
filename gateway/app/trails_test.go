package app

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"
)

// trailOf is what a map gets of a trail.
type trailOf struct {
	Geometry struct {
		Type        string
		Coordinates [][2]float64
	}
	Properties struct {
		CoordTimes []string
		Speeds     []float64
	}
}

// places waits until a trail has n places and returns it.
func (g *gateway) places(device string, n int) trailOf {
	g.t.Helper()
	var got trailOf
	last := ""
	waitFor(g.t, fmt.Sprintf("%d places in the trail of %s", n, device), func() bool {
		a := g.request(http.MethodGet, "/api/assets/"+device+"/trail")
		last, got = string(a.body), trailOf{}
		return a.StatusCode == http.StatusOK && json.Unmarshal(a.body, &got) == nil && len(got.Properties.CoordTimes) == n
	}, func() string { return last })
	return got
}

// fixes publishes places a second apart, the last of them just now.
func (g *gateway) fixes(device string, from, to int) {
	g.t.Helper()
	for i := from; i < to; i++ {
		at := time.Now().Add(time.Duration(i-to) * time.Second).UnixMilli()
		g.telemetry("north", device, fmt.Sprintf(`{"at":%d,"lat":%.4f,"lon":24.94,"speed":11}`, at, 60.17+float64(i)/10_000))
	}
}

func TestATrailSurvivesARestartAndEndsWithItsAsset(t *testing.T) {
	g := startGateway(t)
	g.fixes("truck-17", 0, 20) // more than a block
	before := g.places("truck-17", 20)
	if before.Geometry.Type != "LineString" || before.Geometry.Coordinates[19] != [2]float64{24.94, 60.1719} || before.Properties.Speeds[0] != 11 {
		t.Errorf("trail %+v", before)
	}
	g.stop()
	again := startGateway(t, g.sameData)
	if after := again.places("truck-17", 20); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("after a restart the trail is\n%v, was\n%v", after, before)
	}
	if a := again.request(http.MethodDelete, "/api/assets/truck-17"); a.StatusCode != http.StatusAccepted {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	waitFor(t, "no trail", func() bool {
		return again.request(http.MethodGet, "/api/assets/truck-17/trail").StatusCode == http.StatusNotFound
	}, func() string { return "it is still there" })
}

func TestAnEdgeReadsTheTrailsOfAnotherProcess(t *testing.T) {
	redis := startRedis(t)
	door := startGateway(t, redis.role(RoleBroker))
	startGateway(t, redis.role(RoleBridge))
	edge := startGateway(t, redis.role(RoleEdge))
	door.waitReady(RoleBroker)
	edge.waitReady(RoleEdge)
	door.fixes("truck-17", 0, 20)
	edge.places("truck-17", 20)
}

// send changes something as a person does.
func (g *gateway) send(method, path, body string) {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, g.url(path), strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		g.t.Fatalf("%s %s: %s", method, path, answer.Status)
	}
}

// What a fleet is set to holds from the next readings on, in the process of the owner.
func TestTheHygieneOfAFleetAppliesLive(t *testing.T) {
	g := startGateway(t)
	g.send(http.MethodPost, "/api/fleets", `{"id":"south"}`)
	g.telemetry("south", "truck-17", `{"lat":60.17,"lon":24.94,"accuracy":5,"n":1}`)
	g.waitAsset("truck-17", has("lat", 60.17))
	g.send(http.MethodPatch, "/api/fleets/south", `{"hygiene":{"max_accuracy":10}}`)
	// The owner hears of it a moment later; until then the wide fix counts.
	wide, n := 0.0, 1
	waitFor(t, "a wide fix that is not believed", func() bool {
		n++
		wide = 60.17 + float64(n)/1000
		g.telemetry("south", "truck-17", fmt.Sprintf(`{"lat":%.3f,"lon":24.94,"accuracy":500,"n":%d}`, wide, n))
		a := g.waitAsset("truck-17", func(a asset) bool { m, _ := a["metrics"].(map[string]any); return m["n"] == float64(n) })
		return a.number("lat") != wide && a.number("accuracy") != 500
	}, func() string { return fmt.Sprint(wide) })
}

// A tracker comes out of a tunnel: what it held back comes at once, in any order. The trail has all of it in the order of
// time, and nobody who watches sees the device go back.
func TestABurstFromATunnelFillsTheTrailAndShowsTheNewest(t *testing.T) {
	const fixes = 400
	g := startGateway(t)
	start := time.Now().Add(-time.Hour).UnixMilli()
	s := g.open("/stream/assets", "")
	s.snapshot()
	var lines strings.Builder
	for i := range fixes {
		i = (i*7 + 13) % fixes // each once, the newest somewhere
		fmt.Fprintf(&lines, `{"at":%d,"lat":%.4f,"lon":24.94}`+"\n", start+int64(i)*1000, 60+float64(i)/10_000)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	pub := g.mosquitto(ctx, g.Addrs().MQTT.String(), "-q", "1", "-l", "-t", "fleets/north/devices/truck-17/telemetry")
	pub.Stdin = strings.NewReader(lines.String())
	if out, err := pub.CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_pub: %v: %s", err, out)
	}
	got := g.places("truck-17", fixes)
	for i, place := range got.Geometry.Coordinates {
		if want := 60 + float64(i)/10_000; math.Abs(place[1]-want) > 1e-9 {
			t.Fatalf("place %d is %v, want %v", i, place[1], want)
		}
	}
	g.telemetry("north", "truck-17", `{"done":true}`)
	seen := 0.0
	s.asset("truck-17", func(a asset) bool {
		if a.number("at") < seen {
			t.Errorf("the device goes back from %v to %v", seen, a.number("at"))
		}
		seen = a.number("at")
		m, _ := a["metrics"].(map[string]any)
		return m["done"] == true
	})
	if want := float64(start + (fixes-1)*1000); seen != want {
		t.Errorf("the device is shown at %v, want %v", seen, want)
	}
}

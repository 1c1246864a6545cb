package app

import (
	"encoding/json"
	"fmt"
	"net/http"
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

package app

import (
	"encoding/json"
	"net/http"
	"testing"
)

// deadLetter waits for one of a reason and returns it.
func (g *gateway) deadLetter(reason string) map[string]any {
	g.t.Helper()
	var got struct {
		Letters []map[string]any `json:"dead_letters"`
	}
	last := ""
	waitFor(g.t, "a dead letter of "+reason, func() bool {
		a := g.request(http.MethodGet, "/api/dead-letters?reason="+reason)
		last = string(a.body)
		return a.StatusCode == http.StatusOK && json.Unmarshal(a.body, &got) == nil && len(got.Letters) > 0
	}, func() string { return last })
	return got.Letters[0]
}

func TestWhatADoorDoesNotUnderstandIsShown(t *testing.T) {
	g := startGateway(t)
	g.publish("-i", "tracker-7", "-t", "fleets/north/devices/truck-17/telemetry", "-m", `{"lat":48.8`)
	l := g.deadLetter("truncated")
	if l["payload"] != `{"lat":48.8` || l["topic"] != "fleets/north/devices/truck-17/telemetry" || l["client"] != "tracker-7" || l["device"] != "truck-17" {
		t.Errorf("letter %v", l)
	}
}

func TestEveryProcessShowsTheDeadLettersOfEveryDoor(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	door, edge := startGateway(t, redis.role(RoleBroker)), startGateway(t, redis.role(RoleEdge))
	door.waitReady(RoleBroker)
	door.publish("-t", "nobody/knows", "-m", "hello")
	for _, g := range []*gateway{door, edge} {
		if l := g.deadLetter("unknown_topic"); l["payload"] != "hello" {
			t.Errorf("letter %v", l)
		}
	}
}

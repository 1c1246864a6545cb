package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"testing"

	"github.com/fleetcast/fleetcast/simulator/prove"
)

// publish returns when a door has acknowledged the message.
func publish(t *testing.T, program, door, device, payload string) {
	t.Helper()
	host, port, err := net.SplitHostPort(door)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "-h", host, "-p", port, "-q", "1",
		"-t", "fleets/doors/devices/"+device+"/telemetry", "-m", payload).CombinedOutput()
	if err != nil {
		t.Fatalf("publish %s for %s: %v: %s", payload, device, err, out)
	}
}

// metrics are what an edge shows of a device; none where it does not know it.
func metrics(t *testing.T, edge, device string) (m map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, edge+"/api/assets/"+device, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return nil
	}
	var asset struct {
		Metrics map[string]any `json:"metrics"`
	}
	if err := json.Unmarshal(body, &asset); err != nil {
		t.Fatalf("read asset %s: %v", body, err)
	}
	return asset.Metrics
}

func TestFieldsFromTwoDoorsMeetThoughTheOwnerIsKilledBetween(t *testing.T) {
	t.Parallel()
	program, redis := find(t, "mosquitto_pub"), startRedis(t)
	doors := []*prove.Gateway{part(t, redis.address, "broker"), part(t, redis.address, "broker")}
	bridges := []*prove.Gateway{part(t, redis.address, "bridge"), part(t, redis.address, "bridge")}
	edge := part(t, redis.address, "edge")

	// Several devices are in several partitions, so that each bridge owns some of them.
	const devices = 8
	for round := range times(2, 50) {
		id := func(i int) string { return fmt.Sprintf("twice-%d-%d", round, i) }
		for i := range devices {
			publish(t, program, doors[0].MQTT(), id(i), `{"lat":48,"lon":2,"left":1}`)
		}
		owner := bridges[round%len(bridges)]
		if err := owner.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range devices {
			publish(t, program, doors[1].MQTT(), id(i), `{"right":2}`)
		}
		if err := owner.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range devices {
			var m map[string]any
			err := until(t.Context(), "both fields", func() bool {
				m = metrics(t, edge.URL(), id(i))
				return m["left"] == 1.0 && m["right"] == 2.0
			})
			if err != nil {
				t.Errorf("round %d: %v: %s shows %v", round, err, id(i), m)
			}
		}
	}
}

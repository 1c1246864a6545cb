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
	"time"

	"github.com/fleetcast/fleetcast/simulator/prove"
)

// connect holds a real MQTT client at a door until the test ends, and has it say something.
func connect(t *testing.T, program, door, device string) {
	t.Helper()
	host, port, err := net.SplitHostPort(door)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, "-h", host, "-p", port, "-q", "1", "-k", "30", "-l",
		"-t", "fleets/doors/devices/"+device+"/telemetry")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if _, err := fmt.Fprintln(stdin, `{"speed":1}`); err != nil {
		t.Fatal(err)
	}
}

// status is what an edge shows of a device's presence; "" where it does not know it.
func status(t *testing.T, edge, device string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, edge+"/api/assets/"+device, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return ""
	}
	var asset struct{ Status string }
	if err := json.Unmarshal(body, &asset); err != nil {
		t.Fatalf("read asset %s: %v", body, err)
	}
	return asset.Status
}

func TestTheDevicesOfAKilledDoorAreToldFromThoseOfALivingOne(t *testing.T) {
	t.Parallel()
	program, redis := find(t, "mosquitto_pub"), startRedis(t)
	doors := []*prove.Gateway{part(t, redis.address, "broker"), part(t, redis.address, "broker")}
	bridge, edge := part(t, redis.address, "bridge"), part(t, redis.address, "edge")
	wait := func(device, want string) {
		t.Helper()
		if err := until(t.Context(), device+" to be "+want, func() bool { return status(t, edge.URL(), device) == want }); err != nil {
			t.Fatalf("%v; it is %q", err, status(t, edge.URL(), device))
		}
	}
	connect(t, program, doors[0].MQTT(), "left")
	connect(t, program, doors[0].MQTT(), "moved")
	connect(t, program, doors[1].MQTT(), "right")
	for _, device := range []string{"left", "moved", "right"} {
		wait(device, "online")
	}
	if err := doors[0].Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	connect(t, program, doors[1].MQTT(), "moved") // within the hysteresis: it does not flap
	began := time.Now()
	err := until(t.Context(), "left to be unknown", func() bool {
		for _, device := range []string{"right", "moved"} {
			if s := status(t, edge.URL(), device); s != "online" {
				t.Errorf("%s is %s", device, s)
			}
		}
		return status(t, edge.URL(), "left") == "unknown"
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("unknown %v after its door was killed", time.Since(began).Round(time.Second))

	// Another owner holds to what the one before it found, and to who lives now.
	if err := bridge.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := bridge.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	connect(t, program, doors[1].MQTT(), "left")
	wait("left", "online")
	for _, device := range []string{"right", "moved"} {
		wait(device, "online")
	}
}

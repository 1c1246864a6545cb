package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/fleetcast/fleetcast/simulator/prove"
)

// request sends a request to an edge and reads the JSON of its answer into v, unless that is nil.
func request(t *testing.T, method, url, body string, v any) (status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer response.Body.Close()
	if v != nil {
		if err := json.NewDecoder(response.Body).Decode(v); err != nil {
			t.Fatalf("read the answer of %s %s: %v", method, url, err)
		}
	}
	return response.StatusCode
}

// publishAs returns when the door has acknowledged the message, to the device with this token.
func publishAs(t *testing.T, program, door, device, token, payload string) {
	t.Helper()
	host, port, err := net.SplitHostPort(door)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "-h", host, "-p", port, "-q", "1", "-u", device, "-P", token,
		"-t", "fleets/doors/devices/"+device+"/telemetry", "-m", payload).CombinedOutput()
	if err != nil {
		t.Fatalf("publish %s for %s: %v: %s", payload, device, err, out)
	}
}

// The hard order of things: a device says something, which is acknowledged and which its owner has not read; a person
// deletes the device; the owner dies, and the next one reads what was said after it should know of the deletion.
func TestAReadingThatIsReadAfterItsDevicesDeletionByANewOwnerDoesNotBringItBack(t *testing.T) {
	t.Parallel()
	program, redis := find(t, "mosquitto_pub"), startRedis(t)
	start := func(roles string) *prove.Gateway {
		return startGateway(t, "--roles="+roles, "--redis=redis://"+redis.address, "--device-auth=required")
	}
	door, edge := start("broker"), start("edge")
	bridges := []*prove.Gateway{start("bridge"), start("bridge")}
	create := func(id string) (token string) {
		var made struct {
			Token string `json:"token"`
		}
		if status := request(t, http.MethodPost, edge.URL()+"/api/devices", fmt.Sprintf(`{"id":%q,"fleet":"doors"}`, id), &made); status != http.StatusCreated {
			t.Fatalf("create %s: status %d", id, status)
		}
		return made.Token
	}
	shows := func(id string, n float64) {
		t.Helper()
		if err := until(t.Context(), id, func() bool { return metrics(t, edge.URL(), id)["n"] == n }); err != nil {
			t.Fatal(err)
		}
	}
	for round := range times(1, 20) {
		gone, stays := fmt.Sprintf("gone-%d", round), fmt.Sprintf("stays-%d", round)
		goneToken, staysToken := create(gone), create(stays)
		connects := func(id, token string, n int) {
			publishAs(t, program, door.MQTT(), id, token, fmt.Sprintf(`{"n":%d}`, n))
		}
		connects(gone, goneToken, 1)
		connects(stays, staysToken, 1)
		shows(gone, 1)
		shows(stays, 1)

		for _, b := range bridges { // nobody reads now
			if err := b.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}
		connects(gone, goneToken, 2)
		connects(stays, staysToken, 2)
		if status := request(t, http.MethodDelete, edge.URL()+"/api/devices/"+gone, "", nil); status != http.StatusNoContent {
			t.Fatalf("delete %s: status %d", gone, status)
		}
		for _, b := range bridges { // one of them owns the partition: the other one, or its own next life, goes on
			if err := b.Kill(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, b := range bridges {
			if err := b.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		shows(stays, 2) // said after what the deleted one said, in the same partition
		if status := request(t, http.MethodGet, edge.URL()+"/api/assets/"+gone, "", nil); status != http.StatusNotFound {
			t.Errorf("round %d: the deleted device is shown: status %d", round, status)
		}
	}
}

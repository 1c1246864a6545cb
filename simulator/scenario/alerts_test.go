package scenario

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/simulator/prove"
)

// step is what the stream tells of an alert.
type step struct{ ID, State, Device string }

// steps are the alert events of a stream from an id on until it is ready, and the id that it then has. It is tried again
// while the edge is away.
func steps(t *testing.T, edge, id string) (told []step, last string) {
	t.Helper()
	if err := until(t.Context(), "a stream", func() bool {
		told, last = nil, ""
		return readSteps(t, edge, id, &told, &last)
	}); err != nil {
		t.Fatal(err)
	}
	return told, last
}

func readSteps(t *testing.T, edge, id string, told *[]step, last *string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, edge+"/stream/assets", nil)
	if err != nil {
		t.Fatal(err)
	}
	if id != "" {
		request.Header.Set("Last-Event-ID", id)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil || response.StatusCode != http.StatusOK {
		return false
	}
	defer response.Body.Close()
	name := ""
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case field == "":
			if name == "ready" {
				return *last != ""
			}
			name = ""
		case field == "event":
			name = value
			if name == "reset" {
				t.Error("the stream is reset")
			}
		case field == "id":
			*last = value
		case field == "data" && name == "alert":
			var s step
			if err := json.Unmarshal([]byte(value), &s); err != nil {
				t.Fatal(err)
			}
			*told = append(*told, s)
		}
	}
	return false
}

// aRule makes a rule that each reading above 20 m/s breaks.
func aRule(t *testing.T, edge string) {
	t.Helper()
	if err := until(t.Context(), "a rule", func() bool {
		status := request(t, http.MethodPost, edge+"/api/rules", `{"id":"fast","when":{"type":"threshold","field":"speed","above":20}}`, nil)
		return status == http.StatusCreated
	}); err != nil {
		t.Fatal(err)
	}
}

// A device alternates between too fast and not, so that every message is a step: none may be missing and none told twice.
func alternate(t *testing.T, program, door, device string, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		publish(t, program, door, device, fmt.Sprintf(`{"speed":%d,"n":%d}`, 30*((n+1)%2)+1, n))
	}
}

// wantSteps waits until an edge tells every step of a number of messages, and sees that it tells no more.
func wantSteps(t *testing.T, edge, since string, messages int) {
	t.Helper()
	var told []step
	err := until(t.Context(), "every step", func() bool {
		told, _ = steps(t, edge, since)
		return len(told) >= messages
	})
	seen := map[step]int{}
	raised := 0
	for i, s := range told {
		if seen[s]++; seen[s] > 1 {
			t.Errorf("%+v is told %d times", s, seen[s])
		}
		if want := []string{"raised", "cleared"}[i%2]; s.State != want {
			t.Fatalf("step %d is %s, want %s", i, s.State, want)
		}
		if s.State == "raised" {
			raised++
		}
	}
	if err != nil || len(told) != messages || raised != (messages+1)/2 {
		t.Errorf("%v: %d steps are told, want %d", err, len(told), messages)
	}
}

// Every alert that an acknowledged message causes is raised, and once, whatever is killed when.
func TestEveryAlertIsRaisedOnceOverKills(t *testing.T) {
	for _, kind := range []string{"disk", "redis"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			const messages = 8 // a life
			program := find(t, "mosquitto_pub")
			var g *prove.Gateway
			if kind == "redis" {
				g = startGateway(t, "--redis=redis://"+startRedis(t).address)
			} else {
				g = startGateway(t)
			}
			aRule(t, g.URL())
			_, since := steps(t, g.URL(), "")
			lives := times(3, 30)
			for life := range lives {
				alternate(t, program, g.MQTT(), "truck-17", life*messages, (life+1)*messages)
				if err := g.Kill(t.Context()); err != nil { // at once: the last ones are likely in no flush
					t.Fatal(err)
				}
				if err := g.Restart(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := until(t.Context(), "the gateway to listen", func() bool { return listens(t, g.MQTT()) }); err != nil {
					t.Fatal(err)
				}
			}
			wantSteps(t, g.URL(), since, lives*messages)
			var page struct{ Alerts []step }
			if status := request(t, http.MethodGet, g.URL()+"/api/alerts", "", &page); status != http.StatusOK || len(page.Alerts) == 0 {
				t.Errorf("%d, %d alerts can be looked up", status, len(page.Alerts))
			}
		})
	}
}

// The same where the owner is another process, and dies: the other bridge goes on.
func TestEveryAlertIsRaisedOnceThoughTheirOwnersDie(t *testing.T) {
	t.Parallel()
	const messages = 6
	program := find(t, "mosquitto_pub")
	redis := startRedis(t).address
	front := part(t, redis, "broker,edge")
	bridges := []*prove.Gateway{part(t, redis, "bridge"), part(t, redis, "bridge")}
	aRule(t, front.URL())
	alternate(t, program, front.MQTT(), "truck-17", 0, 2) // somebody owns the partition
	if err := until(t.Context(), "an owner", func() bool { return metrics(t, front.URL(), "truck-17")["n"] == 1.0 }); err != nil {
		t.Fatal(err)
	}
	_, since := steps(t, front.URL(), "")
	told := 0
	for round := range times(2, 20) {
		alternate(t, program, front.MQTT(), "truck-17", 2+told, 2+told+messages)
		told += messages
		g := bridges[round%2]
		if err := g.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := g.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wantSteps(t, front.URL(), since, told)
}

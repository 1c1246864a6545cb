package scenario

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/simulator/prove"
)

// trail is when an edge says that a device was somewhere, in order.
func trail(t *testing.T, edge, device string) (times []string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, edge+"/api/assets/"+device+"/trail", nil)
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
	var feature struct {
		Properties struct {
			CoordTimes []string `json:"coordTimes"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(body, &feature); err != nil {
		t.Fatalf("read trail %s: %v", body, err)
	}
	return feature.Properties.CoordTimes
}

func listens(t *testing.T, address string) bool {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// The second half of "acknowledged means kept": every place, not only the last one.
func TestEveryPlaceThatWasAcknowledgedIsInTheTrailOverKills(t *testing.T) {
	for _, kind := range []string{"disk", "redis"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			program := find(t, "mosquitto_pub")
			var g *prove.Gateway
			if kind == "redis" {
				g = startGateway(t, "--redis=redis://"+startRedis(t).address)
			} else {
				g = startGateway(t)
			}
			const places = 21 // a life, more than a block
			first := time.Now().Add(-time.Hour).Truncate(time.Second)
			var want []string
			for life := range times(3, 20) { // a trail keeps 500 places
				for i := range places {
					at := first.Add(time.Duration(life*places+i) * time.Second)
					publish(t, program, g.MQTT(), "truck-17", fmt.Sprintf(`{"at":%d,"lat":%.5f,"lon":24.94}`, at.UnixMilli(), 60+float64(life*places+i)/10_000))
					want = append(want, at.UTC().Format("2006-01-02T15:04:05.000Z"))
				}
				// At once, so that the last ones are acknowledged and, likely, in no flush.
				if err := g.Kill(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := g.Restart(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := until(t.Context(), "the gateway to listen", func() bool { return listens(t, g.MQTT()) }); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			if err := until(t.Context(), "the trail", func() bool {
				got = trail(t, g.URL(), "truck-17")
				return fmt.Sprint(got) == fmt.Sprint(want)
			}); err != nil {
				t.Errorf("%v: the trail has %d places, %d were acknowledged:\n%v, want\n%v", err, len(got), len(want), got, want)
			}
		})
	}
}

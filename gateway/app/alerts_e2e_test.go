package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fleetcast/fleetcast/bridge/rules"
	"github.com/fleetcast/fleetcast/devices"
)

func (g *gateway) rule(t testing.TB, text string) {
	t.Helper()
	r, err := rules.ParseRule([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.parts.rules.CreateRule(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// alerts are those that are listed, as "id state".
func (g *gateway) alerts(header ...string) (out []string) {
	var page struct{ Alerts []rules.Alert }
	a := g.request(http.MethodGet, "/api/alerts?limit=1000", header...)
	if err := json.Unmarshal(a.body, &page); err != nil {
		g.t.Fatalf("%s: %v", a.body, err)
	}
	for _, a := range page.Alerts {
		out = append(out, a.ID+" "+string(a.State)+" "+a.By)
	}
	return out
}

// waitAlert waits for the next alert of a stream.
func (s *stream) waitAlert() (a rules.Alert) {
	s.t.Helper()
	seen := s.until(func(e event) bool { return e.Type == "alert" })
	if err := json.Unmarshal([]byte(seen[len(seen)-1].Data), &a); err != nil {
		s.t.Fatal(err)
	}
	return a
}

// From the reading to the person who has seen it, over a restart: raised once, resumed without a hole, listed the same.
func TestAnAlertIsSeenAcknowledgedAndClearedOverARestart(t *testing.T) {
	g := startGateway(t)
	g.rule(t, `{"id":"fast","when":{"type":"threshold","field":"speed","above":20}}`)
	s := g.open("/stream/assets", "")
	_, position := s.snapshot()
	g.telemetry("north", "truck-1", `{"lat":48,"lon":2,"speed":30}`)
	raised := s.waitAlert()
	if raised.State != rules.Raised || raised.Device.String() != "truck-1" || *raised.Value != 30 {
		t.Fatalf("%+v", raised)
	}
	if got := g.alerts(); !slices.Equal(got, []string{raised.ID + " raised "}) {
		t.Errorf("%v", got)
	}
	s.close()
	g.stop()
	again := startGateway(t, g.sameData, g.samePorts)
	waitFor(t, "the alert", func() bool { return slices.Equal(again.alerts(), []string{raised.ID + " raised "}) }, func() string { return fmt.Sprint(again.alerts()) })
	s = again.open("/stream/assets", position)
	if missed := s.waitAlert(); missed.ID != raised.ID || missed.State != rules.Raised {
		t.Errorf("%+v", missed)
	}
	if a := again.request(http.MethodPost, "/api/alerts/"+raised.ID+"/acknowledge"); a.StatusCode != http.StatusAccepted {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if seen := s.waitAlert(); seen.ID != raised.ID || seen.State != rules.Acknowledged || seen.By != "local" {
		t.Errorf("%+v", seen)
	}
	again.telemetry("north", "truck-1", `{"speed":3}`)
	if cleared := s.waitAlert(); cleared.ID != raised.ID || cleared.State != rules.Cleared || cleared.By != "local" {
		t.Errorf("%+v", cleared)
	}
	if got := again.alerts(); !slices.Equal(got, []string{raised.ID + " cleared local"}) {
		t.Errorf("%v", got)
	}
	s.close()
}

// The walls of fleets around alerts, rules, fences and webhooks: whatever a token asks for. The model is the table.
func TestFleetsAreWallsForAlerts(t *testing.T) {
	t.Parallel()
	g := startGateway(t, requireViewers)
	fleets := []string{"north", "south", "west"}
	for _, f := range fleets {
		g.rule(t, fmt.Sprintf(`{"id":"r-%s","fleets":[%q],"when":{"type":"threshold","field":"speed","above":20}}`, f, f))
		fence, err := rules.ParseFence(fmt.Appendf(nil, `{"id":"f-%s","fleets":[%q],"geometry":{"type":"circle","center":[2,48],"radius":500}}`, f, f))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.parts.rules.CreateFence(t.Context(), fence); err != nil {
			t.Fatal(err)
		}
		g.telemetry(f, f+"-0", `{"speed":30}`)
	}
	all := g.tokenOf(t, devices.Admin)
	ids := map[string]string{}
	waitFor(t, "the alerts", func() bool {
		var page struct{ Alerts []rules.Alert }
		if err := json.Unmarshal(g.request(http.MethodGet, "/api/alerts", "Authorization", "Bearer "+all).body, &page); err != nil {
			t.Fatal(err)
		}
		for _, a := range page.Alerts {
			ids[a.Fleet.String()] = a.ID
		}
		return len(ids) == len(fleets)
	}, func() string { return fmt.Sprint(ids) })
	rapid.Check(t, func(t *rapid.T) {
		role := rapid.SampledFrom([]devices.Role{devices.Viewer, devices.Operator, devices.Admin}).Draw(t, "role")
		own := rapid.SliceOfNDistinct(rapid.SampledFrom(fleets), 1, 2, rapid.ID[string]).Draw(t, "own")
		token := g.tokenOf(t, role, own...)
		ask := func(method, path string) answer { return g.request(method, path, "Authorization", "Bearer "+token) }
		f := rapid.SampledFrom(fleets).Draw(t, "fleet")
		sees := slices.Contains(own, f)
		for path, mark := range map[string]string{"/api/alerts": ids[f], "/api/alerts?fleet=" + f: ids[f], "/api/rules": "r-" + f, "/api/fences": "f-" + f} {
			if body := string(ask(http.MethodGet, path).body); strings.Contains(body, mark) != sees {
				t.Fatalf("a token of %v, %s: %s", own, path, body)
			}
		}
		const hidden, never = 404, 403
		for _, c := range []struct {
			method, path string
			role         devices.Role
			yes, no      int
		}{
			{"GET", "/api/alerts/" + ids[f], devices.Viewer, 200, hidden},
			{"POST", "/api/alerts/" + ids[f] + "/acknowledge", devices.Operator, 202, hidden},
			{"GET", "/api/rules/r-" + f, devices.Viewer, 200, hidden},
			{"DELETE", "/api/rules/none", devices.Operator, hidden, hidden},
			{"GET", "/api/fences/f-" + f, devices.Viewer, 200, hidden},
			{"DELETE", "/api/fences/none", devices.Operator, hidden, hidden},
			{"GET", "/api/webhooks", devices.Admin, 0, 0},
			{"GET", "/api/webhooks/x", devices.Admin, 0, 0},
			{"POST", "/api/webhooks/x/test", devices.Admin, 0, 0},
			{"DELETE", "/api/webhooks/x", devices.Admin, 0, 0},
		} {
			want := c.no
			switch {
			case role < c.role || c.yes == 0:
				want = never
			case sees:
				want = c.yes
			}
			if got := ask(c.method, c.path); got.StatusCode != want {
				t.Fatalf("a token of role %v for %v, %s %s: %d %s, want %d", role, own, c.method, c.path, got.StatusCode, got.body, want)
			}
		}
	})
}

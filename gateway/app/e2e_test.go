package app

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// These tests go the whole way: a real mosquitto_pub, the gateway, and a plain SSE client.

const fromTheReadme = `{"lat":48.85833,"lon":2.29513,"speed":16.9,"fuel":41.5}`

func TestAMessageOfADeviceIsSeenWithExactlyTheMembersOfTheContract(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	s := g.open("/stream/assets", "")
	if assets, _ := s.snapshot(); len(assets) != 0 {
		t.Fatalf("an empty gateway shows %v", assets)
	}
	g.telemetry("north", "truck-17", fromTheReadme)
	a, e := s.asset("truck-17", any1)
	if e.LastEventID == "" {
		t.Error("the update has no id")
	}
	members := slices.Sorted(maps.Keys(a))
	if want := []string{"at", "fleet", "id", "lat", "lon", "metrics", "received", "speed", "status"}; !slices.Equal(members, want) {
		t.Errorf("members are %v, want %v", members, want)
	}
	if !a.is("fleet", "north") || !a.is("lat", 48.85833) || !a.is("lon", 2.29513) || !a.is("speed", 16.9) {
		t.Errorf("asset is %v", a)
	}
	if metrics, _ := a["metrics"].(map[string]any); len(metrics) != 1 || metrics["fuel"] != 41.5 {
		t.Errorf("metrics are %v", a["metrics"])
	}
	if at, received := a.number("at"), a.number("received"); received < 1.7e12 || at > received {
		t.Errorf("at is %v and received %v", at, received)
	}
	if !strings.HasPrefix(e.Data, `{"id":"truck-17","fleet":"north","status":"`) {
		t.Errorf("the bytes begin with %.60s", e.Data)
	}
}

// Trackers differ in version, quality of service, retain flag and last will; none may be thrown out for them.
func TestEveryWayOfPublishingIsTaken(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	s := g.open("/stream/assets", "")
	s.snapshot()
	n := 0
	for _, version := range []string{"mqttv311", "mqttv5"} {
		for _, qos := range []string{"0", "1", "2"} {
			for _, retain := range []bool{false, true} {
				n++
				id := fmt.Sprintf("truck-%d", n)
				args := []string{
					"-V", version, "-q", qos, "-i", id, "-t", "fleets/north/devices/" + id + "/telemetry", "-m", fmt.Sprintf(`{"lat":10,"lon":20,"n":%d}`, n),
					"--will-topic", "fleets/north/devices/" + id + "/status", "--will-payload", "offline", "--will-qos", qos, "--will-retain",
				}
				if retain {
					args = append(args, "-r")
				}
				t.Run(fmt.Sprintf("%s qos %s retain %v", version, qos, retain), func(t *testing.T) {
					g.publish(args...)
					a, _ := s.asset(id, any1)
					if metrics, _ := a["metrics"].(map[string]any); metrics["n"] != float64(n) {
						t.Errorf("asset is %v", a)
					}
				})
			}
		}
	}
}

func TestAnOwnTracksPhoneIsSeen(t *testing.T) {
	t.Parallel()
	const location = `{"_type":"location","lat":52.5,"lon":13.4,"tst":%d,"batt":67,"vel":36,"cog":271,"acc":5,"alt":34,"tid":"an"}`
	for name, c := range map[string]struct{ setting, want string }{
		"as shipped": {"", "owntracks"},
		"configured": {"family", "family"},
	} {
		t.Run(name, func(t *testing.T) {
			var args []string
			if c.setting != "" {
				args = append(args, "--owntracks-fleet", c.setting)
			}
			o, err := Parse(args, testWriter{t})
			if err != nil {
				t.Fatal(err)
			}
			g := startGateway(t, func(to *Options) { to.Fleet.OwnTracksFleet = o.Fleet.OwnTracksFleet })
			s := g.open("/stream/assets?fleet="+c.want, "")
			s.snapshot()
			// The app publishes retained, with QoS 1 and a will.
			g.publish("-V", "mqttv311", "-q", "1", "-r", "-t", "owntracks/ann/phone", "-m", fmt.Sprintf(location, 1795353543),
				"--will-topic", "owntracks/ann/phone", "--will-payload", `{"_type":"lwt","tst":1795353543}`, "--will-retain")
			a, _ := s.asset("ann:phone", any1)
			if !a.is("fleet", c.want) || !a.is("lat", 52.5) || !a.is("lon", 13.4) || !a.is("battery", 67.0) || !a.is("speed", 10.0) || !a.is("heading", 271.0) {
				t.Errorf("asset is %v", a)
			}
		})
	}
}

func TestADeviceThatVanishesIsOfflineByItsWill(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	s := g.open("/stream/assets", "")
	d := g.hold("-V", "mqttv5", "-q", "1", "-i", "truck-17", "-t", "fleets/north/devices/truck-17/telemetry",
		"--will-topic", "fleets/north/devices/truck-17/status", "--will-payload", "offline", "--will-qos", "1", "--will-retain")
	d.say(t, `{"lat":1,"lon":2}`)
	s.asset("truck-17", has("status", "online"))
	d.kill()
	s.asset("truck-17", has("status", "offline"))
}

func TestAViewerGetsTheSnapshotThenReadyThenWhatIsLive(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	for i := range 3 {
		g.telemetry("north", fmt.Sprintf("truck-%d", i), `{"lat":1,"lon":2}`)
		g.waitAsset(fmt.Sprintf("truck-%d", i), any1)
	}
	s := g.open("/stream/assets", "")
	assets, position := s.snapshot()
	if len(assets) != 3 || position == "" {
		t.Fatalf("snapshot of %d assets with the position %q", len(assets), position)
	}
	g.telemetry("north", "truck-1", `{"speed":5}`)
	a, _ := s.asset("truck-1", has("speed", 5.0))
	if !a.is("lat", 1.0) {
		t.Errorf("the asset is not whole: %v", a)
	}
}

func TestAViewerThatComesBackGetsOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	for _, id := range []string{"a", "b", "c"} {
		g.telemetry("north", id, `{"lat":1,"lon":2}`)
	}
	s := g.open("/stream/assets", "")
	for _, id := range []string{"a", "b", "c"} {
		g.waitAsset(id, has("status", "offline")) // mosquitto_pub is gone: no more changes come by themselves
	}
	g.telemetry("north", "mark", `{"lat":1,"lon":2}`)
	_, e := s.asset("mark", has("status", "offline"))
	s.close()

	for i := range 20 { // twenty changes of one device are one asset to who was away
		g.telemetry("north", "b", fmt.Sprintf(`{"lat":1,"lon":2,"speed":%d}`, i))
	}
	g.waitAsset("b", func(a asset) bool { return a.is("speed", 19.0) && a.is("status", "offline") })

	for name, back := range map[string]*stream{
		"header": g.open("/stream/assets", e.LastEventID),
		"query":  g.open("/stream/assets?last_event_id="+e.LastEventID, ""),
		"both":   g.open("/stream/assets?last_event_id=garbage", e.LastEventID),
	} {
		changed := map[string]int{}
		for _, e := range back.until(func(e event) bool { return e.Type == "ready" }) {
			if e.Type == "" {
				a := parseAsset(t, e.Data)
				changed[a.id()]++
				if a.id() == "b" && !a.is("speed", 19.0) {
					t.Errorf("%s: what came of b is %v", name, a)
				}
			}
		}
		delete(changed, "mark") // where the gap is long its id is rounded down, so that others share the slices
		if len(changed) != 1 || changed["b"] != 1 {
			t.Errorf("%s: what came is %v", name, changed)
		}
	}
	if all, _ := g.open("/stream/assets", "garbage").snapshot(); len(all) != 4 {
		t.Errorf("garbage gives %d assets, not the snapshot", len(all))
	}
}

func TestARestartKeepsAssetsAndPositions(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	g.telemetry("north", "still", `{"lat":1,"lon":2}`)
	g.telemetry("north", "moves", `{"lat":1,"lon":2}`)
	for _, id := range []string{"still", "moves"} {
		g.waitAsset(id, has("status", "offline"))
	}
	_, position := g.open("/stream/assets", "").snapshot()
	g.stop()

	again := startGateway(t, g.samePorts, g.sameData)
	again.waitAsset("still", func(a asset) bool { return a.is("lat", 1.0) && a.is("status", "offline") })
	again.telemetry("north", "moves", `{"lat":3,"lon":4}`)
	again.waitAsset("moves", func(a asset) bool { return a.is("lat", 3.0) && a.is("status", "offline") })
	events := again.open("/stream/assets", position).until(func(e event) bool { return e.Type == "ready" })
	for _, e := range events[:len(events)-1] {
		if e.Type != "" || parseAsset(t, e.Data).id() != "moves" {
			t.Errorf("who comes back gets %q %s", e.Type, e.Data)
		}
	}
	if len(events) < 2 {
		t.Error("who comes back does not hear of the change")
	}
}

func TestARestartWithoutTheDataIsAReset(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	g.telemetry("north", "old", `{"lat":1,"lon":2}`)
	g.waitAsset("old", any1)
	_, position := g.open("/stream/assets", "").snapshot()
	g.stop()

	for name, elsewhere := range map[string]func(*Options){
		"another directory": func(*Options) {},
		"in memory":         func(o *Options) { o.Store = StoreOptions{InMemory: true} },
	} {
		t.Run(name, func(t *testing.T) {
			again := startGateway(t, elsewhere)
			again.telemetry("north", "new", `{"lat":3,"lon":4}`)
			again.waitAsset("new", any1)
			s := again.open("/stream/assets", position)
			first := s.next()
			if first.Type != "reset" || !strings.Contains(first.Data, `"reason":"epoch"`) {
				t.Errorf("the first event is %q %s", first.Type, first.Data)
			}
			assets, _ := s.snapshot()
			if len(assets) != 1 || assets["new"] == nil {
				t.Errorf("the snapshot is %v", assets)
			}
		})
	}
}

func TestARemovedDeviceLeavesEveryStream(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	g.telemetry("north", "truck-17", `{"lat":1,"lon":2}`)
	g.waitAsset("truck-17", has("status", "offline"))
	s, other := g.open("/stream/assets", ""), g.open("/stream/assets?fleet=south", "")
	_, position := s.snapshot()
	other.snapshot()
	if a := g.request(http.MethodDelete, "/api/assets/truck-17"); a.StatusCode/100 != 2 {
		t.Fatalf("DELETE: %s %s", a.Status, a.body)
	}
	e := s.until(func(e event) bool { return e.Type == "removed" })
	if got := e[len(e)-1].Data; got != `{"id":"truck-17","fleet":"north"}` {
		t.Errorf("removed %s", got)
	}
	waitFor(t, "404", func() bool { return g.request("GET", "/api/assets/truck-17").StatusCode == http.StatusNotFound }, func() string { return "" })
	// Who was away hears of it too.
	back := g.open("/stream/assets", position).until(func(e event) bool { return e.Type == "ready" })
	if back[0].Type != "removed" {
		t.Errorf("who comes back gets %v", back)
	}
	// And who may not know the device hears nothing.
	g.telemetry("south", "mark", `{"lat":1,"lon":2}`)
	for _, e := range other.until(func(e event) bool { return strings.Contains(e.Data, `"mark"`) }) {
		if e.Type == "removed" || strings.Contains(e.Data, "truck-17") {
			t.Errorf("the other fleet's stream says %s %s", e.Type, e.Data)
		}
	}
}

func TestAnotherFleetNeverLeaks(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	north, one := g.open("/stream/assets?fleet=north", ""), g.open("/stream/assets?device=n-1&device=s-9", "")
	two := g.open("/stream/assets?fleet=north&fleet=south", "")
	for i := range 10 {
		g.telemetry("north", fmt.Sprintf("n-%d", i), `{"lat":1,"lon":2}`)
		g.telemetry("south", fmt.Sprintf("s-%d", i), `{"lat":1,"lon":2}`)
	}
	g.telemetry("north", "n-last", `{"lat":1,"lon":2}`)
	// Within a tick there is no order among devices, so each stream is read until all that it must show was there.
	shows := func(s *stream, want []string, prefixes ...string) {
		t.Helper()
		missing := map[string]bool{}
		for _, id := range want {
			missing[id] = true
		}
		for len(missing) > 0 {
			e := s.next()
			if e.Type != "" {
				continue
			}
			id := parseAsset(t, e.Data).id()
			delete(missing, id)
			if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(id, p) }) {
				t.Errorf("a stream shows %s", id)
			}
		}
	}
	shows(north, []string{"n-0", "n-9", "n-last"}, "n-")
	shows(one, []string{"n-1", "s-9"}, "n-1", "s-9")
	shows(two, []string{"n-0", "n-9", "s-0", "s-9", "n-last"}, "n-", "s-")
	// A position of one filter is none of another: it must not be a way around it.
	_, position := g.open("/stream/assets?fleet=south", "").snapshot()
	s := g.open("/stream/assets?fleet=north", position)
	assets, _ := s.snapshot()
	for id := range assets {
		if !strings.HasPrefix(id, "n-") {
			t.Errorf("with a position of south the stream of north shows %s", id)
		}
	}
}

func TestParametersShapeTheStream(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	g.telemetry("north", "truck-17", fromTheReadme)
	g.waitAsset("truck-17", any1)
	t.Run("fields", func(t *testing.T) {
		assets, _ := g.open("/stream/assets?fields=lat,speed", "").snapshot()
		if got, want := slices.Sorted(maps.Keys(assets["truck-17"])), []string{"fleet", "id", "lat", "received", "speed", "status"}; !slices.Equal(got, want) {
			t.Errorf("members are %v, want %v", got, want)
		}
	})
	t.Run("format=batch", func(t *testing.T) {
		events := g.open("/stream/assets?format=batch", "").until(func(e event) bool { return e.Type == "ready" })
		var list []asset
		if events[0].Type != "batch" || json.Unmarshal([]byte(events[0].Data), &list) != nil || len(list) != 1 || list[0].id() != "truck-17" {
			t.Errorf("what came is %v", events)
		}
	})
	t.Run("every", func(t *testing.T) {
		s := g.open("/stream/assets?device=fast&every=1000", "")
		s.snapshot()
		for i := 1; i <= 30; i++ {
			g.telemetry("north", "fast", fmt.Sprintf(`{"n":%d}`, i))
		}
		messages := s.until(func(e event) bool { return strings.Contains(e.Data, `"n":30`) })
		if len(messages) >= 30 {
			t.Errorf("30 changes came in %d messages", len(messages))
		}
	})
	for _, bad := range []string{"speed=1", "fields=lat,nonsense", "every=5", "format=xml", "fleet=", "device=a/b", "every=100&every=200"} {
		t.Run(bad, func(t *testing.T) {
			a := g.request("GET", "/stream/assets?"+bad)
			name, _, _ := strings.Cut(bad, "=")
			if a.StatusCode != http.StatusBadRequest || !strings.Contains(string(a.body), name) || a.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s %s", a.Status, a.Header.Get("Content-Type"), a.body)
			}
		})
	}
}

func TestTheHeadersOfAStreamAreThoseOfTheSpecification(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	h := g.open("/stream/assets", "").header
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no", "Content-Encoding": "", "Content-Length": "",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestRESTShowsTheSameAssets(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	g.telemetry("north", "truck-17", fromTheReadme)
	g.telemetry("south", "van-1", `{"battery":50}`)
	g.waitAsset("truck-17", has("status", "offline"))
	g.waitAsset("van-1", has("status", "offline"))
	_, frames := g.open("/stream/assets", ""), map[string]string{}
	for _, e := range g.open("/stream/assets", "").until(func(e event) bool { return e.Type == "ready" }) {
		if e.Type == "" {
			frames[parseAsset(t, e.Data).id()] = e.Data
		}
	}
	if got := string(g.request("GET", "/api/assets/truck-17").body); strings.TrimSpace(got) != frames["truck-17"] {
		t.Errorf("one asset:\n got %s\nwant %s", got, frames["truck-17"])
	}
	for path, want := range map[string]int{"/api/assets": 2, "/api/assets?fleet=south": 1, "/api/assets?fleet=west": 0} {
		a := g.request("GET", path)
		if n := strings.Count(string(a.body), `"received":`); a.StatusCode != http.StatusOK || n != want {
			t.Errorf("%s: %s with %d assets, want %d: %s", path, a.Status, n, want, a.body)
		}
	}
	var geo struct {
		Type     string `json:"type"`
		Features []struct {
			Geometry struct {
				Type        string    `json:"type"`
				Coordinates []float64 `json:"coordinates"`
			} `json:"geometry"`
		} `json:"features"`
	}
	a := g.request("GET", "/api/assets.geojson?fleet=north")
	if err := json.Unmarshal(a.body, &geo); err != nil || geo.Type != "FeatureCollection" || len(geo.Features) != 1 ||
		geo.Features[0].Geometry.Type != "Point" || !slices.Equal(geo.Features[0].Geometry.Coordinates[:2], []float64{2.29513, 48.85833}) {
		t.Errorf("GeoJSON is %s (%v)", a.body, err)
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/readyz?role=broker": 200, "/readyz?role=bridge": 200, "/readyz?role=edge": 200, "/api/assets/nobody": 404, "/api/nothing": 404, "/nothing": 404, "/": 200} {
		if a := g.request("GET", path); a.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, a.Status, want)
		} else if want == 404 && a.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: a 404 of the type %s", path, a.Header.Get("Content-Type"))
		}
	}
}

func TestTheCountersOfEveryPartAreShownByName(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	g.telemetry("north", "truck-17", `{"lat":1,"lon":2}`)
	g.telemetry("north", "truck-17", `not JSON`)
	g.waitAsset("truck-17", any1)
	s := g.open("/stream/assets", "")
	s.snapshot()
	var stats Stats
	a := g.request("GET", "/api/stats")
	if err := json.Unmarshal(a.body, &stats); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	if stats.MQTT.Messages["position"] != 1 || stats.MQTT.Rejected["not_object"] != 1 || stats.Bridge.Counts["readings"] != 1 ||
		stats.Hub.Assets != 1 || stats.Hub.Viewers != 1 || stats.SSE.Open != 1 || stats.HTTP.Open < 1 {
		t.Errorf("counters are %s", a.body)
	}
}

// A page elsewhere that makes its name resolve to 127.0.0.1 sends that name as Host (DNS rebinding).
func TestAHostileHostIsNotAnswered(t *testing.T) {
	t.Parallel()
	g := startGateway(t, func(o *Options) { o.HTTP.Hosts = []string{"fleet.example"} })
	for _, path := range []string{"/", "/api/assets", "/stream/assets", "/healthz"} {
		for _, host := range []string{"evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "fleet.example.evil.example"} {
			if a := g.request("GET", path, "Host", host); a.StatusCode != http.StatusMisdirectedRequest {
				t.Errorf("%s for the host %s: %s", path, host, a.Status)
			}
		}
	}
	if a := g.request("DELETE", "/api/assets/x", "Host", "evil.example"); a.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("DELETE: %s", a.Status)
	}
	for _, host := range []string{"localhost", "localhost:8080", "127.0.0.1", "[::1]:8080", "fleet.example", "fleet.example:443", "FLEET.example"} {
		if a := g.request("GET", "/api/assets", "Host", host); a.StatusCode != http.StatusOK {
			t.Errorf("the host %s: %s", host, a.Status)
		}
	}
}

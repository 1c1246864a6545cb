package app

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// askJSON sends a body of JSON and decodes the answer.
func (g *gateway) askJSON(method, path, body string) (status int, v map[string]any) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), method, g.url(path), strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	if len(bytes.TrimSpace(text)) > 0 && json.Unmarshal(text, &v) != nil {
		g.t.Fatalf("%s %s: %s", method, path, text)
	}
	return res.StatusCode, v
}

// register makes a device and returns its token.
func (g *gateway) register(id, fleet string) string {
	g.t.Helper()
	status, v := g.askJSON("POST", "/api/devices", `{"id":"`+id+`","fleet":"`+fleet+`"}`)
	token, _ := v["token"].(string)
	if status != http.StatusCreated || token == "" {
		g.t.Fatalf("register %s: %d %v", id, status, v)
	}
	return token
}

// says publishes as a device with QoS 1 and tells whether that was acknowledged.
func (g *gateway) says(fleet, device, token, payload string) bool {
	g.t.Helper()
	err := g.mosquitto(g.t.Context(), g.Addrs().MQTT.String(),
		"-u", device, "-P", token, "-q", "1", "-t", "fleets/"+fleet+"/devices/"+device+"/telemetry", "-m", payload).Run()
	if _, refused := err.(*exec.ExitError); err != nil && !refused { //nolint:errorlint // as exec documents it
		g.t.Fatal(err)
	}
	return err == nil
}

// waitSays waits until a device is let in and heard: a door of its own process may hear of it a moment later.
func (g *gateway) waitSays(fleet, device, token, payload string) {
	g.t.Helper()
	waitFor(g.t, device+" to be let in", func() bool { return g.says(fleet, device, token, payload) }, func() string { return "it is refused" })
}

func required(o *Options) { o.Auth.Device = AuthRequired }

func TestADeviceIsMadeRenamedMovedAndDeletedWhileItIsWatched(t *testing.T) {
	t.Parallel()
	g := startGateway(t, required)
	token := g.register("truck-17", "north")
	s := g.open("/stream/assets", "")
	s.until(func(e event) bool { return e.Type == "ready" })
	if g.says("north", "truck-17", "wrong", `{}`) || g.says("north", "truck-18", token, `{}`) {
		t.Error("somebody came in who must not")
	}
	g.says("south", "truck-17", token, `{"lat":1,"lon":1}`)                                                   // acknowledged, for MQTT 3.1.1 has no other word, and not heard
	g.waitAsset("truck-17", func(a asset) bool { return a.is("fleet", "north") && a.is("status", "online") }) // it was connected
	if a := g.request("GET", "/api/assets/truck-17"); strings.Contains(string(a.body), "lat") {
		t.Errorf("it speaks in a fleet that is not its own: %s", a.body)
	}
	g.waitSays("north", "truck-17", token, `{"lat":48.8,"lon":2.2}`)
	g.waitAsset("truck-17", func(a asset) bool { return a.is("fleet", "north") && a.is("lat", 48.8) })

	g.askJSON("PATCH", "/api/devices/truck-17", `{"name":"Truck 17"}`)
	s.until(func(e event) bool { return strings.Contains(e.Data, `"name":"Truck 17"`) })

	held := g.hold("-u", "truck-17", "-P", token, "-t", "fleets/north/devices/truck-17/telemetry", "-q", "1")
	held.say(t, `{"speed":5}`)
	g.waitAsset("truck-17", func(a asset) bool { return a.is("speed", 5.0) && a.is("status", "online") })
	g.askJSON("PATCH", "/api/devices/truck-17", `{"fleet":"south"}`)
	seen := s.until(func(e event) bool { return strings.Contains(e.Data, `"fleet":"south","name":"Truck 17"`) })
	removed := false
	for _, e := range seen {
		removed = removed || e.Type == "removed" && e.Data == `{"id":"truck-17","fleet":"north"}`
	}
	if a := g.waitAsset("truck-17", has("fleet", "south")); !removed || !a.is("lat", 48.8) || !a.is("speed", 5.0) {
		t.Errorf("it moved as %v; removed from the old fleet: %v", a, removed)
	}
	waitFor(t, "its connection to end", func() bool { return g.stats().MQTT.Events["revoked"] > 0 }, func() string { return "it stands" })

	g.askJSON("DELETE", "/api/devices/truck-17", "")
	s.until(func(e event) bool { return e.Type == "removed" && e.Data == `{"id":"truck-17","fleet":"south"}` })
	if g.says("south", "truck-17", token, `{}`) {
		t.Error("it came in after its deletion")
	}
	again := g.register("truck-17", "south")
	g.waitSays("south", "truck-17", again, `{"speed":7}`)
	g.waitAsset("truck-17", func(a asset) bool { return a.is("speed", 7.0) && a["lat"] == nil && a["name"] == nil })
	if g.says("south", "truck-17", token, `{}`) {
		t.Error("the token of the deleted device opens the new one")
	}
}

func TestARevocationEndsTheConnection(t *testing.T) {
	t.Parallel()
	g := startGateway(t, required)
	for _, revoke := range []struct{ name, method, path, body string }{
		{"disabled", "PATCH", "", `{"status":"disabled"}`}, {"rotated", "POST", "/credential", ""}, {"deleted", "DELETE", "", ""},
	} {
		token := g.register(revoke.name, "north")
		held := g.hold("-u", revoke.name, "-P", token, "-t", "fleets/north/devices/"+revoke.name+"/telemetry", "-q", "1")
		held.say(t, `{"speed":5}`)
		g.waitAsset(revoke.name, has("status", "online"))
		before := g.stats().MQTT.Events["revoked"]
		if status, v := g.askJSON(revoke.method, "/api/devices/"+revoke.name+revoke.path, revoke.body); status/100 != 2 {
			t.Fatalf("%s: %d %v", revoke.name, status, v)
		}
		waitFor(t, revoke.name+" to be cut off", func() bool { return g.stats().MQTT.Events["revoked"] > before }, func() string { return "it is connected" })
		if g.says("north", revoke.name, token, `{}`) {
			t.Errorf("%s: it came in again", revoke.name)
		}
	}
}

func TestInOpenModeDevicesRegisterThemselves(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	g.telemetry("north", "truck-17", `{"lat":1,"lon":2}`)
	g.waitKnows("truck-17")
	if _, v := g.askJSON("GET", "/api/devices/truck-17", ""); v["auto"] != true || v["fleet"] != "north" {
		t.Errorf("%v", v)
	}
	g.askJSON("PATCH", "/api/devices/truck-17", `{"fleet":"south","name":"T"}`)
	g.waitAsset("truck-17", func(a asset) bool { return a.is("fleet", "south") && a.is("name", "T") })
	g.telemetry("north", "truck-17", `{"speed":3}`) // it does not know that it moved
	g.waitAsset("truck-17", func(a asset) bool { return a.is("fleet", "south") && a.is("speed", 3.0) })
	g.askJSON("DELETE", "/api/devices/truck-17", "")
	waitFor(t, "the asset to go", func() bool { return g.request("GET", "/api/assets/truck-17").StatusCode == 404 }, func() string { return "it is there" })
}

func TestTheRegistryHoldsOverProcessesThatShareRedis(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	edge := startGateway(t, redis.role(RoleEdge), required)
	broker := startGateway(t, redis.role(RoleBroker), required)
	other := startGateway(t, redis.role(RoleBroker), required)
	bridge := startGateway(t, redis.role(RoleBridge), required)
	for g, role := range map[*gateway]Role{edge: RoleEdge, broker: RoleBroker, other: RoleBroker, bridge: RoleBridge} {
		g.waitReady(role)
	}
	fleets := []string{"north", "south", "east", "west", "north"} // of four of the sixteen partitions, and back
	token := edge.register("truck-17", fleets[0])
	broker.waitSays(fleets[0], "truck-17", token, `{"lat":1,"lon":2,"fuel":41}`)
	edge.waitAsset("truck-17", has("fleet", fleets[0]))
	for i, to := range fleets[1:] {
		s := edge.open("/stream/assets?fleet="+fleets[i], "")
		s.until(func(e event) bool { return e.Type == "ready" })
		edge.askJSON("PATCH", "/api/devices/truck-17", `{"fleet":"`+to+`"}`)
		s.until(func(e event) bool { return e.Type == "removed" })
		s.close()
		a := edge.waitAsset("truck-17", has("fleet", to))
		if !a.is("lat", 1.0) || a["metrics"] == nil {
			t.Errorf("in %s it is %v", to, a)
		}
		for _, door := range []*gateway{broker, other} {
			door.waitSays(to, "truck-17", token, `{"fuel":42}`)
		}
	}
	edge.askJSON("DELETE", "/api/devices/truck-17", "")
	waitFor(t, "the asset to go", func() bool { return edge.request("GET", "/api/assets/truck-17").StatusCode == 404 }, func() string { return "it is there" })
	for _, door := range []*gateway{broker, other} {
		waitFor(t, "a door to refuse it", func() bool { return !door.says("north", "truck-17", token, `{"lat":5}`) }, func() string { return "it is let in" })
	}
	waitFor(t, "the owner to have read all", func() bool { return bridge.stats().Bridge.Counts["deleted"] == 1 }, func() string { return "it has not" })
	if a := edge.request("GET", "/api/assets/truck-17"); a.StatusCode != 404 {
		t.Errorf("a late message brought it back: %s", a.body)
	}
	// What is registered and heard at once is never taken for unknown by an owner that is behind.
	for range 5 {
		token := edge.register("new", "north")
		broker.waitSays("north", "new", token, `{"lat":7,"lon":8}`)
		edge.waitAsset("new", has("lat", 7.0))
		edge.askJSON("DELETE", "/api/devices/new", "")
		waitFor(t, "the asset to go", func() bool { return edge.request("GET", "/api/assets/new").StatusCode == 404 }, func() string { return "it is there" })
	}
}

func TestAFleetsSilenceIsOffline(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	if _, v := g.askJSON("POST", "/api/fleets", `{"id":"north","silence_s":5}`); v["silence_s"] != 5.0 {
		t.Fatalf("%v", v)
	}
	held := g.hold("-t", "fleets/north/devices/van/telemetry", "-q", "1")
	held.say(t, `{"speed":5}`)
	g.waitAsset("van", has("status", "online"))
	began := time.Now()
	g.waitAsset("van", has("status", "offline"))
	t.Logf("offline after %v of silence", time.Since(began).Round(time.Second))
	held.say(t, `{"speed":6}`)
	g.waitAsset("van", func(a asset) bool { return a.is("status", "online") && a.is("speed", 6.0) })
}

func TestAGatewaySpeaksForTheDevicesOfItsFleetsAndItsConnectionProvesNoneOfThem(t *testing.T) {
	t.Parallel()
	g := startGateway(t, required, func(o *Options) { o.Registry.Unknown, o.Registry.OfflineAfter = "register", 0 })
	_, v := g.askJSON("POST", "/api/credentials", `{"name":"lns","kind":"gateway","fleets":["north"]}`)
	token, _ := v["token"].(string)
	for _, fleet := range []string{"south", "north"} {
		g.publish("-u", "lns", "-P", token, "-q", "1", "-t", "fleets/"+fleet+"/devices/sensor/telemetry", "-m", `{"t":5,"from":"`+fleet+`"}`)
	}
	a := g.waitAsset("sensor", func(asset) bool { return true })
	if metrics, _ := a["metrics"].(map[string]any); a["fleet"] != "north" || metrics["from"] != "north" {
		t.Errorf("it is %v", a)
	}
	g.waitKnows("sensor")
	waitFor(t, "the gateway to be gone", func() bool { return g.stats().MQTT.Connections == 0 }, func() string { return "it is there" })
	g.publish("-u", "lns", "-P", token, "-q", "1", "-t", "fleets/north/devices/sensor/telemetry", "-m", `{"t":6}`) // behind the end of the first
	g.waitAsset("sensor", func(a asset) bool {
		m, _ := a["metrics"].(map[string]any)
		return m["t"] == 6.0 && a.is("status", "online")
	})
	if n := g.stats().Bridge.Counts["connections"]; n != 0 {
		t.Errorf("%d connections are told of", n)
	}
}

func TestBehindAnExternalBrokerTheRegistrySaysWhoIsHeard(t *testing.T) {
	t.Parallel()
	outer := startMosquitto(t)
	g := startGateway(t, required, func(o *Options) {
		o.MQTT.Upstream, o.MQTT.ClientID, o.Registry.Unknown = []string{"mqtt://" + outer.addr}, "door", "quarantine"
	})
	g.waitReady(RoleBroker)
	g.register("truck-17", "north")
	say := func(device, payload string) {
		g.publishTo(outer.addr, "-q", "1", "-t", "fleets/south/devices/"+device+"/telemetry", "-m", payload)
	}
	say("stranger", `{"lat":1,"lon":2}`)
	say("truck-17", `{"lat":3,"lon":4}`)
	g.waitAsset("truck-17", func(a asset) bool { return a.is("fleet", "north") && a.is("lat", 3.0) })
	if a := g.request("GET", "/api/assets/stranger"); a.StatusCode != http.StatusNotFound {
		t.Errorf("who is not registered is shown: %s", a.body)
	}
	waitFor(t, "the stranger to be in quarantine", func() bool {
		_, v := g.askJSON("GET", "/api/devices/stranger", "")
		return v["status"] == "quarantined" && v["fleet"] == "south"
	}, func() string { return "it is not" })
	if status, v := g.askJSON("POST", "/api/devices/stranger/approve", `{}`); status != 200 {
		t.Fatalf("%d %v", status, v)
	}
	say("stranger", `{"lat":5,"lon":6}`)
	g.waitAsset("stranger", func(a asset) bool { return a.is("fleet", "south") && a.is("lat", 5.0) })
}

package play

import (
	"fmt"
	"maps"
	"strings"
	"testing"
)

func TestAllThatARunOpensIsReckoned(t *testing.T) {
	const head = "name: n\nabout: a test's\nfor: 10s\n"
	own := "start: [{ name: gateway, gateway: [] }]\n"
	for name, c := range map[string]struct {
		text      string
		mqtt, url string
		ways      map[string]int // by destination
		files     int
		taken     map[string]int
	}{
		"devices, one viewer and the look at the end": {
			text: own + "devices: [{ name: a, count: 100, rate: 1/s }]\nviewers: [{ name: d, count: 1 }]",
			ways: map[string]int{"127.0.0.1:gateway.mqtt": 100, "127.0.0.1:gateway.url": 2}, files: 1, taken: map[string]int{"gateway": 102},
		},
		"nobody looks": {
			text: own + "devices: [{ name: a, count: 100, rate: 1/s }]\nno_audit: true",
			ways: map[string]int{"127.0.0.1:gateway.mqtt": 100}, files: 1, taken: map[string]int{"gateway": 100},
		},
		"viewers who share connections": {
			text: own + "devices: [{ name: a, count: 1, rate: 1/s }]\nviewers: [{ name: d, count: 500, http2_share: 100% }]",
			ways: map[string]int{"127.0.0.1:gateway.mqtt": 1, "127.0.0.1:gateway.url": 5 + 1}, files: 1, taken: map[string]int{"gateway": 7},
		},
		"viewers with a connection each, and moves": {
			text: own + "devices: [{ name: a, count: 1, rate: 1/s }]\nviewers: [{ name: d, count: 500, http2_own_share: 50%, websocket_share: 50%, pan_every: 1s }]",
			ways: map[string]int{"127.0.0.1:gateway.mqtt": 1, "127.0.0.1:gateway.url": 500 + 2 + 1}, files: 1, taken: map[string]int{"gateway": 504},
		},
		"a ledger": {
			text: own + "devices: [{ name: a, count: 1, rate: 1/s }]\nledger: { devices: 10, viewers: 20, rate: 1/s }",
			ways: map[string]int{"127.0.0.1:gateway.mqtt": 11, "127.0.0.1:gateway.url": 20 + 8 + 1}, files: 1, taken: map[string]int{"gateway": 40},
		},
		"a ledger whose viewers are cut, at two doors": {
			text: own + "devices: [{ name: a, count: 1, rate: 1/s }]\nledger: { devices: 10, viewers: 20, rate: 1/s, resume_every: 5s, mqtt: [\"{gateway.mqtt}\", \"10.0.0.1:1883\"] }",
			ways: map[string]int{"127.0.0.1:gateway.mqtt": 6, "10.0.0.1:1883": 5, "127.0.0.1:gateway.url": 40 + 8 + 1}, files: 1, taken: map[string]int{"gateway": 55},
		},
		"both sides of proxies": {
			text: "start: [{ name: gateway, gateway: [] }, { name: line, proxy: \"{gateway.mqtt}\" }, { name: web, proxy: \"{gateway.http}\" }]\n" +
				"devices: [{ name: a, mqtt: \"{line}\", count: 100, rate: 1/s }]\nviewers: [{ name: d, url: \"http://{web}\", count: 10 }]",
			ways:  map[string]int{"127.0.0.1:line": 100, "127.0.0.1:gateway.mqtt": 100, "127.0.0.1:web": 10, "127.0.0.1:gateway.http": 10, "127.0.0.1:gateway.url": 1},
			files: 1 + 2 + 110, taken: map[string]int{"gateway": 111},
		},
		"a program behind a proxy": {
			text: "start: [{ name: redis, run: redis-server }, { name: bus, proxy: \"{redis}\" }, { name: gateway, gateway: [\"--redis=redis://{bus}\"] }]\n" +
				"devices: [{ name: a, count: 1, rate: 1/s }]",
			ways:  map[string]int{"127.0.0.1:gateway.mqtt": 1, "127.0.0.1:redis": programConnections, "127.0.0.1:gateway.url": 1},
			files: 3 + programConnections, taken: map[string]int{"gateway": 2, "redis": programConnections},
		},
		"who is hostile, and who is taken over": {
			text: own + "devices: [{ name: a, count: 100, rate: 1/s }]\nfaults: [{ at: 1s, do: hostile, connections: 30 }, { at: 1s, do: takeover, of: a, share: 25% }]",
			ways: map[string]int{"127.0.0.1:gateway.mqtt": 155, "127.0.0.1:gateway.url": 1}, files: 1, taken: map[string]int{"gateway": 156},
		},
		"an installation of somebody else's": {
			text: "start: [{ name: gateway, gateway: [] }, { name: line, proxy: \"{gateway.mqtt}\" }]\n" +
				"devices: [{ name: a, count: 100, rate: 1/s }, { name: b, mqtt: \"{line}\", count: 10, rate: 1/s }]\nviewers: [{ name: d, count: 7 }]",
			mqtt: "10.0.0.1:1883", url: "https://fleet.example/",
			ways: map[string]int{"10.0.0.1:1883": 110, "127.0.0.1:line": 10, "fleet.example:443": 8}, files: 1 + 10,
		},
	} {
		e := &engine{scenario: parse(t, head+c.text), options: Options{MQTT: c.mqtt, URL: c.url}}
		n := e.needs()
		ways := map[string]int{}
		for _, w := range n.ways {
			ways[w.To] += w.Connections
		}
		if !maps.Equal(ways, c.ways) || n.files != c.files || !maps.Equal(n.taken, c.taken) {
			t.Errorf("%s: %v, %d files, %v", name, ways, n.files, n.taken)
		}
	}
}

func TestWhatIsMissingIsSaidBeforeTheStart(t *testing.T) {
	s := parse(t, strings.Replace(tiny, "count: 5", "count: 900000", 1))
	s.Devices[0].MQTT = "192.0.2.1:1883"
	if _, err := Run(t.Context(), Options{Scenario: s, Gateway: "/nonexistent"}); err == nil || !strings.Contains(err.Error(), "900000 connections to 192.0.2.1:1883") {
		t.Errorf("%v", err)
	}
}

func TestDevicesLeaveFromTheAddressesOfTheirGroup(t *testing.T) {
	s := parse(t, strings.Replace(tiny, "count: 5", "count: 5, sources: [127.0.0.2-127.0.0.4, 127.0.0.9]", 1))
	e := &engine{scenario: s, installation: &installation{}}
	o, err := e.deviceOptions(&s.Devices[0], 0)
	if got := fmt.Sprint(o.Sources); err != nil || got != "[127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.9]" {
		t.Errorf("%s, %v", got, err)
	}
	s.Devices[0].Sources = []string{"127.0.0.2", "192.0.2.8-192.0.2.9"}
	if _, err := Run(t.Context(), Options{Scenario: s, Gateway: "/nonexistent"}); err == nil || !strings.Contains(err.Error(), "192.0.2.8 and 1 more to connect from") {
		t.Errorf("%v", err)
	}
	for wrong, says := range map[string]string{"[here]": "read source address", "[127.0.0.9-127.0.0.2]": "a range is written as"} {
		if _, err := Parse([]byte(strings.Replace(tiny, "count: 5", "count: 5, sources: "+wrong, 1))); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

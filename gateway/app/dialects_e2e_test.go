package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/bridge/dialect"
)

// TestOneFlagIsAllThatHelsinkisBusesNeed, but that here a Mosquitto of ours stands for the public broker.
func TestOneFlagIsAllThatHelsinkisBusesNeed(t *testing.T) {
	t.Parallel()
	outer := startMosquitto(t)
	g := startGateway(t, func(o *Options) {
		o.MQTT.Upstream = []string{"mqtt://" + outer.addr}
		o.Dialects.Presets = []dialect.PresetChoice{{Name: "hsl", Fleet: "hsl-{mode}"}}
	})
	g.waitReady(RoleBroker)
	const topic = "/hfp/v2/journey/ongoing/vp/bus/0018/00423/2159/2/Matinkylä (M)/09:32/2442201/3/60;24/16/58/67"
	vehicle := func(speed float64) string {
		return fmt.Sprintf(`{"VP":{"tst":"%s","spd":%v,"hdg":67,"lat":60.156949,"long":24.687111,"acc":0.5,"dl":-21,"odo":null,"route":"2159"}}`,
			time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), speed)
	}
	g.publishTo(outer.addr, "-t", "fleets/north/devices/truck-17/telemetry", "-m", `{"lat":1,"lon":2}`) // not asked for
	g.publishTo(outer.addr, "-t", topic, "-m", vehicle(21.71))
	a := g.waitAsset("0018:00423", has("speed", 21.71))
	if !a.is("fleet", "hsl-bus") || !a.is("lat", 60.156949) || !a.is("heading", 67.0) || a["accuracy"] != nil {
		t.Errorf("%v", a)
	}
	if answer := g.request("GET", "/api/assets/truck-17"); answer.StatusCode != http.StatusNotFound {
		t.Errorf("a topic of another preset was read: %s", answer.body)
	}
}

// TestAssetsOfEveryFormatAreRight publishes the samples to one gateway that understands all of them.
func TestAssetsOfEveryFormatAreRight(t *testing.T) {
	t.Parallel()
	g := startGateway(t, func(o *Options) { o.Dialects.Presets = dialect.AllPresets() })
	files, err := filepath.Glob("../../bridge/dialect/testdata/*/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	published, seen := 0, map[string]bool{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var rows []sampleRow
		if err := json.Unmarshal(raw, &rows); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			// Bytes in hexadecimal would need a file of their own, and Ditto's topics are its users' choice.
			// Of a device the first sample counts: another may be older, or of another fleet.
			if row.Kind != "position" || seen[row.Device] || strings.HasSuffix(row.File, ".hex") || strings.HasPrefix(row.Topic, "anything") {
				continue
			}
			seen[row.Device] = true
			published++
			g.publish("-q", "1", "-t", row.Topic, "-f", filepath.Join(filepath.Dir(file), row.File))
			g.waitAsset(row.Device, func(a asset) bool {
				return near(a, "lat", row.Lat) && near(a, "lon", row.Lon)
			})
		}
	}
	if published < 11 {
		t.Errorf("only %d samples", published)
	}
	var stats Stats
	if err := json.Unmarshal(g.request("GET", "/api/stats").body, &stats); err != nil {
		t.Fatal(err)
	}
	if n := stats.MQTT.Messages["position"]; n != uint64(published) {
		t.Errorf("%d positions of %d messages: %v", n, published, stats.MQTT.Rejected)
	}
}

// near tells whether a member is the table's, as far as an asset keeps it.
func near(a asset, name string, want *float64) bool {
	diff := a.number(name) - *want
	return diff < 1e-6 && diff > -1e-6
}

// TestTheApplicationSaysWhatAMessageBecomes is the same over REST.
func TestTheApplicationSaysWhatAMessageBecomes(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url("/api/decode?topic=nmea%2Fboat"),
		strings.NewReader("$GPRMC,135926.000,A,0501.7061,N,07528.3049,W,0.05,0.00,060913,A*7C"))
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var d Decoding
	if err := json.NewDecoder(answer.Body).Decode(&d); err != nil || answer.StatusCode != http.StatusOK || d.Kind != "position" || d.Dialect != "nmea" || len(d.Hygiene) != 1 {
		t.Errorf("%s %+v, %v", answer.Status, d, err)
	}
	if a := g.request("GET", "/api/assets/boat"); a.StatusCode != http.StatusNotFound {
		t.Errorf("looking at a message made an asset: %s", a.body)
	}
}

package play

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/simulator/fleet"
	"github.com/fleetcast/fleetcast/simulator/payload"
	"github.com/fleetcast/fleetcast/simulator/sseclient"
)

// presets are those of the gateway that the formats are for; native and owntracks are always on.
const presets = "--preset=teltonika,traccar,homeassistant,nmea,geojson,senml,thethingsstack,chirpstack,meshtastic,aws,hsl"

// The encoders are made from the makers' documents alone, and so are the gateway's decoders: that they agree says
// something about both.
func TestAGatewayUnderstandsEveryFormat(t *testing.T) {
	t.Parallel()
	in, err := install(t.Context(), &Options{Gateway: gatewayProgram(t), Scenario: parse(t, strings.Replace(tiny, "[--in-memory]", "[--in-memory, "+`"`+presets+`"`+"]", 1))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := in.stop(); err != nil {
			t.Error(err)
		}
	}()
	var mix payload.Mix
	if err := mix.UnmarshalText([]byte(strings.Join(payload.Names(), ","))); err != nil {
		t.Fatal(err)
	}
	const devices = 39
	f, err := fleet.New(fleet.Options{MQTT: in.addresses["gateway.mqtt"], Devices: devices, Rate: 4, For: 2 * time.Second, QoS: 1, Fleets: []string{"north"}, Mix: mix, Seed: 4})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := f.Counts(); c.AckRefused > 0 || c.Acked != c.Sent {
		t.Errorf("%+v", c)
	}
	at := map[string]bool{}
	client, err := sseclient.New(sseclient.Options{
		URL: "http://" + in.addresses["gateway.http"] + usualPath, Header: http.Header{},
		OnEvent: func(e sseclient.Event, _ time.Time) error {
			var a struct {
				ID       string
				Lat, Lon *float64
			}
			if e.Type == "ready" {
				return errReady
			}
			if err := json.Unmarshal(e.Data, &a); err == nil && e.Type == "" {
				at[a.ID] = a.Lat != nil && a.Lon != nil && (*a.Lat != 0 || *a.Lon != 0)
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Run(t.Context()); !errors.Is(err, errReady) {
		t.Fatal(err)
	}
	ids := f.IDs()
	for _, id := range ids {
		if !at[id] {
			t.Errorf("%s has no place; it is there: %v", id, at)
		}
	}
	for id := range at {
		if !slices.Contains(ids, id) {
			t.Errorf("nobody is called %s", id)
		}
	}
}

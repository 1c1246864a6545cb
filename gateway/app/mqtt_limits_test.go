package app

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/mqttin"
)

func TestTheBrokersLimitsAreSettings(t *testing.T) {
	o, err := Parse(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	got, want := o.MQTT.Limits.limits(), mqttin.DefaultLimits()
	if got.Connections != 0 || got.PerAddress != want.PerAddress || got.PacketBytes != want.PacketBytes || got.RoutedBytes != want.RoutedBytes ||
		got.DeviceRates.Messages != want.DeviceRates.Messages || got.GatewayRates.Bytes != want.GatewayRates.Bytes || got.SessionExpiry != want.SessionExpiry {
		t.Errorf("without settings %+v, want the broker's own", got)
	}
	args := []string{"--mqtt-keep-alive-max", "10m", "--mqtt-session-expiry", "48h"}
	for _, s := range new(MQTTLimits).numbers() {
		args = append(args, "--mqtt-"+s.flag, "77")
	}
	if o, err = Parse(args, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, s := range o.MQTT.Limits.numbers() {
		if *s.value != 77 {
			t.Errorf("--mqtt-%s is %d", s.flag, *s.value)
		}
	}
	if got = o.MQTT.Limits.limits(); got.KeepAliveMax != 10*time.Minute || got.SessionExpiry != 48*time.Hour || got.ClientBytes != 77<<10 || got.RetainedBytes != 77<<20 {
		t.Errorf("%+v", got)
	}
	for flag, value := range map[string]string{"mqtt-max-packet-kb": "1", "mqtt-session-expiry": "0s", "mqtt-keep-alive-max": "24h", "mqtt-max-inflight": "0", "mqtt-max-queued": "-1"} {
		if _, err := Parse([]string{"--" + flag, value}, io.Discard); err == nil || !strings.Contains(err.Error(), "--"+flag) {
			t.Errorf("--%s %s: %v", flag, value, err)
		}
	}
}

// It would be taken for what it is not: in open mode whatever connects is heard.
func TestAPolicyForUnknownDevicesIsRefusedInOpenMode(t *testing.T) {
	for _, policy := range []string{"refuse", "quarantine", "register"} {
		if _, err := Parse([]string{"--device-unknown", policy}, io.Discard); err == nil || !strings.Contains(err.Error(), "--device-unknown") {
			t.Errorf("%s: %v", policy, err)
		}
		if _, err := Parse([]string{"--device-unknown", policy, "--device-auth", "required"}, io.Discard); err != nil {
			t.Errorf("%s: %v", policy, err)
		}
	}
	if _, err := Parse([]string{"--device-unknown", "maybe", "--device-auth", "required"}, io.Discard); err == nil {
		t.Error("what is none is taken")
	}
	o := Defaults()
	o.Registry.Unknown = "quarantine"
	if err := o.Check(); devices.KindOf(err) != devices.Invalid {
		t.Error(err)
	}
}

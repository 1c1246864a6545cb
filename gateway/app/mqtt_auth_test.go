package app

import (
	"net"
	"testing"

	"github.com/fleetcast/fleetcast/devices"
)

func TestOtherMachinesReachDevicesPortsOnlyWithCredentials(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   func(*Options)
		field string // of the refusal; "" where it is served
	}{
		{"loopback", func(*Options) {}, ""},
		{"open", func(o *Options) { o.MQTT.Listen = "0.0.0.0:1883" }, "mqtt-listen"},
		{"required", func(o *Options) { o.MQTT.Listen, o.Auth.Device = "0.0.0.0:1883", AuthRequired }, ""},
		{"required, by name", func(o *Options) { o.MQTT.Listen, o.Auth.Device = "mqtt.example:1883", AuthRequired }, ""},
		{"required, no port", func(o *Options) { o.MQTT.Listen, o.Auth.Device = "0.0.0.0", AuthRequired }, "mqtt-listen"},
		{"open over TLS", func(o *Options) { o.MQTT.Ports = MQTTPorts{TLSListen: ":8883", TLSCert: "c", TLSKey: "k"} }, "mqtt-tls-listen"},
		{"open over WebSocket", func(o *Options) { o.MQTT.Ports.WSListen = "192.0.2.1:9001" }, "mqtt-ws-listen"},
		{"TLS without a certificate", func(o *Options) { o.MQTT.Ports.TLSListen = "127.0.0.1:8883" }, "mqtt-tls-listen"},
		{"a certificate without TLS", func(o *Options) { o.MQTT.Ports.TLSCert = "c" }, "mqtt-tls-cert"},
		{"authorities without TLS", func(o *Options) { o.MQTT.Ports.TLSClientCA = "c" }, "mqtt-tls-client-ca"},
		{"WebSocket only", func(o *Options) { o.MQTT.Listen, o.MQTT.Ports.WSListen = "", "127.0.0.1:9001" }, ""},
		{"nothing", func(o *Options) { o.MQTT.Listen = "" }, "mqtt-listen"},
		{"a proxy by name", func(o *Options) { o.MQTT.Ports.Proxies = []string{"haproxy"} }, "mqtt-proxy-protocol"},
		{"proxies", func(o *Options) { o.MQTT.Ports.Proxies = []string{"192.0.2.1", "10.0.0.0/8", "::1"} }, ""},
	} {
		o := Defaults()
		c.set(&o)
		err := o.checkMQTTListen()
		told, _ := err.(*devices.Error) //nolint:errorlint // it is never wrapped here
		switch {
		case c.field == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.field != "" && (told == nil || told.Field != c.field):
			t.Errorf("%s: %v, want a refusal of %s", c.name, err, c.field)
		}
	}
	o := Defaults()
	public := []net.Addr{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}}
	if o.mayServeDevicesAt(public) == nil {
		t.Error("what a name stands for is not looked at")
	}
	if o.Auth.Device = AuthRequired; o.mayServeDevicesAt(public) != nil {
		t.Error("refused in spite of credentials")
	}
	if o.requireAuthenticator(nil) == nil {
		t.Error("credentials are required that nobody checks")
	}
}

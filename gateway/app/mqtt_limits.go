package app

import (
	"strconv"
	"time"

	"github.com/alecthomas/kong"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/mqttin"
)

// MQTTLimits are what devices and other MQTT clients may cost. Each has its line in deploy/docs/limits.md; the limits that
// nobody has a reason to set are constants of gateway/mqttin.
type MQTTLimits struct {
	MaxConnections    int           `help:"Open connections at most; 0: 50000, or fewer where the process may not open so many files." default:"${mqtt_max_connections}"`
	MaxPerAddress     int           `help:"Open connections of one address at most (of a /64 in IPv6); loopback is not counted." default:"${mqtt_max_per_address}"`
	MaxPacketKB       int           `name:"max-packet-kb" help:"Largest packet in KiB." default:"${mqtt_max_packet_kb}"`
	KeepAliveMax      time.Duration `help:"Longest keep-alive; what asks for none or a longer one gets this." default:"${mqtt_keep_alive_max}"`
	ReceiveMaximum    int           `help:"Messages of a connection that are taken and not yet acknowledged, at most." default:"${mqtt_receive_maximum}"`
	SessionExpiry     time.Duration `help:"How long the session of a client that is away is kept at most. None outlives the process." default:"${mqtt_session_expiry}"`
	MaxSessions       int           `help:"Sessions of clients that are away, at most; above it a session ends with its connection." default:"${mqtt_max_sessions}"`
	SessionsPerLogin  int           `name:"sessions-per-account" help:"Sessions of one credential, connected and away, at most." default:"${mqtt_sessions_per_account}"`
	LoginsPerMinute   int           `name:"logins-per-minute" help:"How often one credential may connect a minute; as many may come at once." default:"${mqtt_logins_per_minute}"`
	DeviceMessages    int           `help:"Messages a second of a device, where its own limits say nothing; 10 s of them may come at once." default:"${mqtt_device_messages}"`
	DeviceKB          int           `name:"device-kb" help:"KiB a second of a device, likewise." default:"${mqtt_device_kb}"`
	GatewayMessages   int           `help:"Messages a second of a gateway or another client, likewise; 5 s of them may come at once." default:"${mqtt_gateway_messages}"`
	GatewayKB         int           `name:"gateway-kb" help:"KiB a second of a gateway or another client, likewise." default:"${mqtt_gateway_kb}"`
	MaxInflight       int           `help:"Messages with QoS 1 and 2 that a client was sent and has not acknowledged, at most; its Receive Maximum may be less." default:"${mqtt_max_inflight}"`
	MaxQueued         int           `help:"Messages that wait for one client, connected or away, at most; what comes above it is dropped for that client." default:"${mqtt_max_queued}"`
	MaxQueuedKB       int           `name:"max-queued-kb" help:"KiB that wait for one client, likewise." default:"${mqtt_max_queued_kb}"`
	MaxQueuedMB       int           `name:"max-queued-mb" help:"MiB that wait for all clients together, likewise." default:"${mqtt_max_queued_mb}"`
	MaxRetained       int           `help:"Retained messages at most; above it a message is delivered and not retained." default:"${mqtt_max_retained}"`
	MaxRetainedMB     int           `name:"max-retained-mb" help:"MiB of retained messages, likewise." default:"${mqtt_max_retained_mb}"`
	RetainedPerDevice int           `name:"retained-per-device" help:"Retained messages that one device's credential left, likewise." default:"${mqtt_retained_per_device}"`
}

// Bounds of those settings.
const (
	maxMQTTCount  = 10_000_000
	maxPacketKB   = 256 << 10 // MQTT's own
	maxQueuedMB   = 1 << 20
	maxSession    = 90 * 24 * time.Hour
	maxKeepAlive  = 43_690 * time.Second // one and a half of it fits two bytes
	minKeepAlive  = 5 * time.Second
	mostInTwoByte = 65_535
)

// defaultMQTTLimits are the broker's own.
func defaultMQTTLimits() MQTTLimits {
	d := mqttin.DefaultLimits()
	return MQTTLimits{
		MaxPerAddress: d.PerAddress, MaxPacketKB: d.PacketBytes >> 10, KeepAliveMax: d.KeepAliveMax, ReceiveMaximum: d.Unacked, SessionExpiry: d.SessionExpiry,
		MaxSessions: d.KeptSessions, SessionsPerLogin: d.SessionsPerAccount, LoginsPerMinute: d.LoginsPerMinute,
		DeviceMessages: d.DeviceRates.Messages, DeviceKB: d.DeviceRates.Bytes >> 10, GatewayMessages: d.GatewayRates.Messages, GatewayKB: d.GatewayRates.Bytes >> 10,
		MaxInflight: d.Inflight, MaxQueued: d.ClientMessages, MaxQueuedKB: d.ClientBytes >> 10, MaxQueuedMB: d.RoutedBytes >> 20,
		MaxRetained: d.RetainedMessages, MaxRetainedMB: d.RetainedBytes >> 20, RetainedPerDevice: d.RetainedPerDevice,
	}
}

// numbers are the settings that are numbers, with their flags and bounds.
func (l *MQTTLimits) numbers() []limitSetting {
	return []limitSetting{
		{"max-connections", &l.MaxConnections, 0, maxMQTTCount},
		{"max-per-address", &l.MaxPerAddress, 1, maxMQTTCount},
		{"max-packet-kb", &l.MaxPacketKB, 4, maxPacketKB},
		{"receive-maximum", &l.ReceiveMaximum, 1, mostInTwoByte},
		{"max-sessions", &l.MaxSessions, 1, maxMQTTCount},
		{"sessions-per-account", &l.SessionsPerLogin, 1, maxMQTTCount},
		{"logins-per-minute", &l.LoginsPerMinute, 1, maxMQTTCount},
		{"device-messages", &l.DeviceMessages, 1, maxMQTTCount},
		{"device-kb", &l.DeviceKB, 1, maxMQTTCount},
		{"gateway-messages", &l.GatewayMessages, 1, maxMQTTCount},
		{"gateway-kb", &l.GatewayKB, 1, maxMQTTCount},
		{"max-inflight", &l.MaxInflight, 1, mostInTwoByte / 2},
		{"max-queued", &l.MaxQueued, 1, maxMQTTCount},
		{"max-queued-kb", &l.MaxQueuedKB, 1, maxMQTTCount},
		{"max-queued-mb", &l.MaxQueuedMB, 1, maxQueuedMB},
		{"max-retained", &l.MaxRetained, 1, maxMQTTCount},
		{"max-retained-mb", &l.MaxRetainedMB, 1, maxQueuedMB},
		{"retained-per-device", &l.RetainedPerDevice, 1, maxMQTTCount},
	}
}

type limitSetting struct {
	flag        string
	value       *int
	least, most int
}

// check returns the first that cannot stand.
func (l *MQTTLimits) check() error {
	for _, s := range l.numbers() {
		if *s.value < s.least || *s.value > s.most {
			return devices.Errorf(devices.Invalid, "mqtt-"+s.flag, "is %d; it is from %d to %d", *s.value, s.least, s.most)
		}
	}
	switch {
	case l.KeepAliveMax < minKeepAlive || l.KeepAliveMax > maxKeepAlive:
		return devices.Errorf(devices.Invalid, "mqtt-keep-alive-max", "is %v; it is from %v to %v", l.KeepAliveMax, minKeepAlive, maxKeepAlive)
	case l.SessionExpiry < time.Second || l.SessionExpiry > maxSession:
		return devices.Errorf(devices.Invalid, "mqtt-session-expiry", "is %v; it is from 1s to %v", l.SessionExpiry, maxSession)
	}
	return nil
}

// vars are the defaults for the tags.
func (l *MQTTLimits) vars(into kong.Vars) {
	for _, s := range l.numbers() {
		into["mqtt_"+underscored(s.flag)] = strconv.Itoa(*s.value)
	}
	into["mqtt_keep_alive_max"], into["mqtt_session_expiry"] = l.KeepAliveMax.String(), l.SessionExpiry.String()
}

func underscored(flag string) string {
	b := []byte(flag)
	for i := range b {
		if b[i] == '-' {
			b[i] = '_'
		}
	}
	return string(b)
}

// limits are the settings as the broker takes them.
func (l *MQTTLimits) limits() mqttin.Limits {
	return mqttin.Limits{
		Connections: l.MaxConnections, PerAddress: l.MaxPerAddress, PacketBytes: l.MaxPacketKB << 10, KeepAliveMax: l.KeepAliveMax, Unacked: l.ReceiveMaximum,
		SessionExpiry: l.SessionExpiry, KeptSessions: l.MaxSessions, SessionsPerAccount: l.SessionsPerLogin, LoginsPerMinute: l.LoginsPerMinute,
		DeviceRates:  devices.Rates{Messages: l.DeviceMessages, Bytes: l.DeviceKB << 10},
		GatewayRates: devices.Rates{Messages: l.GatewayMessages, Bytes: l.GatewayKB << 10},
		Inflight:     l.MaxInflight, ClientMessages: l.MaxQueued, ClientBytes: l.MaxQueuedKB << 10, RoutedBytes: l.MaxQueuedMB << 20,
		RetainedMessages: l.MaxRetained, RetainedBytes: l.MaxRetainedMB << 20, RetainedPerDevice: l.RetainedPerDevice,
		Stop: mqttBound - stopMargin,
	}
}

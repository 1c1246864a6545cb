package dialect

import (
	"fmt"
	"math"

	"github.com/fleetcast/fleetcast/devices"
)

// decodeMeshtastic reads the JSON that gateways of a mesh publish, each what it heard: the topic names the gateway, the
// member from the device. Source: meshtastic.org, "MQTT integration", and the firmware's mqtt JSON serializer.
//
//	latitude_i, longitude_i  1e-7 degrees     ground_speed  km/h     ground_track  1e-5 degrees
//	battery_level            %; 101 is external power
//	id                       of the packet: several gateways publish the same one
func decodeMeshtastic(in *input, out *Result) bool {
	if in.level("channel") == "mqtt" { // the way down into the mesh
		return out.named(Command)
	}
	root, reason := out.object(in)
	if reason != None {
		return out.decline(reason)
	}
	payload := root.get("payload")
	from, ok := root.get("from").number()
	if !ok || from != math.Trunc(from) || from < math.MinInt32 || from > math.MaxUint32 {
		return out.decline(Declined)
	}
	node := uint32(int64(from)) // before firmware 2.2.0 it is signed: the same bits
	if !in.nameDeviceText(fmt.Sprintf("!%08x", node)) {
		return out.reject(BadDevice)
	}
	kind := string(root.get("type").text())
	switch kind {
	case "position", "telemetry", "nodeinfo":
	default: // texts of people, traces, neighbours
		return out.named(Opaque)
	}
	c := out.begin(in)
	c.at(root.get("timestamp"))
	switch kind {
	case "position":
		c.meshPosition(payload)
	case "telemetry":
		c.meshBattery(payload.get("battery_level"))
		c.flatten("", payload, isOneOf("battery_level", "time"))
	case "nodeinfo":
		c.flatten("", payload, isOneOf("id"))
	}
	for _, name := range []string{"rssi", "snr", "hops_away"} {
		c.metricOf(name, root.get(name))
	}
	m := out.end(in)
	if id, ok := root.get("id").number(); ok && id != 0 {
		m.Reading.Key = keyOf(0, fmt.Appendf(nil, "%08x %.0f", node, id))
	}
	return true
}

func (c *collector) meshPosition(p value) {
	r := c.reading
	c.at(p.get("time")) // of the fix
	c.place(p.get("latitude_i"), p.get("longitude_i"), 1e-7)
	c.take(devices.FieldAltitude, &r.Altitude, p.get("altitude"), 1)
	c.take(devices.FieldSpeed, &r.Speed, p.get("ground_speed"), mpsPerKMH)
	c.take(devices.FieldHeading, &r.Heading, p.get("ground_track"), 1e-5)
	c.sat(p.get("sats_in_view"))
	c.flatten("", p, isOneOf("latitude_i", "longitude_i", "altitude", "ground_speed", "ground_track", "sats_in_view", "time", "timestamp"))
}

// externalPower is the battery level of a device that hangs on a cable.
const externalPower = 101

func (c *collector) meshBattery(level value) {
	n, ok := level.number()
	if ok && n >= externalPower {
		c.clear(devices.FieldBattery)
	} else {
		c.take(devices.FieldBattery, &c.reading.Battery, level, 1)
	}
	if ok {
		l := leaf{kind: devices.Bool}
		if n >= externalPower {
			l.num = 1
		}
		c.metric([]byte("external_power"), &l)
	}
}

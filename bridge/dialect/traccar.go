package dialect

import (
	"strconv"

	"github.com/fleetcast/fleetcast/devices"
)

// decodeTraccar reads what a Traccar server forwards: positions (forward.type=mqtt) and events. Source: traccar.org,
// "forward", and its class PositionForwarderMqtt. The device is in the payload.
//
//	speed     knots            accuracy  m, 0 is unknown        fixTime  of the position
//	outdated  the position is the last known one, said again    valid    false: the receiver had no fix
func decodeTraccar(in *input, out *Result) bool {
	root, reason := out.object(in)
	if reason != None {
		return out.decline(reason)
	}
	position, event := root.get("position"), root.get("event")
	if !position.is(objectNode) && !event.is(objectNode) {
		return out.decline(Declined)
	}
	name := root.get("device", "uniqueId")
	for _, next := range []value{root.get("device", "id"), position.get("deviceId"), event.get("deviceId")} {
		if !name.exists() || name.isNull() {
			name = next
		}
	}
	if !in.nameDevice(name) {
		return out.reject(BadDevice)
	}
	if event.is(objectNode) {
		return traccarEvent(in, out, root, event)
	}
	c := out.begin(in)
	c.isoTime(position.get("deviceTime"))
	c.traccarPosition(position)
	attributes := position.get("attributes")
	c.take(devices.FieldBattery, &c.reading.Battery, attributes.get("batteryLevel"), 1)
	c.sat(attributes.get("sat"))
	c.flatten("", attributes, isOneOf("batteryLevel", "sat"))
	m := out.end(in)
	if id, ok := position.get("id").number(); ok && id > 0 {
		m.Reading.Key = keyOf(0, []byte("position"), strconv.AppendFloat(nil, id, 'f', 0, 64))
	}
	return true
}

func (c *collector) traccarPosition(position value) {
	if position.get("outdated").isTrue() || position.get("valid").isFalse() {
		return
	}
	r := c.reading
	c.isoTime(position.get("fixTime"))
	c.place(position.get("latitude"), position.get("longitude"), 1)
	c.take(devices.FieldAltitude, &r.Altitude, position.get("altitude"), 1)
	c.take(devices.FieldSpeed, &r.Speed, position.get("speed"), mpsPerKnot)
	c.take(devices.FieldHeading, &r.Heading, position.get("course"), 1)
	c.known(devices.FieldAccuracy, &r.Accuracy, position.get("accuracy"), 1, 0)
}

func traccarEvent(in *input, out *Result, root, event value) bool {
	kind := string(event.get("type").text())
	switch kind {
	case "deviceOnline", "deviceOffline":
		status := devices.Online
		if kind == "deviceOffline" {
			status = devices.Offline
		}
		out.addStatus(in, status)
		return out.named(Presence)
	}
	position := root.get("position")
	c := out.begin(in)
	c.traccarPosition(position)
	c.isoTime(event.get("serverTime"))
	c.isoTime(event.get("eventTime")) // newer servers
	c.metricText("event", kind)
	c.metricOf("geofence", root.get("geofence", "name"))
	c.metricOf("ignition", position.get("attributes", "ignition"))
	c.flatten("", event.get("attributes"), nil)
	m := out.endAs(in, Event)
	if id, ok := event.get("id").number(); ok && id > 0 {
		m.Reading.Key = keyOf(0, []byte("event"), strconv.AppendFloat(nil, id, 'f', 0, 64))
	}
	return true
}

// nameDevice makes the payload's name of a device, a text or a whole number, the message's. Levels of a name that has
// slashes are joined as those of a topic are. It tells whether it is a valid one.
func (in *input) nameDevice(v value) bool {
	text := v.text()
	if v.is(numberNode) {
		text = strconv.AppendFloat(nil, v.node().num, 'f', -1, 64)
	}
	return in.nameDeviceText(string(text))
}

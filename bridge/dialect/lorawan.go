package dialect

import (
	"github.com/fleetcast/fleetcast/devices"
)

// decodeTTS reads what The Things Stack v3 publishes about a device: up, join, location/solved, down/…, service/data.
// Source: lorawan-stack-docs, "Data formats" and "MQTT". Members that are zero or empty are left out there, so a place on
// the equator has no latitude. The server has joined the copies of several gateways already.
func decodeTTS(in *input, out *Result) bool {
	switch kind := in.level("kind"); kind {
	case "down/push", "down/replace":
		return out.named(Command)
	case "service/data":
		return out.named(Opaque)
	}
	root, reason := out.object(in)
	if reason != None {
		return out.decline(reason)
	}
	up, solved := root.get("uplink_message"), root.get("location_solved")
	switch {
	case up.is(objectNode):
		ttsUplink(in, out, root, up)
	case solved.is(objectNode):
		c := out.begin(in)
		c.isoTime(root.get("received_at"))
		c.ttsLocation(solved.get("location"))
		c.metricOf("source", solved.get("location", "source"))
		out.end(in)
	case in.level("kind") == "up" || in.level("kind") == "location/solved":
		return out.decline(Declined)
	default: // join, down/ack and their like
		c := out.begin(in)
		c.isoTime(root.get("received_at"))
		c.metricText("event", in.level("kind"))
		out.endAs(in, Event)
	}
	return true
}

// registrySource says of a location that a person typed it in.
const registrySource = "SOURCE_REGISTRY"

func ttsUplink(in *input, out *Result, root, up value) {
	c := out.begin(in)
	c.isoTime(root.get("received_at"))
	c.isoTime(up.get("received_at"))
	for l := up.get("locations").first(); l.exists(); l = l.next() {
		if string(l.get("source").text()) != registrySource {
			c.ttsLocation(l)
		}
	}
	c.decoded(up.get("decoded_payload"))
	c.take(devices.FieldBattery, &c.reading.Battery, up.get("last_battery_percentage", "value"), 1)
	c.radio(up.get("rx_metadata"))
	c.metricOf("f_port", up.get("f_port"))
	c.metricOf("f_cnt", up.get("f_cnt"))
	out.end(in)
}

func (c *collector) ttsLocation(l value) {
	lat, lon := l.get("latitude"), l.get("longitude")
	c.place(lat, lon, 1)
	switch { // what is left out is zero
	case lat.exists() && !lon.exists():
		c.lon = coordinate{state: given}
	case lon.exists() && !lat.exists():
		c.lat = coordinate{state: given}
	}
	c.take(devices.FieldAltitude, &c.reading.Altitude, l.get("altitude"), 1)
	c.take(devices.FieldAccuracy, &c.reading.Accuracy, l.get("accuracy"), 1)
}

// decoded stores what a codec of the network server made of a device's bytes. Only the names of a position are taken to
// mean one, at the top or, as in Cayenne's low power payload, in a member of its own; of all else neither the meaning nor
// the unit is known, and it stays a metric.
func (c *collector) decoded(object value) {
	if lat, lon := placeIn(object); lat.exists() {
		c.place(lat, lon, 1)
		c.take(devices.FieldAltitude, &c.reading.Altitude, object.get("altitude"), 1)
		c.flatten("", object, isPlaceName)
		return
	}
	inner := object.first()
	for ; inner.exists(); inner = inner.next() {
		if lat, lon := placeIn(inner); lat.exists() {
			c.place(lat, lon, 1)
			c.take(devices.FieldAltitude, &c.reading.Altitude, inner.get("altitude"), 1)
			break
		}
	}
	c.flatten("", object, func(_ []byte, v value) bool { return inner.exists() && v == inner })
}

// placeNames are what codecs call the halves of a position.
var placeNames = [...][2]string{{"latitude", "longitude"}, {"lat", "lon"}, {"lat", "lng"}, {"lat", "long"}}

var isPlaceName = isOneOf("latitude", "longitude", "lat", "lon", "lng", "long", "altitude")

// placeIn returns the two halves of an object's position, or none.
func placeIn(object value) (lat, lon value) {
	for _, names := range placeNames {
		if lat, lon = object.get(names[0]), object.get(names[1]); lat.exists() && lon.exists() {
			return lat, lon
		}
	}
	return value{}, value{}
}

// radio stores how the gateway that heard best heard the device.
func (c *collector) radio(heard value) {
	best, rssi := value{}, 0.0
	for g := heard.first(); g.exists(); g = g.next() {
		if n, ok := g.get("rssi").number(); ok && (!best.exists() || n > rssi) {
			best, rssi = g, n
		}
	}
	c.metricOf("rssi", best.get("rssi"))
	c.metricOf("snr", best.get("snr"))
}

// decodeChirpStack reads the events of ChirpStack v4. Source: chirpstack-docs, "Event types". deduplicationId is the same
// for each copy of an event.
func decodeChirpStack(in *input, out *Result) bool {
	root, reason := out.object(in)
	if reason != None {
		return out.decline(reason)
	}
	c := out.begin(in)
	r := c.reading
	c.isoTime(root.get("time"))
	switch event := in.level("event"); event {
	case "up":
		c.decoded(root.get("object"))
		c.radio(root.get("rxInfo"))
		c.metricOf("f_port", root.get("fPort"))
		c.metricOf("f_cnt", root.get("fCnt"))
		out.end(in)
	case "status":
		if !root.get("externalPowerSource").isTrue() && !root.get("batteryLevelUnavailable").isTrue() {
			c.take(devices.FieldBattery, &r.Battery, root.get("batteryLevel"), 1)
		}
		c.metricOf("external_power", root.get("externalPowerSource"))
		c.metricOf("margin", root.get("margin"))
		out.end(in)
	case "location":
		l := root.get("location")
		c.place(l.get("latitude"), l.get("longitude"), 1)
		c.take(devices.FieldAltitude, &r.Altitude, l.get("altitude"), 1)
		if accuracy, ok := l.get("accuracy").number(); ok && accuracy > 0 {
			c.take(devices.FieldAccuracy, &r.Accuracy, l.get("accuracy"), 1)
		}
		c.metricOf("source", l.get("source"))
		out.end(in)
	default: // join, ack, txack, log, integration
		c.metricText("event", event)
		c.metricOf("level", root.get("level"))
		c.metricOf("code", root.get("code"))
		out.endAs(in, Event)
	}
	if id := root.get("deduplicationId").text(); len(id) > 0 {
		out.setKey(id)
	}
	return true
}

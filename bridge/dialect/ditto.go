package dialect

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
)

// decodeDitto reads Eclipse Ditto's protocol messages about a thing's twin: its commands, as devices send them, and its
// events. Source: eclipse.dev/ditto, "Ditto Protocol". Whose it is stands in the member topic, whatever the MQTT topic
// is; path says what of the thing the value replaces, or merges into: then null deletes (RFC 7396).
//
// By convention the attribute location has latitude and longitude. The other attributes are metrics by their names, the
// properties of features by feature and property.
func decodeDitto(in *input, out *Result) bool {
	root, reason := out.object(in)
	name, rest, ok := dittoThing(root.get("topic").text())
	if reason == None && (!ok || !root.get("path").is(textNode)) {
		reason = Declined
	}
	if reason != None {
		if in.topic.row.template.text == in.topic.row.anywhere {
			reason = UnknownTopic // the template fits every topic: what is not about a thing is not for us
		}
		return out.decline(reason)
	}
	device, err := devices.ParseDeviceID(name)
	if err != nil {
		return out.reject(BadDevice)
	}
	in.device = device
	channel, criterion, _ := strings.Cut(rest, "/")
	criterion, action, _ := strings.Cut(criterion, "/")
	switch {
	case channel == "live" && criterion != "events":
		return out.named(Command) // a message from or to the device, not its state
	case criterion != "commands" && criterion != "events":
		return out.named(Opaque) // errors, acknowledgements, searches
	}
	deletes := action == "delete" || action == "deleted"
	if action == "retrieve" || action == "retrieved" {
		return out.named(Opaque)
	}
	c := out.begin(in)
	c.isoTime(root.get("timestamp"))
	path := strings.Split(strings.Trim(string(root.get("path").text()), "/"), "/")
	if path[0] == "" {
		path = nil
	}
	c.ditto(path, root.get("value"), deletes)
	if c.reading.Cleared == 0 && c.lat.state == absent && len(c.reading.Metrics) == 0 {
		out.Messages = out.Messages[:0]
		return out.named(Opaque) // a policy, a definition, something else of the thing
	}
	m := out.end(in)
	if revision, ok := root.get("revision").number(); ok && criterion == "events" {
		m.Reading.Key = keyOf(0, []byte(name), strconv.AppendFloat(nil, revision, 'f', 0, 64))
	}
	return true
}

// dittoThing reads namespace/name/things/twin/… and returns the thing's id and what stands behind "things/".
func dittoThing(topic []byte) (id, rest string, ok bool) {
	parts := bytes.SplitN(topic, []byte{'/'}, 4)
	if len(parts) < 4 || string(parts[2]) != "things" || len(parts[1]) == 0 {
		return "", "", false
	}
	return string(parts[0]) + ":" + string(parts[1]), string(parts[3]), true
}

// ditto stores the value at a path of the thing.
func (c *collector) ditto(path []string, v value, deletes bool) {
	if len(path) == 0 { // the whole thing
		c.ditto([]string{"attributes"}, v.get("attributes"), deletes)
		c.ditto([]string{"features"}, v.get("features"), deletes)
		return
	}
	rest := path[1:]
	switch {
	case path[0] == "attributes" && len(rest) == 0:
		for a := v.first(); a.exists(); a = a.next() {
			c.ditto([]string{"attributes", string(a.key())}, a, deletes)
		}
	case path[0] == "attributes" && rest[0] == "location" && len(rest) == 1:
		c.dittoLocation(v, deletes)
	case path[0] == "attributes":
		c.dittoMetric(strings.Join(rest, "."), v, deletes)
	case path[0] == "features" && len(rest) == 0:
		for f := v.first(); f.exists(); f = f.next() {
			c.ditto([]string{"features", string(f.key())}, f, deletes)
		}
	case path[0] == "features" && len(rest) == 1:
		c.dittoMetric(rest[0], v.get("properties"), deletes)
	case path[0] == "features" && rest[1] == "properties":
		c.dittoMetric(strings.Join(append(rest[:1:1], rest[2:]...), "."), v, deletes)
	}
}

func (c *collector) dittoLocation(v value, deletes bool) {
	if deletes || v.isNull() {
		c.lat.state, c.lon.state = cleared, cleared
		return
	}
	c.place(v.get("latitude"), v.get("longitude"), 1)
	c.take(devices.FieldAltitude, &c.reading.Altitude, v.get("altitude"), 1)
}

func (c *collector) dittoMetric(name string, v value, deletes bool) {
	switch {
	case deletes:
		l := leaf{} // null
		c.metric([]byte(name), &l)
	case v.is(objectNode):
		c.flatten(name, v, nil)
	default:
		c.metricOf(name, v)
	}
}

package dialect

import (
	"slices"

	"github.com/fleetcast/fleetcast/devices"
)

// decodeShadow reads updates of AWS IoT device shadows, and the same members without the wrapping, as devices publish
// them on topics of their own. Source: the AWS IoT developer guide, "Device Shadow MQTT topics".
//
// Devices after Nordic's asset tracker group what they report, each group with its own time; others report plain members,
// of which those with the names of a position are one.
func decodeShadow(in *input, out *Result) bool {
	root, reason := out.object(in)
	if reason != None {
		return out.decline(reason)
	}
	reported := root
	switch {
	case root.get("current").is(objectNode): // …/update/documents
		reported = root.get("current", "state", "reported")
	case root.get("state").is(objectNode):
		reported = root.get("state", "reported")
		if !reported.exists() && root.get("state", "desired").exists() {
			return out.named(Command)
		}
	}
	if !reported.is(objectNode) {
		return out.decline(Declined)
	}
	if nordicGroups(in, out, reported) {
		return true
	}
	if out.full() || len(out.Messages) > 0 {
		return out.reject(TooManyMembers)
	}
	return plainShadow(in, out, root, reported)
}

// decodeShadowKind reads what the shadow service answers to an update: accepted and documents hold what a device reported,
// delta and rejected go down to it.
func decodeShadowKind(in *input, out *Result) bool {
	switch in.level("kind") {
	case "accepted", "documents":
		return decodeShadow(in, out)
	}
	return out.named(Command)
}

func plainShadow(in *input, out *Result, root, reported value) bool {
	c := out.begin(in)
	c.at(root.get("timestamp"))
	c.decoded(reported)
	if len(c.reading.Metrics) == 0 && c.lat.state == absent {
		return out.decline(Declined)
	}
	out.end(in)
	return true
}

// nordicGroup is a group of Nordic's asset tracker. Source: NordicSemiconductor/asset-tracker-cloud-docs.
var nordicGroup = map[string]func(c *collector, v value){
	"gnss": nordicFix, "gps": nordicFix,
	"bat": func(c *collector, v value) { c.metricOf("bat_mv", v) },
	"fg": func(c *collector, v value) {
		c.take(devices.FieldBattery, &c.reading.Battery, v.get("SoC"), 1)
		c.flatten("fg", v, isOneOf("fg.SoC"))
	},
	"env": func(c *collector, v value) {
		c.metricOf("temp", v.get("temp"))
		c.metricOf("hum", v.get("hum"))
		c.metricOf("atmp_kPa", v.get("atmp"))
	},
	"roam":   func(c *collector, v value) { c.flatten("", v, isOneOf("ip", "eest")) },
	"dev":    func(c *collector, v value) { c.flatten("dev", v, nil) },
	"solar":  func(c *collector, v value) { c.flatten("solar", v, nil) },
	"btn":    func(c *collector, v value) { c.metricText("event", "button"); c.metricOf("button", v) },
	"impact": func(c *collector, v value) { c.metricOf("impact", v) },
}

// nordicEvents are the groups that tell what happened rather than what is.
var nordicEvents = []string{"btn", "impact"}

func nordicFix(c *collector, v value) {
	r := c.reading
	c.place(v.get("lat"), v.get("lng"), 1)
	c.take(devices.FieldAltitude, &r.Altitude, v.get("alt"), 1)
	c.take(devices.FieldSpeed, &r.Speed, v.get("spd"), 1)
	c.take(devices.FieldHeading, &r.Heading, v.get("hdg"), 1)
	c.take(devices.FieldAccuracy, &r.Accuracy, v.get("acc"), 1)
}

// nordicGroups makes a reading of each group's each value, those of one time together, in the order of time. It tells
// whether there was any.
func nordicGroups(in *input, out *Result, reported value) bool {
	for g := reported.first(); g.exists(); g = g.next() {
		name := string(g.key())
		if nordicGroup[name] == nil {
			continue
		}
		for each := range g.elements() {
			if !out.nordicValue(in, name, each) {
				return false
			}
		}
	}
	out.byTime()
	return len(out.Messages) > 0
}

// nordicValue adds a value to the reading of its time, or begins one. It tells whether there was room.
func (r *Result) nordicValue(in *input, name string, group value) bool {
	v, ts := group.get("v"), group.get("ts")
	if !v.exists() || !ts.exists() {
		return true
	}
	isEvent := slices.Contains(nordicEvents, name)
	l := ts.leaf()
	at, _ := l.unixMillis()
	if n := len(r.Messages); n > 0 {
		last := &r.Messages[n-1]
		if last.Reading.At == at && at != 0 && (last.Kind == Event) == isEvent && last.Kind != Position && name != "gnss" && name != "gps" {
			r.build.again(in, last.Reading)
			nordicGroup[name](&r.build, v)
			r.build.finish()
			r.Dropped += r.build.dropped
			return true
		}
	}
	if r.full() {
		return false
	}
	c := r.begin(in)
	c.at(ts)
	nordicGroup[name](c, v)
	if isEvent {
		r.endAs(in, Event)
	} else {
		r.end(in)
	}
	return true
}

// again goes on with a reading that was finished.
func (c *collector) again(in *input, reading *devices.Reading) { c.begin(in, reading) }

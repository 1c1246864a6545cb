package dialect

import "github.com/fleetcast/fleetcast/devices"

// decodeHFP reads the high-frequency positions of Helsinki's public transport, version 2. Source: digitransit.fi,
// "High-frequency positioning". The payload is one object whose name is the event: VP, a vehicle's position, comes every
// second; the others tell what happened at a stop or a light.
//
//	spd  m/s     hdg  degrees     acc  acceleration in m/s², not accuracy     dl  seconds ahead of the timetable
//	oper is the operator that drives, another than the one in the topic, which with veh makes a vehicle's id
//	null stands for unknown
func decodeHFP(in *input, out *Result) bool {
	root, reason := out.object(in)
	if reason != None {
		return out.decline(reason)
	}
	v := root.first()
	if !v.is(objectNode) || v.next().exists() {
		return out.decline(Declined)
	}
	c := out.begin(in)
	r := c.reading
	c.at(v.get("tst"))
	c.place(v.get("lat"), v.get("long"), 1)
	c.take(devices.FieldSpeed, &r.Speed, v.get("spd"), 1)
	c.take(devices.FieldHeading, &r.Heading, v.get("hdg"), 1)
	c.metricOf("acceleration", v.get("acc"))
	c.metricOf("delay_s", v.get("dl"))
	for _, name := range []string{"desi", "dir", "route", "stop", "start", "oday", "odo", "drst", "occu", "loc"} {
		c.metricOf(name, v.get(name))
	}
	c.metricText("mode", in.level("mode"))
	if event := in.level("event"); event != "vp" {
		c.metricText("event", event)
		out.endAs(in, Event)
		return true
	}
	out.end(in)
	return true
}

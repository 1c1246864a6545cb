package dialect

import "github.com/fleetcast/fleetcast/devices"

// decodeGeoJSON reads Features with a Point, one or a collection of them. Source: RFC 7946; coordinates are longitude
// first. Properties with the names of native members mean the same here; all others are metrics.
func decodeGeoJSON(in *input, out *Result) bool {
	root, reason := out.object(in)
	if reason != None {
		return out.decline(reason)
	}
	switch string(root.get("type").text()) {
	case "Feature":
		out.feature(in, root)
	case "FeatureCollection":
		for f := root.get("features").first(); f.exists(); f = f.next() {
			if out.full() {
				return out.reject(TooManyMembers)
			}
			if string(f.get("type").text()) == "Feature" {
				out.feature(in, f)
			}
		}
		out.byTime()
	default:
		return out.decline(Declined)
	}
	if len(out.Messages) == 0 {
		return out.decline(Declined)
	}
	return true
}

var nativeProperties = isOneOf("altitude", "speed", "heading", "accuracy", "battery", "at", "ts", "time", "timestamp")

func (r *Result) feature(in *input, f value) {
	c := r.begin(in)
	m := c.reading
	c.point(f.get("geometry"))
	p := f.get("properties")
	for _, name := range []string{"timestamp", "time", "ts", "at"} { // the better name last
		c.at(p.get(name))
	}
	if p.get("altitude").exists() {
		c.take(devices.FieldAltitude, &m.Altitude, p.get("altitude"), 1)
	}
	c.take(devices.FieldSpeed, &m.Speed, p.get("speed"), 1)
	c.take(devices.FieldHeading, &m.Heading, p.get("heading"), 1)
	c.take(devices.FieldAccuracy, &m.Accuracy, p.get("accuracy"), 1)
	c.take(devices.FieldBattery, &m.Battery, p.get("battery"), 1)
	c.flatten("", p, nativeProperties)
	r.end(in)
}

// point reads a geometry. RFC 7946 section 3.1.1: longitude, latitude, and perhaps the altitude in m.
func (c *collector) point(geometry value) {
	if string(geometry.get("type").text()) != "Point" {
		return
	}
	at := geometry.get("coordinates")
	c.place(at.index(1), at.index(0), 1)
	c.take(devices.FieldAltitude, &c.reading.Altitude, at.index(2), 1)
}

// Values that stand for "not available". Source: ITU-R M.1371, message 1.
const (
	aisNoSpeed   = 102.3
	aisNoCourse  = 360
	aisNoHeading = 511
)

// decodeAIS reads the positions of vessels as Digitraffic's marine feed publishes them: a Feature within data, or in its
// second version plain members. Source: digitraffic.fi, "Marine traffic". heading is where the bow points, cog where the ship goes.
func decodeAIS(in *input, out *Result) bool {
	root, reason := out.object(in)
	if reason != None {
		return out.decline(reason)
	}
	f := root
	if data := root.get("data"); data.is(objectNode) {
		f = data
	}
	p := f.get("properties")
	if !p.is(objectNode) {
		p = f // the second version of the feed
	}
	if !p.get("sog").exists() && !p.get("lat").exists() {
		return out.decline(Declined)
	}
	c := out.begin(in)
	m := c.reading
	c.point(f.get("geometry"))
	c.place(p.get("lat"), p.get("lon"), 1)
	c.at(p.get("time"))
	c.at(p.get("timestampExternal"))
	c.known(devices.FieldSpeed, &m.Speed, p.get("sog"), mpsPerKnot, aisNoSpeed)
	c.known(devices.FieldHeading, &m.Heading, p.get("cog"), 1, aisNoCourse)
	if n, ok := p.get("heading").number(); ok && n != aisNoHeading {
		c.metricNumber("heading", n)
	}
	// timestamp is the second of the minute, for what timestampExternal says whole.
	c.flatten("", p, isOneOf("sog", "cog", "heading", "lat", "lon", "time", "timestamp", "timestampExternal", "type", "mmsi"))
	out.end(in)
	return true
}

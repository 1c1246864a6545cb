package dialect

import (
	"bytes"

	"github.com/fleetcast/fleetcast/devices"
)

// decodeTeltonika reads the Codec JSON of Teltonika's trackers (MQTT firmware from 03.27.05 on). Source: the vendor's
// wiki, "Codec JSON". Numbers may be texts. AVL ids stay the names of metrics, but for those whose meaning is an asset's.
//
//	latlng  "lat,lon"     alt m     sp km/h     ang degrees     ts unix ms
//	sat     0: no fix. Then latlng is 0,0 or the last place that was known, and alt, sp and ang are 0
//	113     battery %     181, 182  PDOP and HDOP in tenths
func decodeTeltonika(in *input, out *Result) bool {
	root, reason := out.object(in)
	if reason != None {
		return out.decline(reason)
	}
	reported := root.get("state", "reported")
	latlng := reported.get("latlng")
	if !latlng.exists() {
		return out.decline(Declined)
	}
	c := out.begin(in)
	r := c.reading
	c.at(reported.get("ts"))
	if sat, ok := reported.get("sat").number(); !ok || sat > 0 {
		c.latLng(latlng)
		c.take(devices.FieldAltitude, &r.Altitude, reported.get("alt"), 1)
		c.take(devices.FieldSpeed, &r.Speed, reported.get("sp"), mpsPerKMH)
		c.take(devices.FieldHeading, &r.Heading, reported.get("ang"), 1)
	}
	c.sat(reported.get("sat"))
	c.take(devices.FieldBattery, &r.Battery, reported.get("113"), 1)
	for _, dop := range []struct{ id, name string }{{"181", "181_pdop"}, {"182", "182_hdop"}} {
		if v := reported.get(dop.id); v.exists() {
			c.number(dop.name, v, 0.1)
		}
	}
	c.flatten("", reported, isOneOf("latlng", "ts", "alt", "sp", "ang", "sat", "113", "181", "182"))
	out.end(in)
	return true
}

// latLng reads a position in one text: "51.44,5.45".
func (c *collector) latLng(v value) {
	lat, lon, ok := bytes.Cut(v.text(), []byte{','})
	for _, half := range []struct {
		to   *coordinate
		text []byte
	}{{&c.lat, lat}, {&c.lon, lon}} {
		l := leaf{kind: devices.Text, text: bytes.TrimSpace(half.text)}
		n, isNumber := l.numeric()
		*half.to = coordinate{given, n}
		if !ok || !isNumber {
			half.to.state = unusable
		}
	}
}

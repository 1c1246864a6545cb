package dialect

import (
	"bytes"
	"math"
	"strconv"

	"github.com/fleetcast/fleetcast/devices"
)

// greenwichFields is the number of values in a line of the CSV form.
const greenwichFields = 10

// decodeGreenwich reads the CSV form of OwnTracks, which trackers with little bandwidth send in place of JSON. Source:
// owntracks/recorder, csv_to_json.
//
//	tid, tst (hex), t, lat and lon in millionths of a degree, cog/10, vel km/h, alt/10 m, dist m, trip/1000 m
func decodeGreenwich(in *input, out *Result) bool {
	line := bytes.TrimSpace(in.payload)
	var field [greenwichFields][]byte
	for i := range field {
		var more bool
		if field[i], line, more = bytes.Cut(line, []byte{','}); more == (i == greenwichFields-1) {
			return out.decline(BadSyntax)
		}
	}
	seconds, err := strconv.ParseUint(string(field[1]), 16, 32)
	if err != nil {
		return out.decline(BadSyntax)
	}
	var n [greenwichFields]float64
	for i := 3; i < greenwichFields; i++ {
		v := leaf{kind: devices.Text, text: field[i]}
		var ok bool
		if n[i], ok = v.numeric(); !ok || n[i] != math.Trunc(n[i]) {
			return out.decline(BadSyntax)
		}
	}
	c := out.begin(in)
	r := c.reading
	r.At = int64(seconds) * 1000
	c.lat, c.lon = coordinate{given, n[3] / 1e6}, coordinate{given, n[4] / 1e6}
	c.set(devices.FieldHeading, &r.Heading, n[5]*10)
	c.set(devices.FieldSpeed, &r.Speed, n[6]*mpsPerKMH)
	c.set(devices.FieldAltitude, &r.Altitude, n[7]*10)
	c.metricNumber("dist", n[8])
	c.metricNumber("trip", n[9]*1000)
	out.end(in)
	return true
}

package bridge

import (
	"math"

	"github.com/fleetcast/fleetcast/devices"
)

const (
	metersPerDegree = 111_195 // of latitude, on the sphere of 6,371 km
	// What a jump is given besides the way that the top speed allows, so that neither clocks of whole seconds nor the
	// noise of a fix look like one.
	jumpSlack      = 100   // m
	jumpAccuracy   = 5_000 // m: the most of a stated accuracy
	jumpSeconds    = 1
	untimedSeconds = 60 // where the device says no time: messages that it held back arrive together
	// standingSpeed and above a device says itself that it moves.
	standingSpeed = 1.5 // m/s
	// maxSuspectFixes is above any setting.
	maxSuspectFixes = 1000
)

// suspect is the last fix of a device that jumped and is not believed yet.
type suspect struct {
	lat, lon float64
	at       int64 // its effective time
	since    int64 // when the first of them was received
	fixes    int   // in a row that agree with each other
}

// judgeFix drops a position that cannot be true of this device and fleet, or holds it where the device stands. The rest of the
// reading is telemetry and stays.
func (h *hygiene) judgeFix(d *device, r *devices.Reading, c *cleaned, received int64, n *counters) {
	if !c.Has.Has(devices.FieldPosition) {
		return
	}
	if h.MaxAccuracy > 0 && c.Has.Has(devices.FieldAccuracy) && c.Accuracy > h.MaxAccuracy {
		dropFix(&c.Measures, reasonInaccurate, n)
		return
	}
	if h.BBox != nil && !inside(h.BBox, c.Lat, c.Lon) {
		why := reasonOutsideArea
		if inside(h.BBox, c.Lon, c.Lat) {
			why = reasonAxesSwapped
		}
		dropFix(&c.Measures, why, n)
		return
	}
	if !d.asset.Has.Has(devices.FieldPosition) || c.at < d.times[0] {
		return // nothing to compare with, or a late fix, which does not move the device
	}
	if h.jumps && h.isJump(d, c, received, n) {
		dropFix(&c.Measures, reasonJump, n)
		return
	}
	if h.MinDistance > 0 && !(c.Has.Has(devices.FieldSpeed) && c.Speed >= standingSpeed) &&
		distance(d.asset.Lat, d.asset.Lon, c.Lat, c.Lon) < h.MinDistance {
		// Its time moves on, so that nobody takes a parked truck for a silent one.
		c.Lat, c.Lon, c.held = d.asset.Lat, d.asset.Lon, true
		n.add(reasonStanding)
	}
}

// isJump tells whether a fix is further from the one held than the device can have come since, and remembers it.
func (h *hygiene) isJump(d *device, c *cleaned, received int64, n *counters) bool {
	held := suspect{lat: d.asset.Lat, lon: d.asset.Lon, at: d.times[0]}
	accuracy := 0.0
	if d.asset.Has.Has(devices.FieldAccuracy) {
		accuracy = min(d.asset.Accuracy, jumpAccuracy)
	}
	if h.canReach(&held, c, accuracy) {
		d.suspect = nil
		return false
	}
	s := suspect{lat: c.Lat, lon: c.Lon, at: c.at, since: received, fixes: 1}
	if before := d.suspect; before != nil {
		s.since = before.since
		if c.at >= before.at && h.canReach(before, c, 0) {
			s.fixes = before.fixes + 1
		}
	}
	if s.fixes >= h.JumpFixes || received-s.since >= int64(h.JumpSeconds)*1000 {
		d.suspect = nil
		n.add(reasonMoved)
		return false
	}
	d.suspect = &s
	return true
}

func (h *hygiene) canReach(from *suspect, c *cleaned, accuracy float64) bool {
	seconds := float64(c.at-from.at)/1000 + jumpSeconds
	if !c.timed {
		seconds += untimedSeconds
	}
	if c.Has.Has(devices.FieldAccuracy) {
		accuracy += min(c.Accuracy, jumpAccuracy)
	}
	limit := h.MaxSpeed*seconds + jumpSlack + accuracy
	// Almost every fix is near: bounding the distance from above costs no trigonometry.
	north := math.Abs(c.Lat-from.lat) * metersPerDegree
	east := math.Abs(c.Lon-from.lon) * metersPerDegree
	return north+east <= limit || distance(from.lat, from.lon, c.Lat, c.Lon) <= limit
}

// distance is that of two places on a sphere, m. It is good to half a percent.
func distance(lat1, lon1, lat2, lon2 float64) float64 {
	const radians = math.Pi / 180
	sinLat := math.Sin((lat2 - lat1) * radians / 2)
	sinLon := math.Sin((lon2 - lon1) * radians / 2)
	a := sinLat*sinLat + math.Cos(lat1*radians)*math.Cos(lat2*radians)*sinLon*sinLon
	return 2 * metersPerDegree / radians * math.Asin(math.Sqrt(min(a, 1)))
}

// inside tells whether a place is in a box of west, south, east, north; west above east crosses the antimeridian.
func inside(box *[4]float64, lat, lon float64) bool {
	west, south, east, north := box[0], box[1], box[2], box[3]
	if lat < south || lat > north {
		return false
	}
	if west <= east {
		return lon >= west && lon <= east
	}
	return lon >= west || lon <= east
}

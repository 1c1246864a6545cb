package bridge

import (
	"math"

	"github.com/fleetcast/fleetcast/devices"
)

// The bounds of what is believed of any fleet. They are wide: they catch sentinels, wrong units and broken sensors, and
// nothing that moves. What is outside is dropped, member by member; the rest of the reading is kept.
const (
	maxLat      = 90
	maxLon      = 180
	minAltitude = -12_000   // m: below the deepest trench
	maxAltitude = 100_000   // m: where space begins
	maxSpeed    = 1_000     // m/s: three times the speed of sound
	maxAccuracy = 1_000_000 // m: a position known to a thousand kilometres is none
	maxBattery  = 100
	fullCircle  = 360
	// nearlyFull and above a heading is shown as 360 by a frame's two decimals; it is 0.
	nearlyFull = fullCircle - 0.005
)

// Settings are what people set for their fleets. Its methods may be called concurrently and must not wait: they are
// asked on the hot path.
type Settings interface {
	// Hygiene returns the valid settings of a fleet, which nobody changes any more, or nil: the defaults.
	Hygiene(fleet devices.FleetID) *devices.HygieneSettings
	// Revision is another number whenever Hygiene may return something else.
	Revision() uint64
}

// hygiene is the settings of a fleet, ready for use. It is shared and never changed.
type hygiene struct {
	devices.HygieneSettings
	revision uint64
	ages     ages
	// Of rules that Off may name; true where they hold.
	duplicates, nullIsland, weekRollover, zones, jumps, retained bool
}

func newHygiene(s *devices.HygieneSettings, revision uint64) *hygiene {
	if s == nil {
		defaults := devices.DefaultHygiene()
		s = &defaults
	}
	return &hygiene{
		HygieneSettings: *s, revision: revision,
		duplicates: !s.IsOff("duplicate"), nullIsland: !s.IsOff("null_island"), weekRollover: !s.IsOff("week_rollover"),
		zones: !s.IsOff("zone"), jumps: !s.IsOff("jump") && s.MaxSpeed > 0, retained: !s.IsOff("retained"),
	}
}

// cleaned is a reading after hygiene. Its metrics are checked one by one where they are merged, since the reading is
// shared and must not be changed.
type cleaned struct {
	devices.Measures
	// at is the effective time, by which fields are ordered: min(claimed, received). It is 0 where a reading was kept by
	// a broker and says no time: then it only fills in what nothing is known of.
	at int64
	// claimed is the device's own time where it is believable, else the effective time. With the content it tells a
	// reading from its duplicates; the effective time would not where a clock runs ahead, since that is then the time
	// of each delivery.
	claimed int64
	// timed says that at comes from the device.
	timed bool
	// held says that the position is the one held before: the device stands.
	held bool
	// old says that the reading is above the fleet's age.
	old bool
}

// clean drops from a reading what cannot be true by itself and settles its time. received is the inlet's time, unix ms.
func (h *hygiene) clean(r *devices.Reading, received int64, c *counters) cleaned {
	out := cleaned{Measures: r.Measures}
	h.settleTime(r, received, &out, c)
	m := &out.Measures
	if m.Has.Has(devices.FieldPosition) {
		switch {
		case !within(m.Lat, -maxLat, maxLat) || !within(m.Lon, -maxLon, maxLon):
			dropFix(m, reasonOutOfRange, c)
		case m.Lat == 0 && m.Lon == 0 && h.nullIsland && !(m.Has.Has(devices.FieldSatellites) && r.Satellites > 0):
			// Trackers without a fix send 0/0, a place in the Gulf of Guinea.
			dropFix(m, reasonNullIsland, c)
		}
	}
	if within(m.Heading, nearlyFull, fullCircle) {
		m.Heading = 0
	}
	bound(m, devices.FieldAltitude, m.Altitude, minAltitude, maxAltitude, c)
	bound(m, devices.FieldSpeed, m.Speed, 0, maxSpeed, c)
	bound(m, devices.FieldHeading, m.Heading, 0, fullCircle, c)
	bound(m, devices.FieldAccuracy, m.Accuracy, 0, maxAccuracy, c)
	bound(m, devices.FieldBattery, m.Battery, 0, maxBattery, c)
	m.Has &= mergedFields
	return out
}

func within(v, low, high float64) bool { return v >= low && v <= high } // false for NaN

func bound(m *devices.Measures, f devices.Fields, v, low, high float64, c *counters) {
	if m.Has.Has(f) && !within(v, low, high) {
		drop(m, f, reasonOutOfRange, c)
	}
}

// dropFix drops a position, and the accuracy, which is of nothing else.
func dropFix(m *devices.Measures, r reason, c *counters) {
	drop(m, devices.FieldPosition, r, c)
	m.Has &^= devices.FieldAccuracy
}

func drop(m *devices.Measures, f devices.Fields, r reason, c *counters) {
	m.Has &^= f
	c.add(r)
}

// isSane tells whether a metric is one that a decoder may produce. It is asked again here since entries come from other
// processes, perhaps of another version.
func isSane(m *devices.Metric) bool {
	if m.Name == "" || len(m.Name) > devices.MaxMetricNameBytes {
		return false
	}
	switch m.Value.Kind {
	case devices.Null, devices.Bool:
		return true
	case devices.Number:
		return !math.IsNaN(m.Value.Num) && !math.IsInf(m.Value.Num, 0)
	case devices.Text:
		return len(m.Value.Text) <= devices.MaxMetricTextBytes
	default:
		return false
	}
}

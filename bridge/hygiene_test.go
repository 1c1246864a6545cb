package bridge

import (
	"math"
	"testing"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

const allFields = mergedFields

// plain are the defaults.
var plain = newHygiene(nil, 0)

func TestHygieneDropsWhatCannotBeTrueAndKeepsTheRest(t *testing.T) {
	good := devices.Measures{
		Has: allFields, Lat: 48.85833, Lon: 2.29513, Altitude: 167, Speed: 16.9, Heading: 271, Accuracy: 5, Battery: 67,
	}
	const theFix = devices.FieldPosition | devices.FieldAccuracy
	for _, c := range []struct {
		name    string
		change  func(m *devices.Measures)
		dropped devices.Fields
		reason  reason
	}{
		{"nothing", func(*devices.Measures) {}, 0, 0},
		{"latitude above 90", func(m *devices.Measures) { m.Lat = 90.0001 }, theFix, reasonOutOfRange},
		{"latitude below -90", func(m *devices.Measures) { m.Lat = -91 }, theFix, reasonOutOfRange},
		{"longitude above 180", func(m *devices.Measures) { m.Lon = 180.5 }, theFix, reasonOutOfRange},
		{"longitude below -180", func(m *devices.Measures) { m.Lon = -181 }, theFix, reasonOutOfRange},
		{"latitude NaN", func(m *devices.Measures) { m.Lat = math.NaN() }, theFix, reasonOutOfRange},
		{"longitude infinite", func(m *devices.Measures) { m.Lon = math.Inf(-1) }, theFix, reasonOutOfRange},
		{"the poles and the date line", func(m *devices.Measures) { m.Lat, m.Lon = -90, 180 }, 0, 0},
		{"negative speed", func(m *devices.Measures) { m.Speed = -1 }, devices.FieldSpeed, reasonOutOfRange},
		{"speed NaN", func(m *devices.Measures) { m.Speed = math.NaN() }, devices.FieldSpeed, reasonOutOfRange},
		{"speed of a meteor", func(m *devices.Measures) { m.Speed = 20_000 }, devices.FieldSpeed, reasonOutOfRange},
		{"standing still", func(m *devices.Measures) { m.Speed = 0 }, 0, 0},
		{"heading 360.5", func(m *devices.Measures) { m.Heading = 360.5 }, devices.FieldHeading, reasonOutOfRange},
		{"heading 511, a sentinel", func(m *devices.Measures) { m.Heading = 511 }, devices.FieldHeading, reasonOutOfRange},
		{"heading -1, a sentinel", func(m *devices.Measures) { m.Heading = -1 }, devices.FieldHeading, reasonOutOfRange},
		{"accuracy -1, a sentinel", func(m *devices.Measures) { m.Accuracy = -1 }, devices.FieldAccuracy, reasonOutOfRange},
		{"accuracy of a continent", func(m *devices.Measures) { m.Accuracy = 2e6 }, devices.FieldAccuracy, reasonOutOfRange},
		{"battery 101", func(m *devices.Measures) { m.Battery = 101 }, devices.FieldBattery, reasonOutOfRange},
		{"battery -1", func(m *devices.Measures) { m.Battery = -1 }, devices.FieldBattery, reasonOutOfRange},
		{"battery infinite", func(m *devices.Measures) { m.Battery = math.Inf(1) }, devices.FieldBattery, reasonOutOfRange},
		{"altitude of a satellite", func(m *devices.Measures) { m.Altitude = 2e7 }, devices.FieldAltitude, reasonOutOfRange},
		{"altitude in the mantle", func(m *devices.Measures) { m.Altitude = -20_000 }, devices.FieldAltitude, reasonOutOfRange},
		{"altitude of the Dead Sea", func(m *devices.Measures) { m.Altitude = -430 }, 0, 0},
		{"null island", func(m *devices.Measures) { m.Lat, m.Lon = 0, 0 }, theFix, reasonNullIsland},
		{"negative zeros", func(m *devices.Measures) { m.Lat, m.Lon = math.Copysign(0, -1), 0 }, theFix, reasonNullIsland},
		{"on the equator", func(m *devices.Measures) { m.Lat = 0 }, 0, 0},
		{"on the meridian", func(m *devices.Measures) { m.Lon = 0 }, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := devices.Reading{Measures: good}
			c.change(&r.Measures)
			var n counters
			got := plain.clean(&r, noon, &n)
			if want := allFields &^ c.dropped; got.Has != want {
				t.Errorf("kept %b, want %b", got.Has, want)
			}
			for i := reasonOutOfRange; i < reasonCount; i++ {
				want := uint64(0)
				if i == c.reason {
					want = 1
				}
				if n.get(i) != want {
					t.Errorf("%v is counted %d times, want %d", i, n.get(i), want)
				}
			}
			if r.Has != allFields {
				t.Error("the reading, which others share, was changed")
			}
		})
	}
}

func TestAFullCircleIsNorth(t *testing.T) {
	for _, c := range []struct{ in, want float64 }{{360, 0}, {359.999, 0}, {359.99, 359.99}, {0, 0}} {
		var n counters
		r := devices.Reading{Measures: devices.Measures{Has: devices.FieldHeading, Heading: c.in}}
		if got := plain.clean(&r, noon, &n); got.Heading != c.want || got.Has != devices.FieldHeading {
			t.Errorf("heading %v became %v (%b), want %v", c.in, got.Heading, got.Has, c.want)
		}
	}
}

func TestZeroZeroIsAFixWhereSatellitesSayIt(t *testing.T) {
	for satellites, want := range map[int]devices.Fields{0: 0, 1: devices.FieldPosition, 9: devices.FieldPosition, -1: 0} {
		var n counters
		r := devices.Reading{Measures: devices.Measures{Has: devices.FieldPosition | devices.FieldSatellites}, Satellites: satellites}
		if got := plain.clean(&r, noon, &n); got.Has != want {
			t.Errorf("0/0 with %d satellites keeps %b, want %b", satellites, got.Has, want)
		}
	}
}

func TestDeviceTimeIsSettled(t *testing.T) {
	ms := func(y int, m time.Month, d int) int64 { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).UnixMilli() }
	for _, c := range []struct {
		name          string
		at, effective int64
		claimed       int64
		absurd        bool
	}{
		{"none", 0, noon, noon, false},
		{"exact", noon, noon, noon, false},
		{"a second ago", noon - second, noon - second, noon - second, false},
		{"buffered for a year", noon - 365*day, noon - 365*day, noon - 365*day, false},
		{"first believable", ms(2015, 1, 1), ms(2015, 1, 1), ms(2015, 1, 1), false},
		{"an hour ahead", noon + hour, noon, noon + hour, false},
		{"a day ahead", noon + day, noon, noon + day, false},
		{"more than a day ahead", noon + day + 1, noon, noon, true},
		{"before 2015", ms(2015, 1, 1) - 1, noon, noon, true},
		{"1970", 1, noon, noon, true},
		{"before 1970", -5, noon, noon, true},
		{"GPS epoch", ms(1980, 1, 6), noon, noon, true},
		{"2004", ms(2004, 1, 1), noon, noon, true},
		{"GPS week rolled over", noon - 1024*7*day, noon, noon - 1024*7*day, false},
		{"2036", ms(2036, 2, 7), noon, noon, true},
		{"2038", ms(2038, 1, 19), noon, noon, true},
		{"seconds taken for milliseconds", noon / 1000, noon, noon, true},
		{"the end of time", math.MaxInt64, noon, noon, true},
		{"the beginning", math.MinInt64, noon, noon, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var n counters
			got := plain.clean(&devices.Reading{At: c.at}, noon, &n)
			if got.at != c.effective || got.claimed != c.claimed {
				t.Errorf("effective %d claimed %d, want %d and %d", got.at, got.claimed, c.effective, c.claimed)
			}
			if absurd := n.get(reasonClock) == 1; absurd != c.absurd {
				t.Errorf("counted as clock: %v, want %v", absurd, c.absurd)
			}
		})
	}
}

func TestMetricsThatNoDecoderMakesAreDropped(t *testing.T) {
	r := newRig(t)
	long := make([]byte, devices.MaxMetricTextBytes+1)
	for i := range long {
		long[i] = 'x'
	}
	r.read(devices.Reading{Metrics: []devices.Metric{
		{Name: "nan", Value: devices.NumberValue(math.NaN())},
		{Name: "inf", Value: devices.NumberValue(math.Inf(1))},
		{Name: "", Value: devices.NumberValue(1)},
		{Name: string(long[:devices.MaxMetricNameBytes+1]), Value: devices.NumberValue(1)},
		{Name: "long", Value: devices.TextValue(string(long))},
		{Name: "kind", Value: devices.Value{Kind: 9}},
		{Name: "good", Value: devices.NumberValue(4)},
	}})
	want := `{"id":"truck-17","fleet":"north","status":"online","at":1780315200000,"received":1780315200000,"metrics":{"good":4}}`
	if got := r.frame(); got != want {
		t.Errorf("frame %s, want %s", got, want)
	}
	r.wantCounts(t, map[reason]uint64{reasonBadMetric: 6})
}

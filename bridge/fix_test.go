package bridge

import (
	"math"
	"strings"
	"testing"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// drive gives the rig a fix of its own time, seconds after noon.
func (r *rig) drive(seconds int64, lat, lon float64) {
	r.time = noon + seconds*second
	r.read(devices.Reading{At: r.time, Measures: at(lat, lon)})
}

func (r *rig) wantPlace(t *testing.T, lat, lon float64) {
	t.Helper()
	if d := r.truck(); d == nil || d.asset.Lat != lat || d.asset.Lon != lon {
		t.Errorf("the truck is at %+v, want %v/%v", d, lat, lon)
	}
}

func TestAnImpossibleJumpKeepsThePlaceAndTheTelemetry(t *testing.T) {
	r := newRigOf(t, strict())
	r.drive(0, 60.17, 24.94)
	r.time = noon + 10*second
	m := at(59.33, 18.06) // Stockholm, ten seconds after Helsinki
	m.Has, m.Battery = m.Has|devices.FieldBattery, 66
	r.read(devices.Reading{At: r.time, Measures: m})
	r.wantPlace(t, 60.17, 24.94)
	if d := r.truck(); d.asset.Battery != 66 || d.times[0] != noon {
		t.Errorf("battery %v, time of the place %d", d.asset.Battery, d.times[0])
	}
	r.drive(20, 60.171, 24.941)
	r.wantPlace(t, 60.171, 24.941)
	if r.truck().suspect != nil {
		t.Error("a good fix leaves the suspicion")
	}
	r.wantCounts(t, map[reason]uint64{reasonJump: 1})
}

func TestAJumpIsOnlyCountedUnlessAFleetAsksForMore(t *testing.T) {
	r := newRigOf(t, nil)
	r.drive(0, 60.17, 24.94)
	r.drive(10, 59.33, 18.06)
	r.wantPlace(t, 59.33, 18.06)
	r.wantCounts(t, map[reason]uint64{reasonMoved: 1})
}

func TestADeviceThatReallyMovedIsNotFrozen(t *testing.T) {
	for _, c := range []struct {
		name string
		move func(r *rig)
		want map[reason]uint64
	}{
		{"fixes that agree", func(r *rig) {
			r.drive(10, 59.33, 18.06)
			r.drive(20, 59.331, 18.061)
			r.drive(30, 59.332, 18.062)
		}, map[reason]uint64{reasonJump: 2, reasonMoved: 1}},
		{"time enough for the way", func(r *rig) { r.drive(3600, 59.332, 18.062) }, nil},
		{"ten minutes of fixes that agree with nothing", func(r *rig) {
			for i := range int64(60) {
				r.drive(10+i*10, float64(i%9)*10, float64(i%7)*20)
			}
			r.drive(620, 59.332, 18.062)
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRigOf(t, strict())
			r.drive(0, 60.17, 24.94)
			c.move(r)
			r.wantPlace(t, 59.332, 18.062)
			if c.want != nil {
				r.wantCounts(t, c.want)
			}
			if r.counters.get(reasonMoved) > 1 {
				t.Errorf("%d jumps were believed", r.counters.get(reasonMoved))
			}
		})
	}
}

func TestWhatIsNoJump(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(r *rig)
	}{
		{"an airliner", func(r *rig) { r.drive(0, 60, 20); r.drive(60, 60, 20.3); r.drive(120, 60, 20.6) }},
		{"clocks of whole seconds", func(r *rig) { r.drive(0, 60, 20); r.drive(0, 60.003, 20) }},
		{"across the antimeridian", func(r *rig) { r.drive(0, 0, 179.9999); r.drive(1, 0, -179.9999) }},
		{"a late fix of anywhere", func(r *rig) {
			r.drive(3600, 60, 20)
			r.read(devices.Reading{At: noon, Measures: at(59, 18)})
		}},
		{"a minute of messages without a time that were held back", func(r *rig) {
			for i := range 60 {
				r.read(devices.Reading{Measures: at(60+float64(i)*0.01, 20)})
			}
		}},
		{"a wide fix of a mobile network", func(r *rig) {
			r.drive(0, 60, 20)
			m := at(60.04, 20)
			m.Has, m.Accuracy = m.Has|devices.FieldAccuracy, 5_000
			r.read(devices.Reading{At: r.time + second, Measures: m})
		}},
		{"after the place was cleared", func(r *rig) {
			r.drive(0, 60, 20)
			r.read(devices.Reading{At: r.time, Cleared: devices.FieldPosition})
			r.drive(1, -60, 20)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRigOf(t, strict())
			c.before(r)
			if n := r.counters.get(reasonJump); n > 0 {
				t.Errorf("%d jumps", n)
			}
		})
	}
}

func TestOneOwnerGoesOnWithTheSuspicionOfAnother(t *testing.T) {
	s := newStore()
	r := newRigOf(t, strict())
	r.drive(0, 60.17, 24.94)
	for i := range int64(3) {
		r.drive(10+i, 59.33, 18.06)
		s.flush(r)
		next := newRigOf(t, strict())
		next.load(func(yield func(rec bus.Record) bool) {
			for _, rec := range s.records {
				yield(rec)
			}
		})
		next.id, next.applied = r.id, r.applied
		r = next
	}
	r.wantPlace(t, 59.33, 18.06)
}

func TestTheOptionsOfAFleetThatAreOffByDefault(t *testing.T) {
	box := [4]float64{24, 59, 32, 71} // Finland, more or less
	wide := devices.Measures{Has: devices.FieldPosition | devices.FieldAccuracy, Lat: 60.18, Lon: 24.95, Accuracy: 51}
	for _, c := range []struct {
		name string
		set  func(h *devices.HygieneSettings)
		fix  devices.Measures
		want reason
	}{
		{"accuracy", func(h *devices.HygieneSettings) { h.MaxAccuracy = 50 }, wide, reasonInaccurate},
		{"area", func(h *devices.HygieneSettings) { h.BBox = &box }, at(58, 25), reasonOutsideArea},
		{"exchanged axes", func(h *devices.HygieneSettings) { h.BBox = &box }, at(24.95, 60.18), reasonAxesSwapped},
		{"standing", func(h *devices.HygieneSettings) { h.MinDistance = 25 }, at(60.1701, 24.9401), reasonStanding},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := devices.DefaultHygiene()
			c.set(&h)
			h.Off = []string{"jump"}
			r := newRigOf(t, &h)
			r.drive(0, 60.17, 24.94)
			r.time += second
			r.read(devices.Reading{At: r.time, Measures: c.fix, Metrics: numbers("fuel", 4)})
			r.wantPlace(t, 60.17, 24.94)
			r.wantCounts(t, map[reason]uint64{c.want: 1})
			if !strings.Contains(r.frame(), `"metrics":{"fuel":4}`) {
				t.Errorf("the telemetry is lost: %s", r.frame())
			}
			off := newRig(t)
			off.drive(0, 60.17, 24.94)
			off.read(devices.Reading{At: off.time + second, Measures: c.fix})
			off.wantPlace(t, c.fix.Lat, c.fix.Lon)
		})
	}
}

func TestADeviceThatStandsIsHeldUntilItMovesOrSaysSo(t *testing.T) {
	h := devices.DefaultHygiene()
	h.MinDistance = 25
	r := newRigOf(t, &h)
	r.drive(0, 60.17, 24.94)
	for i := range int64(20) {
		r.drive(10+i, 60.17+float64(i%3)*0.00005, 24.94)
	}
	r.wantPlace(t, 60.17, 24.94)
	if got := r.truck().times[0]; got != noon+29*second {
		t.Errorf("the time of the place stands still at %d", got)
	}
	r.read(devices.Reading{At: r.time, Measures: devices.Measures{
		Has: devices.FieldPosition | devices.FieldSpeed, Lat: 60.17001, Lon: 24.94, Speed: 2,
	}})
	r.wantPlace(t, 60.17001, 24.94)
	r.drive(60, 60.171, 24.94)
	r.wantPlace(t, 60.171, 24.94)
}

func TestDistancesAreThoseOfTheSphere(t *testing.T) {
	for _, c := range []struct{ lat1, lon1, lat2, lon2, km float64 }{
		{60.17, 24.94, 59.33, 18.06, 396},
		{0, 179.5, 0, -179.5, 111},
		{90, 0, -90, 0, 20_015},
		{1, 1, 1, 1, 0},
	} {
		got := distance(c.lat1, c.lon1, c.lat2, c.lon2) / 1000
		if math.Abs(got-c.km) > c.km/200+0.001 {
			t.Errorf("%v/%v to %v/%v is %.1f km, want %v", c.lat1, c.lon1, c.lat2, c.lon2, got, c.km)
		}
	}
}

package routes

import (
	"math"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestASeedIsAWorldForEver(t *testing.T) {
	a, b, other := New(7), New(7), New(8)
	same := 0
	for i := range 300 {
		va, vb, vo := a.Vehicle(i), b.Vehicle(i), other.Vehicle(i)
		ma := va.At(start)
		if ma != vb.At(start) {
			t.Fatalf("vehicle %d differs between two worlds of one seed", i)
		}
		if ma == vo.At(start) {
			same++
		}
	}
	if same > 0 {
		t.Errorf("%d of 300 vehicles are the same in the world of another seed", same)
	}
}

func TestSpeedHeadingAndDisplacementAgree(t *testing.T) {
	a := New(1)
	const step = 100 * time.Millisecond
	for i := range 120 {
		v := a.Vehicle(i)
		before := v.At(start)
		for n := 1; n <= 6000; n++ {
			now := v.At(start.Add(time.Duration(n) * step))
			checkStep(t, i, before, now, step.Seconds())
			before = now
		}
		if t.Failed() {
			return
		}
	}
}

// reporter is a test, or a property.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

func checkStep(t reporter, index int, before, now Motion, seconds float64) {
	t.Helper()
	moved := distance(point{before.Lat, before.Lon}, point{now.Lat, now.Lon})
	// A corner within the step cuts the way short; a straight line is as long as the mean of both speeds says.
	want := (before.Speed + now.Speed) / 2 * seconds
	straight := before.Heading == now.Heading
	if moved > want+0.05 || (straight && moved < want-0.05) {
		t.Errorf("vehicle %d moved %.3f m at %.2f to %.2f m/s", index, moved, before.Speed, now.Speed)
	}
	if change := math.Abs(now.Speed-before.Speed) / seconds; change > 2.5 {
		t.Errorf("vehicle %d changes its speed by %.2f m/s²", index, change)
	}
	if straight && moved > 0.5 {
		if off := turn(bearing(point{before.Lat, before.Lon}, point{now.Lat, now.Lon}), now.Heading); off > 1 {
			t.Errorf("vehicle %d goes %.1f degrees off its heading", index, off)
		}
	}
	if angle := turn(before.Heading, now.Heading); angle > 80 && before.Speed > 8 && now.Speed > 8 {
		t.Errorf("vehicle %d turns by %.0f degrees at %.1f m/s", index, angle, now.Speed)
	}
	if now.Speed < 0 || now.Speed > 30 || now.Heading < 0 || now.Heading >= 360 {
		t.Errorf("vehicle %d: %+v", index, now)
	}
	if now.Odometer < before.Odometer-0.01 {
		t.Errorf("vehicle %d: the odometer went back from %f to %f", index, before.Odometer, now.Odometer)
	}
}

// The same for any vehicle of some worlds, at any moment, over any short time.
func TestSpeedHeadingAndDisplacementAgreeAnywhere(t *testing.T) {
	var worlds []*Atlas
	for seed := range uint64(3) {
		a, err := NewWorld(Options{Seed: seed, Ships: 0.2})
		if err != nil {
			t.Fatal(err)
		}
		worlds = append(worlds, a)
	}
	rapid.Check(t, func(t *rapid.T) {
		index := rapid.IntRange(0, 1_000_000).Draw(t, "vehicle")
		at := start.Add(time.Duration(rapid.Int64Range(-1e17, 1e17).Draw(t, "since the start")))
		step := time.Duration(rapid.Int64Range(1e6, 1e8).Draw(t, "step"))
		v := worlds[rapid.IntRange(0, 2).Draw(t, "world")].Vehicle(index)
		before, now := v.At(at), v.At(at.Add(step))
		if now.Odometer < before.Odometer-1000 {
			t.Errorf("vehicle %d: the odometer went back", index)
		}
		checkStep(t, index, before, now, step.Seconds())
	})
}

func TestVehiclesStopAndGoOn(t *testing.T) {
	a := New(1)
	stopped, drove := 0, 0
	for i := range 100 {
		v := a.Vehicle(i)
		if v.Parked() {
			continue
		}
		var stands, moves bool
		for m := range 40 * 60 {
			speed := v.At(start.Add(time.Duration(m) * 15 * time.Second)).Speed
			stands = stands || speed == 0
			moves = moves || speed > 8
		}
		if stands {
			stopped++
		}
		if moves {
			drove++
		}
	}
	if stopped < 80 || drove < 80 {
		t.Errorf("of 100 vehicles %d stop and %d drive within ten hours", stopped, drove)
	}
}

func TestATourIsClosed(t *testing.T) {
	a := New(3)
	for _, s := range a.land.slots {
		for _, p := range s.plans {
			end, begin := p.at(math.Nextafter(p.period, 0)), p.at(0)
			if d := distance(point{end.Lat, end.Lon}, point{begin.Lat, begin.Lon}); d > 0.5 || end.Speed > 0.5 || begin.Speed != 0 {
				t.Errorf("%s ends %.1f m from its start at %.1f m/s", s.place.name, d, end.Speed)
			}
			if math.Abs(end.Odometer-p.length) > 0.5 {
				t.Errorf("%s is %.0f m long and ends at %.0f", s.place.name, p.length, end.Odometer)
			}
		}
	}
}

func TestParkedVehiclesStand(t *testing.T) {
	a, parked := New(1), 0
	for i := range 1200 {
		v := a.Vehicle(i)
		if !v.Parked() {
			continue
		}
		parked++
		if m := v.At(start); m != v.At(start.Add(time.Hour)) || m.Speed != 0 {
			t.Errorf("parked vehicle %d moves", i)
		}
	}
	if parked < 60 || parked > 160 {
		t.Errorf("%d of 1200 vehicles are parked", parked)
	}
}

// The first picture that anybody sees of the product is a map with 200 of these.
func TestTwoHundredVehiclesAreSpreadOverTheMap(t *testing.T) {
	a := New(1)
	places, europe, kinds := map[string]int{}, 0, map[Kind]int{}
	for i := range 200 {
		v := a.Vehicle(i)
		m := v.At(start)
		places[v.Place()]++
		kinds[v.Kind()]++
		if m.Lat > 35 && m.Lat < 62 && m.Lon > -11 && m.Lon < 30 {
			europe++
		}
	}
	if len(places) < 38 || europe < 120 || europe > 175 || len(kinds) != 4 {
		t.Errorf("%d places, %d vehicles in Europe, kinds %v", len(places), europe, kinds)
	}
	for name, n := range places {
		if n > 20 {
			t.Errorf("%d of 200 vehicles are in %s", n, name)
		}
	}
}

func TestGaugesStayOnTheirScales(t *testing.T) {
	a := New(1)
	low := 100.0
	for i := range 200 {
		v := a.Vehicle(i)
		for h := range 200 {
			at := start.Add(time.Duration(h) * time.Hour)
			e := v.Energy(at, v.At(at).Odometer)
			if e.Fuel < tankLow || e.Fuel > 100 || e.Battery < 10 || e.Battery > 100 {
				t.Fatalf("vehicle %d shows %+v", i, e)
			}
			low = min(low, e.Fuel)
		}
	}
	if low > 20 {
		t.Errorf("nobody's fuel went below %.0f %% in 200 hours", low)
	}
}

func TestTheWorldExistedBefore1970(t *testing.T) {
	v := New(1).Vehicle(0)
	for i := range 1000 {
		m := v.At(time.Unix(-int64(i)*1000, 0))
		if math.IsNaN(m.Lat) || m.Speed < 0 {
			t.Fatalf("%+v", m)
		}
	}
}

func TestAskingAVehicleAllocatesNothing(t *testing.T) {
	v := New(1).Vehicle(0)
	if n := testing.AllocsPerRun(100, func() { v.Energy(start, v.At(start).Odometer) }); n != 0 {
		t.Errorf("At and Energy allocate %v times", n)
	}
}

func BenchmarkAt(b *testing.B) {
	v := New(1).Vehicle(0)
	for b.Loop() {
		v.At(start)
	}
}

package tracker

import (
	"math"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fleetcast/fleetcast/simulator/routes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * 1e9)) }

func TestThePerfectReceiverSaysWhatTheWorldSays(t *testing.T) {
	v := routes.New(1).Vehicle(0)
	tr := New(v, 0, &Options{})
	for n := range 100 {
		f, m := tr.Look(at(float64(n))), v.At(at(float64(n)))
		if len(f) != 1 || f[0].Lat != m.Lat || f[0].Lon != m.Lon || f[0].Speed != m.Speed || f[0].Seq != uint64(n) || !f[0].Valid {
			t.Fatalf("%+v for %+v", f, m)
		}
	}
}

// The process is held to what defines it: its mean, its deviation, and a correlation that falls by 1/e in its memory.
func TestTheErrorIsAGaussMarkovProcess(t *testing.T) {
	const n, memory = 40_000, 60 * time.Second
	var x [n]float64
	for i := range x {
		x[i] = wander(7, 1, start.Add(time.Duration(i)*memory/4), memory)
	}
	correlation := func(lag int) (sum float64) {
		for i := range n - lag {
			sum += x[i] * x[i+lag]
		}
		return sum / float64(n-lag)
	}
	mean := 0.0
	for _, v := range x {
		mean += v / n
	}
	if variance := correlation(0); math.Abs(mean) > 0.1 || math.Abs(variance-1) > 0.1 {
		t.Errorf("mean %.3f, variance %.3f", mean, variance)
	}
	for quarters, want := range map[int]float64{4: math.Exp(-1), 8: math.Exp(-2), 1: math.Exp(-0.25), 40: 0} {
		if got := correlation(quarters) / correlation(0); math.Abs(got-want) > 0.06 {
			t.Errorf("the correlation after %d quarters of the memory is %.3f, not %.3f", quarters, got, want)
		}
	}
}

// Speed and heading say where the vehicle is a second later, within what the error moves in a second.
func TestReportedSpeedHeadingAndDisplacementAgree(t *testing.T) {
	const noise = 4.0
	world, err := routes.NewWorld(routes.Options{Seed: 2, Ships: 0.2, Parked: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	off, sum, looks := 0, 0.0, 0
	for i := range 60 {
		tr := New(world.Vehicle(i), i, &Options{Noise: noise})
		before := tr.Look(at(0))[0]
		for n := 1; n <= 600; n++ {
			now := tr.Look(at(float64(n)))[0]
			speed := (before.Speed + now.Speed) / 2
			east := speed * math.Sin(before.Heading*math.Pi/180)
			north := speed * math.Cos(before.Heading*math.Pi/180)
			movedNorth := metresPerDegree * (now.Lat - before.Lat)
			movedEast := metresPerDegree * math.Remainder(now.Lon-before.Lon, 360) * math.Cos(now.Lat*math.Pi/180)
			if turned(before.Heading, now.Heading) == 0 {
				d := math.Hypot(movedEast-east, movedNorth-north)
				sum += d
				looks++
				if d > noise {
					off++
				}
			}
			before = now
		}
	}
	if mean := sum / float64(looks); off > 0 || mean > 1 || mean < 0.02 || looks < 20_000 {
		t.Errorf("of %d looks %d are off; the mean is %.2f m", looks, off, mean)
	}
}

func TestReportsByTimeDistanceAndHeading(t *testing.T) {
	world, o := routes.New(1), &Options{Policy: Policy{Every: 60 * time.Second, Parked: 300 * time.Second, Distance: 200, Heading: 25}}
	for i := range 40 {
		tr := New(world.Vehicle(i), i, o)
		last := tr.Look(at(0))[0]
		reports := 1
		for n := 1; n <= 3600; n++ {
			fixes := tr.Look(at(float64(n)))
			if len(fixes) == 0 {
				continue
			}
			f := fixes[0]
			age, moved := f.At.Sub(last.At), metresBetween(&last, &f)
			if age < 60*time.Second && moved < 200 && turned(f.Heading, last.Heading) < 25 {
				t.Fatalf("vehicle %d reports after %v and %.0f m without a turn", i, age, moved)
			}
			if age > 301*time.Second || moved > 200+40 {
				t.Fatalf("vehicle %d is silent for %v and %.0f m", i, age, moved)
			}
			last = f
			reports++
		}
		if tr.Vehicle().Parked() && reports > 13 {
			t.Errorf("parked vehicle %d reports %d times an hour", i, reports)
		}
	}
}

func TestATunnelEndsWithABurst(t *testing.T) {
	world, o := routes.New(1), &Options{Tunnels: true, Policy: Policy{Every: 5 * time.Second}}
	bursts := 0
	for i := range 150 {
		v := world.Vehicle(i)
		tr := New(v, i, o)
		next := uint64(0)
		for n := range 1800 {
			fixes := tr.Look(at(float64(n)))
			if len(fixes) > 0 && v.At(at(float64(n))).Covered {
				t.Fatalf("vehicle %d reports from a tunnel", i)
			}
			for j, f := range fixes {
				if f.Seq != next {
					t.Fatalf("vehicle %d: %d comes where %d was next", i, f.Seq, next)
				}
				next++
				if f.Buffered != (j < len(fixes)-1) || (j > 0 && !f.At.After(fixes[j-1].At)) {
					t.Fatalf("fix %d of %d: %+v", j, len(fixes), f)
				}
			}
			if len(fixes) > 2 {
				bursts++
			}
		}
	}
	if bursts < 10 {
		t.Errorf("%d bursts within half an hour of 150 vehicles", bursts)
	}
}

func TestTheBufferIsBounded(t *testing.T) {
	tr := New(routes.New(1).Vehicle(0), 0, &Options{})
	for n := range MaxHeld + 7 {
		tr.hold(Fix{Seq: uint64(n)})
	}
	if len(tr.held) != MaxHeld || tr.held[0].Seq != 7 || tr.Dropped() != 7 {
		t.Errorf("%d held from %d, %d dropped", len(tr.held), tr.held[0].Seq, tr.Dropped())
	}
}

func TestAColdStartHasNoPlace(t *testing.T) {
	world, o := routes.New(1), &Options{ColdStart: 10 * time.Second, Policy: Policy{Every: 5 * time.Second}}
	for i := range 20 {
		tr := New(world.Vehicle(i), i, o)
		if f := tr.Look(at(0)); len(f) != 1 || f[0].Valid || f[0].Lat != 0 || f[0].Lon != 0 || f[0].Satellites != 0 {
			t.Fatalf("%+v", f)
		}
		for n := 1; n <= 40; n++ {
			for _, f := range tr.Look(at(float64(n))) {
				if f.Valid != (f.Lat != 0) || (n < 10 && f.Valid) || (n > 31 && !f.Valid) {
					t.Fatalf("after %d s: %+v", n, f)
				}
			}
		}
	}
}

func TestALookAllocatesNothing(t *testing.T) {
	tr := New(routes.New(1).Vehicle(0), 0, &Options{Noise: 4})
	n := 0.0
	if got := testing.AllocsPerRun(100, func() { n++; tr.Look(at(n)) }); got != 0 {
		t.Errorf("it allocates %v times", got)
	}
}

func BenchmarkLook(b *testing.B) {
	for name, o := range map[string]*Options{"perfect": {}, "noise": {Noise: 4}} {
		b.Run(name, func(b *testing.B) {
			tr := New(routes.New(1).Vehicle(0), 0, o)
			n := 0.0
			for b.Loop() {
				n++
				tr.Look(at(n))
			}
		})
	}
}

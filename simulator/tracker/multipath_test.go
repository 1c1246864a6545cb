package tracker

import (
	"math"
	"testing"

	"github.com/fleetcast/fleetcast/simulator/routes"
)

// A receiver between buildings is beside the street for a while, all in one place, and comes and goes with a jump.
func TestReflectionsAreSteadyAndComeAndGoWithAJump(t *testing.T) {
	world, o := routes.New(1), &Options{Seed: 1, Multipath: 30, Dishonest: 0.5}
	reflected, steady, jumps, honest, silent := 0, 0, 0, 0, 0
	for i := range 60 {
		v := world.Vehicle(i)
		tr, again := New(v, i, o), New(v, i, o)
		before := 0.0
		for n := range 900 {
			m, f := v.At(at(float64(n))), tr.Look(at(float64(n)))[0]
			if second := again.Look(at(float64(n)))[0]; second != f {
				t.Fatalf("the same receiver says %+v and %+v", f, second)
			}
			truth := Fix{Lat: m.Lat, Lon: m.Lon}
			off := metresBetween(&truth, &f)
			switch {
			case off > 0.01 && (!m.Walled || m.Parked):
				t.Fatalf("vehicle %d is %.0f m off where there are no buildings", i, off)
			case off > 0.01 && (off < 10 || off > 75):
				t.Fatalf("vehicle %d is %.0f m off", i, off)
			case off > 0.01 && f.Accuracy > off/2:
				honest++
			case off > 0.01:
				silent++
			}
			if off > 0.01 {
				reflected++
			}
			switch moved := math.Abs(off - before); {
			case off > 0.01 && before > 0.01 && moved < 5:
				steady++
			case moved > 10:
				jumps++
			}
			before = off
		}
	}
	if reflected < 500 || steady < reflected*3/4 || jumps < 25 || honest < reflected/5 || silent < reflected/5 {
		t.Errorf("%d looks are reflected, %d as the one before, %d jumps; %d honest, %d not", reflected, steady, jumps, honest, silent)
	}
}

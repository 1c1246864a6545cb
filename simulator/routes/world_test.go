package routes

import (
	"math"
	"testing"
	"time"
)

func TestEveryCityIsInOnePiece(t *testing.T) {
	for i := range cities {
		g := newStreets(&cities[i], newRandom(uint64(i)))
		for _, from := range cities[i].points {
			for _, to := range cities[i].points {
				a, b := g.nearest(from, nil), g.nearest(to, nil)
				if a != b && len(g.path(a, b)) == 0 {
					t.Errorf("%s has no way from %v to %v", cities[i].name, from, to)
				}
			}
		}
		if len(g.junctions) < 40 || len(g.junctions) > 400 {
			t.Errorf("%s has %d junctions", cities[i].name, len(g.junctions))
		}
	}
}

func TestAWayIsNoShorterThanTheStraightLine(t *testing.T) {
	g := newStreets(&cities[0], newRandom(0))
	for to := range g.junctions {
		length := 0.0
		for _, e := range g.path(0, to) {
			length += e.length
		}
		if straight := distance(g.junctions[0], g.junctions[to]); length > 0 && (length < straight*0.99 || length > 6*straight+2000) {
			t.Errorf("%.0f m of streets for a line of %.0f m", length, straight)
		}
	}
}

func TestSomeVehiclesAreInTunnelsAndComeOut(t *testing.T) {
	a, inside, covered := New(1), 0, 0
	for i := range 200 {
		v := a.Vehicle(i)
		was, came := false, false
		for n := range 720 {
			m := v.At(start.Add(time.Duration(n) * 10 * time.Second))
			if m.Covered {
				covered++
			}
			came = came || (was && !m.Covered)
			was = m.Covered
		}
		if came {
			inside++
		}
	}
	if share := float64(covered) / (200 * 720); inside < 20 || share > 0.1 {
		t.Errorf("%d of 200 came out of a tunnel within two hours; %.1f %% of the time is in tunnels", inside, share*100)
	}
}

func TestShipsSailAndAgreeWithThemselves(t *testing.T) {
	a, err := NewWorld(Options{Seed: 1, Ships: 0.25})
	if err != nil {
		t.Fatal(err)
	}
	ships, sailing := 0, 0
	for i := range 400 {
		v := a.Vehicle(i)
		if v.Kind() != Ship {
			continue
		}
		ships++
		before := v.At(start)
		for n := 1; n <= 600; n++ {
			now := v.At(start.Add(time.Duration(n) * time.Second))
			checkStep(t, i, before, now, 1)
			before = now
		}
		if before.Speed > 5 {
			sailing++
		}
	}
	if ships < 70 || ships > 130 || sailing < ships/2 {
		t.Errorf("%d of 400 are ships, and %d of them sail", ships, sailing)
	}
}

func TestAWorldOfSomePlaces(t *testing.T) {
	a, err := NewWorld(Options{Places: []string{"berlin", "milano-napoli"}, Parked: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	seen, parked := map[string]int{}, 0
	for i := range 200 {
		v := a.Vehicle(i)
		seen[v.Place()]++
		if v.Parked() {
			parked++
		}
	}
	if len(seen) != 2 || math.Abs(float64(parked)-100) > 30 {
		t.Errorf("%v, %d parked", seen, parked)
	}
	if _, err := NewWorld(Options{Places: []string{"atlantis"}}); err == nil {
		t.Error("a place that is not there is accepted")
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		New(1)
	}
}

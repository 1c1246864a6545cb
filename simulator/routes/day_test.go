package routes

import (
	"testing"
	"time"
)

// A day and a night, second by second for some and in large steps for many: who drives when, and nobody jumps.
func TestVehiclesLeaveInTheMorningAndStandAtNight(t *testing.T) {
	a, err := NewWorld(Options{Seed: 1, Places: []string{"london", "berlin"}, Day: Day{On: true}})
	if err != nil {
		t.Fatal(err)
	}
	midnight := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	moving := map[int]int{}
	all := 0
	for i := range 300 {
		v := a.Vehicle(i)
		if v.Parked() {
			continue
		}
		all++
		for _, hour := range []int{3, 11} {
			if m := v.At(midnight.Add(time.Duration(hour) * time.Hour)); !m.Parked {
				moving[hour]++
			} else if m.Speed != 0 {
				t.Fatalf("vehicle %d stands with a speed: %+v", i, m)
			}
		}
	}
	if moving[3] > all/6 || moving[3] == 0 || moving[11] < all*3/4 {
		t.Errorf("of %d vehicles %d are on their way at 3, and %d at 11", all, moving[3], moving[11])
	}
}

func TestADayHasNoJumps(t *testing.T) {
	a, err := NewWorld(Options{Seed: 3, Places: []string{"berlin"}, Day: Day{On: true}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		v := a.Vehicle(i)
		before, battery, left := v.At(start), v.Energy(start, 0).Battery, 0
		for n := 1; n <= 26*3600; n++ {
			at := start.Add(time.Duration(n) * time.Second)
			now := v.At(at)
			if moved := distance(point{before.Lat, before.Lon}, point{now.Lat, now.Lon}); moved > max(before.Speed, now.Speed)*1.1+1 {
				t.Fatalf("vehicle %d jumps %.1f m after %d s: %+v, before %+v", i, moved, n, now, before)
			}
			b := v.Energy(at, now.Odometer).Battery
			if now.Odometer < before.Odometer || b < 50 || b > 100 || b-battery > 0.1 || battery-b > 0.1 {
				t.Fatalf("vehicle %d after %d s: %+v, before %+v; battery %v, before %v", i, n, now, before, b, battery)
			}
			if before.Parked && !now.Parked {
				left++
			}
			before, battery = now, b
		}
		if t.Failed() {
			return
		}
		if !v.parked && (left < 1 || left > 2) {
			t.Errorf("vehicle %d left %d times within 26 hours", i, left)
		}
	}
}

func TestAWorldBeginsAtAnyTimeOfTheDay(t *testing.T) {
	o := Options{Seed: 1, Day: Day{On: true}}
	now, err := NewWorld(o)
	if err != nil {
		t.Fatal(err)
	}
	o.Day.Ahead = 5 * time.Hour
	later, err := NewWorld(o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		a, b := now.Vehicle(i), later.Vehicle(i)
		if a.work.laps > 0 && a.At(start.Add(5*time.Hour)) != b.At(start) {
			t.Errorf("vehicle %d is elsewhere", i)
		}
	}
}

func TestADayIsReadAsItIsWritten(t *testing.T) {
	for text, want := range map[string]Day{"": {}, "now": {On: true}, "12:30": {On: true, Ahead: 30 * time.Minute}, "06:00": {On: true, Ahead: 18 * time.Hour}} {
		if got, err := ParseDay(text, start); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	if _, err := ParseDay("noon", start); err == nil {
		t.Error("noon is a time")
	}
}

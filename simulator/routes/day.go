package routes

import (
	"fmt"
	"math"
	"time"
)

// Day has vehicles work by day and stand at night. Each leaves its depot in the morning, drives whole tours, so that it
// stops where it began, and stays there until the next morning. All follows from the time, so that a run can be made again.
type Day struct {
	// On says that there are days; else vehicles drive for ever.
	On bool
	// Ahead is added to the time before it is asked what o'clock it is: with it a run begins at any time of the day.
	Ahead time.Duration
}

// ParseDay reads what o'clock it is to be at a moment: 06:30, or now; "" has no days.
func ParseDay(text string, at time.Time) (Day, error) {
	switch text {
	case "":
		return Day{}, nil
	case "now":
		return Day{On: true}, nil
	}
	clock, err := time.Parse("15:04", text)
	if err != nil {
		return Day{}, fmt.Errorf("read day %q: it is written as 06:30 or now", text)
	}
	want := time.Duration(clock.Hour())*time.Hour + time.Duration(clock.Minute())*time.Minute
	is := at.UTC().Sub(at.UTC().Truncate(day))
	return Day{On: true, Ahead: (want - is + day) % day}, nil
}

// Of a working day, as local solar time.
const (
	earliest = 6 * time.Hour
	latest   = 9 * time.Hour // to leave the depot
	shift    = 9 * time.Hour // that whole tours may take; one is always driven
	day      = 24 * time.Hour
	// nightOneIn is of how many vehicles one works at night, half a day later.
	nightOneIn = 12
)

// work is when a vehicle is on its way. It is made with the vehicle.
type work struct {
	begins time.Duration // of a day in UTC
	laps   int64         // tours of a day; 0: it has no days, and drives for ever
	takes  time.Duration // all of them
}

// working gives a vehicle its days. One whose tour takes longer than a day has none: a truck on a corridor is days away.
func (d Day) working(v *Vehicle, r *random) work {
	lap := time.Duration(v.plan.period / v.pace * 1e9)
	if !d.On || v.kind == Ship || v.parked || lap > day-time.Hour {
		return work{}
	}
	begins := earliest + time.Duration(r.float()*float64(latest-earliest))
	if r.below(nightOneIn) == 0 {
		begins += day / 2
	}
	// Solar time: an hour for fifteen degrees.
	begins -= time.Duration(v.plan.legs[0].from.lon / 15 * float64(time.Hour))
	w := work{begins: (begins%day + day) % day, laps: max(int64(shift/lap), 1)}
	w.takes = time.Duration(w.laps) * lap
	return w
}

// at is how many tours a vehicle had made when its day began, how long that is ago, and whether it is on its way.
func (w *work) at(t time.Time) (laps int64, since time.Duration, driving bool) {
	ns := t.UnixNano() - int64(w.begins)
	days := ns / int64(day)
	if ns%int64(day) < 0 {
		days--
	}
	since = time.Duration(ns - days*int64(day))
	return days * w.laps, since, since < w.takes
}

// atWork is the motion of a vehicle with days.
func (v *Vehicle) atWork(t time.Time) Motion {
	laps, since, driving := v.work.at(t.Add(v.ahead))
	if !driving {
		m := v.plan.at(0)
		m.Parked, m.Speed, m.Odometer = true, 0, float64(laps+v.work.laps)*v.plan.length
		return m
	}
	lap := v.work.takes / time.Duration(v.work.laps)
	done := int64(since / lap)
	m := v.plan.at(min(float64(since%lap)*v.pace/1e9, math.Nextafter(v.plan.period, 0)))
	m.Speed *= v.pace
	m.Odometer += float64(laps+done) * v.plan.length
	return m
}

// What a tracker takes of its battery in an hour without the vehicle's supply, and gets with it, in percent.
const (
	drains  = 1.2
	charges = 25
)

// workBattery falls by night and is full an hour after the vehicle has left.
func (v *Vehicle) workBattery(t time.Time) float64 {
	_, since, driving := v.work.at(t.Add(v.ahead))
	if !driving {
		return 100 - drains*(since-v.work.takes).Hours()
	}
	return min(100-drains*(day-v.work.takes).Hours()+charges*since.Hours(), 100)
}

package routes

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// toursPerCity is how many different tours a city has; vehicles of a tour follow each other at random distances.
const toursPerCity = 6

// defaultParked is the share of the vehicles that stand.
const defaultParked = 1.0 / 12

// Kind is what a vehicle is.
type Kind uint8

// The kinds. Long-haul routes are driven by trucks; vans, buses and cars drive in cities; ships sail.
const (
	Truck Kind = iota
	Van
	Bus
	Car
	Ship
)

// String returns the kind's name, which is fit for a part of a device id.
func (k Kind) String() string { return [...]string{"truck", "van", "bus", "car", "ship"}[k] }

// Options of a world.
type Options struct {
	Seed uint64
	// Parked and Ships are shares of all, from 0 to 1. A Parked of 0 means the usual twelfth, a negative one nobody.
	Parked, Ships float64
	// Places, where there are some, are the only cities and corridors that there are, by their names.
	Places []string
	// Lines are roads of the user's: where there are some, everybody but ships drives there and nowhere else.
	Lines []Line
	Day   Day
}

// Atlas is a world of tours. It is immutable and may be used from any goroutine.
type Atlas struct {
	seed   uint64
	parked float64
	ships  float64 // share
	day    Day
	land   weighted
	sea    weighted
}

// weighted are slots by cumulative weight.
type weighted struct {
	slots []slot
	total float64
}

// slot is a place with its tours.
type slot struct {
	upTo  float64
	place *place
	kinds []Kind
	plans []*plan
}

var cityKinds = []Kind{Van, Van, Bus, Car}

// New makes the usual world of a seed: cities and corridors, one in twelve parked, no ships. It takes some tens of
// milliseconds and some megabytes, whatever the number of vehicles.
func New(seed uint64) *Atlas {
	a, err := NewWorld(Options{Seed: seed})
	if err != nil {
		panic(err) // cannot happen: nothing is named that might not be there
	}
	return a
}

// NewWorld makes a world. It fails where a place is named that the atlas does not have, or a line is none.
func NewWorld(o Options) (*Atlas, error) {
	a := &Atlas{seed: o.Seed, parked: o.Parked, ships: o.Ships, day: o.Day}
	if o.Parked == 0 {
		a.parked = defaultParked
	}
	for _, name := range o.Places {
		if !slices.ContainsFunc(slices.Concat(cities, corridors), func(p place) bool { return p.name == name }) {
			return nil, fmt.Errorf("make world: there is no place %q", name)
		}
	}
	isWanted := func(name string) bool { return len(o.Places) == 0 || slices.Contains(o.Places, name) }
	if err := a.addLines(o.Lines); err != nil {
		return nil, err
	}
	for i := range cities {
		if len(o.Lines) > 0 || !isWanted(cities[i].name) {
			continue
		}
		r := newRandom(o.Seed, 1, uint64(i))
		streets := graphs()[i]
		var plans []*plan
		for range toursPerCity {
			plans = append(plans, newPlan(&cities[i], streets.drive(tour(cities[i].points, r), r), inCity))
		}
		a.land.add(&cities[i], plans, cityKinds)
	}
	for i := range corridors {
		if c := &corridors[i]; len(o.Lines) == 0 && isWanted(c.name) {
			way := dig(wander(thereAndBack(c.points), 3, longHaul, newRandom(o.Seed, 2, uint64(i))))
			a.land.add(c, []*plan{newPlan(c, way, longHaul)}, []Kind{Truck})
		}
	}
	for i := range lanes {
		l := &lanes[i]
		way := wander(thereAndBack(l.points), len(l.points)-1, atSea, newRandom(o.Seed, 4, uint64(i)))
		a.sea.add(l, []*plan{newPlan(l, way, atSea)}, []Kind{Ship})
	}
	return a, nil
}

func thereAndBack(points []point) []point {
	back := slices.Clone(points[1 : len(points)-1])
	slices.Reverse(back)
	return append(slices.Clone(points), back...)
}

func (w *weighted) add(p *place, plans []*plan, kinds []Kind) {
	w.total += float64(p.weight)
	w.slots = append(w.slots, slot{w.total, p, kinds, plans})
}

// at returns the slot at a share of the whole weight.
func (w *weighted) at(share float64) *slot {
	i, _ := slices.BinarySearchFunc(w.slots, share*w.total, func(s slot, want float64) int {
		if s.upTo <= want {
			return -1
		}
		return 1
	})
	return &w.slots[min(i, len(w.slots)-1)]
}

// tour chooses half or more of the points, in the order in which they lie around their centre, so that it is a loop.
func tour(points []point, r *random) []point {
	chosen := slices.Clone(points)
	for i := range chosen {
		j := i + r.below(len(chosen)-i)
		chosen[i], chosen[j] = chosen[j], chosen[i]
	}
	chosen = chosen[:len(chosen)/2+r.below(3)]
	var centre point
	for _, p := range chosen {
		centre.lat += p.lat / float64(len(chosen))
		centre.lon += p.lon / float64(len(chosen))
	}
	slices.SortFunc(chosen, func(p, q point) int { return cmp.Compare(bearing(centre, p), bearing(centre, q)) })
	return chosen
}

// Vehicle is one of the atlas, cheap to hold. Its methods may be called from any goroutine.
type Vehicle struct {
	plan   *plan
	parked bool
	kind   Kind
	spot   point   // where it is parked
	pace   float64 // 1: as the tour's profile
	offset float64 // its place in the tour at the time origin, of 1
	tank   float64 // metres on a full tank, and where in it the vehicle is at the time origin
	level  float64
	work   work
	ahead  time.Duration // of the time, in a world with days
}

// Vehicle returns vehicle number index: the same for ever for a world. Any run of consecutive indexes is spread over the
// whole atlas by the weights of its places.
func (a *Atlas) Vehicle(index int) Vehicle {
	r := newRandom(a.seed, 3, uint64(index))
	// Multiples of the golden ratio spread evenly however many there are; random numbers would crowd.
	const golden = 0.6180339887498949
	_, share := math.Modf(float64(index)*golden + float64(a.seed%1000)/1000)
	from := &a.land
	if a.ships > 0 && newRandom(a.seed, 5, uint64(index)).float() < a.ships {
		from = &a.sea
	}
	s := from.at(share)
	v := Vehicle{
		plan: s.plans[r.below(len(s.plans))],
		pace: r.within(0.88, 1.1), offset: r.float(), tank: r.within(350e3, 900e3), level: r.float(),
	}
	v.kind = s.kinds[r.below(len(s.kinds))]
	if v.kind != Ship && r.float() < a.parked {
		v.parked = true
		v.spot = s.place.points[r.below(len(s.place.points))]
		v.spot.lat += r.within(-0.004, 0.004)
		v.spot.lon += r.within(-0.004, 0.004)
	}
	v.work, v.ahead = a.day.working(&v, newRandom(a.seed, 6, uint64(index))), a.day.Ahead
	return v
}

// Kind returns what the vehicle is.
func (v *Vehicle) Kind() Kind { return v.kind }

// Parked tells whether the vehicle never moves.
func (v *Vehicle) Parked() bool { return v.parked }

// Place returns the name of the city or corridor that the vehicle belongs to.
func (v *Vehicle) Place() string { return v.plan.place.name }

// At returns the motion at a time.
func (v *Vehicle) At(t time.Time) Motion {
	if v.parked {
		return Motion{Lat: v.spot.lat, Lon: wrap(v.spot.lon), Parked: true}
	}
	if v.work.laps > 0 {
		return v.atWork(t)
	}
	laps, rest := v.plan.seconds(t, v.offset, v.pace)
	m := v.plan.at(rest)
	m.Speed *= v.pace
	m.Odometer += float64(laps) * v.plan.length
	return m
}

// Energy is what the gauges of a vehicle show, in percent.
type Energy struct {
	Fuel    float64
	Battery float64 // of the tracker
}

// tankLow is where a driver fills up.
const tankLow = 8

// Energy returns the gauges at a time; odometer is that of the vehicle's Motion at the same time.
func (v *Vehicle) Energy(t time.Time, odometer float64) Energy {
	_, used := math.Modf(odometer/v.tank + v.level)
	e := Energy{Fuel: 100 - math.Abs(used)*(100-tankLow)}
	// A tracker on the vehicle's supply stays nearly full; one that is parked runs down over a week and is charged.
	const hour = 3600
	swing, low, high := 2.0*hour, 91.0, 100.0
	if v.parked {
		swing, low = 168*hour, 15
	}
	if v.work.laps > 0 {
		e.Battery = v.workBattery(t)
		return e
	}
	_, cycle := math.Modf(float64(t.Unix())/swing + v.level)
	e.Battery = high - (high-low)*math.Abs(cycle)
	return e
}

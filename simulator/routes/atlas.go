package routes

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// toursPerCity is how many different tours a city has; vehicles of a tour follow each other at random distances.
const toursPerCity = 6

// parkedOneIn is the share of the vehicles that stand.
const parkedOneIn = 12

// Kind is what a vehicle is.
type Kind uint8

// The kinds. Long-haul routes are driven by trucks; vans, buses and cars drive in cities.
const (
	Truck Kind = iota
	Van
	Bus
	Car
)

// String returns the kind's name, which is fit for a part of a device id.
func (k Kind) String() string { return [...]string{"truck", "van", "bus", "car"}[k] }

// Atlas is a world of tours. It is immutable and may be used from any goroutine.
type Atlas struct {
	seed  uint64
	slots []slot // by cumulative weight
	total float64
	// inCities is the cumulative weight where cities end and corridors begin.
	inCities float64
}

// slot is a place with its tours.
type slot struct {
	upTo  float64
	place *place
	plans []*plan
}

// New makes the world of a seed. It takes some tens of milliseconds and some megabytes, whatever the number of vehicles.
func New(seed uint64) *Atlas {
	a := &Atlas{seed: seed}
	for i := range cities {
		r := newRandom(seed, 1, uint64(i))
		var plans []*plan
		for range toursPerCity {
			plans = append(plans, newPlan(&cities[i], tour(cities[i].points, r), 2, inCity, r))
		}
		a.add(&cities[i], plans)
	}
	a.inCities = a.total
	for i := range corridors {
		c := &corridors[i]
		there := slices.Clone(c.points)
		back := slices.Clone(c.points[1 : len(c.points)-1])
		slices.Reverse(back)
		a.add(c, []*plan{newPlan(c, append(there, back...), 3, longHaul, newRandom(seed, 2, uint64(i)))})
	}
	return a
}

func (a *Atlas) add(p *place, plans []*plan) {
	a.total += float64(p.weight)
	a.slots = append(a.slots, slot{a.total, p, plans})
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
}

// Vehicle returns vehicle number index: the same for ever for a seed. Any run of consecutive indexes is spread over the
// whole atlas by the weights of its places.
func (a *Atlas) Vehicle(index int) Vehicle {
	r := newRandom(a.seed, 3, uint64(index))
	// Multiples of the golden ratio spread evenly however many there are; random numbers would crowd.
	const golden = 0.6180339887498949
	_, share := math.Modf(float64(index)*golden + float64(a.seed%1000)/1000)
	at, _ := slices.BinarySearchFunc(a.slots, share*a.total, func(s slot, want float64) int {
		if s.upTo <= want {
			return -1
		}
		return 1
	})
	s := &a.slots[min(at, len(a.slots)-1)]
	v := Vehicle{
		plan: s.plans[r.below(len(s.plans))], kind: Truck,
		pace: r.within(0.88, 1.1), offset: r.float(), tank: r.within(350e3, 900e3), level: r.float(),
	}
	if s.upTo <= a.inCities {
		v.kind = []Kind{Van, Van, Bus, Car}[r.below(4)]
	}
	if r.below(parkedOneIn) == 0 {
		v.parked = true
		v.spot = s.place.points[r.below(len(s.place.points))]
		v.spot.lat += r.within(-0.004, 0.004)
		v.spot.lon += r.within(-0.004, 0.004)
	}
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
		return Motion{Lat: v.spot.lat, Lon: v.spot.lon}
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
	_, cycle := math.Modf(float64(t.Unix())/swing + v.level)
	e.Battery = high - (high-low)*math.Abs(cycle)
	return e
}

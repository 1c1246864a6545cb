package routes

import (
	"math"
	"sort"
	"time"
)

// style is how a kind of traffic drives.
type style struct {
	cruise     float64 // m/s
	accelerate float64 // m/s²
	brake      float64 // m/s²
	cornering  float64 // the slowest turn that is no stop, m/s
	sway       float64
	maxLeg     float64 // metres
	dwellMin   float64 // seconds at a stop
	dwellMax   float64
}

var (
	inCity   = style{cruise: 12.5, accelerate: 1.4, brake: 1.8, cornering: 3.5, sway: 0.35, maxLeg: 450, dwellMin: 20, dwellMax: 150}
	longHaul = style{cruise: 23.5, accelerate: 0.5, brake: 0.9, cornering: 7, sway: 0.22, maxLeg: 3000, dwellMin: 300, dwellMax: 1200}
	atSea    = style{cruise: 8.5, accelerate: 0.02, brake: 0.02, cornering: 3, sway: 0.05, maxLeg: 9000, dwellMin: 1800, dwellMax: 7200}
	asDrawn  = style{cruise: 15, accelerate: 1, brake: 1.4, cornering: 4, dwellMin: 60, dwellMax: 300}
)

// turnsAround is the angle from which a turn is made standing.
const turnsAround = 150

// plan is a closed tour with its speed profile: the place at every moment of its period. It is shared by all vehicles
// of the tour, and immutable.
type plan struct {
	place  *place
	legs   []leg
	phases []phase
	period float64 // seconds
	length float64 // metres
}

// leg is a straight piece of road.
type leg struct {
	from, to point
	start    float64 // metres from the start of the tour
	length   float64
	heading  float64
	limit    float64 // m/s
	covered  bool    // in a tunnel
	walled   bool    // between high buildings
}

// phase is a piece of time with one acceleration, on one leg.
type phase struct {
	start  float64 // seconds from the start of the tour
	along  float64 // metres along the leg when it begins
	speed  float64 // when it begins
	change float64 // m/s²
	leg    int32
}

// planner makes a plan. stop holds the dwell, in seconds, at the start of each leg; 0 means to drive through.
type planner struct {
	style style
	plan  *plan
	stop  []float64
	speed []float64 // at the start of each leg
}

// waypoint is a corner of a tour with the road that leaves it.
type waypoint struct {
	at      point
	limit   float64 // of the road, m/s
	dwell   float64 // seconds that a vehicle stands at the corner; 0 is driving through
	covered bool    // the road runs through a tunnel
	walled  bool    // and between high buildings
}

// tunnelOneIn is of how many legs of a corridor one is a tunnel.
const tunnelOneIn = 20

// wander makes the tour through stops and back to the first, over roads that wander. Those of index divisible by every
// are stops with a dwell.
func wander(stops []point, every int, s style, r *random) (tour []waypoint) {
	for i, from := range stops {
		way := bend([]point{from}, from, stops[(i+1)%len(stops)], s.sway, s.maxLeg, r)
		for j := 1; j < len(way); j++ {
			w := waypoint{at: way[j-1], limit: s.cruise * r.within(0.82, 1.12)}
			if j == 1 && i%every == 0 {
				w.dwell = r.within(s.dwellMin, s.dwellMax)
			}
			tour = append(tour, w)
		}
	}
	return tour
}

// dig puts tunnels into a tour: the same on the way back, since which legs it takes follows from where they are.
func dig(tour []waypoint) []waypoint {
	for i := range tour {
		a, b := tour[i].at, tour[(i+1)%len(tour)].at
		middle := between(a, b, 0.5)
		where := newRandom(uint64(int64(middle.lat*1e4)), uint64(int64(middle.lon*1e4)))
		tour[i].covered = where.below(tunnelOneIn) == 0
	}
	return tour
}

// newPlan makes the profile of a closed tour, which begins with a stop: its first waypoint has a dwell.
func newPlan(p *place, tour []waypoint, s style) *plan {
	b := planner{style: s, plan: &plan{place: p}}
	for i, w := range tour {
		next := tour[(i+1)%len(tour)].at
		if w.at == next {
			continue // nothing to drive
		}
		b.leg(w, next)
		b.stop = append(b.stop, w.dwell)
	}
	b.limitCorners()
	b.limitAcceleration()
	b.drive()
	return b.plan
}

func (b *planner) leg(w waypoint, to point) {
	l := leg{
		from: w.at, to: to, start: b.plan.length, length: distance(w.at, to), heading: bearing(w.at, to), limit: w.limit, covered: w.covered, walled: w.walled,
	}
	b.plan.length += l.length
	b.plan.legs = append(b.plan.legs, l)
}

// limitCorners sets the speed at which each corner may be taken.
func (b *planner) limitCorners() {
	legs := b.plan.legs
	b.speed = make([]float64, len(legs))
	for i := range legs {
		before := &legs[(i+len(legs)-1)%len(legs)]
		angle := turn(before.heading, legs[i].heading)
		limit := min(before.limit, legs[i].limit)
		switch {
		case b.stop[i] > 0:
			limit = 0
		case angle >= turnsAround:
			limit, b.stop[i] = 0, b.style.dwellMin
		default: // straight on at the limit, down to cornering at a right angle
			limit = max(limit*(1-angle/90), min(limit, b.style.cornering))
		}
		b.speed[i] = limit
	}
}

// limitAcceleration lowers corner speeds that cannot be reached, or left, within a leg. The tour is closed and starts
// with a stop, so that one sweep in each direction is enough.
func (b *planner) limitAcceleration() {
	n := len(b.speed)
	for i := range n {
		reach := math.Sqrt(b.speed[i]*b.speed[i] + 2*b.style.accelerate*b.plan.legs[i].length)
		b.speed[(i+1)%n] = min(b.speed[(i+1)%n], reach)
	}
	for i := n - 1; i >= 0; i-- {
		next := b.speed[(i+1)%n]
		b.speed[i] = min(b.speed[i], math.Sqrt(next*next+2*b.style.brake*b.plan.legs[i].length))
	}
}

// drive cuts each leg into speeding up, going on and slowing down.
func (b *planner) drive() {
	for i := range b.plan.legs {
		l := &b.plan.legs[i]
		if b.stop[i] > 0 {
			b.phase(i, 0, 0, 0, b.stop[i])
		}
		up, down := b.style.accelerate, b.style.brake
		first, last := b.speed[i], b.speed[(i+1)%len(b.speed)]
		peak := math.Sqrt((2*up*down*l.length + down*first*first + up*last*last) / (up + down))
		peak = min(peak, l.limit)
		speedUp := (peak*peak - first*first) / (2 * up)
		slowDown := (peak*peak - last*last) / (2 * down)
		b.phase(i, 0, first, up, (peak-first)/up)
		b.phase(i, speedUp, peak, 0, (l.length-speedUp-slowDown)/peak)
		b.phase(i, l.length-slowDown, peak, -down, (peak-last)/down)
	}
}

func (b *planner) phase(leg int, along, speed, change, seconds float64) {
	if seconds <= 1e-9 {
		return
	}
	b.plan.phases = append(b.plan.phases, phase{b.plan.period, along, speed, change, int32(leg)})
	b.plan.period += seconds
}

// Motion is where a vehicle is and how it moves.
type Motion struct {
	Lat, Lon float64 // degrees
	Speed    float64 // m/s
	Heading  float64 // degrees true; of a vehicle that stands, the direction that it faces
	Odometer float64 // metres since the time origin, at the vehicle's pace
	Covered  bool    // in a tunnel: no satellites and no network
	Walled   bool    // between high buildings, which reflect signals
	Parked   bool    // for good, or for the night
}

// at returns the motion at a moment of the period, 0 <= t < period.
func (p *plan) at(t float64) Motion {
	i := sort.Search(len(p.phases), func(i int) bool { return p.phases[i].start > t }) - 1
	ph := &p.phases[max(i, 0)]
	l := &p.legs[ph.leg]
	dt := t - ph.start
	along := min(ph.along+ph.speed*dt+ph.change*dt*dt/2, l.length)
	where := between(l.from, l.to, along/l.length)
	return Motion{
		Lat: where.lat, Lon: wrap(where.lon), Speed: max(ph.speed+ph.change*dt, 0), Heading: l.heading, Odometer: l.start + along, Covered: l.covered, Walled: l.walled,
	}
}

// seconds splits a time into whole periods and the rest, without the loss of a float of seconds since 1970.
func (p *plan) seconds(t time.Time, offset, pace float64) (laps int64, rest float64) {
	period := int64(p.period / pace * 1e9)
	ns := t.UnixNano() + int64(offset*float64(period))
	laps, restNanos := ns/period, ns%period
	if restNanos < 0 {
		laps, restNanos = laps-1, restNanos+period
	}
	return laps, min(float64(restNanos)*pace/1e9, math.Nextafter(p.period, 0))
}

package routes

import "math"

const earthRadius = 6371008.8 // metres, the mean radius

// offsets returns the way from a to b in metres east and north, on the plane that touches the globe between them. Legs
// are a few kilometres at most, where that is good to a part in ten thousand.
func offsets(a, b point) (east, north float64) {
	const perDegree = earthRadius * math.Pi / 180
	middle := (a.lat + b.lat) / 2 * math.Pi / 180
	return (b.lon - a.lon) * perDegree * math.Cos(middle), (b.lat - a.lat) * perDegree
}

// distance in metres.
func distance(a, b point) float64 {
	return math.Hypot(offsets(a, b))
}

// bearing from a to b in degrees, clockwise from north, in [0, 360).
func bearing(a, b point) float64 {
	east, north := offsets(a, b)
	degrees := math.Atan2(east, north) * 180 / math.Pi
	if degrees < 0 {
		degrees += 360
	}
	if degrees >= 360 { // a tiny negative angle rounds up to it
		degrees = 0
	}
	return degrees
}

// turn is the angle between two bearings in [0, 180].
func turn(a, b float64) float64 {
	d := math.Abs(a - b)
	return min(d, 360-d)
}

// wrap brings a longitude, which grows beyond 180 on a tour that crosses that meridian, into [-180, 180).
func wrap(lon float64) float64 {
	if lon >= -180 && lon < 180 {
		return lon
	}
	return lon - 360*math.Floor((lon+180)/360)
}

// near returns lon or lon plus or minus a whole circle, whichever is nearest to other.
func near(lon, other float64) float64 { return lon - 360*math.Round((lon-other)/360) }

func between(a, b point, fraction float64) point {
	return point{a.lat + (b.lat-a.lat)*fraction, a.lon + (b.lon-a.lon)*fraction}
}

// bend appends the way from a to b, without a itself, as a line that wanders as a road does: the middle is pushed aside
// by at most half of sway times the length, and so on for both halves until legs are shorter than maxLeg metres.
func bend(dst []point, a, b point, sway, maxLeg float64, r *random) []point {
	length := distance(a, b)
	if length <= maxLeg {
		return append(dst, b)
	}
	aside := (r.float() - 0.5) * sway
	east, north := offsets(a, b)
	middle := between(a, b, 0.5)
	const perDegree = earthRadius * math.Pi / 180
	middle.lat += -east * aside / perDegree
	middle.lon += north * aside / (perDegree * math.Cos(middle.lat*math.Pi/180))
	dst = bend(dst, a, middle, sway, maxLeg, r)
	return bend(dst, middle, b, sway, maxLeg, r)
}

// random is splitmix64: small, and the same in every version of Go, so that a seed means the same world for ever.
type random struct{ state uint64 }

func newRandom(seed uint64, parts ...uint64) *random {
	r := &random{seed}
	for _, p := range parts {
		r.state = r.next() ^ p
	}
	return r
}

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// float is in [0, 1).
func (r *random) float() float64 { return float64(r.next()>>11) / (1 << 53) }

// within is in [low, high).
func (r *random) within(low, high float64) float64 { return low + (high-low)*r.float() }

// below is in [0, n).
func (r *random) below(n int) int { return int(r.next() % uint64(n)) }

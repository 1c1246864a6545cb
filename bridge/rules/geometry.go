package rules

import (
	"math"

	"github.com/paulmach/orb"
	"github.com/paulmach/orb/geo"
	"github.com/paulmach/orb/planar"

	"github.com/fleetcast/fleetcast/devices"
)

// Bounds of fences.
const (
	MaxFencePoints  = 2_000
	MaxFenceRings   = 50
	MaxFenceRadius  = 1_000_000 // m, of a circle; and of a corridor's half width a hundredth
	maxFenceMargin  = 1_000     // m: the largest hysteresis at a border
	metresPerDegree = 111_195   // of latitude, on the sphere that geo uses
)

// A shape is a fence's geometry. Longitudes are unwrapped: from -180 on without a jump, so that a shape over the
// antimeridian reaches past 180 and is asked twice.
type shape struct {
	kind     FenceType
	circle   orb.Point
	radius   float64 // m: of a circle, and half the width of a corridor
	polygon  orb.Polygon
	corridor orb.LineString
	bound    orb.Bound // without margin
}

// compile checks a fence's geometry and makes it ready.
func (g *Geometry) compile() (*shape, error) {
	s := &shape{kind: g.Type}
	switch g.Type {
	case Circle:
		if len(g.Center) != 2 || !isPlace(g.Center) {
			return nil, invalidGeometry("center", "is not [lon, lat] in degrees")
		}
		if !(g.Radius > 0 && g.Radius <= MaxFenceRadius) {
			return nil, invalidGeometry("radius", "is not above 0 and at most %d metres", MaxFenceRadius)
		}
		s.circle, s.radius = orb.Point{g.Center[0], g.Center[1]}, g.Radius
		s.bound = orb.Bound{Min: s.circle, Max: s.circle}
		return s, nil
	case Polygon:
		polygon, err := readPolygon(g.Rings)
		s.polygon, s.bound = polygon, polygon.Bound()
		return s, err
	case Corridor:
		if !(g.Width > 0 && g.Width <= MaxFenceRadius/50) {
			return nil, invalidGeometry("width", "is not above 0 and at most %d metres", MaxFenceRadius/50)
		}
		if len(g.Line) < 2 {
			return nil, invalidGeometry("line", "has fewer than two points")
		}
		line, err := readLine("line", g.Line)
		s.corridor, s.radius, s.bound = line, g.Width/2, line.Bound()
		return s, err
	}
	return nil, invalidGeometry("type", "is none of circle, polygon, corridor")
}

func invalidGeometry(member, format string, args ...any) error {
	return devices.Errorf(devices.Invalid, "geometry."+member, format, args...)
}

func isPlace(p []float64) bool {
	return len(p) >= 2 && p[0] >= -180 && p[0] <= 180 && p[1] >= -90 && p[1] <= 90
}

// readLine reads points and unwraps their longitudes: of two neighbours more than half the world apart, the short way
// between them is over the antimeridian (RFC 7946 section 3.1.9 would have it cut there).
func readLine(member string, points [][]float64) (orb.LineString, error) {
	if len(points) > MaxFencePoints {
		return nil, invalidGeometry(member, "has more than %d points", MaxFencePoints)
	}
	line := make(orb.LineString, 0, len(points))
	turn := 0.0
	for i, p := range points {
		if !isPlace(p) {
			return nil, invalidGeometry(member, "has a point that is not [lon, lat] in degrees")
		}
		if i > 0 {
			switch step := p[0] - points[i-1][0]; {
			case step > 180:
				turn -= 360
			case step < -180:
				turn += 360
			}
		}
		line = append(line, orb.Point{p[0] + turn, p[1]})
	}
	return line, nil
}

func readPolygon(rings [][][]float64) (orb.Polygon, error) {
	if len(rings) == 0 || len(rings) > MaxFenceRings {
		return nil, invalidGeometry("coordinates", "has no ring, or more than %d", MaxFenceRings)
	}
	var polygon orb.Polygon
	total := 0
	for _, points := range rings {
		total += len(points)
		line, err := readLine("coordinates", points)
		switch {
		case err != nil:
			return nil, err
		case total > MaxFencePoints:
			return nil, invalidGeometry("coordinates", "has more than %d points", MaxFencePoints)
		case len(line) < 4 || points[0][0] != points[len(points)-1][0] || points[0][1] != points[len(points)-1][1]:
			return nil, invalidGeometry("coordinates", "has a ring that is not closed, or of fewer than four points") // RFC 7946 section 3.1.6
		case line[0] != line[len(line)-1]:
			return nil, invalidGeometry("coordinates", "has a ring around a pole")
		}
		// A hole is where its outer ring is, on the same side of the antimeridian.
		if len(polygon) > 0 {
			line = shift(line, turnsBetween(line.Bound().Center()[0], polygon[0].Bound().Center()[0]))
		}
		polygon = append(polygon, orb.Ring(line))
	}
	return polygon, nil
}

// turnsBetween is by how much a longitude must be moved, in whole turns, to lie beside another.
func turnsBetween(lon, beside float64) float64 { return math.Round((beside-lon)/360) * 360 }

func shift(line orb.LineString, by float64) orb.LineString {
	for i := range line {
		line[i][0] += by
	}
	return line
}

// contains tells whether a place lies in the shape, or at most margin metres outside it.
func (s *shape) contains(lat, lon, margin float64) bool {
	if s.kind == Circle {
		return geo.DistanceHaversine(s.circle, orb.Point{lon, lat}) <= s.radius+margin
	}
	// The same place one turn on, for shapes that reach over the antimeridian.
	for _, turn := range [...]float64{0, 360, -360} {
		p := orb.Point{lon + turn, lat}
		if s.reach(margin).Contains(p) && s.containsHere(p, margin) {
			return true
		}
	}
	return false
}

func (s *shape) containsHere(p orb.Point, margin float64) bool {
	if s.kind == Corridor {
		return distanceToLine(p, s.corridor) <= s.radius+margin
	}
	if planar.PolygonContains(s.polygon, p) {
		return true
	}
	if margin == 0 {
		return false
	}
	for _, ring := range s.polygon {
		if distanceToLine(p, orb.LineString(ring)) <= margin {
			return true
		}
	}
	return false
}

// reach is the box outside which no place can be in the shape with the margin. Where a degree of longitude shrinks to
// nothing, near the poles, it is as wide as the world.
func (s *shape) reach(margin float64) orb.Bound {
	metres := margin
	if s.kind != Polygon {
		metres += s.radius
	}
	b := s.bound
	lat := metres / metresPerDegree * 1.01 // the sphere is not the earth: some air
	low, high := b.Min[1]-lat, b.Max[1]+lat
	widest := math.Cos(math.Max(math.Abs(low), math.Abs(high)) * math.Pi / 180)
	lon := 360.0
	if low > -90 && high < 90 && widest > 0 {
		lon = math.Min(360, lat/widest)
	}
	return orb.Bound{Min: orb.Point{b.Min[0] - lon, low}, Max: orb.Point{b.Max[0] + lon, high}}
}

// distanceToLine is the distance in metres from p to the nearest point of a line, on the plane that touches the earth
// at p. A fence is small beside the earth; where it is not, its border is as vague as that.
func distanceToLine(p orb.Point, line orb.LineString) float64 {
	scale := math.Cos(p[1]*math.Pi/180) * metresPerDegree
	at := func(q orb.Point) (x, y float64) { return (q[0] - p[0]) * scale, (q[1] - p[1]) * metresPerDegree }
	best := math.Inf(1)
	for i := 1; i < len(line); i++ {
		x1, y1 := at(line[i-1])
		x2, y2 := at(line[i])
		dx, dy := x2-x1, y2-y1
		t := 0.0
		if length := dx*dx + dy*dy; length > 0 {
			t = math.Max(0, math.Min(1, -(x1*dx+y1*dy)/length))
		}
		best = math.Min(best, math.Hypot(x1+t*dx, y1+t*dy))
	}
	return best
}

package routes

import (
	"container/heap"
	"math"
	"slices"
	"sync"
)

// The street graph of a city: a grid that is turned and shaken, whose junctions stand on the places that people know,
// with wider streets at intervals, gaps where there is a park or a river, and a few underpasses. It is made here, from
// places.go alone, so it is as free as the rest of the project; it is the same in every world.
const (
	streetsAcross  = 12 // junctions along the longer side of the city
	minSpacing     = 220.0
	widerEvery     = 4
	missingOneIn   = 9
	underpassOneIn = 14 // of the wider streets
	walledOneIn    = 3  // of the narrow ones

	limitWide   = 15.3 // m/s
	limitNarrow = 9.7
)

// streets is a road graph. It is immutable once made.
type streets struct {
	junctions []point
	edges     [][]edge // by junction
}

// edge is a street from a junction to another; both directions share its shape.
type edge struct {
	to      int
	limit   float64
	length  float64
	covered bool
	walled  bool    // high buildings stand on both sides
	shape   []point // from the junction itself up to, and without, the other
}

// graphs are the streets of all cities. A city is the same in every world; who drives in it is not.
var graphs = sync.OnceValue(func() (all []*streets) {
	for i := range cities {
		all = append(all, newStreets(&cities[i], newRandom(uint64(i))))
	}
	return all
})

func newStreets(city *place, r *random) *streets {
	g := &streets{}
	columns, rows := g.grid(city.points, r)
	g.edges = make([][]edge, len(g.junctions))
	for row := range rows {
		for column := range columns {
			from := row*columns + column
			if column+1 < columns {
				g.connect(from, from+1, row%widerEvery == 0, r)
			}
			if row+1 < rows {
				g.connect(from, from+columns, column%widerEvery == 0, r)
			}
		}
	}
	return g
}

// grid places the junctions, and moves the nearest one onto each of the city's points.
func (g *streets) grid(points []point, r *random) (columns, rows int) {
	low, high := points[0], points[0]
	for _, p := range points {
		low = point{min(low.lat, p.lat), min(low.lon, p.lon)}
		high = point{max(high.lat, p.lat), max(high.lon, p.lon)}
	}
	width, height := offsets(low, high)
	spacing := max(max(width, height)/streetsAcross, minSpacing)
	columns, rows = int(width/spacing)+3, int(height/spacing)+3
	degreesLat := spacing / height * (high.lat - low.lat)
	degreesLon := spacing / width * (high.lon - low.lon)
	turned := r.within(-0.25, 0.25)
	for row := range rows {
		for column := range columns {
			x := float64(column) - float64(columns-1)/2 + r.within(-0.22, 0.22)
			y := float64(row) - float64(rows-1)/2 + r.within(-0.22, 0.22)
			x, y = x*math.Cos(turned)-y*math.Sin(turned), x*math.Sin(turned)+y*math.Cos(turned)
			g.junctions = append(g.junctions, point{(low.lat+high.lat)/2 + y*degreesLat, (low.lon+high.lon)/2 + x*degreesLon})
		}
	}
	taken := map[int]bool{}
	for _, p := range points {
		if at := g.nearest(p, taken); at >= 0 {
			g.junctions[at], taken[at] = p, true
		}
	}
	return columns, rows
}

// nearest returns the junction nearest to p that is not taken, or -1.
func (g *streets) nearest(p point, taken map[int]bool) int {
	best, least := -1, math.Inf(1)
	for i, j := range g.junctions {
		if d := distance(p, j); d < least && !taken[i] {
			best, least = i, d
		}
	}
	return best
}

// connect makes a street, or leaves a gap. Wider streets have none, so that the graph stays in one piece.
func (g *streets) connect(a, b int, wide bool, r *random) {
	missing, underpass := r.below(missingOneIn) == 0, r.below(underpassOneIn) == 0
	shape := bend([]point{g.junctions[a]}, g.junctions[a], g.junctions[b], 0.12, 350, r)
	limit := limitNarrow * r.within(0.8, 1.15)
	if wide {
		limit, missing = limitWide*r.within(0.9, 1.1), false
	}
	if missing {
		return
	}
	there := edge{to: b, limit: limit, covered: wide && underpass, walled: !wide && isWalled(g.junctions[a], g.junctions[b]), shape: shape[:len(shape)-1]}
	for i := 1; i < len(shape); i++ {
		there.length += distance(shape[i-1], shape[i])
	}
	back := there
	back.to, back.shape = a, slices.Clone(shape[1:])
	slices.Reverse(back.shape)
	g.edges[a], g.edges[b] = append(g.edges[a], there), append(g.edges[b], back)
}

// isWalled follows from where a street is alone, so that worlds stay what they were before there were buildings.
func isWalled(a, b point) bool {
	middle := between(a, b, 0.5)
	return newRandom(uint64(int64(middle.lat*1e4)), uint64(int64(middle.lon*1e4))).below(walledOneIn) == 0
}

// drive makes the tour over streets through stops, each of which is near a junction, and back to the first. Every other
// stop has a dwell.
func (g *streets) drive(stops []point, r *random) (tour []waypoint) {
	for i, stop := range stops {
		from, to := g.nearest(stop, nil), g.nearest(stops[(i+1)%len(stops)], nil)
		first := len(tour)
		for _, e := range g.path(from, to) {
			for _, p := range e.shape {
				tour = append(tour, waypoint{at: p, limit: e.limit, covered: e.covered, walled: e.walled})
			}
		}
		if i%2 == 0 && first < len(tour) {
			tour[first].dwell = r.within(inCity.dwellMin, inCity.dwellMax)
		}
	}
	return tour
}

// path returns the quickest way, nil where there is none or it has no length.
func (g *streets) path(from, to int) (way []edge) {
	type step struct {
		from int
		by   edge
	}
	came := make([]step, len(g.junctions))
	seconds := make([]float64, len(g.junctions))
	for i := range seconds {
		seconds[i] = math.Inf(1)
	}
	seconds[from] = 0
	queue := &frontier{{from, 0}}
	for queue.Len() > 0 {
		at := heap.Pop(queue).(reached)
		if at.junction == to {
			break
		}
		if at.seconds > seconds[at.junction] {
			continue // a quicker way was found since
		}
		for _, e := range g.edges[at.junction] {
			if s := at.seconds + e.length/e.limit; s < seconds[e.to] {
				seconds[e.to], came[e.to] = s, step{at.junction, e}
				heap.Push(queue, reached{e.to, s})
			}
		}
	}
	for at := to; at != from && !math.IsInf(seconds[to], 1); at = came[at].from {
		way = append(way, came[at].by)
	}
	slices.Reverse(way)
	return way
}

// reached is a junction and how long it takes to get there.
type reached struct {
	junction int
	seconds  float64
}

// frontier is a heap of what was reached.
type frontier []reached

func (f frontier) Len() int           { return len(f) }
func (f frontier) Less(i, j int) bool { return f[i].seconds < f[j].seconds }
func (f frontier) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }

// Push is heap's.
func (f *frontier) Push(x any) { *f = append(*f, x.(reached)) }

// Pop is heap's.
func (f *frontier) Pop() any {
	last := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return last
}

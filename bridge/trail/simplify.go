package trail

import (
	"math"

	"github.com/fleetcast/fleetcast/devices"
)

// Simplify leaves fixes out of a line by the algorithm of Douglas and Peucker: no fix that is left out is further from
// the line that remains than metres. The first and the last stay.
//
// It is ours, and not a library's (paulmach/orb has it): those measure in the units of the coordinates, degrees, of which
// one of longitude is 111 km or nothing, and return places without telling which they were, and so without their times.
// It takes the square of the number of fixes at worst: a millisecond or two for 500, half a second for the most that a
// trail may hold.
func Simplify(fixes []devices.Fix, metres float64) []devices.Fix {
	if !(metres > 0) || len(fixes) < 3 {
		return fixes
	}
	keep := make([]bool, len(fixes))
	keep[0], keep[len(fixes)-1] = true, true
	type span struct{ first, last int }
	for open := []span{{0, len(fixes) - 1}}; len(open) > 0; {
		s := open[len(open)-1]
		open = open[:len(open)-1]
		i, far := furthest(fixes[s.first : s.last+1])
		if far <= metres {
			continue
		}
		i += s.first
		keep[i] = true
		open = append(open, span{s.first, i}, span{i, s.last})
	}
	out := make([]devices.Fix, 0, len(fixes))
	for i := range fixes {
		if keep[i] {
			out = append(out, fixes[i])
		}
	}
	return out
}

const metersPerDegree = 111_195

// furthest returns the fix between the first and the last that is furthest from the line between those.
func furthest(fixes []devices.Fix) (index int, metres float64) {
	first, last := &fixes[0], &fixes[len(fixes)-1]
	// A plane through the first fix. It bends over hundreds of kilometres, where no trail is followed to the metre.
	east := metersPerDegree * math.Cos(first.Lat*math.Pi/180)
	project := func(f *devices.Fix) (x, y float64) {
		return math.Remainder(f.Lon-first.Lon, 360) * east, (f.Lat - first.Lat) * metersPerDegree
	}
	x, y := project(last)
	length := x*x + y*y
	for i := 1; i < len(fixes)-1; i++ {
		px, py := project(&fixes[i])
		if length > 0 {
			along := min(max((px*x+py*y)/length, 0), 1)
			px, py = px-along*x, py-along*y
		}
		if d := px*px + py*py; d > metres {
			index, metres = i, d
		}
	}
	return index, math.Sqrt(metres)
}

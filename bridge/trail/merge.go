package trail

import (
	"cmp"
	"slices"

	"github.com/fleetcast/fleetcast/devices"
)

// Merge returns the fixes of blocks in the order of their times, each once: blocks overlap where fixes came late, and one
// may be there twice. A block that cannot be read is left out and counted.
func Merge(blocks [][]byte) (fixes []devices.Fix, unreadable int) {
	size := 0
	for _, b := range blocks {
		size += len(b)
	}
	points := make([]point, 0, size/10)
	for _, b := range blocks {
		n := len(points)
		var err error
		if points, err = decode(points, b); err != nil {
			points = points[:n]
			unreadable++
		}
	}
	slices.SortStableFunc(points, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.lat, b.lat), cmp.Compare(a.lon, b.lon))
	})
	points = slices.CompactFunc(points, func(a, b point) bool { return a.isAt(&b) })
	fixes = make([]devices.Fix, len(points))
	for i := range points {
		fixes[i] = points[i].fix()
	}
	return fixes, unreadable
}

// Cut returns the part of fixes, which are in order, that a query asks for.
func Cut(fixes []devices.Fix, q *devices.TrailQuery) []devices.Fix {
	if q.From > 0 {
		i, _ := slices.BinarySearchFunc(fixes, q.From, func(f devices.Fix, at int64) int { return cmp.Compare(f.At, at) })
		fixes = fixes[i:]
	}
	if q.To > 0 {
		i, _ := slices.BinarySearchFunc(fixes, q.To+1, func(f devices.Fix, at int64) int { return cmp.Compare(f.At, at) })
		fixes = fixes[:i]
	}
	if q.Limit > 0 && len(fixes) > q.Limit {
		fixes = fixes[len(fixes)-q.Limit:]
	}
	return Simplify(fixes, q.Simplify)
}

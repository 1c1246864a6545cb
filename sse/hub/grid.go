package hub

import (
	"iter"
	"math"

	"github.com/fleetcast/fleetcast/devices"
)

// The world is cut into squares of equal degrees, at levels: a square of level n has sides of 360/2^n degrees. A box is
// entered in the index at the finest level at which few squares cover it, so a position finds the boxes around it by one
// look a level, and about as many that only come near.

// Bounds of the grid.
const (
	maxLevel    = 18 // squares of 150 m
	cellsOfBox  = 16 // a box is in at most so many squares of the index
	rowLevel    = 13 // the level of the squares in which a table finds its rows: 5 km
	maxRowCells = 4096
)

// cell is a square.
type cell struct {
	level uint8
	x, y  uint32
}

// cellAt is the square of the level that holds a position. The meridians 180 and -180 are in the same one.
func cellAt(level uint8, lat, lon float64) cell {
	return cell{level, column(level, lon) & mask(level), line(level, lat)}
}

func mask(level uint8) uint32 { return 1<<level - 1 }

func column(level uint8, lon float64) uint32 {
	return uint32(math.Ldexp((lon+180)/360, int(level)))
}

func line(level uint8, lat float64) uint32 {
	return uint32(math.Ldexp((lat+90)/360, int(level)))
}

// cover is the squares of a level that hold a box.
type cover struct {
	level         uint8
	x, y          uint32 // of the south-west one
	width, height uint32
}

func coverAt(level uint8, b devices.BBox) cover {
	west, south, east, north := b.Edges()
	c := cover{level: level, x: column(level, west), y: line(level, south)}
	last := column(level, east)
	if west > east { // around the back
		last += mask(level) + 1
	}
	c.width = min(last-c.x, mask(level)) + 1 // the last column may be the first again
	c.height = line(level, north) - c.y + 1
	return c
}

func (c cover) len() uint64 { return uint64(c.width) * uint64(c.height) }

// cells calls yield with each square until it returns false.
func (c cover) cells(yield func(cell) bool) {
	for dy := range c.height {
		for dx := range c.width {
			if !yield(cell{c.level, (c.x + dx) & mask(c.level), c.y + dy}) {
				return
			}
		}
	}
}

// coverOf is the cover under which a box stands in the index.
func coverOf(b devices.BBox) cover {
	for level := uint8(maxLevel); ; level-- {
		if c := coverAt(level, b); c.len() <= cellsOfBox || level == 0 {
			return c
		}
	}
}

// spot is where a row shows on a map, if it does.
type spot struct {
	lat, lon float64
	shown    bool
}

func (s spot) in(b devices.BBox) bool { return s.shown && b.Contains(s.lat, s.lon) }

// boxIndex finds the interests whose box may hold a position, and those that want the events of a fleet.
type boxIndex struct {
	at      map[cell][]*interest
	levels  [maxLevel + 1]int // entries at each
	byFleet map[devices.FleetID][]*interest
	anyone  []*interest // that read every fleet
	size    int
}

func (x *boxIndex) add(i *interest) {
	if x.at == nil {
		x.at, x.byFleet = map[cell][]*interest{}, map[devices.FleetID][]*interest{}
	}
	x.size++
	c := coverOf(i.view.margin)
	for at := range c.cells {
		x.at[at] = append(x.at[at], i)
		x.levels[c.level]++
	}
	if i.view.fleets == nil {
		x.anyone = append(x.anyone, i)
	}
	for id := range i.view.fleets {
		x.byFleet[id] = append(x.byFleet[id], i)
	}
}

func (x *boxIndex) remove(i *interest) {
	x.size--
	c := coverOf(i.view.margin)
	for at := range c.cells {
		take(x.at, at, i)
		x.levels[c.level]--
	}
	x.anyone = without(x.anyone, i)
	for id := range i.view.fleets {
		take(x.byFleet, id, i)
	}
}

// around yields every interest whose box may hold the spot.
func (x *boxIndex) around(s spot) iter.Seq[*interest] {
	return func(yield func(*interest) bool) {
		for level, n := range x.levels {
			if n == 0 || !s.shown {
				continue
			}
			for _, i := range x.at[cellAt(uint8(level), s.lat, s.lon)] {
				if !yield(i) {
					return
				}
			}
		}
	}
}

// take removes an entry from a list of the index, and the list with its last one.
func take[K comparable](index map[K][]*interest, key K, i *interest) {
	if left := without(index[key], i); len(left) > 0 {
		index[key] = left
	} else {
		delete(index, key)
	}
}

// rowGrid finds the rows of a table that are in a box. Most moves stay in a square and cost nothing.
type rowGrid map[cell][]*row

func (g rowGrid) move(r *row) {
	s := r.spot()
	at := cellAt(rowLevel, s.lat, s.lon)
	if r.inGrid && s.shown && r.cell == at {
		return
	}
	g.remove(r)
	if s.shown {
		r.inGrid, r.cell, r.inCell = true, at, len(g[at])
		g[at] = append(g[at], r)
	}
}

func (g rowGrid) remove(r *row) {
	if !r.inGrid {
		return
	}
	rows := g[r.cell]
	last := len(rows) - 1
	rows[r.inCell] = rows[last]
	rows[r.inCell].inCell = r.inCell
	rows[last] = nil
	if last == 0 {
		delete(g, r.cell)
	} else {
		g[r.cell] = rows[:last]
	}
	r.inGrid = false
}

// wide tells whether a box takes so much of the grid that it is cheaper to look at every row.
func (g rowGrid) wide(b devices.BBox) bool {
	n := coverAt(rowLevel, b).len()
	return n > maxRowCells || n > uint64(len(g))
}

// in yields every row in a box that is not wide.
func (g rowGrid) in(b devices.BBox, yield func(*row) bool) {
	for at := range coverAt(rowLevel, b).cells {
		for _, r := range g[at] {
			if r.spot().in(b) && !yield(r) {
				return
			}
		}
	}
}

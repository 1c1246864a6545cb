package devices

import (
	"math"
	"strconv"
	"strings"
)

// BBox is a part of the Earth between two parallels and two meridians, its edges included. Where its west is above its
// east it crosses the antimeridian (RFC 7946 section 5.2). The zero value is no box and holds nothing. It is comparable:
// equal boxes have equal members.
type BBox struct {
	west, south, east, north float64
	set                      bool
}

// ParseBBox reads "west,south,east,north" in degrees, as GeoJSON orders them. Its error is Invalid, about "bbox".
func ParseBBox(s string) (BBox, error) {
	var n [4]float64
	parts := strings.Split(s, ",")
	if len(parts) != len(n) {
		return BBox{}, Errorf(Invalid, "bbox", "is not west,south,east,north")
	}
	for i, part := range parts {
		var err error
		if n[i], err = strconv.ParseFloat(part, 64); err != nil || strings.ContainsAny(part, "xX_") { // Go's own notations
			return BBox{}, Errorf(Invalid, "bbox", "has %q, which is no number", part)
		}
	}
	return NewBBox(n[0], n[1], n[2], n[3])
}

// NewBBox checks the edges, in degrees. Its error is Invalid, about "bbox".
func NewBBox(west, south, east, north float64) (BBox, error) {
	within := func(v, most float64) bool { return v >= -most && v <= most } // NaN is not
	switch {
	case !within(west, 180) || !within(east, 180):
		return BBox{}, Errorf(Invalid, "bbox", "has a longitude that is not from -180 to 180")
	case !within(south, 90) || !within(north, 90):
		return BBox{}, Errorf(Invalid, "bbox", "has a latitude that is not from -90 to 90")
	case south > north:
		return BBox{}, Errorf(Invalid, "bbox", "has its south above its north; the order is west,south,east,north")
	}
	return BBox{west + 0, south + 0, east + 0, north + 0, true}, nil // -0 and 0 are one edge, and one view
}

// IsZero tells whether b is no box.
func (b BBox) IsZero() bool { return !b.set }

// Contains tells whether the position in degrees is in the box. The meridians 180 and -180 are the same.
func (b BBox) Contains(lat, lon float64) bool {
	if !b.set || !(lat >= b.south && lat <= b.north && lon >= -180 && lon <= 180) {
		return false
	}
	return b.spans(lon) || math.Abs(lon) == 180 && b.spans(-lon)
}

func (b BBox) spans(lon float64) bool {
	if b.west > b.east {
		return lon >= b.west || lon <= b.east
	}
	return lon >= b.west && lon <= b.east
}

// Grow is the box with so much of its own width and height more on each side, as far as there is Earth. No box stays none.
func (b BBox) Grow(by float64) BBox {
	if !b.set {
		return b
	}
	width, high := b.east-b.west, by*(b.north-b.south)
	if b.west > b.east {
		width += 360
	}
	out := BBox{-180, max(b.south-high, -90), 180, min(b.north+high, 90), true}
	if wide := by * width; width+2*wide < 360 {
		out.west, out.east = b.west-wide, b.east+wide
		if out.west < -180 {
			out.west += 360
		}
		if out.east > 180 {
			out.east -= 360
		}
	}
	return out
}

// Edges returns the edges in degrees. West is above east where the box crosses the antimeridian.
func (b BBox) Edges() (west, south, east, north float64) { return b.west, b.south, b.east, b.north }

// String returns what ParseBBox reads, "" for no box. Equal boxes have equal texts.
func (b BBox) String() string {
	if !b.set {
		return ""
	}
	var out []byte
	for i, n := range [...]float64{b.west, b.south, b.east, b.north} {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendFloat(out, n, 'g', -1, 64)
	}
	return string(out)
}

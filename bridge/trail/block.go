package trail

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/fleetcast/fleetcast/devices"
)

// A block is a list of fixes in the order of their times, each relative to the one before; before the first all is 0:
//
//	flags     1 byte: which of the last three follow
//	time      unsigned: ms since the fix before
//	latitude  signed, in 1e-7 degrees (a centimetre)
//	longitude the same
//	altitude  signed, in 0.1 m
//	speed     unsigned, in 0.01 m/s; not relative
//	heading   unsigned, in 0.1 degrees; not relative
//
// Integers are varints, signed ones in zigzag. The number of fixes follows from the length. A later format begins with
// a byte that has bit 7 set.
const (
	hasAltitude = 1 << iota
	hasSpeed
	hasHeading
	knownFlags = 1<<iota - 1
)

// Scales of the integers.
const (
	degreeUnits   = 1e7
	altitudeUnits = 10
	speedUnits    = 100
	headingUnits  = 10
)

// MaxBlockFixes bounds what a block is believed to hold, should BlockFixes change.
const MaxBlockFixes = 1024

// errBlock says that bytes are no block.
var errBlock = errors.New("block of a trail is malformed")

// point is a fix in the units of a block.
type point struct {
	at, lat, lon, altitude int64
	speed, heading         uint64
	flags                  byte
}

func pointOf(f *devices.Fix) point {
	p := point{
		at: f.At, lat: int64(math.Round(f.Lat * degreeUnits)), lon: int64(math.Round(f.Lon * degreeUnits)),
	}
	if f.Has.Has(devices.FieldAltitude) {
		p.flags |= hasAltitude
		p.altitude = int64(math.Round(f.Altitude * altitudeUnits))
	}
	if f.Has.Has(devices.FieldSpeed) {
		p.flags |= hasSpeed
		p.speed = uint64(math.Round(max(f.Speed, 0) * speedUnits))
	}
	if f.Has.Has(devices.FieldHeading) {
		p.flags |= hasHeading
		p.heading = uint64(math.Round(max(f.Heading, 0)*headingUnits)) % (360 * headingUnits)
	}
	return p
}

func (p *point) fix() devices.Fix {
	f := devices.Fix{At: p.at, Lat: float64(p.lat) / degreeUnits, Lon: float64(p.lon) / degreeUnits}
	if p.flags&hasAltitude != 0 {
		f.Has |= devices.FieldAltitude
		f.Altitude = float64(p.altitude) / altitudeUnits
	}
	if p.flags&hasSpeed != 0 {
		f.Has |= devices.FieldSpeed
		f.Speed = float64(p.speed) / speedUnits
	}
	if p.flags&hasHeading != 0 {
		f.Has |= devices.FieldHeading
		f.Heading = float64(p.heading) / headingUnits
	}
	return f
}

// isAt tells whether two points are one fix that came twice.
func (p *point) isAt(q *point) bool { return p.at == q.at && p.lat == q.lat && p.lon == q.lon }

// appendAfter appends p, which is not before the point that was appended last, and makes that one it.
func (p *point) appendAfter(last *point, dst []byte) []byte {
	dst = append(dst, p.flags)
	dst = binary.AppendUvarint(dst, uint64(p.at-last.at))
	dst = binary.AppendVarint(dst, p.lat-last.lat)
	dst = binary.AppendVarint(dst, p.lon-last.lon)
	altitude := last.altitude // stays where a fix has none
	if p.flags&hasAltitude != 0 {
		dst = binary.AppendVarint(dst, p.altitude-altitude)
		altitude = p.altitude
	}
	if p.flags&hasSpeed != 0 {
		dst = binary.AppendUvarint(dst, p.speed)
	}
	if p.flags&hasHeading != 0 {
		dst = binary.AppendUvarint(dst, p.heading)
	}
	*last = *p
	last.altitude = altitude
	return dst
}

// The bounds of what is read, so that no sum overflows and nothing leaves the globe.
const (
	maxTime     = 1 << 53 // what JavaScript counts exactly
	maxAltitude = 1 << 40
	maxSpeed    = 1 << 32
)

// readAfter takes the point that follows last off the front of a block.
func (p *point) readAfter(last *point, b []byte) (rest []byte, err error) {
	r := reader{left: b}
	flags := r.byte()
	next := point{flags: flags, altitude: last.altitude}
	next.at = last.at + int64(r.unsigned(maxTime))
	next.lat, next.lon = last.lat+r.signed(maxTime), last.lon+r.signed(maxTime)
	if flags&hasAltitude != 0 {
		next.altitude = last.altitude + r.signed(maxAltitude)
	}
	if flags&hasSpeed != 0 {
		next.speed = r.unsigned(maxSpeed)
	}
	if flags&hasHeading != 0 {
		next.heading = r.unsigned(360*headingUnits - 1)
	}
	switch {
	case r.bad || flags&^byte(knownFlags) != 0,
		next.at > maxTime, abs(next.lat) > 90*degreeUnits, abs(next.lon) > 180*degreeUnits, abs(next.altitude) > maxAltitude:
		return nil, errBlock
	}
	*p = next
	return r.left, nil
}

func abs(n int64) int64 { return max(n, -n) }

// decode appends the points of a block.
func decode(dst []point, block []byte) ([]point, error) {
	var last point
	for n := 0; len(block) > 0; n++ {
		var err error
		if block, err = last.readAfter(&last, block); err != nil {
			return dst, err
		}
		if n == MaxBlockFixes {
			return dst, errBlock
		}
		dst = append(dst, last)
	}
	return dst, nil
}

// reader takes integers off the front. After the first fault it yields zeros.
type reader struct {
	left []byte
	bad  bool
}

func (r *reader) byte() byte {
	if len(r.left) == 0 {
		r.bad = true
		return 0
	}
	b := r.left[0]
	r.left = r.left[1:]
	return b
}

func (r *reader) unsigned(limit uint64) uint64 {
	v, n := binary.Uvarint(r.left)
	if n <= 0 || v > limit {
		r.bad, r.left = true, nil
		return 0
	}
	r.left = r.left[n:]
	return v
}

func (r *reader) signed(limit int64) int64 {
	v, n := binary.Varint(r.left)
	if n <= 0 || v > limit || v < -limit {
		r.bad, r.left = true, nil
		return 0
	}
	r.left = r.left[n:]
	return v
}

package dialect

import (
	"math"

	"github.com/fleetcast/fleetcast/devices"
)

// collector fills a reading from leaves. What it cannot use it drops and counts; the rest of the message is kept.
type collector struct {
	reading  *devices.Reading
	in       *input
	dropped  int
	lat, lon coordinate
	path     []byte // of flatten
}

// coordinate is one half of a position. A position is taken or cleared only as a whole.
type coordinate struct {
	state coordinateState
	value float64
}

type coordinateState uint8

const (
	absent coordinateState = iota
	given
	cleared
	unusable
)

func (c *collector) begin(in *input, reading *devices.Reading) {
	*c = collector{reading: reading, in: in, path: c.path[:0]}
}

// finish puts the halves of the position together and lets go of the message. It returns the kind of the reading.
func (c *collector) finish() Kind {
	r := c.reading
	switch {
	case c.lat.state == given && c.lon.state == given:
		r.Has |= devices.FieldPosition
		r.Lat, r.Lon = c.lat.value, c.lon.value
	case c.lat.state == absent && c.lon.state == absent:
	case (c.lat.state == cleared || c.lat.state == absent) && (c.lon.state == cleared || c.lon.state == absent):
		r.Cleared |= devices.FieldPosition
	default:
		c.dropped++
	}
	c.reading, c.in = nil, nil
	if r.Has.Has(devices.FieldPosition) {
		return Position
	}
	return Telemetry
}

func (c *collector) coordinate(half *coordinate, v *leaf) {
	if v.kind == devices.Null {
		*half = coordinate{state: cleared}
		return
	}
	n, ok := v.numeric()
	if !ok {
		*half = coordinate{state: unusable}
		return
	}
	*half = coordinate{given, n}
}

// measure stores a leaf as one of the members that a reading has besides its metrics. Of duplicates the last counts.
func (c *collector) measure(field devices.Fields, place *float64, v *leaf) {
	if v.kind == devices.Null {
		c.clear(field)
		return
	}
	n, ok := v.numeric()
	if !ok {
		c.dropped++
		return
	}
	c.set(field, place, n)
}

func (c *collector) set(field devices.Fields, place *float64, n float64) {
	if math.IsInf(n, 0) { // by a conversion
		c.dropped++
		return
	}
	*place = n
	c.reading.Has |= field
	c.reading.Cleared &^= field
}

func (c *collector) clear(field devices.Fields) {
	c.reading.Has &^= field
	c.reading.Cleared |= field
}

// satellites notes the number of satellites; the member stays a metric all the same.
func (c *collector) satellites(v *leaf) {
	if n, ok := v.numeric(); ok && n >= 0 && n <= math.MaxInt16 {
		c.reading.Satellites = int(n)
		c.reading.Has |= devices.FieldSatellites
	}
}

// metric stores a leaf as a metric. A name that is there already gets the new value: the last wins.
func (c *collector) metric(path []byte, v *leaf) {
	value, ok := c.value(v)
	if !ok || len(path) == 0 || len(path) > devices.MaxMetricNameBytes {
		c.dropped++
		return
	}
	metrics := c.reading.Metrics
	for i := range metrics {
		if metrics[i].Name == string(path) {
			metrics[i].Value = value
			return
		}
	}
	c.reading.Metrics = append(metrics, devices.Metric{Name: c.in.names.get(path), Value: value})
}

func (c *collector) value(v *leaf) (devices.Value, bool) {
	switch v.kind {
	case devices.Number:
		return devices.NumberValue(v.num), !math.IsInf(v.num, 0)
	case devices.Text:
		if v.long || len(v.text) > devices.MaxMetricTextBytes {
			return devices.Value{}, false
		}
		return devices.TextValue(c.keep(v.text)), true
	case devices.Bool:
		return devices.BoolValue(v.num != 0), true
	case devices.Null:
	}
	return devices.Value{}, true // deletes
}

// keep returns a text that does not pin the packet.
func (c *collector) keep(text []byte) string {
	if len(text) <= maxInternBytes {
		return c.in.texts.get(text)
	}
	return string(text)
}

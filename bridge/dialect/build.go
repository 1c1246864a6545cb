package dialect

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// MaxReadings bounds the readings of one payload. A tunnel's worth of buffered fixes has some hundreds.
const MaxReadings = 1024

// What formats say besides the asset's units.
const (
	mpsPerKnot = 1852.0 / 3600
	mpsPerKMH  = 1 / 3.6
)

// document returns the payload as a tree. It is read once, however many decoders ask.
func (r *Result) document(in *input) (value, Reason) {
	if !r.parsed {
		r.parsed = true
		r.tree, r.treeReason = r.doc.parse(&r.scanner, in.payload)
	}
	return r.tree, r.treeReason
}

// object is document for formats whose root is an object.
func (r *Result) object(in *input) (value, Reason) {
	v, reason := r.document(in)
	if reason == None && !v.is(objectNode) {
		return value{}, NotObject
	}
	return v, reason
}

// begin starts a reading of the topic's device. What is between begin and end goes into it.
func (r *Result) begin(in *input) *collector {
	r.build.begin(in, r.blank(r.started))
	r.started++
	return &r.build
}

// full tells whether no more readings may be begun.
func (r *Result) full() bool { return r.started >= MaxReadings }

// end finishes the reading and adds it, as a Position or as Telemetry.
func (r *Result) end(in *input) *Message {
	reading := r.build.reading
	kind := r.build.finish()
	r.Dropped += r.build.dropped
	if r.Kind != Position {
		r.Kind = kind
	}
	return r.addReading(in, kind, reading)
}

// endAs finishes the reading and adds it as what the format says that it is.
func (r *Result) endAs(in *input, kind Kind) *Message {
	before := r.Kind
	m := r.end(in)
	m.Kind = kind
	if r.Kind = before; r.Kind == Rejected {
		r.Kind = kind
	}
	return m
}

// named is the kind of a payload that holds nothing for us.
func (r *Result) named(kind Kind) bool {
	r.Kind = kind
	return true
}

// byTime puts readings of one upload in the order in which they were taken.
func (r *Result) byTime() {
	slices.SortStableFunc(r.Messages, func(a, b Message) int {
		if a.Reading == nil || b.Reading == nil || a.Reading.At == b.Reading.At {
			return 0
		}
		if a.Reading.At < b.Reading.At {
			return -1
		}
		return 1
	})
}

// take stores a member as one of the measures, converted by the factor. A null clears it.
func (c *collector) take(field devices.Fields, place *float64, v value, factor float64) {
	if !v.exists() {
		return
	}
	l := v.leaf()
	if n, ok := l.numeric(); ok && l.kind != devices.Null {
		c.set(field, place, n*factor)
		return
	}
	c.measure(field, place, &l) // clears, or counts
}

// known is take for a member of which one value stands for unknown: what was known no longer holds.
func (c *collector) known(field devices.Fields, place *float64, v value, factor, unknown float64) {
	if n, ok := v.number(); ok && n == unknown {
		c.clear(field)
		return
	}
	c.take(field, place, v, factor)
}

// place stores the two halves of a position, in degrees once they are multiplied by the factor. Null stands for
// unknown in most formats and does not delete: the last known place is worth more than none.
func (c *collector) place(lat, lon value, factor float64) {
	for _, half := range []struct {
		to *coordinate
		v  value
	}{{&c.lat, lat}, {&c.lon, lon}} {
		if !half.v.exists() || half.v.isNull() {
			continue
		}
		n, ok := half.v.number()
		*half.to = coordinate{given, n * factor}
		if !ok || math.IsInf(n*factor, 0) {
			half.to.state = unusable
		}
	}
}

// at stores when the reading was taken: unix seconds, milliseconds, or RFC 3339.
func (c *collector) at(v value) {
	if !v.exists() || v.isNull() {
		return
	}
	l := v.leaf()
	ms, ok := l.unixMillis()
	if !ok {
		c.dropped++
		return
	}
	c.reading.At = ms
}

// isoTime stores a time whose zone may also be written without its colon.
func (c *collector) isoTime(v value) {
	if !v.exists() || v.isNull() {
		return
	}
	if t, err := time.Parse("2006-01-02T15:04:05.999999999Z0700", string(v.text())); err == nil && t.UnixMilli() > 0 {
		c.reading.At = t.UnixMilli()
		return
	}
	c.at(v)
}

// sat stores the number of satellites, which stays a metric.
func (c *collector) sat(v value) {
	if !v.exists() {
		return
	}
	l := v.leaf()
	c.satellites(&l)
	c.number("sat", v, 1)
}

// metricOf stores a member as a metric of that name. An absent one is none.
func (c *collector) metricOf(name string, v value) {
	if v.isLeaf() {
		l := v.leaf()
		c.metric([]byte(name), &l)
	}
}

// number stores a number, or a text that is one, as a metric.
func (c *collector) number(name string, v value, factor float64) {
	n, ok := v.number()
	if !ok {
		c.metricOf(name, v)
		return
	}
	c.metricNumber(name, n*factor)
}

func (c *collector) metricNumber(name string, n float64) {
	l := leaf{kind: devices.Number, num: n}
	c.metric([]byte(name), &l)
}

func (c *collector) metricText(name, text string) {
	l := leaf{kind: devices.Text, text: []byte(text)}
	c.metric([]byte(name), &l)
}

// flatten stores the leaves below v as metrics, their names joined by dots behind the prefix. skip tells, by the name
// that the metric would have, what the caller has read itself. Arrays are left out.
func (c *collector) flatten(prefix string, v value, skip func(name []byte, v value) bool) {
	c.path = append(c.path[:0], prefix...)
	c.flattenInto(v, skip)
}

func (c *collector) flattenInto(v value, skip func(name []byte, v value) bool) {
	parent := len(c.path)
	for m := v.first(); m.exists(); m = m.next() {
		c.path = c.path[:parent]
		if parent > 0 {
			c.path = append(c.path, '.')
		}
		c.path = append(c.path, m.key()...)
		switch {
		case skip != nil && skip(c.path, m):
		case m.is(objectNode):
			c.flattenInto(m, skip)
		case m.is(arrayNode):
		default:
			if len(c.reading.Metrics) >= maxReadingMetrics {
				c.dropped++
				continue
			}
			l := m.leaf()
			c.metric(c.path, &l)
		}
	}
	c.path = c.path[:parent]
}

// maxReadingMetrics is what the inlet takes of one reading.
const maxReadingMetrics = MaxLeaves

// isOneOf makes a skip of a list of names.
func isOneOf(names ...string) func([]byte, value) bool {
	return func(name []byte, _ value) bool { return slices.Contains(names, string(name)) }
}

// keyOf hashes a format's own id of a message to a reading's key. n tells the readings of one message apart.
func keyOf(n int, parts ...[]byte) uint64 {
	h := fnv.New64a()
	var count [8]byte
	binary.LittleEndian.PutUint64(count[:], uint64(n))
	_, _ = h.Write(count[:])
	for _, part := range parts {
		_, _ = h.Write(part)
		_, _ = h.Write([]byte{0})
	}
	return max(h.Sum64(), 1)
}

// setKey gives the readings of the message from the n-th on their keys.
func (r *Result) setKey(parts ...[]byte) {
	for i := range r.Messages {
		if reading := r.Messages[i].Reading; reading != nil {
			reading.Key = keyOf(i, parts...)
		}
	}
}

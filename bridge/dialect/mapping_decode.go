package dialect

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
)

// decode reads a payload as the mapping says. A payload that is not a JSON object or array, or does not fulfil when, is
// declined.
func (m *Mapping) decode(in *input, out *Result) bool {
	if m.kind == Opaque || m.kind == Command || m.kind == Discovery {
		return out.named(m.kind)
	}
	root, reason := out.document(in)
	if reason != None {
		return out.decline(reason)
	}
	for i := range m.when {
		if !m.when[i].holds(root) {
			return out.decline(Declined)
		}
	}
	if !m.hasEach {
		if reason := m.element(in, out, root, root); reason != None {
			return out.reject(reason)
		}
		return m.done(out)
	}
	list := m.each.find(root)
	if !list.is(arrayNode) {
		return out.decline(Declined)
	}
	for e := list.first(); e.exists(); e = e.next() {
		if out.full() {
			return out.reject(TooManyMembers)
		}
		if reason := m.element(in, out, root, e); reason != None {
			return out.reject(reason)
		}
	}
	out.byTime()
	return m.done(out)
}

// done gives a payload that said nothing a kind: it was understood.
func (m *Mapping) done(out *Result) bool {
	switch {
	case len(out.Messages) == 0:
		out.Kind = Telemetry
	case out.Kind == Rejected:
		out.Kind = Presence
	}
	return true
}

func (m *Mapping) element(in *input, out *Result, root, e value) Reason {
	if reason := m.owner(in, root, e); reason != None {
		return reason
	}
	if m.status != nil {
		m.status.read(in, out, root, e)
	}
	if len(m.measures) == 0 && len(m.metrics) == 0 && !m.rest {
		return None
	}
	c := out.begin(in)
	if m.time != nil {
		if v, ok := m.time.leaf(root, e); ok && v.kind != devices.Null {
			if c.reading.At, ok = m.time.read(&v); !ok {
				c.dropped++
			}
		}
	}
	for i := range m.measures {
		c.mapped(&m.measures[i], root, e)
	}
	for i := range m.metrics {
		s := &m.metrics[i]
		if v, ok := s.leaf(root, e); ok {
			s.convert(&v)
			c.metric([]byte(s.name), &v)
		}
	}
	if m.rest {
		c.flatten("", e, m.isUsed)
	}
	if m.kind == Event {
		out.endAs(in, Event)
	} else {
		out.end(in)
	}
	return None
}

// isUsed tells whether a member is one that the mapping reads by itself.
func (m *Mapping) isUsed(name []byte, _ value) bool { return m.used[string(name)] }

// owner finds whose the element is, where the topic does not say it.
func (m *Mapping) owner(in *input, root, e value) Reason {
	if m.fleetIn {
		fleet, err := devices.ParseFleetID(m.fleetAt.either(root, e).asText())
		if err != nil {
			return BadDevice
		}
		in.fleet = fleet
	}
	switch {
	case m.inBody:
		if !in.nameDevice(m.device.either(root, e)) {
			return BadDevice
		}
	case m.pattern != nil:
		var id strings.Builder
		for _, p := range m.pattern {
			if p.level != "" {
				id.WriteString(strings.ReplaceAll(in.level(p.level), "/", ":"))
			} else {
				id.WriteString(p.text)
			}
		}
		if !in.nameDeviceText(id.String()) {
			return BadDevice
		}
	}
	return None
}

// find follows the pointer. Source: RFC 6901 section 4.
func (p pointer) find(v value) value {
	for _, part := range p {
		if v.is(arrayNode) {
			n, err := strconv.Atoi(part)
			if err != nil || n < 0 || n >= MaxTreeNodes || part != strconv.Itoa(n) {
				return value{}
			}
			v = v.index(n)
			continue
		}
		v = v.member(part)
	}
	return v
}

// either looks in the element first and then in the whole payload.
func (p pointer) either(root, e value) value {
	if v := p.find(e); v.exists() {
		return v
	}
	return p.find(root)
}

// asText is a text, or a number as it would be written.
func (v value) asText() string {
	if v.is(numberNode) {
		return strconv.FormatFloat(v.node().num, 'f', -1, 64)
	}
	return string(v.text())
}

func (c *condition) holds(root value) bool {
	v := c.at.find(root)
	switch {
	case v.is(boolNode):
		return slices.Contains(c.equals, strconv.FormatBool(v.isTrue()))
	case v.is(textNode), v.is(numberNode):
		return slices.Contains(c.equals, v.asText())
	}
	return false
}

// leaf finds the value. One that stands for unknown is null. It tells whether there is any.
func (s *source) leaf(root, e value) (leaf, bool) {
	if s.constant != nil {
		return *s.constant, true
	}
	from := e
	if s.fromRoot {
		from = root
	}
	found := s.at.find(from)
	if !found.isLeaf() {
		return leaf{}, false
	}
	v := found.leaf()
	for i := range s.unknown {
		if s.unknown[i].same(&v) {
			return leaf{}, true
		}
	}
	return v, true
}

func (v *leaf) same(o *leaf) bool {
	if a, ok := v.numeric(); ok {
		b, isNumber := o.numeric()
		return isNumber && a == b
	}
	return v.kind == o.kind && v.num == o.num && bytes.Equal(v.text, o.text)
}

// convert makes a number one of the asset's units. What is no number stays as it is, unless it should be one.
func (s *source) convert(v *leaf) {
	if s.factor == 1 && s.offset == 0 {
		return
	}
	if n, ok := v.numeric(); ok {
		*v = leaf{kind: devices.Number, num: n*s.factor + s.offset}
	}
}

// mapped stores one of the measures. A coordinate that no place on earth has is left out here: it is a wrong pointer or a
// sentinel, and the rest of the message counts.
func (c *collector) mapped(s *measureSource, root, e value) {
	v, ok := s.leaf(root, e)
	if !ok {
		return
	}
	if v.kind != devices.Null {
		if _, isNumber := v.numeric(); !isNumber {
			c.dropped++
			return
		}
		s.convert(&v)
	}
	r := c.reading
	switch s.field {
	case latField:
		c.mappedCoordinate(&c.lat, &v, 90)
	case lonField:
		c.mappedCoordinate(&c.lon, &v, 180)
	case altitudeField:
		c.measure(devices.FieldAltitude, &r.Altitude, &v)
	case speedField:
		c.measure(devices.FieldSpeed, &r.Speed, &v)
	case headingField:
		c.measure(devices.FieldHeading, &r.Heading, &v)
	case accuracyField:
		c.measure(devices.FieldAccuracy, &r.Accuracy, &v)
	case batteryField:
		c.measure(devices.FieldBattery, &r.Battery, &v)
	}
}

func (c *collector) mappedCoordinate(half *coordinate, v *leaf, bound float64) {
	if v.kind == devices.Null { // unknown: the last known place is worth more than none
		return
	}
	n, _ := v.numeric()
	*half = coordinate{given, n}
	if math.Abs(n) > bound {
		half.state = unusable
	}
}

func (s *statusSource) read(in *input, out *Result, root, e value) {
	v, ok := s.leaf(root, e)
	if !ok {
		return
	}
	word := string(v.text)
	switch v.kind {
	case devices.Bool:
		word = strconv.FormatBool(v.num != 0)
	case devices.Number:
		word = strconv.FormatFloat(v.num, 'f', -1, 64)
	case devices.Text, devices.Null:
	}
	switch {
	case slices.Contains(s.online, word):
		out.addStatus(in, devices.Online)
	case slices.Contains(s.offline, word):
		out.addStatus(in, devices.Offline)
	default:
		out.Dropped++
	}
}

package dialect

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// measureField is a member of an asset that a mapping may fill.
type measureField uint8

const (
	latField measureField = iota
	lonField
	altitudeField
	speedField
	headingField
	accuracyField
	batteryField
)

var measureFields = map[string]measureField{
	"lat": latField, "lon": lonField, "altitude": altitudeField, "speed": speedField, "heading": headingField,
	"accuracy": accuracyField, "battery": batteryField,
}

// dimensionOf is what the units of a member measure.
var dimensionOf = [...]dimension{
	latField: angle, lonField: angle, altitudeField: length, speedField: speed, headingField: angle, accuracyField: length, batteryField: share,
}

// source reads where a value comes from: a pointer, or a map with at (or root, or value), unit, scale, offset and unknown.
func (p *mappingParser) source(n *Node, s *source, want dimension, more map[string]func(n *Node) error) error {
	s.factor, s.fromRoot = 1, false
	if n.Kind == TextNode {
		at, err := p.pointer(n)
		s.at = at
		return err
	}
	given := 0
	scale := 1.0
	readers := map[string]func(n *Node) error{
		"at":   func(n *Node) (err error) { given++; s.at, err = p.pointer(n); return err },
		"root": func(n *Node) (err error) { given++; s.at, err = p.pointer(n); s.fromRoot = true; return err },
		"value": func(n *Node) error {
			given++
			var text string
			err := p.text(n, &text)
			v := constantOf(text)
			s.constant = &v
			return err
		},
		"unknown": func(n *Node) error {
			words, err := p.words(n)
			for _, word := range words {
				s.unknown = append(s.unknown, constantOf(word))
			}
			return err
		},
		"unit":   func(n *Node) error { return p.unit(n, s, want) },
		"scale":  func(n *Node) error { return p.number(n, &scale) },
		"offset": func(n *Node) error { return p.number(n, &s.offset) },
	}
	maps.Copy(readers, more)
	if err := p.members(n, readers); err != nil {
		return err
	}
	if given != 1 {
		return p.fail(n.Line, "needs one of at, root and value")
	}
	s.factor *= scale
	return nil
}

// constantOf reads a word of the file as JSON would: a number, a bool, or a text.
func constantOf(text string) leaf {
	switch text {
	case "true":
		return leaf{kind: devices.Bool, num: 1}
	case "false":
		return leaf{kind: devices.Bool}
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil && !math.IsInf(n, 0) && !math.IsNaN(n) {
		return leaf{kind: devices.Number, num: n}
	}
	return leaf{kind: devices.Text, text: []byte(text)}
}

func (p *mappingParser) number(n *Node, to *float64) error {
	v, err := strconv.ParseFloat(n.Text, 64)
	if n.Kind != TextNode || err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		return p.fail(n.Line, "is not a number")
	}
	*to = v
	return nil
}

func (p *mappingParser) unit(n *Node, s *source, want dimension) error {
	u, ok := parseUnit(n.Text)
	if n.Kind != TextNode || !ok {
		return p.fail(n.Line, "%q is no unit; there are %s", n.Text, unitsOf(want))
	}
	if want != noDimension && u.dimension != want {
		return p.fail(n.Line, "%q measures %s; it takes %s", n.Text, u.dimension, unitsOf(want))
	}
	s.factor *= u.factor
	s.offset += u.offset
	return nil
}

func (p *mappingParser) measure(n *Node, m *Mapping, field measureField) error {
	s := measureSource{field: field}
	err := p.source(n, &s.source, dimensionOf[field], nil)
	m.measures = append(m.measures, s)
	return err
}

func (p *mappingParser) metrics(n *Node, m *Mapping) error {
	if n.Kind != MapNode {
		return p.fail(n.Line, "is not a map from names of metrics to where they are")
	}
	if len(n.Members) > MaxMappingMetrics {
		return p.fail(n.Line, "has %d metrics; an asset has at most %d", len(n.Members), MaxMappingMetrics)
	}
	for i := range n.Members {
		member := &n.Members[i]
		err := p.within(member, func(v *Node) error {
			if len(member.Key) > devices.MaxMetricNameBytes || member.Key == "" {
				return p.fail(member.Line, "is longer than the %d bytes of a metric's name", devices.MaxMetricNameBytes)
			}
			if slices.ContainsFunc(m.metrics, func(s metricSource) bool { return s.name == member.Key }) {
				return p.fail(member.Line, "stands there already")
			}
			s := metricSource{name: member.Key}
			err := p.source(v, &s.source, noDimension, nil)
			m.metrics = append(m.metrics, s)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *mappingParser) status(n *Node, m *Mapping) error {
	s := &statusSource{}
	m.status = s
	if n.Kind == TextNode {
		return p.fail(n.Line, "is not a map with at, online and offline")
	}
	return p.source(n, &s.source, noDimension, map[string]func(n *Node) error{
		"online":  func(n *Node) (err error) { s.online, err = p.words(n); return err },
		"offline": func(n *Node) (err error) { s.offline, err = p.words(n); return err },
	})
}

// time reads where the time is and how it is written.
func (p *mappingParser) time(n *Node, m *Mapping) error {
	t := &timeSource{read: (*leaf).unixMillis}
	m.time = t
	var format, zone *Node
	err := p.source(n, &t.source, noDimension, map[string]func(n *Node) error{
		"format": func(n *Node) error { format = n; return nil },
		"zone":   func(n *Node) error { zone = n; return nil },
	})
	if err != nil {
		return err
	}
	location := time.UTC
	if zone != nil {
		before := p.path
		p.path += ".zone"
		if location, err = time.LoadLocation(zone.Text); err != nil || zone.Kind != TextNode || zone.Text == "" {
			return p.fail(zone.Line, "%q is no time zone, such as Europe/Helsinki", zone.Text)
		}
		p.path = before
	}
	if format == nil {
		if zone != nil {
			return p.fail(zone.Line, "has a zone and no format that it could be for")
		}
		return nil
	}
	before := p.path
	defer func() { p.path = before }()
	p.path += ".format"
	if format.Kind != TextNode {
		return p.fail(format.Line, "is not a text")
	}
	t.read, err = p.timeFormat(format, location)
	return err
}

// perSecond are the formats that are numbers.
var perSecond = map[string]float64{"unix": 1, "unix_ms": 1e3, "unix_us": 1e6, "unix_ns": 1e9}

func (p *mappingParser) timeFormat(n *Node, location *time.Location) (func(v *leaf) (int64, bool), error) {
	if per, ok := perSecond[n.Text]; ok {
		return func(v *leaf) (int64, bool) {
			number, ok := v.numeric()
			ms := number / per * 1000
			if !ok || ms < 1 || ms > mostMillis {
				return 0, false
			}
			return int64(math.Round(ms)), true
		}, nil
	}
	layout := time.RFC3339Nano
	if n.Text != "rfc3339" {
		var ok bool
		if layout, ok = goLayout(n.Text); !ok {
			return nil, p.fail(n.Line, "%q is none of unix, unix_ms, unix_us, unix_ns, rfc3339, and no pattern of YYYY, MM, DD, hh, mm, ss, SSS and ZZ", n.Text)
		}
	}
	return func(v *leaf) (int64, bool) {
		text := string(v.text)
		if v.kind == devices.Number {
			text = strconv.FormatFloat(v.num, 'f', -1, 64) // 20260101120000
		}
		t, err := time.ParseInLocation(layout, text, location)
		if err != nil || t.UnixMilli() < 1 {
			return 0, false
		}
		return t.UnixMilli(), true
	}, nil
}

// goLayout makes Go's way of writing a layout of letters that everybody knows. It tells whether a year, a month and a day
// are among them.
func goLayout(pattern string) (string, bool) {
	if strings.ContainsAny(pattern, "0123456789_") {
		return "", false // would mean something to Go
	}
	layout := strings.NewReplacer(
		"YYYY", "2006", "YY", "06", "MM", "01", "DD", "02", "hh", "15", "mm", "04", "ss", "05", ".SSS", ".000", ",SSS", ",000", "ZZ", "Z07:00",
	).Replace(pattern)
	return layout, strings.Contains(pattern, "YY") && strings.Contains(pattern, "MM") && strings.Contains(pattern, "DD")
}

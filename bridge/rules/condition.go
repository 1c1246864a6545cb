package rules

import (
	"strings"

	"github.com/fleetcast/fleetcast/devices"
)

// truth is what a condition says of a device. Of what is not known it says neither yes nor no, and nothing changes.
type truth uint8

const (
	unknown truth = iota
	no
	yes
)

func truthOf(holds bool) truth {
	if holds {
		return yes
	}
	return no
}

// measure is a member of an asset that thresholds may be about.
type measure struct {
	field devices.Fields
	of    func(*devices.Measures) float64
}

// measureFields are those members, by their names in an asset.
var measureFields = map[string]measure{
	"speed":    {devices.FieldSpeed, func(m *devices.Measures) float64 { return m.Speed }},
	"battery":  {devices.FieldBattery, func(m *devices.Measures) float64 { return m.Battery }},
	"altitude": {devices.FieldAltitude, func(m *devices.Measures) float64 { return m.Altitude }},
	"accuracy": {devices.FieldAccuracy, func(m *devices.Measures) float64 { return m.Accuracy }},
	"heading":  {devices.FieldHeading, func(m *devices.Measures) float64 { return m.Heading }},
}

const metricPrefix = "metrics."

// bind looks the field of a threshold up, once.
func (r *rule) bind() {
	if m, ok := measureFields[r.When.Field]; ok {
		r.measure = m
		return
	}
	r.metric = strings.TrimPrefix(r.When.Field, metricPrefix)
}

// value is the field that a threshold is about.
func (r *rule) value(a *devices.Asset) (float64, bool) {
	if r.measure.of != nil {
		return r.measure.of(&a.Measures), a.Has.Has(r.measure.field)
	}
	for i := range a.Metrics {
		if a.Metrics[i].Name == r.metric && a.Metrics[i].Value.Kind == devices.Number {
			return a.Metrics[i].Value.Num, true
		}
	}
	return 0, false
}

// threshold asks a threshold. Once it holds, the value must come back by the hysteresis before it no longer does.
func (r *rule) threshold(a *devices.Asset, held bool) truth {
	v, ok := r.value(a)
	if !ok {
		return unknown
	}
	c, slack := &r.When, 0.0
	if held {
		slack = c.Hysteresis
	}
	if c.Above != nil {
		return truthOf(v > *c.Above-slack)
	}
	return truthOf(v < *c.Below+slack)
}

// wantsInside tells whether a fence condition holds inside the fence; else it holds outside.
func (o On) wantsInside() bool { return o == Enter || o == Inside || o == Dwell }

// isEdge tells whether the device must have been seen on the other side before.
func (o On) isEdge() bool { return o == Enter || o == Exit }

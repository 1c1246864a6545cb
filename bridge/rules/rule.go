package rules

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fleetcast/fleetcast/devices"
)

// Bounds of rules.
const (
	MaxIDBytes         = 64
	MaxNameBytes       = 128
	MaxScope           = 1_000 // fleets, and devices, that one rule names
	MaxForSeconds      = 30 * 86_400
	MaxExpressionBytes = 1_000
	MaxHysteresis      = 1_000_000
)

// Severity says how much an alert of a rule matters.
type Severity string

// The severities.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// Rule says when to raise an alert about a device. One is raised when the condition has held for ForSeconds, and
// cleared when it no longer holds.
type Rule struct {
	ID       string   `json:"id"`
	Name     string   `json:"name,omitempty"`
	Disabled bool     `json:"disabled,omitempty"`
	Severity Severity `json:"severity,omitempty"` // warning where it is absent
	// Fleets and Devices are whom it is about: devices of these fleets, of them only these. Empty: all.
	Fleets  []devices.FleetID  `json:"fleets,omitempty"`
	Devices []devices.DeviceID `json:"devices,omitempty"`
	When    Condition          `json:"when"`
	// ForSeconds is how long the condition must hold, by the time of the readings.
	ForSeconds float64 `json:"for_s,omitempty"`
}

// ConditionType says which members of a Condition count.
type ConditionType string

// The types of conditions.
const (
	Threshold  ConditionType = "threshold"  // Field and one of Above and Below
	Offline    ConditionType = "offline"    // the device is offline
	InFence    ConditionType = "fence"      // Fence and On
	Expression ConditionType = "expression" // Expression
)

// Condition is what a rule asks of a device.
type Condition struct {
	Type ConditionType `json:"type"`

	// Field is speed (m/s), battery (%), altitude, accuracy (m), heading (degrees) or metrics.NAME.
	Field string   `json:"field,omitempty"`
	Above *float64 `json:"above,omitempty"`
	Below *float64 `json:"below,omitempty"`
	// Hysteresis is how far a value must be back over its threshold, in the field's unit, or a device away from its
	// fence's border, in metres, before the condition no longer holds.
	Hysteresis float64 `json:"hysteresis,omitempty"`

	Fence string `json:"fence,omitempty"` // its id
	On    On     `json:"on,omitempty"`

	// Expression is a condition over id, fleet, status, lat, lon, speed, heading, altitude, accuracy, battery and
	// metrics, for example: speed > 20 and metrics.door == "open". What is unknown is nil.
	Expression string `json:"expression,omitempty"`
}

// On is what of a fence a rule is about.
type On string

// What a fence condition asks. Enter and Exit are seen only where the device was seen on the other side before.
const (
	Enter   On = "enter"
	Exit    On = "exit"
	Inside  On = "inside"
	Outside On = "outside"
	Dwell   On = "dwell" // inside for ForSeconds
)

// ParseRule reads a rule's JSON and checks it. A member that is not known is an error: it is a typing mistake.
func ParseRule(text []byte) (Rule, error) {
	var r Rule
	if err := unmarshalStrict(text, &r); err != nil {
		return Rule{}, devices.Errorf(devices.Invalid, "rule", "%v", err)
	}
	if r.Severity == "" {
		r.Severity = Warning
	}
	return r, r.Check()
}

// Check tells the first thing that is wrong, as an Invalid error whose field is the member's path. Whether the fence is
// there is not its business.
func (r *Rule) Check() error {
	if err := checkName(r.ID, r.Name); err != nil {
		return err
	}
	switch {
	case !slices.Contains([]Severity{Info, Warning, Critical}, r.Severity):
		return devices.Errorf(devices.Invalid, "severity", "is none of info, warning, critical")
	case len(r.Fleets) > MaxScope:
		return devices.Errorf(devices.Invalid, "fleets", "has more than %d names", MaxScope)
	case len(r.Devices) > MaxScope:
		return devices.Errorf(devices.Invalid, "devices", "has more than %d names", MaxScope)
	case !(r.ForSeconds >= 0 && r.ForSeconds <= MaxForSeconds):
		return devices.Errorf(devices.Invalid, "for_s", "is not between 0 and %d", MaxForSeconds)
	case !(r.When.Hysteresis >= 0 && r.When.Hysteresis <= MaxHysteresis):
		return devices.Errorf(devices.Invalid, "when.hysteresis", "is not between 0 and %d", MaxHysteresis)
	}
	return r.When.check(r.ForSeconds)
}

func (c *Condition) check(forSeconds float64) error {
	if err := c.checkMembers(); err != nil {
		return err
	}
	switch c.Type {
	case Threshold:
		return c.checkThreshold()
	case Offline:
		return nil
	case InFence:
		switch {
		case c.Fence == "":
			return devices.Errorf(devices.Invalid, "when.fence", "is missing")
		case !slices.Contains([]On{Enter, Exit, Inside, Outside, Dwell}, c.On):
			return devices.Errorf(devices.Invalid, "when.on", "is none of enter, exit, inside, outside, dwell")
		case c.On == Dwell && forSeconds == 0:
			return devices.Errorf(devices.Invalid, "for_s", "is missing: how long is a dwell?")
		case c.Hysteresis > maxFenceMargin:
			return devices.Errorf(devices.Invalid, "when.hysteresis", "is more than %d metres", maxFenceMargin)
		}
		return nil
	case Expression:
		_, err := compileExpression(c.Expression)
		return err
	}
	return devices.Errorf(devices.Invalid, "when.type", "is none of threshold, offline, fence, expression")
}

// checkMembers refuses members that the type has no use for: whoever wrote them expects something of them.
func (c *Condition) checkMembers() error {
	for _, m := range []struct {
		name string
		set  bool
		of   []ConditionType
	}{
		{"field", c.Field != "", []ConditionType{Threshold}},
		{"above", c.Above != nil, []ConditionType{Threshold}},
		{"below", c.Below != nil, []ConditionType{Threshold}},
		{"hysteresis", c.Hysteresis != 0, []ConditionType{Threshold, InFence}},
		{"fence", c.Fence != "", []ConditionType{InFence}},
		{"on", c.On != "", []ConditionType{InFence}},
		{"expression", c.Expression != "", []ConditionType{Expression}},
	} {
		if m.set && !slices.Contains(m.of, c.Type) {
			return devices.Errorf(devices.Invalid, "when."+m.name, "has no meaning for the type %q", c.Type)
		}
	}
	return nil
}

func (c *Condition) checkThreshold() error {
	if _, ok := measureFields[c.Field]; !ok {
		metric, isMetric := strings.CutPrefix(c.Field, metricPrefix)
		if !isMetric || metric == "" || len(metric) > devices.MaxMetricNameBytes {
			return devices.Errorf(devices.Invalid, "when.field", "is none of speed, battery, altitude, accuracy, heading and metrics.NAME")
		}
	}
	if (c.Above == nil) == (c.Below == nil) {
		return devices.Errorf(devices.Invalid, "when", "has not just one of above and below")
	}
	for _, v := range []*float64{c.Above, c.Below} {
		if v != nil && (math.IsNaN(*v) || math.IsInf(*v, 0)) {
			return devices.Errorf(devices.Invalid, "when", "has a threshold that is no number")
		}
	}
	return nil
}

// checkName checks the id and the name of a rule or a fence.
func checkName(id, name string) error {
	switch {
	case id == "":
		return devices.Errorf(devices.Invalid, "id", "is empty")
	case len(id) > MaxIDBytes:
		return devices.Errorf(devices.Invalid, "id", "is longer than %d bytes", MaxIDBytes)
	case strings.ContainsFunc(id, func(r rune) bool { return !isIDRune(r) }):
		return devices.Errorf(devices.Invalid, "id", "holds something other than letters, digits, '-', '_', '.' and ':'")
	case len(name) > MaxNameBytes:
		return devices.Errorf(devices.Invalid, "name", "is longer than %d bytes", MaxNameBytes)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return devices.Errorf(devices.Invalid, "name", "is not printable text")
	}
	return nil
}

func isIDRune(r rune) bool {
	return r < utf8.RuneSelf && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:", r))
}

func unmarshalStrict(text []byte, v any) error {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("read JSON: %w", err)
	}
	if d.More() {
		return fmt.Errorf("read JSON: something follows the object")
	}
	return nil
}

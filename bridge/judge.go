package bridge

import (
	"fmt"
	"strings"

	"github.com/fleetcast/fleetcast/devices"
)

// Outcome is what becomes of a reading.
type Outcome string

// The outcomes.
const (
	Live      Outcome = "live"      // it moves the device
	TrailOnly Outcome = "trail"     // its fix is older than the one held and goes to the trail; newer members are kept
	Telemetry Outcome = "telemetry" // it has no fix that is believed: its other members are kept
	Dropped   Outcome = "dropped"   // nothing of it is kept
)

// Verdict says what an owner does with a reading, and why.
type Verdict struct {
	Outcome Outcome `json:"outcome"`
	// At is the time by which its members are ordered, unix ms; 0 where it says none and a broker had kept it.
	At int64 `json:"at"`
	// Measures are what is left of the reading's own members.
	Measures devices.Measures `json:"-"`
	// Findings are the rules that found something, in a fixed order. A reading that is as it should be has none.
	Findings []Finding `json:"findings,omitempty"`
}

// Finding is a rule that found something.
type Finding struct {
	Rule   string `json:"rule"`   // as the counter is called
	Effect string `json:"effect"` // what it does, in words
}

// Past is what is known of one device before a reading. The zero value is a device of which nothing was heard. It is for
// one goroutine.
type Past struct{ device device }

// effects say what each rule does.
var effects = map[reason]string{
	reasonTooOld:       "older than the fleet takes: the reading is dropped",
	reasonDuplicate:    "it was there already: the reading is dropped",
	reasonOlder:        "out of order: a newer value is held; a fix goes to the trail only",
	reasonKept:         "kept by a broker for we do not know how long: taken where it is newer than what is held, and no sign of life",
	reasonClock:        "no device time that can be true: replaced by the time of receipt",
	reasonWeekRollover: "the GPS week rolled over: 1024 weeks were put right",
	reasonZone:         "ahead by whole quarters of an hour, as a local time without its zone is: put right",
	reasonAhead:        "the clock runs ahead: ordered by the time of receipt",
	reasonNullIsland:   "0/0 without satellites: the position is dropped, the rest is telemetry",
	reasonOutOfRange:   "a member outside what can be true: it is dropped, the rest is kept",
	reasonInaccurate:   "less accurate than the fleet takes: the position is dropped, the rest is telemetry",
	reasonOutsideArea:  "outside the fleet's area: the position is dropped, the rest is telemetry",
	reasonAxesSwapped:  "outside the fleet's area, and inside with latitude and longitude exchanged: the position is dropped, the rest is telemetry",
	reasonJump:         "too far from the last fix for the time between: the position is dropped, the rest is telemetry",
	reasonMoved:        "too far from the last fix for the time between: believed all the same, as the fleet's jump_fixes and jump_s say",
	reasonTrailOld:     "older than the fleet's trails reach back: its fix is not kept",
	reasonTrailHad:     "the trail has this fix",
	reasonStanding:     "the device stands: its place is held and only its time moves on",
	reasonBadMetric:    "a metric that is none: it is dropped, the rest is kept",
}

// Judge says what the owner of a device does with its next reading, by the very rules that the owner follows, and moves
// past on. settings may be nil for the defaults; received is when the inlet took the reading, unix ms.
func Judge(past *Past, r *devices.Reading, settings *devices.HygieneSettings, received int64) Verdict {
	var n counters
	d := &past.device
	h := newHygiene(settings, 0)
	c, taken := d.take(r, h, received, &n)
	v := Verdict{At: c.at, Measures: c.Measures, Outcome: Dropped}
	if taken {
		kept := d.addFix(h, &c, received, &n)
		if d.tail.IsFull() {
			d.tail.Reset()
		}
		v.Outcome = d.outcome(r, &c, kept)
		if older, _ := d.mergeMeasures(&c.Measures, r.Cleared, c.at); older {
			n.add(reasonOlder)
		}
		for i := range r.Metrics {
			if !isSane(&r.Metrics[i]) {
				n.add(reasonBadMetric)
			}
		}
	}
	for why := range reasonCount {
		if effect, ok := effects[why]; ok && n.get(why) > 0 {
			v.Findings = append(v.Findings, Finding{Rule: why.String(), Effect: effect})
		}
	}
	return v
}

// outcome is asked before the reading is merged. kept says that the trail has its fix.
func (d *device) outcome(r *devices.Reading, c *cleaned, kept bool) Outcome {
	switch {
	case c.Has.Has(devices.FieldPosition) && c.at >= d.times[0]:
		return Live
	case kept:
		return TrailOnly
	case (c.Has|r.Cleared)&^devices.FieldPosition != 0 || len(r.Metrics) > 0:
		return Telemetry
	default:
		return Dropped
	}
}

// String is the verdict in one line, for people.
func (v Verdict) String() string {
	var s strings.Builder
	s.WriteString(string(v.Outcome))
	for _, f := range v.Findings {
		fmt.Fprintf(&s, "; %s: %s", f.Rule, f.Effect)
	}
	return s.String()
}

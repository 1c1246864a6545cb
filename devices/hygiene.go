package devices

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// HygieneSettings say what of a fleet's readings is believed, and how much of its trails is kept. DefaultHygiene is what
// holds where nobody said anything; a member that is absent from the JSON has its value of there, and a zero switches
// its rule off.
type HygieneSettings struct {
	// MaxSpeed is what no device of the fleet moves faster than, m/s: a fix that would need more is a jump. A jump is
	// believed after JumpFixes fixes in a row that agree with each other, or JumpSeconds after the first, so that a
	// device that really moved is not frozen. With 1 fix, the default, it is believed at once and only counted: no place
	// is withheld from a dashboard unless somebody asks for it. 3 holds back what a bad receiver makes up.
	MaxSpeed    float64 `json:"max_speed"`
	JumpFixes   int     `json:"jump_fixes"`
	JumpSeconds int     `json:"jump_s"`
	// MaxAgeSeconds is how old a reading may be, by its own clock, when it arrives.
	MaxAgeSeconds int `json:"max_age_s"`
	// ClockOffsetSeconds is what the devices' clocks are ahead of UTC: 7200 for a fleet that reports the local time of
	// UTC+2 without saying so.
	ClockOffsetSeconds int `json:"clock_offset_s"`
	// MaxAccuracy is the largest radius of a fix that is taken, m.
	MaxAccuracy float64 `json:"max_accuracy"`
	// MinDistance is how far a device that stands must have moved before its place changes, m.
	MinDistance float64 `json:"min_distance"`
	// BBox is where the fleet's devices can be: west, south, east, north in degrees; west above east crosses the
	// antimeridian. It is what finds exchanged axes. nil is everywhere.
	BBox *[4]float64 `json:"bbox,omitempty"`
	// Off are rules that are switched off: see SwitchableRules.
	Off []string `json:"off,omitempty"`
	// TrailFixes and TrailSeconds bound the trail of each device: its last fixes, and no older ones than that.
	TrailFixes   int `json:"trail_fixes"`
	TrailSeconds int `json:"trail_s"`
}

// SwitchableRules are the rules that HygieneSettings.Off may name.
var SwitchableRules = []string{"duplicate", "null_island", "week_rollover", "zone", "jump", "retained"}

// The bounds of HygieneSettings.
const (
	MaxTrailFixes   = 10_000
	MaxTrailSeconds = 7 * 86_400
	maxZoneSeconds  = 14 * 3600
	maxAgeSeconds   = 10 * 365 * 86_400
)

// DefaultHygiene returns what holds for a fleet of which nothing is said. The speed is above what airliners reach.
func DefaultHygiene() HygieneSettings {
	return HygieneSettings{
		MaxSpeed: 400, JumpFixes: 1, JumpSeconds: 600,
		TrailFixes: 500, TrailSeconds: 86_400,
	}
}

// UnmarshalJSON reads settings over the defaults. A member that is not known is an error: it is a typing mistake.
func (h *HygieneSettings) UnmarshalJSON(b []byte) error {
	type plain HygieneSettings // without this method
	settings := plain(DefaultHygiene())
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&settings); err != nil {
		return fmt.Errorf("read hygiene: %w", err)
	}
	*h = HygieneSettings(settings)
	return nil
}

// Validate tells the first thing that is wrong, as an Invalid error whose field is the member's path.
func (h *HygieneSettings) Validate() error {
	for _, m := range []struct {
		name             string
		value, low, high float64
	}{
		{"max_speed", h.MaxSpeed, 0, 1e6},
		{"jump_fixes", float64(h.JumpFixes), 1, 100},
		{"jump_s", float64(h.JumpSeconds), 1, 86_400},
		{"max_age_s", float64(h.MaxAgeSeconds), 0, maxAgeSeconds},
		{"clock_offset_s", float64(h.ClockOffsetSeconds), -maxZoneSeconds, maxZoneSeconds},
		{"max_accuracy", h.MaxAccuracy, 0, 1e6},
		{"min_distance", h.MinDistance, 0, 10_000},
		{"trail_fixes", float64(h.TrailFixes), 0, MaxTrailFixes},
		{"trail_s", float64(h.TrailSeconds), 0, MaxTrailSeconds},
	} {
		if !(m.value >= m.low && m.value <= m.high) { // also refuses NaN
			return Errorf(Invalid, "hygiene."+m.name, "is not between %v and %v", m.low, m.high)
		}
	}
	for _, rule := range h.Off {
		if !slices.Contains(SwitchableRules, rule) {
			return Errorf(Invalid, "hygiene.off", "names a rule that is none of %s", strings.Join(SwitchableRules, ", "))
		}
	}
	return h.validateBBox()
}

func (h *HygieneSettings) validateBBox() error {
	if h.BBox == nil {
		return nil
	}
	west, south, east, north := h.BBox[0], h.BBox[1], h.BBox[2], h.BBox[3]
	isLon := func(v float64) bool { return v >= -180 && v <= 180 }
	isLat := func(v float64) bool { return v >= -90 && v <= 90 }
	if !isLon(west) || !isLon(east) || !isLat(south) || !isLat(north) || south > north {
		return Errorf(Invalid, "hygiene.bbox", "is not [west, south, east, north] in degrees")
	}
	return nil
}

// IsOff tells whether a rule is switched off.
func (h *HygieneSettings) IsOff(rule string) bool { return slices.Contains(h.Off, rule) }

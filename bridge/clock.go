package bridge

import (
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// The bounds of device time. Samples of real fleets hold 1970 (no clock), 1980-01-06 (no fix yet), 19.6 years ago (the
// GPS week rolled over) and 2036.
const (
	maxClockAhead = 24 * time.Hour
	// clockTolerance is how far ahead a clock may run without a word.
	clockTolerance = 5 * time.Minute
	// A GPS receiver counts weeks in ten bits. One that does not know the era reports a time that is a multiple of 1024
	// weeks off; a reading is put right where that makes it a recent one.
	gpsEra      = 1024 * 7 * 24 * time.Hour
	gpsEraSlack = 7 * 24 * time.Hour
	// Local time that is taken for UTC is ahead by a multiple of a quarter of an hour, the step of time zones, up to 14
	// hours. Time that is behind cannot be told from a buffered message: that is what the setting clock_offset_s is for.
	zoneStep  = 15 * time.Minute
	zoneSlack = 90 * time.Second
	maxZone   = 14 * time.Hour
)

var earliestClock = time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

// settleTime finds the time of a reading.
func (h *hygiene) settleTime(r *devices.Reading, received int64, out *cleaned, c *counters) {
	claimed := r.At
	isLate := r.Historical || r.Retained && h.retained // so the time of receipt says nothing about it
	if claimed == 0 {
		if !isLate {
			out.at, out.claimed = received, received
		}
		return
	}
	at := claimed
	if h.ClockOffsetSeconds != 0 && isNear(claimed) {
		at -= int64(h.ClockOffsetSeconds) * 1000
	}
	at, ok := h.correct(at, received, c)
	switch {
	case !ok && isLate:
	case !ok:
		out.at, out.claimed = received, received
	default:
		out.at, out.claimed, out.timed = min(at, received), claimed, true
		out.old = h.MaxAgeSeconds > 0 && out.at < received-int64(h.MaxAgeSeconds)*1000
	}
}

// isNear tells whether a time may be calculated with: no sum with it overflows.
func isNear(at int64) bool { return at > -1<<60 && at < 1<<60 }

// correct returns the time that a claim stands for, or false where it stands for none.
func (h *hygiene) correct(at, received int64, c *counters) (int64, bool) {
	ahead := time.Duration(0)
	if isNear(at) {
		ahead = time.Duration(at-received) * time.Millisecond
	}
	switch {
	case !isNear(at) || at < earliestClock || at-received > maxClockAhead.Milliseconds():
		if h.weekRollover && isNear(at) {
			for _, eras := range [...]int64{1, 2, -1} {
				t := at + eras*gpsEra.Milliseconds()
				if t >= received-gpsEraSlack.Milliseconds() && t <= received+clockTolerance.Milliseconds() {
					c.add(reasonWeekRollover)
					return t, true
				}
			}
		}
		c.add(reasonClock)
		return 0, false
	case ahead <= clockTolerance:
		return at, true
	case h.zones && ahead <= maxZone+zoneSlack && (ahead-ahead.Round(zoneStep)).Abs() <= zoneSlack:
		c.add(reasonZone)
		return at - ahead.Round(zoneStep).Milliseconds(), true
	default:
		c.add(reasonAhead)
		return at, true
	}
}

package tracker

import (
	"math"
	"time"
)

// Between high buildings a receiver may follow a signal that came by way of a wall. It then is off to one side of the
// street, by much the same for as long as it follows it, and jumps when it finds or loses it. An episode is how long it
// follows one; what happens in each is a pure function of the receiver and the time, as all of its error is.
const (
	episode       = 20 * time.Second
	reflectedOf   = 0.6 // of the episodes
	reflectLeast  = 0.5 // of what the options say
	reflectMost   = 2.0
	reflectWander = 0.1 // the deviation within an episode, as a part of it
)

// Purposes of the dice.
const (
	forReflection = 0x5eed + iota
	forSide
	forDistance
	forHonesty
)

// reflect puts a fix beside the street, which runs along heading. Speed and heading stay, as with all of the error.
func (t *Tracker) reflect(f *Fix, heading float64) {
	number := uint64(f.At.UnixNano() / int64(episode))
	if t.dice(number, forReflection) >= reflectedOf {
		return
	}
	off := t.options.Multipath * (reflectLeast + (reflectMost-reflectLeast)*t.dice(number, forDistance))
	off *= 1 + reflectWander*min(max(wander(t.seed, forDistance, f.At, episode), -2), 2)
	side := heading + 90
	if t.dice(number, forSide) < 0.5 {
		side = heading - 90
	}
	f.Lat += off * math.Cos(side*math.Pi/180) / metresPerDegree
	f.Lon += off * math.Sin(side*math.Pi/180) / (metresPerDegree * math.Cos(f.Lat*math.Pi/180))
	f.Satellites = min(f.Satellites, 5)
	if t.dice(0, forHonesty) >= t.options.Dishonest {
		f.Accuracy += off // it sees that its satellites disagree
	}
}

// dice is a number in [0,1) for an episode and a purpose.
func (t *Tracker) dice(number, purpose uint64) float64 {
	return float64(mix(t.seed^mix(number^mix(purpose)))>>11) / (1 << 53)
}

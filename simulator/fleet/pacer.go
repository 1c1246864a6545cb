package fleet

import (
	"math/bits"
	"time"
)

// pacer says when each of a group of members has its turn, as a pure function of the time since the start. Every member
// has one turn an interval, and the turns of the members are spread evenly over it. Turn k is of member k % members.
type pacer struct {
	interval time.Duration
	members  uint64
	offset   time.Duration // of turn 0
}

// intended is the instant of turn k.
func (p pacer) intended(k uint64) time.Duration {
	// k * interval / members does not fit into 64 bits after some weeks of a large fleet.
	hi, lo := bits.Mul64(k, uint64(p.interval))
	quotient, _ := bits.Div64(hi%p.members, lo, p.members)
	return p.offset + time.Duration(quotient)
}

// due is how many turns have come by elapsed: turns 0 to due-1.
func (p pacer) due(elapsed time.Duration) uint64 {
	if p.members == 0 || elapsed < p.offset {
		return 0
	}
	hi, lo := bits.Mul64(uint64(elapsed-p.offset), p.members)
	quotient, _ := bits.Div64(hi%uint64(p.interval), lo, uint64(p.interval))
	k := quotient + 1
	for p.intended(k) <= elapsed { // intended rounds down, so the quotient may be one short
		k++
	}
	return k
}

package redisbus

import (
	"maps"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// settle acts on what was seen. It returns true where something is free that is to be left to others, as far as is known.
func (s *share) settle(seen *sight, now time.Time) (left bool) {
	owned := s.owned()
	s.mu.Lock()
	defer s.mu.Unlock()
	if seen.live != nil && !maps.Equal(seen.live, s.live) {
		s.live, s.settled = seen.live, now
	}
	least, others := s.least(seen.holders)
	patience, able := leaveFor, !now.Before(s.unable)
	if !able {
		patience = 2 * s.b.opts.LeaseTTL
	}
	for w := range s.wishes {
		holder, asked := seen.holders[w.partition]
		switch {
		case !asked:
		case holder != "":
			w.held, w.free = now, time.Time{}
		default:
			if w.free.IsZero() {
				w.free = now
			}
			if !others || able && owned+s.taking <= least || now.Sub(w.free) >= patience {
				s.give(w)
			} else {
				left = left || seen.live == nil
			}
		}
	}
	if seen.live != nil && others && owned-least >= 2 {
		s.giveUp(seen.holders, now)
	}
	return left
}

// least is how many partitions that other bridge has, of those that can own, which has the fewest.
func (s *share) least(holders map[int]string) (n int, others bool) {
	counts := map[bus.DoorID]int{}
	for _, holder := range holders {
		if id, ok := bridgeOf(holder); ok {
			counts[id]++
		}
	}
	for id, able := range s.live {
		if id != s.name && able && (!others || counts[id] < n) {
			n, others = counts[id], true
		}
	}
	return n, others
}

// giveUp asks the owner of one of our partitions to give it back, one after the other and not while bridges come and go.
func (s *share) giveUp(holders map[int]string, now time.Time) {
	pause := s.b.opts.MoveEvery
	if holders[s.moved] == "" && s.movedAt.After(s.settled) {
		pause = unableFor // nobody took the one before: it may be back here
	}
	if now.Sub(s.settled) < s.b.opts.MoveAfter || now.Sub(s.movedAt) < pause {
		return
	}
	var last *lease
	s.b.mu.Lock()
	for l := range s.b.leases {
		if l.published.Load() && (last == nil || l.partition > last.partition) {
			last = l
		}
	}
	s.b.mu.Unlock()
	if last != nil && last.give() {
		s.moved, s.movedAt = last.partition, now
	}
}

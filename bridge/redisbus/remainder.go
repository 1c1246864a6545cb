package redisbus

import (
	"slices"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// remainder is what of a flush is not published yet. An event goes in the step of its device's change: the record in that
// change knows of the event, so that an owner that goes on after a step neither loses it nor tells it again.
type remainder struct {
	changes []bus.Change
	events  []bus.Event     // those that no change takes along, from next on
	of      map[place][]int // events by the place of their device, where there is more than one step and a change of it
	flush   *bus.Flush
}

func newRemainder(f *bus.Flush) *remainder {
	r := &remainder{changes: f.Changes, events: f.Events, flush: f}
	if len(f.Events) == 0 || flushBytes(f) <= maxPartBytes {
		return r
	}
	changed := make(map[place]struct{}, len(f.Changes))
	for i := range f.Changes {
		changed[placeOf(&f.Changes[i])] = struct{}{}
	}
	r.of, r.events = make(map[place][]int), nil
	for i := range f.Events {
		at := place{f.Events[i].Fleet, f.Events[i].Device}
		if _, ok := changed[at]; ok {
			r.of[at] = append(r.of[at], i)
		} else {
			r.events = append(r.events, f.Events[i])
		}
	}
	return r
}

// flushBytes is what goes to the server, about: what edges see goes to the state and to them.
func flushBytes(f *bus.Flush) int {
	bytes := 0
	for i := range f.Changes {
		bytes += changeBytes(&f.Changes[i])
	}
	for i := range f.Events {
		bytes += 2 * len(f.Events[i].Data)
	}
	return bytes
}

func changeBytes(c *bus.Change) int {
	bytes := 2*len(c.Frame) + len(c.Record)
	for i := range c.Notes {
		bytes += 2 * len(c.Notes[i].Data)
	}
	return bytes
}

// cut moves what makes one step into part, and tells whether that was the rest.
func (r *remainder) cut(part *bus.Flush) bool {
	bytes, n := 0, 0
	var along []int
	for ; n < len(r.changes); n++ {
		c := &r.changes[n]
		size, mine := changeBytes(c), r.of[placeOf(c)]
		for _, i := range mine {
			size += 2 * len(r.flush.Events[i].Data)
		}
		if n > 0 && bytes+size > maxPartBytes {
			break
		}
		bytes += size
		if len(mine) > 0 { // a device may change twice in a flush
			along = append(along, mine...)
			delete(r.of, placeOf(c))
		}
	}
	part.Changes, r.changes = r.changes[:n], r.changes[n:]
	slices.Sort(along)
	for _, i := range along {
		part.Events = append(part.Events, r.flush.Events[i])
	}
	if len(r.changes) > 0 {
		return false
	}
	for n = 0; n < len(r.events); n++ {
		size := 2 * len(r.events[n].Data)
		if bytes += size; bytes > maxPartBytes && bytes > size {
			break
		}
	}
	part.Events, r.events = append(part.Events, r.events[:n]...), r.events[n:]
	return len(r.events) == 0
}

package bus

import (
	"cmp"
	"maps"
	"slices"
)

// maxDoors bounds the doors whose last number a partition remembers. A door is one run of a process of ours, so there
// are a few at a time; the bound is against one that restarts for ever.
const maxDoors = 1024

// doors remembers the number of the last Append of each door, which is what makes a repeated one harmless. A door has
// one Append at a time, so its last number is enough.
type doors struct {
	last  map[DoorID]doorMark
	clock uint64 // counts the notes, to find the door that was quiet for longest
}

type doorMark struct{ seq, noted uint64 }

func newDoors() doors { return doors{last: make(map[DoorID]doorMark)} }

type seqOrder uint8

const (
	seqNew      seqOrder = iota
	seqRepeated          // it is the last one: kept already
	seqPassed            // a later one was kept; whether this one was, nobody knows any more
)

func (d *doors) compare(door DoorID, seq uint64) seqOrder {
	mark, known := d.last[door]
	switch {
	case !known || seq > mark.seq:
		return seqNew
	case seq == mark.seq:
		return seqRepeated
	default:
		return seqPassed
	}
}

func (d *doors) note(door DoorID, seq uint64) {
	if _, known := d.last[door]; !known && len(d.last) >= maxDoors {
		d.forgetQuietest()
	}
	d.clock++
	d.last[door] = doorMark{seq: seq, noted: d.clock}
}

// forgetQuietest looks at all of them: it runs only when a door is new, and there are few.
func (d *doors) forgetQuietest() {
	var quietest DoorID
	oldest := d.clock + 1
	for door, mark := range d.last {
		if mark.noted < oldest {
			quietest, oldest = door, mark.noted
		}
	}
	delete(d.last, quietest)
}

// marks returns the doors, the one that was quiet for longest first, so that noting them again in this order remembers
// them in the same way.
func (d *doors) marks() []DoorMark {
	ids := slices.SortedFunc(maps.Keys(d.last), func(a, b DoorID) int { return cmp.Compare(d.last[a].noted, d.last[b].noted) })
	out := make([]DoorMark, len(ids))
	for i, id := range ids {
		out[i] = DoorMark{Door: id, Seq: d.last[id].seq}
	}
	return out
}

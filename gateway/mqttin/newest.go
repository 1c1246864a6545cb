package mqttin

import (
	"cmp"
	"slices"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// newest keeps what QoS 0 says while the queue is full or the inlet is away: the newest reading and the newest status of
// each device. Nobody is held back for QoS 0 and nobody sends it again, so without this a device whose last message fell
// into an outage would stand still until it speaks again. It is bounded by the number of entries and by the bytes of
// their payloads, against an outage that lasts and a fleet that is larger than memory. It is guarded by committer.mu.
type newest struct {
	limit, limitBytes int

	index map[newestKey]int
	kept  []newestEntry
	bytes int
	count uint64 // of arrivals
}

type newestKey struct {
	device devices.DeviceID
	kind   bus.EntryKind
}

type newestEntry struct {
	entry   bus.Entry
	bytes   int
	arrived uint64
}

// holds tells whether something is kept of a device that one of the entries is of: what comes later must not pass it.
func (n *newest) holds(entries []bus.Entry) bool {
	if len(n.kept) == 0 {
		return false
	}
	for i := range entries {
		if _, ok := n.index[keyOf(&entries[i])]; ok {
			return true
		}
	}
	return false
}

func keyOf(e *bus.Entry) newestKey { return newestKey{e.Device, e.Kind} }

// put keeps the readings and statuses of a message and returns how many it kept, how many of an older message they
// replaced, and how many found no room. Connection events are not kept: the next message that is taken brings them.
func (n *newest) put(entries []bus.Entry, bytes int) (kept, replaced, dropped int) {
	for i := range entries {
		e := &entries[i]
		if e.Kind != bus.KindReading && e.Kind != bus.KindStatus {
			continue
		}
		at, known := n.index[keyOf(e)]
		before := 0
		if known {
			before = n.kept[at].bytes
		}
		if (!known && len(n.kept) >= n.limit) || n.bytes-before+bytes > n.limitBytes {
			dropped++
			continue
		}
		if known {
			replaced++
		} else {
			at = n.add(keyOf(e))
		}
		n.count++
		n.kept[at] = newestEntry{*e, bytes, n.count}
		n.bytes += bytes - before
		bytes = 0 // one message, counted once
		kept++
	}
	return kept, replaced, dropped
}

func (n *newest) add(key newestKey) int {
	if n.index == nil {
		n.index = map[newestKey]int{}
	}
	n.index[key] = len(n.kept)
	n.kept = append(n.kept, newestEntry{})
	return len(n.kept) - 1
}

// drain appends what is kept to a batch, in order of arrival, and forgets it with its memory.
func (n *newest) drain(b *batch) {
	if len(n.kept) == 0 {
		return
	}
	slices.SortFunc(n.kept, func(x, y newestEntry) int { return cmp.Compare(x.arrived, y.arrived) })
	for i := range n.kept {
		b.entries = append(b.entries, n.kept[i].entry)
	}
	b.messages += len(n.kept)
	b.bytes += n.bytes
	n.index, n.kept, n.bytes = nil, nil, 0
}

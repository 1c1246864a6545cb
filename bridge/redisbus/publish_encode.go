package redisbus

import (
	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// encoding is the memory in which parts are encoded, kept from one to the next.
type encoding struct {
	args  []any
	arena []byte // every encoded value, end to end
	last  map[place]int
}

type place struct {
	fleet  devices.FleetID
	device devices.DeviceID
}

// maxKeptArena bounds what an owner keeps after its largest flush.
const maxKeptArena = 4 << 20

// letGo keeps the memory and drops what it refers to.
func (e *encoding) letGo() {
	clear(e.args)
	e.args = e.args[:0]
	clear(e.last)
	if cap(e.arena) > maxKeptArena {
		e.arena = nil
	}
	e.arena = e.arena[:0]
}

// publishArgs are the arguments of scripts/publish.lua, in its order. The values of live devices stand in rows of
// field and value, so that the script can hand them to HSET without touching each.
func (l *lease) publishArgs(part *bus.Flush, at chunkMark, erased, call string, checkRun bool) []any {
	e, o := &l.encoding, &l.b.opts
	next := l.at.position
	content := part.HasContent()
	if content {
		next.Offset++
	}
	batch := bus.Batch{Partition: l.partition, Position: next, Time: part.Time, Changes: part.Changes, Events: part.Events, Traces: part.Traces, Erased: part.Erased}
	live, gone := e.sort(part.Changes)
	e.args = append(e.args[:0],
		l.holder, o.LeaseTTL.Milliseconds(), formatEpoch(next.Epoch), l.at.n, l.at.call, call, newEpoch(),
		part.Time, uint64(part.Consumed), uint64(at.last), at.mark, flag(checkRun),
		o.TombstoneAge.Milliseconds(), o.MaxTombstones, o.MaxEvents, o.MaxLogBatches, o.MaxLogBytes,
		l.b.keys[l.partition].live, e.encode(func(dst []byte) []byte { return bus.AppendBatch(dst, &batch) }),
		live, gone, len(part.Events),
		len(part.Trails), l.b.keys[l.partition].trail, o.MaxTrailBytes, o.TrailAge.Milliseconds(), blockCost)
	e.appendLive(part.Changes, next.Offset)
	e.appendGone(part.Changes, next.Offset)
	for i := range part.Events {
		one := bus.Batch{Partition: l.partition, Position: next, Time: part.Time, Events: part.Events[i : i+1]}
		e.args = append(e.args, e.encode(func(dst []byte) []byte { return bus.AppendBatch(dst, &one) }))
	}
	e.appendTrails(part.Trails)
	e.args = append(e.args, erased)
	e.appendCommands(part.Commands)
	e.args = append(e.args, len(part.Commands), part.Config) // the last two
	return e.args
}

// sort finds the last change of every device, which is what the state keeps, and counts them.
func (e *encoding) sort(changes []bus.Change) (live, gone int) {
	if e.last == nil {
		e.last = make(map[place]int)
	}
	for i := range changes {
		e.last[place{changes[i].Fleet, changes[i].Device}] = i
	}
	for _, i := range e.last {
		if changes[i].Removed() {
			gone++
		} else {
			live++
		}
	}
	return live, gone
}

func (e *encoding) isLast(changes []bus.Change, i int) bool {
	return e.last[place{changes[i].Fleet, changes[i].Device}] == i
}

func (e *encoding) appendLive(changes []bus.Change, offset uint64) {
	for i := range changes {
		if c := &changes[i]; !c.Removed() && e.isLast(changes, i) {
			e.args = append(e.args, fieldOf(c.Fleet, c.Device), e.versioned(c, offset))
		}
	}
	for i := range changes {
		if c := &changes[i]; !c.Removed() && e.isLast(changes, i) {
			record := e.encode(func(dst []byte) []byte { return append(append(dst, recordLive), c.Record...) })
			e.args = append(e.args, fieldOf(c.Fleet, c.Device), record)
		}
	}
}

func (e *encoding) appendGone(changes []bus.Change, offset uint64) {
	for i := range changes {
		if c := &changes[i]; c.Removed() && e.isLast(changes, i) {
			e.args = append(e.args, fieldOf(c.Fleet, c.Device), e.versioned(c, offset), c.Record)
		}
	}
}

func (e *encoding) versioned(c *bus.Change, offset uint64) []byte {
	v := bus.Versioned{Change: *c, Offset: offset}
	return e.encode(func(dst []byte) []byte { return bus.AppendVersioned(dst, &v) })
}

// encode appends a value to the arena and returns it. A grown arena leaves the values before it where they were.
func (e *encoding) encode(value func([]byte) []byte) []byte {
	from := len(e.arena)
	e.arena = value(e.arena)
	return e.arena[from:len(e.arena):len(e.arena)]
}

package webhook

import (
	"slices"
	"sync"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// queue is the events of a partition that some webhook may still be told, the oldest first. It is bounded: past it the
// oldest go, and each webhook that had not come to them counts them as dropped.
type queue struct {
	partition int
	epoch     bus.Epoch
	most      int

	mu     sync.Mutex // guards what follows
	first  uint64     // the number of events[0], counted since the partition was owned
	events []bus.VersionedEvent
	at     uint64        // the offset of the last
	more   chan struct{} // closed and replaced when there are more
}

func newQueue(partition int, at bus.Position, most int) *queue {
	return &queue{partition: partition, epoch: at.Epoch, at: at.Offset, most: most, more: make(chan struct{})}
}

func (q *queue) push(events []bus.VersionedEvent) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.events = append(q.events, events...)
	if over := len(q.events) - q.most; over > 0 {
		q.events = slices.Clone(q.events[over:])
		q.first += uint64(over)
	}
	if n := len(events); n > 0 {
		q.at = max(q.at, events[n-1].Offset)
	}
	close(q.more)
	q.more = make(chan struct{})
}

// erase has nobody told of a device any more. The numbers of the others stay: what is told of nothing has no data.
func (q *queue) erase(erased []devices.DeviceID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	events := slices.Clone(q.events)
	for i := range events {
		if slices.Contains(erased, events[i].Device) {
			events[i] = bus.VersionedEvent{Offset: events[i].Offset}
		}
	}
	q.events = events
}

// skip notes that there were events, of which nobody is to be told.
func (q *queue) skip(offset uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.at = max(q.at, offset)
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.events)
}

// end is the number after the last event, and its offset.
func (q *queue) end() (number, offset uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.first + uint64(len(q.events)), q.at
}

// after is the number of the first event behind an offset.
func (q *queue) after(offset uint64) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.events, func(e bus.VersionedEvent) bool { return e.Offset > offset })
	if i < 0 {
		i = len(q.events)
	}
	return q.first + uint64(i)
}

// get returns the event of a number, how many from there on are gone, and a channel that is closed when there are more. isLast tells
// that the next event has another offset: all of this one's were seen then.
func (q *queue) get(number uint64) (e bus.VersionedEvent, ok, isLast bool, gone uint64, more <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if number < q.first {
		gone, number = q.first-number, q.first
	}
	i := number - q.first
	if i >= uint64(len(q.events)) {
		return e, false, false, gone, q.more
	}
	e = q.events[i]
	isLast = i+1 == uint64(len(q.events)) || q.events[i+1].Offset != e.Offset
	return e, true, isLast, gone, q.more
}

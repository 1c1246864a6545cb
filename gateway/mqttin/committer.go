package mqttin

import (
	"context"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices/trace"
)

// verdict says what became of a message that was offered to the queue.
type verdict uint8

const (
	taken      verdict = iota
	keptNewest         // QoS 0, and no room: it waits as the newest of its device
	dropped            // QoS 0, and no room there either
	stalled            // no room for a whole keep-alive: the connection must end
	refusing           // the broker stops
)

// commitEvery is the least time from one commit to the next, unless it is set. Messages of many devices come one by one, and the bus is
// quicker than they are: a commit of each, with the goroutines that it wakes, its write or its call to Redis, cost a third
// of all processor time at 2,000 messages a second. What it adds to the way of a message is half of it in the mean, of the
// ten that the door has. The first after a pause does not wait.
const commitEvery = 5 * time.Millisecond

// committer moves messages to the inlet. One append is in flight at a time; what comes meanwhile, and within every,
// goes with the next, so that the number of appends follows the time and not the number of messages. Acknowledgements are
// released in the order of arrival once the append that holds their message has returned.
type committer struct {
	inlet    bus.Inlet
	door     bus.DoorID
	limits   Limits
	counters *counters
	tracer   *trace.Tracer
	every    time.Duration // the least time from one commit to the next

	// Owned by run.
	seq     uint64
	flying  batch
	scratch []bus.Entry
	touched []origin
	direct  directWriter
	began   time.Time      // the last commit
	writers sync.WaitGroup // the goroutines that write acknowledgements for which a socket had no room

	mu       sync.Mutex
	next     batch
	newest   newest    // what QoS 0 said when there was no room
	isAway   bool      // the inlet refuses for now
	since    time.Time // when the append that is under way began
	messages int       // of next and flying, against Limits.QueueMessages
	bytes    int
	owed     int           // acknowledgements that are not written yet
	waiting  bool          // somebody waits on space
	space    chan struct{} // closed when there may be room again
	closing  bool
	busy     bool          // run has a batch
	idle     chan struct{} // closed when nothing is queued or owed, if somebody wants to know
	wake     chan struct{} // of capacity 1: next is not empty
}

func newCommitter(inlet bus.Inlet, door bus.DoorID, limits Limits, c *counters) *committer {
	return &committer{
		inlet: inlet, door: door, limits: limits, counters: c, space: make(chan struct{}), wake: make(chan struct{}, 1),
		every: commitEvery, newest: newest{limit: limits.KeptNewest, limitBytes: limits.QueueBytes},
	}
}

// take queues a message. For QoS 1 and 2 it waits for room, at most patience: the caller is the goroutine that reads
// the connection, so the device is held back by TCP.
func (c *committer) take(o origin, d *delivery, patience time.Duration) verdict {
	var timer *time.Timer
	a := o.counted()
	c.mu.Lock()
	for {
		if c.closing {
			c.mu.Unlock()
			return refusing
		}
		full := c.messages > 0 && (c.messages >= c.limits.QueueMessages || c.bytes+d.bytes > c.limits.QueueBytes)
		if d.ticket.kind == 0 && (full || c.isAway || c.newest.holds(d.entries)) {
			defer c.mu.Unlock()
			return c.keep(d)
		}
		if !full && (d.ticket.kind == 0 || a.unacked < c.limits.Unacked) {
			break
		}
		space := c.space
		c.waiting = true
		c.mu.Unlock()
		o.willWait()
		c.signal()
		if timer == nil {
			timer = time.NewTimer(patience)
			defer timer.Stop()
		}
		select {
		case <-space:
		case <-a.gone:
			return stalled
		case <-timer.C:
			return stalled
		}
		c.mu.Lock()
	}
	c.queue(o, d)
	c.mu.Unlock()
	if !d.others {
		c.signal()
	}
	return taken
}

// keep keeps a QoS 0 message for which there is no room as the newest of its device. It needs c.mu.
func (c *committer) keep(d *delivery) verdict {
	kept, replaced, none := c.newest.put(d.entries, d.bytes)
	c.counters.noteMany(KeptNewest, kept)
	c.counters.noteMany(KeptReplaced, replaced)
	if none > 0 || kept == 0 {
		return dropped
	}
	return keptNewest
}

// queue needs c.mu.
func (c *committer) queue(o origin, d *delivery) {
	b := &c.next
	from := len(b.entries)
	b.entries = append(b.entries, d.entries...)
	if d.ticket.kind != 0 {
		t := d.ticket
		t.origin, t.from, t.upto = o, from, len(b.entries)
		b.tickets = append(b.tickets, t)
		o.counted().unacked++
		c.owed++
	}
	b.messages++
	b.bytes += d.bytes
	c.messages++
	c.bytes += d.bytes
}

// force queues entries whatever the bounds: a last will, which is one a connection and small.
func (c *committer) force(entries []bus.Entry) {
	c.mu.Lock()
	c.next.entries = append(c.next.entries, entries...)
	c.mu.Unlock()
	c.signal()
}

// end queues the end of a connection. Its events are made when it is committed, after all that the connection queued.
// The bound is that of open connections and their devices.
func (c *committer) end(s *session) {
	c.mu.Lock()
	c.next.ended = append(c.next.ended, s)
	c.mu.Unlock()
	c.signal()
}

func (c *committer) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// settle notes that n acknowledgements of the connection are written, or will never be.
func (c *committer) settle(o origin, n int) {
	if n == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	o.counted().unacked -= n
	c.owed -= n
	c.makeRoom()
	c.tellIdle()
}

// makeRoom wakes whoever waits for room. It needs c.mu.
func (c *committer) makeRoom() {
	if c.waiting {
		c.waiting = false
		close(c.space)
		c.space = make(chan struct{})
	}
}

// close refuses messages from now on. Ends of connections are still taken.
func (c *committer) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	c.makeRoom()
}

// tellIdle wakes whoever waits in flush. It needs c.mu.
func (c *committer) tellIdle() {
	if c.idle != nil && c.isIdle() {
		close(c.idle)
		c.idle = nil
	}
}

// isIdle tells whether nothing is queued and nothing owed. It needs c.mu.
func (c *committer) isIdle() bool {
	return !c.busy && c.next.isEmpty() && len(c.newest.kept) == 0 && c.owed == 0
}

// flush waits until nothing is queued and every acknowledgement is written. It tells whether that came about before ctx ended.
func (c *committer) flush(ctx context.Context) bool {
	c.mu.Lock()
	if c.isIdle() {
		c.mu.Unlock()
		return true
	}
	if c.idle == nil {
		c.idle = make(chan struct{})
	}
	idle := c.idle
	c.mu.Unlock()
	select {
	case <-idle:
		return true
	case <-ctx.Done():
		return false
	}
}

func (b *batch) isEmpty() bool {
	return len(b.entries) == 0 && len(b.tickets) == 0 && len(b.ended) == 0
}

// run commits until ctx ends. It waits for the writers that it started.
func (c *committer) run(ctx context.Context) {
	defer c.writers.Wait()
	for {
		select {
		case <-c.wake:
		case <-ctx.Done():
			return
		}
		for {
			if !c.rest(ctx) {
				return
			}
			if !c.swap() {
				break
			}
			c.began = time.Now()
			if !c.commit(ctx) {
				return
			}
		}
	}
}

// rest waits until the next commit may begin, where something is queued and it is not much. It returns false when ctx ended
// first.
func (c *committer) rest(ctx context.Context) bool {
	left := c.every - time.Since(c.began)
	if left <= c.every/4 || !c.isFew() { // the poller's rounds are not so exact
		return true
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// isFew tells whether something is queued that may wait: less than an append may carry, and nobody stops or waits for room.
func (c *committer) isFew() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.next.isEmpty() && len(c.next.entries) < maxAppend && !c.closing && !c.waiting
}

// swap takes what is queued. It tells whether there was anything.
func (c *committer) swap() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages -= c.flying.messages
	c.bytes -= c.flying.bytes
	c.flying.reset()
	c.messages += len(c.newest.kept)
	c.bytes += c.newest.bytes
	c.newest.drain(&c.next) // before there is room, so that nothing passes it, and whether or not it fits: it has bounds of its own
	c.makeRoom()
	c.busy = !c.next.isEmpty()
	if !c.busy {
		c.tellIdle()
		return false
	}
	c.flying, c.next = c.next, c.flying
	return true
}

// commit makes the batch durable and releases its acknowledgements part by part. It returns false when ctx ended first.
func (c *committer) commit(ctx context.Context) bool {
	b := &c.flying
	tickets := b.tickets
	refused := func(index int) { // the message is answered as one that will never be understood
		for i := range tickets {
			if t := &tickets[i]; t.from <= index && index < t.upto {
				t.code = codeUnspecified
			}
		}
	}
	for from := 0; from < len(b.entries); {
		to := min(from+maxAppend, len(b.entries))
		if !c.store(ctx, b.entries[from:to], from, refused) {
			return false
		}
		from = to
		n := 0
		for n < len(tickets) && tickets[n].upto <= from {
			n++
		}
		c.acknowledge(tickets[:n])
		tickets = tickets[n:]
	}
	c.acknowledge(tickets) // of a batch without entries
	return c.commitEnds(ctx, b.ended)
}

// commitEnds appends the events of connections that ended. They may be many: each connection has its devices.
func (c *committer) commitEnds(ctx context.Context, ended []*session) bool {
	for i, s := range ended {
		c.scratch = s.tracked.appendDown(c.scratch, s.event(false))
		s.tracked = trackedDevices{}
		for len(c.scratch) >= maxAppend || (i == len(ended)-1 && len(c.scratch) > 0) {
			n := min(maxAppend, len(c.scratch))
			if !c.store(ctx, c.scratch[:n], 0, func(int) {}) {
				return false
			}
			c.scratch = c.scratch[:copy(c.scratch, c.scratch[n:])]
		}
	}
	return true
}

// acknowledge hands the acknowledgements to their connections, each with one write for all of this call.
func (c *committer) acknowledge(tickets []ticket) {
	for i := range tickets {
		if o := tickets[i].origin.acknowledge(&tickets[i]); o != nil {
			c.touched = append(c.touched, o)
		}
	}
	for _, o := range c.touched {
		o.writeAcks(c.writers.Go)
	}
	clear(c.touched)
	c.touched = c.touched[:0]
}

// gauges returns what is queued.
func (c *committer) gauges() (messages, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.messages, c.bytes
}

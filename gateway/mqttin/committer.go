package mqttin

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
)

// The pauses between attempts while the inlet refuses. The acknowledgements are withheld meanwhile.
const (
	retryFirst = 10 * time.Millisecond
	retryMost  = time.Second
)

// ticket is an acknowledgement that is owed: it may be written when the first upto entries of its batch are durable.
type ticket struct {
	session *session
	flow    *flow // of a QoS 2 message that was taken
	upto    int
	id      uint16
	kind    byte // pubackByte or pubrecByte
	code    byte
}

// delivery is one message on its way into the queue.
type delivery struct {
	entries []bus.Entry // copied
	ticket  ticket      // kind 0: QoS 0, nothing is owed
	bytes   int
}

// batch is what one or more appends carry.
type batch struct {
	entries  []bus.Entry
	tickets  []ticket
	ended    []*session
	messages int
	bytes    int
}

func (b *batch) reset() {
	clear(b.entries) // the inlet keeps readings, this must not
	clear(b.tickets)
	clear(b.ended)
	*b = batch{entries: b.entries[:0], tickets: b.tickets[:0], ended: b.ended[:0]}
}

// verdict says what became of a message that was offered to the queue.
type verdict uint8

const (
	taken    verdict = iota
	dropped          // QoS 0, and no room
	stalled          // no room for a whole keep-alive: the connection must end
	refusing         // the broker stops
)

// committer moves messages to the inlet. One append is in flight at a time; what comes meanwhile goes with the next, so
// that the number of appends follows the inlet's speed and not the number of messages. Acknowledgements are released in
// the order of arrival once the append that holds their message has returned.
type committer struct {
	inlet    bus.Inlet
	door     bus.DoorID
	limits   Limits
	counters *counters

	// Owned by run.
	seq     uint64
	flying  batch
	scratch []bus.Entry
	touched []*session
	writers sync.WaitGroup // the goroutines that write acknowledgements

	mu       sync.Mutex
	next     batch
	messages int // of next and flying, against Limits.QueueMessages
	bytes    int
	owed     int           // acknowledgements that are not written yet
	waiting  bool          // somebody waits on space
	space    chan struct{} // closed when there may be room again
	closing  bool
	busy     bool          // run has a batch
	idle     chan struct{} // closed when nothing is queued or owed, if somebody wants to know
	wake     chan struct{} // of capacity 1: next is not empty
}

func newCommitter(o Options, door bus.DoorID, limits Limits, c *counters) *committer {
	return &committer{inlet: o.Inlet, door: door, limits: limits, counters: c, space: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// take queues a message. For QoS 1 and 2 it waits for room, at most patience: the caller is the goroutine that reads
// the connection, so the device is held back by TCP.
func (c *committer) take(s *session, d *delivery, patience time.Duration) verdict {
	var timer *time.Timer
	c.mu.Lock()
	for {
		if c.closing {
			c.mu.Unlock()
			return refusing
		}
		full := c.messages > 0 && (c.messages >= c.limits.QueueMessages || c.bytes+d.bytes > c.limits.QueueBytes)
		if !full && (d.ticket.kind == 0 || s.unacked < c.limits.Unacked) {
			break
		}
		if d.ticket.kind == 0 {
			c.mu.Unlock()
			return dropped
		}
		space := c.space
		c.waiting = true
		c.mu.Unlock()
		if timer == nil {
			timer = time.NewTimer(patience)
			defer timer.Stop()
		}
		select {
		case <-space:
		case <-timer.C:
			return stalled
		}
		c.mu.Lock()
	}
	c.queue(s, d)
	c.mu.Unlock()
	c.signal()
	return taken
}

// queue needs c.mu.
func (c *committer) queue(s *session, d *delivery) {
	b := &c.next
	b.entries = append(b.entries, d.entries...)
	if d.ticket.kind != 0 {
		t := d.ticket
		t.session, t.upto = s, len(b.entries)
		b.tickets = append(b.tickets, t)
		s.unacked++
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
func (c *committer) settle(s *session, n int) {
	if n == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.unacked -= n
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
func (c *committer) isIdle() bool { return !c.busy && c.next.isEmpty() && c.owed == 0 }

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
		for c.swap() {
			if !c.commit(ctx) {
				return
			}
		}
	}
}

// swap takes what is queued. It tells whether there was anything.
func (c *committer) swap() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages -= c.flying.messages
	c.bytes -= c.flying.bytes
	c.flying.reset()
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
	for from := 0; from < len(b.entries); {
		to := min(from+maxAppend, len(b.entries))
		if !c.append(ctx, b.entries[from:to]) {
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
			if !c.append(ctx, c.scratch[:n]) {
				return false
			}
			c.scratch = c.scratch[:copy(c.scratch, c.scratch[n:])]
		}
	}
	return true
}

// append appends until it succeeds or ctx ends. A repeated append carries the same number, so that the inlet keeps
// nothing twice. Every entry was checked when it was queued, so there is nothing that fails for ever.
func (c *committer) append(ctx context.Context, entries []bus.Entry) bool {
	c.seq++
	pause := retryFirst
	for {
		err := c.inlet.Append(ctx, bus.Append{Door: c.door, Seq: c.seq, Entries: entries})
		if err == nil {
			c.counters.commits.Add(1)
			c.counters.entries.Add(uint64(len(entries)))
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		c.counters.note(AppendFailed, "")
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
		pause = min(2*pause, retryMost)
	}
}

// acknowledge hands the acknowledgements to their connections, each with one write for all of this call.
func (c *committer) acknowledge(tickets []ticket) {
	for i := range tickets {
		t := &tickets[i]
		target := t.session
		if t.flow != nil {
			target = t.flow.record(t.id)
		}
		if target != t.session {
			c.settle(t.session, 1) // its own connection is gone
		}
		if target != nil && target.acks.add(t, target.client.Properties.ProtocolVersion, target == t.session) {
			c.touched = append(c.touched, target)
		}
	}
	for _, s := range c.touched {
		c.writers.Go(s.writeAcks)
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

package mqttin

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// mailbox is what an MQTT session has on the way to its client: the subscriptions, what waits for the client, and what it
// was sent and has not acknowledged. It outlives the connection where the session does, so that nothing is missed between
// two connections. A client that never subscribes has none.
//
// mochi has the like and it is not used: its packet ids of sent and received messages are one space, so that a client's own
// message deletes one that was sent to it, its count of what may still be sent leaks, and a subscriber that does not read
// stops whoever publishes. Here each client has bounds of its own and a goroutine that writes while there is anything to
// write.
type mailbox struct {
	broker *Broker
	client string // the client id
	kind   devices.PrincipalKind

	mu       sync.Mutex
	owner    *session // the newest connection of the MQTT session
	at       *session // the same while it is connected and greeted; nil: what comes waits
	gone     bool     // the MQTT session has ended
	busy     bool     // a goroutine writes to at
	subs     []subscription
	commands fifo                 // they pass what waits
	waiting  fifo                 // in the order of arrival
	bytes    int                  // of all that waits or is sent and not acknowledged
	sent     map[uint16]*inflight // by packet id: ours, and not those of what the client sends
	seq      uint64               // of what was sent
	last     uint16               // the packet id that was given last
	here     int                  // how many of sent count against the client's Receive Maximum
	again    []uint16             // what is to be sent again on this connection, in order
	retained []retainedFor        // retained messages that a new subscription is still to get
	swept    time.Time            // when what had expired was looked for last
}

// inflight is a message with QoS 1 or 2 that was sent and is not acknowledged to its end.
type inflight struct {
	outgoing
	seq      uint64
	released bool // QoS 2: the client has it, and its PUBCOMP is due
	here     bool // it was sent on this connection
}

// fifo is a queue that gives its memory back.
type fifo struct {
	list []outgoing
	head int
}

func (q *fifo) len() int { return len(q.list) - q.head }

func (q *fifo) push(o outgoing) { q.list = append(q.list, o) }

func (q *fifo) first() *outgoing { return &q.list[q.head] }

func (q *fifo) pop() outgoing {
	o := q.list[q.head]
	q.list[q.head] = outgoing{}
	q.head++
	switch {
	case q.head == len(q.list):
		*q = fifo{}
	case q.head >= 64 && q.head > len(q.list)/2:
		q.list, q.head = append([]outgoing(nil), q.list[q.head:]...), 0
	}
	return o
}

// keep drops what keep refuses.
func (q *fifo) keep(keep func(o *outgoing) bool) {
	var kept []outgoing
	for i := q.head; i < len(q.list); i++ {
		if keep(&q.list[i]) {
			kept = append(kept, q.list[i])
		}
	}
	*q = fifo{list: kept}
}

// mailbox is the session's. It is made when the session first subscribes.
func (s *session) mailbox() *mailbox {
	if x := s.box.Load(); x != nil {
		return x
	}
	x := &mailbox{broker: s.broker, client: s.client.ID, kind: s.who.Kind, owner: s, at: s}
	if !s.box.CompareAndSwap(nil, x) {
		return s.box.Load()
	}
	if s.handedOn.Load() { // too late: nobody would end it
		x.end(s)
	}
	return x
}

// Bounds that nobody has a reason to set.
const (
	maxCommandsAway  = 16 // commands that a client was sent and has not acknowledged
	retainedAtOnce   = 64 // retained messages that are looked up at a time
	retainedForBytes = 40
	sweepFull        = time.Second // how often a full mailbox is searched for what has expired
)

// put queues a message, and tells whether it will be sent. What has no room is dropped and counted; nobody waits for it.
func (x *mailbox) put(o outgoing) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.gone || x.at == nil && o.qos == 0 {
		return false
	}
	if !x.hasRoom(&o) {
		return false
	}
	x.waiting.push(o)
	x.charge(o.size())
	x.wake()
	return true
}

// hasRoom needs x.mu.
func (x *mailbox) hasRoom(o *outgoing) bool {
	limits, counters := &x.broker.limits, x.broker.counters
	full := func() bool {
		return x.waiting.len() >= limits.ClientMessages || x.bytes+o.size() > limits.ClientBytes && x.bytes > 0
	}
	if now := time.Now(); full() && now.Sub(x.swept) >= sweepFull { // not for each message that finds no room
		x.forgetExpired(now)
	}
	switch {
	case full():
		counters.note(RouteDropped, "")
		return false
	case x.broker.waiting.Load()+int64(o.size()) > int64(limits.RoutedBytes):
		counters.note(RouteExhausted, "")
		return false
	}
	return true
}

// command queues a command, which passes what waits. It tells whether it was taken.
func (x *mailbox) command(o outgoing) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.gone || x.at == nil {
		return false
	}
	away := x.commands.len()
	for _, f := range x.sent {
		if f.acked != nil {
			away++
		}
	}
	if away >= min(x.window(), maxCommandsAway) {
		return false
	}
	x.commands.push(o)
	x.charge(o.size())
	x.wake()
	return true
}

// charge counts bytes against the bound of all. It needs x.mu.
func (x *mailbox) charge(n int) {
	x.bytes += n
	x.broker.waiting.Add(int64(n))
}

// window is how many messages with QoS 1 and 2 the client may have unacknowledged, by its own word too (MQTT 5.0 section
// 3.1.2.11.3). It needs x.mu, and a connection.
func (x *mailbox) window() int {
	most := x.broker.limits.Inflight
	if own := int(x.at.client.Properties.Props.ReceiveMaximum); own > 0 && x.at.isFive() {
		most = min(most, own)
	}
	return most
}

// isConnected tells whether the client is there to take a message at once.
func (x *mailbox) isConnected() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.at != nil && !x.gone
}

// attach begins to send to the session's new connection, first again what the one before it did not acknowledge
// [MQTT-4.4.0-1]. It must have its CONNACK.
func (x *mailbox) attach(s *session) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.gone || x.owner != s {
		return
	}
	x.at, x.busy, x.here, x.again = s, false, 0, x.again[:0]
	for id, f := range x.sent {
		f.here = false
		x.again = append(x.again, id)
	}
	slices.SortFunc(x.again, func(a, b uint16) int { return cmp.Compare(x.sent[a].seq, x.sent[b].seq) })
	x.wake()
}

// detach notes that the connection has ended, if it is still the one. What has no promise of delivery is forgotten: QoS 0,
// and commands, which their sender sends again.
func (x *mailbox) detach(s *session) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.at == s {
		x.leave()
	}
}

// leave needs x.mu.
func (x *mailbox) leave() {
	x.at, x.busy = nil, false
	x.waiting.keep(func(o *outgoing) bool {
		if o.qos == 0 {
			x.charge(-o.size())
		}
		return o.qos > 0
	})
	for x.commands.len() > 0 {
		o := x.commands.pop()
		x.charge(-o.size())
	}
	for id, f := range x.sent {
		if f.acked != nil {
			delete(x.sent, id)
			x.charge(-f.size())
		}
	}
}

// pass hands the mailbox on to the session's next connection. It returns false where the session has ended meanwhile.
func (x *mailbox) pass(from, to *session) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.gone || x.owner != from {
		return false
	}
	x.leave()
	x.owner = to
	return true
}

// end ends the session's subscriptions and forgets what waits, unless a newer connection has the mailbox.
func (x *mailbox) end(by *session) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.owner != by || x.gone {
		return
	}
	x.gone, x.at = true, nil
	for i := range x.subs {
		x.broker.routes.remove(x, x.subs[i])
	}
	x.charge(-x.bytes)
	x.subs, x.commands, x.waiting, x.sent, x.again, x.retained = nil, fifo{}, fifo{}, nil, nil, nil
}

// forgetExpired drops what waits and is of no use any more. It needs x.mu.
func (x *mailbox) forgetExpired(now time.Time) {
	x.swept = now
	x.waiting.keep(func(o *outgoing) bool {
		if !o.hasExpired(now) {
			return true
		}
		x.broker.counters.note(RouteExpired, "")
		x.charge(-o.size())
		return false
	})
}

// sweep does the same for a client that is away.
func (x *mailbox) sweep(now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.at == nil && x.waiting.len() > 0 {
		x.forgetExpired(now)
	}
}

// puback ends a message with QoS 1. It returns what is to be called about it, or nil.
func (x *mailbox) puback(id uint16) (acked func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f := x.sent[id]
	if f == nil || f.qos != 1 {
		return nil
	}
	x.settle(id, f)
	return f.acked
}

// pubrec notes that the client has a message with QoS 2, or refuses it. It tells whether the exchange goes on.
func (x *mailbox) pubrec(id uint16, refused bool) (goesOn bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f := x.sent[id]
	switch {
	case f == nil || f.qos != 2:
		return false
	case refused: // [MQTT-4.3.3-4] no PUBREL follows
		x.settle(id, f)
		return false
	}
	f.released = true
	return true
}

// pubcomp ends a message with QoS 2.
func (x *mailbox) pubcomp(id uint16) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if f := x.sent[id]; f != nil && f.qos == 2 {
		x.settle(id, f)
	}
}

// settle forgets a message that was acknowledged, and goes on sending. It needs x.mu.
func (x *mailbox) settle(id uint16, f *inflight) {
	delete(x.sent, id)
	if f.here {
		x.here--
	}
	x.charge(-f.size())
	x.wake()
}

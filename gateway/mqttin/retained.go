package mqttin

import (
	"strings"
	"sync"
	"time"
)

// retained are the messages that are kept for whoever subscribes later: the newest of each topic, where --mqtt-route asks
// for routing. They are kept in memory, bounded in number and bytes, and for a device in number of its own. mochi's are not
// used: they have no bound, and all of them are copied each second.
type retained struct {
	limits   *Limits
	counters *counters

	mu        sync.RWMutex
	root      retainedNode
	count     int
	bytes     int
	perDevice map[string]int // by account
	expiring  int            // how many of them expire, about
}

// retainedNode is a level of the topics.
type retainedNode struct {
	children map[string]*retainedNode
	kept     *retainedMessage // of the topic that ends here, or nil
}

type retainedMessage struct {
	*routed
	device string // the account of a device that left it, or ""
}

// retainedFor is a retained message that a subscription is still to get: whatever is kept for the topic when its turn
// comes, so that nothing old follows something newer.
type retainedFor struct {
	topic string
	id    int
	qos   byte
}

func newRetained(limits *Limits, c *counters) *retained {
	return &retained{limits: limits, counters: c, perDevice: map[string]int{}}
}

// set keeps a message in place of the one that its topic had, or deletes that one where the payload is empty
// [MQTT-3.3.1-6]. device is the account of a device that published it. What finds no room is not kept, and nothing older in
// its place: it would be taken for the newest.
func (r *retained) set(m *routed, device string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.root.remove(r, m.topic, true)
	if len(m.payload) == 0 || m.hasExpired(time.Now()) {
		return
	}
	if r.count >= r.limits.RetainedMessages || r.bytes+m.size() > r.limits.RetainedBytes || device != "" && r.perDevice[device] >= r.limits.RetainedPerDevice {
		r.counters.note(RetainRefused, "")
		return
	}
	own := *m
	own.payload = append([]byte(nil), m.payload...) // and not the packet that it lies in
	n := &r.root
	for level := range strings.SplitSeq(m.topic, "/") {
		if n.children == nil {
			n.children = map[string]*retainedNode{}
		}
		child := n.children[level]
		if child == nil {
			child = new(retainedNode)
			n.children[level] = child
		}
		n = child
	}
	n.kept = &retainedMessage{routed: &own, device: device}
	r.count++
	r.bytes += own.size()
	if device != "" {
		r.perDevice[device]++
	}
	if !own.expires.IsZero() {
		r.expiring++
	}
}

// drop needs r.mu.
func (r *retained) drop(k *retainedMessage) {
	r.count--
	r.bytes -= k.size()
	if !k.expires.IsZero() {
		r.expiring--
	}
	if k.device == "" {
		return
	}
	if r.perDevice[k.device]--; r.perDevice[k.device] == 0 {
		delete(r.perDevice, k.device)
	}
}

// remove deletes what is kept for a topic below n and tells whether n is empty then.
func (n *retainedNode) remove(r *retained, rest string, more bool) (empty bool) {
	if more {
		level, after, deeper := strings.Cut(rest, "/")
		if child := n.children[level]; child != nil && child.remove(r, after, deeper) {
			delete(n.children, level)
		}
	} else if n.kept != nil {
		r.drop(n.kept)
		n.kept = nil
	}
	return n.kept == nil && len(n.children) == 0
}

// sweep deletes what has expired.
func (r *retained) sweep(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.expiring > 0 {
		r.root.sweep(r, now)
	}
}

func (n *retainedNode) sweep(r *retained, now time.Time) (empty bool) {
	if n.kept != nil && n.kept.hasExpired(now) {
		r.drop(n.kept)
		n.kept = nil
	}
	for level, child := range n.children {
		if child.sweep(r, now) {
			delete(n.children, level)
		}
	}
	return n.kept == nil && len(n.children) == 0
}

// owe notes in a mailbox what is kept for a new subscription. What a mailbox is owed is bounded by what may be kept at
// all, whatever it subscribes to.
func (r *retained) owe(x *mailbox, sub *subscription) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.count == 0 {
		return
	}
	var topics []string
	r.root.match(sub.filter, true, func(k *retainedMessage) {
		if !sub.noLocal || k.client != x.client {
			topics = append(topics, k.topic)
		}
	})
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.gone {
		return
	}
	for _, topic := range topics {
		if len(x.retained) >= r.limits.RetainedMessages || x.broker.waiting.Load()+retainedForBytes > int64(r.limits.RoutedBytes) {
			r.counters.note(RouteExhausted, "")
			break
		}
		x.retained = append(x.retained, retainedFor{topic, sub.id, sub.qos})
		x.charge(retainedForBytes)
	}
	x.wake()
}

// give queues retained messages for a client. The lock is held over it: so nobody who publishes comes in between, and
// nothing older is queued behind something newer.
func (r *retained) give(x *mailbox, list []retainedFor) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	now := time.Now()
	for i := range list {
		k := r.root.find(list[i].topic)
		if k == nil || k.hasExpired(now) {
			continue
		}
		o := outgoing{routed: k.routed, qos: min(k.qos, list[i].qos), retain: true} // [MQTT-3.3.1-8]
		if list[i].id > 0 {
			o.ids = []int{list[i].id}
		}
		x.put(o)
	}
}

func (n *retainedNode) find(topic string) *retainedMessage {
	for level := range strings.SplitSeq(topic, "/") {
		if n = n.children[level]; n == nil {
			return nil
		}
	}
	return n.kept
}

// match calls found with what is kept for the topics of a filter.
func (n *retainedNode) match(rest string, more bool, found func(*retainedMessage)) {
	if !more {
		if n.kept != nil {
			found(n.kept)
		}
		return
	}
	level, after, deeper := strings.Cut(rest, "/")
	switch level {
	case "#": // "a/#" matches "a" too
		n.all(found)
	case "+":
		for _, child := range n.children {
			child.match(after, deeper, found)
		}
	default:
		if child := n.children[level]; child != nil {
			child.match(after, deeper, found)
		}
	}
}

func (n *retainedNode) all(found func(*retainedMessage)) {
	if n.kept != nil {
		found(n.kept)
	}
	for _, child := range n.children {
		child.all(found)
	}
}

// gauges returns how much is kept.
func (r *retained) gauges() (messages, bytes int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.count, r.bytes
}

package mqttin

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
)

// routes are who subscribed to what, as far as anything is ever sent for it: to commands, and where --mqtt-route asks for
// routing, to what other clients publish. What becomes of a message for a subscriber is its mailbox's.
type routes struct {
	mu   sync.RWMutex
	root routeNode
}

// routeNode is a level of the filters. A filter ends at a node, which holds its subscribers.
type routeNode struct {
	children map[string]*routeNode
	subs     []subscriber
}

type subscriber struct {
	box *mailbox
	subscription
}

func (r *routes) add(x *mailbox, sub subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := &r.root
	for level := range strings.SplitSeq(sub.filter, "/") {
		if n.children == nil {
			n.children = map[string]*routeNode{}
		}
		child := n.children[level]
		if child == nil {
			child = new(routeNode)
			n.children[level] = child
		}
		n = child
	}
	i := slices.IndexFunc(n.subs, func(o subscriber) bool { return o.box == x && o.group == sub.group })
	if i >= 0 {
		n.subs[i].subscription = sub
		return
	}
	n.subs = append(n.subs, subscriber{x, sub})
}

func (r *routes) remove(x *mailbox, sub subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.root.remove(x, &sub, sub.filter, true)
}

// remove takes a subscriber out below n and tells whether n is empty then.
func (n *routeNode) remove(x *mailbox, sub *subscription, rest string, more bool) (empty bool) {
	if !more {
		n.subs = slices.DeleteFunc(n.subs, func(o subscriber) bool { return o.box == x && o.group == sub.group })
	} else {
		level, after, deeper := strings.Cut(rest, "/")
		if child := n.children[level]; child != nil && child.remove(x, sub, after, deeper) {
			delete(n.children, level)
		}
	}
	return len(n.subs) == 0 && len(n.children) == 0
}

// match returns who subscribed to a topic. Wildcards at the first level do not match topics with '$' [MQTT-4.7.2-1];
// none of those gets here.
func (r *routes) match(topic string) []subscriber {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.root.match(nil, topic, true)
}

func (n *routeNode) match(found []subscriber, rest string, more bool) []subscriber {
	if all := n.children["#"]; all != nil { // at this level and above it: "a/#" matches "a"
		found = append(found, all.subs...)
	}
	if !more {
		return append(found, n.subs...)
	}
	level, after, deeper := strings.Cut(rest, "/")
	if child := n.children[level]; child != nil {
		found = child.match(found, after, deeper)
	}
	if child := n.children["+"]; child != nil {
		found = child.match(found, after, deeper)
	}
	return found
}

// route gives a message to everybody who subscribed to it, and keeps it where it is to be retained. device is the account
// of a device that published it, else "".
func (b *Broker) route(m *routed, device string) {
	if !b.routing || isReserved(m.topic) {
		return
	}
	if m.retain {
		b.retained.set(m, device)
	}
	for _, to := range choose(b.routes.match(m.topic), m.client) {
		to.box.put(outgoing{routed: m, ids: to.ids, qos: min(m.qos, to.qos), retain: m.retain && to.asIs}) // [MQTT-3.3.1-12]
	}
}

// recipient is a client with all of its subscriptions that a message matches: it gets the message once.
type recipient struct {
	box  *mailbox
	ids  []int
	asIs bool
	qos  byte // the most that it asked for
}

// recipients are many where a topic is popular: then they are found by a map.
type recipients struct {
	list  []recipient
	index map[*mailbox]int
}

const manyRecipients = 16

// choose makes recipients of subscribers. from is the client id of the publisher.
func choose(subs []subscriber, from string) []recipient {
	var r recipients
	var groups map[[2]string][]subscriber
	for i := range subs {
		sub := &subs[i]
		switch {
		case sub.noLocal && sub.box.client == from: // [MQTT-3.8.3-3]
		case sub.group != "":
			if groups == nil {
				groups = map[[2]string][]subscriber{}
			}
			key := [2]string{sub.group, sub.filter}
			groups[key] = append(groups[key], *sub)
		default:
			r.add(sub)
		}
	}
	for _, group := range groups {
		r.add(member(group))
	}
	return r.list
}

// member chooses who of a group gets a message: by chance one that is connected, or else one whose session keeps it. The
// order of a device's messages is not kept within a group.
func member(group []subscriber) *subscriber {
	first := rand.IntN(len(group))
	for i := range group {
		if sub := &group[(first+i)%len(group)]; sub.box.isConnected() {
			return sub
		}
	}
	for i := range group {
		if sub := &group[(first+i)%len(group)]; sub.qos > 0 {
			return sub
		}
	}
	return &group[first]
}

func (r *recipients) add(sub *subscriber) {
	i := r.find(sub.box)
	if i < 0 {
		i = len(r.list)
		r.list = append(r.list, recipient{box: sub.box})
		if r.index != nil {
			r.index[sub.box] = i
		}
	}
	to := &r.list[i]
	if sub.id > 0 {
		to.ids = append(to.ids, sub.id)
	}
	to.asIs = to.asIs || sub.asIs
	to.qos = max(to.qos, sub.qos)
}

func (r *recipients) find(x *mailbox) int {
	if len(r.list) < manyRecipients {
		return slices.IndexFunc(r.list, func(to recipient) bool { return to.box == x })
	}
	if r.index == nil {
		r.index = make(map[*mailbox]int, 2*manyRecipients)
		for i := range r.list {
			r.index[r.list[i].box] = i
		}
	}
	if i, ok := r.index[x]; ok {
		return i
	}
	return -1
}

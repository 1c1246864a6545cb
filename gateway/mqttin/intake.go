package mqttin

import (
	"fmt"
	"strings"
	"sync"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/trace"
)

// intake is what both doors do alike: from a topic to its route, and from a payload to entries.
type intake struct {
	router   *dialect.Router
	counters *counters
	letters  letters
	tracer   *trace.Tracer                                                           // nil: nothing is traced
	replies  func(devices.DeviceID, devices.FleetID, devices.CommandID) ReplyVerdict // nil: nobody can say
	work     sync.Pool                                                               // of *workspace
}

// init fills an intake in its place: a pool is not copied.
func (in *intake) init(router *dialect.Router, ownTracks devices.FleetID, c *counters) error {
	if router == nil {
		var err error
		if router, err = dialect.New(dialect.Options{OwnTracksFleet: ownTracks}); err != nil {
			return fmt.Errorf("build dialects: %w", err)
		}
	}
	in.router, in.counters = router, c
	in.work.New = func() any { return new(workspace) }
	return nil
}

// workspace is the memory that taking a message needs, so that it allocates what is kept and nothing else.
type workspace struct {
	result  dialect.Result
	entries []bus.Entry
}

func (in *intake) putBack(w *workspace) {
	clear(w.entries) // the readings are the inlet's now
	in.work.Put(w)
}

// sender is who sent a message, as far as people are told.
type sender struct{ client, account string }

// decode fills the result of w with what a payload says. A message that is not understood, or on which a decoder of ours
// breaks, is counted and kept as a dead letter, and decode returns false: it is to be answered, or it would come again for
// ever.
func (in *intake) decode(r *topicRoute, payload []byte, w *workspace, from sender) (understood bool) {
	var device string
	defer func() {
		if recover() == nil {
			return
		}
		understood = false
		w.result = dialect.Result{} // what is in it is half made
		in.counters.messages[dialect.Rejected].Add(1)
		in.counters.note(Panicked, "")
		in.letters.keep(panickedLetter, r.topic, from, device, payload)
	}()
	result := &w.result
	device = r.route.Device().String()
	r.route.Decode(payload, result)
	in.counters.messages[result.Kind].Add(1)
	in.counters.dropped.Add(uint64(result.Dropped))
	if result.Kind != dialect.Rejected {
		return true
	}
	in.counters.reject(result.Reason, device)
	in.letters.keep(result.Reason.String(), r.topic, from, device, payload)
	return false
}

// rejectTopic counts a message on a topic that has no route, and keeps it. topic may lie in a packet.
func (in *intake) rejectTopic(reason dialect.Reason, topic string, payload []byte, from sender) {
	in.counters.messages[dialect.Rejected].Add(1)
	in.counters.reject(reason, "")
	in.letters.keep(reason.String(), topic, from, "", payload)
}

// saidHow is how a message came.
type saidHow uint8

const (
	saidLive     saidHow = iota
	saidRetained         // the external broker had kept it
	saidAsWill           // it is the last will of a connection
)

// appendMessage appends the entry of a decoded message.
func (in *intake) appendMessage(dst []bus.Entry, m *dialect.Message, how saidHow) []bus.Entry {
	e := bus.Entry{Device: m.Device, Fleet: m.Fleet}
	switch {
	case m.Aside:
		return dst
	case m.Reading != nil:
		e.Kind, e.Reading = bus.KindReading, m.Keep()
		e.Reading.Retained = how == saidRetained
	default:
		e.Kind = bus.KindStatus
		e.Status = bus.StatusReport{Status: m.Status, Retained: how == saidRetained, Will: how == saidAsWill}
	}
	if err := e.Check(); err != nil { // one bad entry would make every append that holds it fail for ever
		in.counters.note(EntryRefused, "")
		return dst
	}
	return append(dst, e)
}

// topicRoute is what a connection remembers about a topic.
type topicRoute struct {
	topic  string // our own copy
	route  *dialect.Route
	reason dialect.Reason // why there is no route
	reply  *replyTopic    // it is for answers to commands, of which each has a topic: it is not remembered

	generation uint32           // of what follows: it is asked anew when something was changed about who may do what
	allowed    bool             // the connection may publish to the topic
	device     devices.DeviceID // the last one that it was admitted to speak for on the topic
	named      devices.FleetID  // the fleet that the topic named for it
	fleet      devices.FleetID  // the one that it is in
}

// subject is the device that the topic is about, and the fleet that it names for it; zero where it says nothing of that.
func (r *topicRoute) subject() (devices.DeviceID, devices.FleetID) {
	switch {
	case r.reply != nil:
		return r.reply.device, r.reply.fleet
	case r.route != nil:
		return r.route.Device(), r.route.Fleet()
	}
	return devices.DeviceID{}, devices.FleetID{}
}

// topicCache remembers the routes of a connection's topics, limit of them at most. It is for one goroutine.
type topicCache struct {
	limit  int
	topic  string // the last one, and its route
	last   *topicRoute
	routes map[string]*topicRoute // nil while there is one only
}

// lookup returns the route of a topic, which may lie in a packet.
func (c *topicCache) lookup(in *intake, topic string) *topicRoute {
	if c.last != nil && c.topic == topic {
		return c.last
	}
	r := c.routes[topic]
	if r == nil {
		r = c.resolve(in, topic)
	}
	if r.reply == nil {
		c.topic, c.last = r.topic, r
	}
	return r
}

func (c *topicCache) resolve(in *intake, topic string) *topicRoute {
	if len(topic) > dialect.MaxTopicBytes { // not worth a copy
		return &topicRoute{reason: dialect.BadTopic}
	}
	r := &topicRoute{topic: strings.Clone(topic)} // the packet must not live as long as the connection
	if r.reply = parseReply(r.topic); r.reply != nil {
		return r
	}
	r.route, r.reason = in.router.Route(r.topic)
	switch {
	case c.last == nil: // most devices have one topic, and no map for it
		return r
	case len(c.routes) >= c.limit:
		// Start again rather than choose: a device has a handful of topics, who has more than the bound pays for it.
		c.routes = nil
	}
	if c.routes == nil {
		c.routes = make(map[string]*topicRoute, 2)
		if c.topic != "" {
			c.routes[c.topic] = c.last
		}
	}
	c.routes[r.topic] = r
	return r
}

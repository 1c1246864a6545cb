package mqttin

import (
	"strings"
	"sync/atomic"

	mqtt "github.com/mochi-mqtt/server/v2"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/devices"
)

// session is one connection of a client that was let in. (MQTT's session, where it outlives the connection, is a flow.)
type session struct {
	account
	broker *Broker
	conn   *conn
	client *mqtt.Client

	clean     bool                 // MQTT 3.1.1: nothing is left for the next connection
	overtaken atomic.Bool          // a newer connection has the client id
	flow      atomic.Pointer[flow] // never nil

	// Owned by the reading goroutine.
	older     *session // the session before, until the CONNACK says whether it is continued
	isSettled bool     // settled is closed
	present   bool     // what the CONNACK said
	expires   bool     // the CONNACK has to say that the session ends with the connection
	willed    bool     // mochi asked for the will
	topic     string   // the last topic, and its route
	last      *topicRoute
	routes    map[string]*topicRoute // by topic, at most routesPerSession
	tracked   trackedDevices
	lastWill  []bus.Entry

	settled chan struct{} // closed when the CONNACK is out, or the connection gone

	acks acks
}

// settle lets the next connection with the same client id go on. Called by the reading goroutine.
func (s *session) settle() {
	if !s.isSettled {
		s.isSettled = true
		close(s.settled)
	}
}

// topicRoute is what a connection remembers about a topic.
type topicRoute struct {
	topic  string // our own copy
	route  *dialect.Route
	reason dialect.Reason // why there is no route
	up     bool           // the device's connection event was sent
}

// lookup returns the route of a topic, which may lie in a packet.
func (s *session) lookup(topic string) *topicRoute {
	if s.last != nil && s.topic == topic {
		return s.last
	}
	r := s.routes[topic]
	if r == nil {
		r = s.resolve(topic)
	}
	s.topic, s.last = r.topic, r
	return r
}

func (s *session) resolve(topic string) *topicRoute {
	if len(topic) > dialect.MaxTopicBytes { // not worth a copy
		return &topicRoute{reason: dialect.BadTopic}
	}
	r := &topicRoute{topic: strings.Clone(topic)} // the packet must not live as long as the connection
	r.route, r.reason = s.broker.router.Route(r.topic)
	if len(s.routes) >= routesPerSession || s.routes == nil {
		// Start again rather than choose: a device has a handful of topics, who has more than the bound pays for it.
		s.routes = make(map[string]*topicRoute, 1)
	}
	s.routes[r.topic] = r
	return r
}

// trackedDevices are the devices that a connection has spoken for. Nearly every connection speaks for one.
type trackedDevices struct {
	first trackedDevice
	more  map[devices.DeviceID]devices.FleetID
}

type trackedDevice struct {
	device devices.DeviceID
	fleet  devices.FleetID
}

func (t *trackedDevices) has(device devices.DeviceID) bool {
	if t.first.device == device {
		return true
	}
	_, ok := t.more[device]
	return ok
}

func (t *trackedDevices) len() int {
	if t.first.device.IsZero() {
		return 0
	}
	return 1 + len(t.more)
}

func (t *trackedDevices) add(device devices.DeviceID, fleet devices.FleetID) {
	switch {
	case t.first.device.IsZero():
		t.first = trackedDevice{device, fleet}
	case t.first.device == device:
	default:
		if t.more == nil {
			t.more = map[devices.DeviceID]devices.FleetID{}
		}
		t.more[device] = fleet
	}
}

// appendDown appends the events that say that the connection is gone.
func (t *trackedDevices) appendDown(dst []bus.Entry, event bus.Connection) []bus.Entry {
	if t.first.device.IsZero() {
		return dst
	}
	dst = append(dst, connectionEntry(t.first.device, t.first.fleet, event))
	for device, fleet := range t.more {
		dst = append(dst, connectionEntry(device, fleet, event))
	}
	return dst
}

func connectionEntry(device devices.DeviceID, fleet devices.FleetID, event bus.Connection) bus.Entry {
	return bus.Entry{Device: device, Fleet: fleet, Kind: bus.KindConnection, Connection: event}
}

// event is a connection event of this connection.
func (s *session) event(up bool) bus.Connection {
	return bus.Connection{Door: s.broker.door, Conn: s.conn.number, Up: up}
}

package mqttin

import (
	"sync/atomic"

	mqtt "github.com/mochi-mqtt/server/v2"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
)

// session is one connection of a client that was let in. (MQTT's session, where it outlives the connection, is a flow.)
type session struct {
	account
	broker *Broker
	conn   *conn
	client *mqtt.Client

	who       *devices.Principal       // who connected; never nil, and not changed
	clean     bool                     // nothing is left for the next connection
	handedOn  atomic.Bool              // the connection that came after it has what the session has
	overtaken atomic.Bool              // a newer connection has the client id
	ended     atomic.Bool              // nothing of the session is kept
	revoked   atomic.Bool              // its credential was taken away
	flow      atomic.Pointer[flow]     // never nil
	box       atomic.Pointer[mailbox]  // nil until it subscribes
	willOut   atomic.Pointer[lastWill] // the will as other clients get it; nil where nothing is routed, or it was dealt with

	elsewhere atomic.Bool // its client is at another door now

	// Guarded by registry.mu.
	holder    *holder  // of its account; nil in open mode
	sibling   *session // the next one of the holder's list
	isKept    bool     // the connection has ended
	announced bool     // all doors have heard of it

	// Owned by the reading goroutine.
	older     *session // the session before, until the CONNACK says whether it is continued
	isSettled bool     // settled is closed
	expires   bool     // the CONNACK has to say that the session ends with the connection
	willed    bool     // the will was heard
	topics    topicCache
	tracked   trackedDevices
	lastWill  []bus.Entry

	settled chan struct{} // closed when the CONNACK is out, or the connection gone

	acks acks
}

func (s *session) willWait() { s.conn.leave() }

// settle lets the next connection with the same client id go on. Called by the reading goroutine.
func (s *session) settle() {
	if !s.isSettled {
		s.isSettled = true
		close(s.settled)
	}
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

// fleetOf returns the fleet in which the device was spoken for.
func (t *trackedDevices) fleetOf(device devices.DeviceID) (devices.FleetID, bool) {
	if t.first.device == device {
		return t.first.fleet, true
	}
	fleet, ok := t.more[device]
	return fleet, ok
}

func (t *trackedDevices) len() int {
	if t.first.device.IsZero() {
		return 0
	}
	return 1 + len(t.more)
}

func (t *trackedDevices) add(device devices.DeviceID, fleet devices.FleetID) {
	switch {
	case t.first.device.IsZero(), t.first.device == device:
		t.first = trackedDevice{device, fleet}
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

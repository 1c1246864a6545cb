package mqttin

import (
	"strings"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/trace"
)

// Command is a message of ours to a device, on a topic below fleets/{fleet}/devices/{device}/commands/.
type Command struct {
	Topic   string
	Payload []byte
	// ResponseTopic and CorrelationData are for clients of MQTT 5.
	ResponseTopic   string
	CorrelationData []byte
	// Expires is when the command is of no use any more; zero: never. A client of MQTT 5 is told.
	Expires time.Time
	// Trace is what a client of MQTT 5 may go on with; nil: it is not traced.
	Trace *trace.Context
}

// Sent says to whom a command was sent.
type Sent struct {
	Clients int
	// Unconfirmed: all of them subscribed with QoS 0, so that nobody will acknowledge it.
	Unconfirmed bool
}

// Send sends a command to everybody who subscribed to it and may carry it out: the device itself or its gateway. It
// returns who that is, or an error of the kind NotFound (nobody is there: try again when Options.Listening says
// so), Exhausted (they have too many unacknowledged ones, or do not read) or Unavailable. acked is called, in another
// goroutine and once, when the first of them has acknowledged it; never, where the connection is lost before or the client
// asked for QoS 0. Nothing is sent again: whoever sends does that, after the next Listening, and a device tells a
// repeated command by the last level of its topic. It does not block.
//
// mochi is not asked: its packet ids of sent and received messages are one space, so that a device's own message with the
// id of a command makes mochi forget the command.
func (b *Broker) Send(c *Command, acked func()) (sent Sent, err error) {
	if b.stopping.Load() {
		return sent, devices.Errorf(devices.Unavailable, "mqtt", "is stopping")
	}
	m := &routed{topic: c.Topic, payload: c.Payload, qos: 1, expires: c.Expires}
	if m.hasExpired(time.Now()) {
		return sent, devices.Errorf(devices.Invalid, "expires", "has passed")
	}
	m.properties = appendForwarded(nil, &packets.Properties{ResponseTopic: c.ResponseTopic, CorrelationData: c.CorrelationData, User: append(downlinkMark(), traceProperties(c.Trace)...)})
	once := sync.OnceFunc(acked)
	full := 0
	sent.Unconfirmed = true
	for _, to := range choose(b.routes.match(c.Topic), "") {
		switch {
		case to.box.kind == devices.ClientPrincipal: // who watches gets a copy, and carries nothing out
			to.box.put(outgoing{routed: m, ids: to.ids})
		case !to.box.isConnected():
		case b.sendOne(m, &to, once):
			sent.Clients++
			sent.Unconfirmed = sent.Unconfirmed && to.qos == 0
		default:
			full++
		}
	}
	switch {
	case sent.Clients > 0:
		return sent, nil
	case full > 0:
		return Sent{}, devices.Errorf(devices.Exhausted, "device", "does not take commands now")
	}
	return Sent{}, devices.Errorf(devices.NotFound, "device", "does not listen for commands")
}

// sendOne sends a command to one client, at the QoS that it asked for.
func (b *Broker) sendOne(m *routed, to *recipient, acked func()) bool {
	if to.qos == 0 {
		return to.box.put(outgoing{routed: m, ids: to.ids})
	}
	if !to.box.command(outgoing{routed: m, ids: to.ids, qos: 1, acked: acked}) {
		b.counters.note(CommandUnsent, "")
		return false
	}
	b.counters.note(CommandSent, "")
	return true
}

// listens tells whoever sends commands that a client listens on the filter from now on.
func (b *Broker) listens(filter string) {
	if b.listening == nil {
		return
	}
	if _, filter, _ = sharedFilter(filter); isCommands(filter) {
		b.listening(strings.Clone(filter))
	}
}

package mqttin

import (
	"strings"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fleetcast/fleetcast/devices"
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
}

// maxCommandsAway bounds the commands that a client has been sent and has not acknowledged.
const maxCommandsAway = 16

// Send sends a command to everybody who subscribed to it and may carry it out: the device itself or its gateway. It
// returns how many that are, or an error of the kind NotFound (nobody is there: try again when Options.Listening says
// so), Exhausted (they have too many unacknowledged ones, or do not read) or Unavailable. acked is called, in another
// goroutine and once, when the first of them has acknowledged it; never, where the connection is lost before or the client
// asked for QoS 0. Nothing is sent again: whoever sends does that, after the next Listening, and a device tells a
// repeated command by the last level of its topic. It does not block.
//
// mochi is not asked: its packet ids of sent and received messages are one space, so that a device's own message with the
// id of a command makes mochi forget the command.
func (b *Broker) Send(c *Command, acked func()) (clients int, err error) {
	if b.stopping.Load() {
		return 0, devices.Errorf(devices.Unavailable, "mqtt", "is stopping")
	}
	m := routed{topic: c.Topic, payload: c.Payload}
	m.properties.ResponseTopic, m.properties.CorrelationData = c.ResponseTopic, c.CorrelationData
	if !c.Expires.IsZero() {
		left := time.Until(c.Expires)
		if left <= 0 {
			return 0, devices.Errorf(devices.Invalid, "expires", "has passed")
		}
		m.properties.MessageExpiryInterval = uint32(max(left/time.Second, 1))
	}
	once := sync.OnceFunc(acked)
	full := 0
	for _, to := range choose(b.routes.match(c.Topic), nil) {
		switch {
		case to.session.who.Kind == devices.ClientPrincipal: // who watches gets a copy, and carries nothing out
			b.send(to.session, m.encode(to, to.session.isFive()))
		case b.sendOne(&m, to, once):
			clients++
		default:
			full++
		}
	}
	switch {
	case clients > 0:
		return clients, nil
	case full > 0:
		return 0, devices.Errorf(devices.Exhausted, "device", "does not take commands now")
	}
	return 0, devices.Errorf(devices.NotFound, "device", "does not listen for commands")
}

// sendOne sends a command to one client, at the QoS that it asked for.
func (b *Broker) sendOne(m *routed, to recipient, acked func()) bool {
	s := to.session
	if to.qos == 0 {
		return b.send(s, m.encode(to, s.isFive()))
	}
	id, ok := s.commandsAway().add(s.mostAway(), acked)
	if !ok {
		b.counters.note(CommandUnsent, s.conn.remote)
		return false
	}
	out := *m
	out.qos, out.id = 1, id
	if !b.send(s, out.encode(to, s.isFive())) {
		s.commandsAway().take(id)
		return false
	}
	b.counters.note(CommandSent, s.conn.remote)
	return true
}

// acknowledged hears a PUBACK. All that are due are for commands.
func (b *Broker) acknowledged(s *session, pk *packets.Packet) {
	away := s.away.Load()
	if away == nil {
		return
	}
	if acked := away.take(pk.PacketID); acked != nil {
		b.counters.note(CommandAcked, s.conn.remote)
		if pk.ReasonCode < subRefused {
			acked()
		}
	}
}

func (s *session) isFive() bool { return s.client.Properties.ProtocolVersion == 5 }

// mostAway is how many commands the client may have unacknowledged, by its own word too (MQTT 5.0 section 3.1.2.11.3).
func (s *session) mostAway() int {
	if most := int(s.client.Properties.Props.ReceiveMaximum); most > 0 {
		return min(most, maxCommandsAway)
	}
	return maxCommandsAway
}

// commandsAway are the commands that the client has not acknowledged. Few sessions have any.
func (s *session) commandsAway() *commandsAway {
	if a := s.away.Load(); a != nil {
		return a
	}
	s.away.CompareAndSwap(nil, new(commandsAway))
	return s.away.Load()
}

// commandsAway has the packet ids of what was sent. Those of what a client sends are another space, its own.
type commandsAway struct {
	mu    sync.Mutex
	last  uint16
	acked map[uint16]func()
}

func (a *commandsAway) add(limit int, acked func()) (id uint16, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.acked) >= limit {
		return 0, false
	}
	if a.acked == nil {
		a.acked = map[uint16]func(){}
	}
	for {
		a.last++
		if _, used := a.acked[a.last]; a.last != 0 && !used {
			a.acked[a.last] = acked
			return a.last, true
		}
	}
}

func (a *commandsAway) take(id uint16) func() {
	a.mu.Lock()
	defer a.mu.Unlock()
	acked := a.acked[id]
	delete(a.acked, id)
	return acked
}

// listens tells whoever sends commands that a client listens on the filter from now on.
func (b *Broker) listens(filter string) {
	if b.listening != nil && isCommands(filter) {
		b.listening(strings.Clone(filter))
	}
}

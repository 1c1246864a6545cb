package app

import (
	"cmp"
	"context"
	"encoding/binary"
	"hash/fnv"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/trace"
	"github.com/fleetcast/fleetcast/gateway/command"
	"github.com/fleetcast/fleetcast/gateway/mqttin"
)

// commands are the parts that commands meet: a desk in every process that takes them in or sends them, and a dispatcher
// beside a door.
type commands struct {
	desk       *command.Desk
	dispatcher *command.Dispatcher // nil without a door
	turns      *turns              // nil unless the door is one of an external broker
}

// newCommands makes the desk; the dispatcher needs the door, which needs what the dispatcher is told: see sendBy.
func newCommands(b command.Bus, log *slog.Logger) *commands {
	return &commands{desk: command.NewDesk(b, log)}
}

// listening is for doors: they are made before the dispatcher.
func (c *commands) listening(filter string) {
	if c.dispatcher != nil {
		c.dispatcher.Listening(filter)
	}
}

// replies says what is known of the command that an answer is for.
func (c *commands) replies(device devices.DeviceID, fleet devices.FleetID, id devices.CommandID) mqttin.ReplyVerdict {
	switch state, known := c.desk.State(device, fleet, id); {
	case !known:
		return mqttin.ReplyUnknown
	case state.IsFinal():
		return mqttin.ReplyLate
	}
	return mqttin.ReplyExpected
}

// sendBy makes the dispatcher of a door.
func (c *commands) sendBy(d door, doors bus.Doors, tracer *trace.Tracer, log *slog.Logger) {
	o := command.DispatcherOptions{Desk: c.desk, Tracer: tracer, Logger: log}
	switch d := d.(type) {
	case *mqttin.Broker:
		o.Door = embeddedDoor{d}
	case *mqttin.Upstream:
		c.turns = &turns{doors: doors, self: d.Door()}
		o.Door, o.Turn, o.Again, o.Together = upstreamDoor{d}, c.turns.of, externalAgain, externalTogether
	}
	c.dispatcher = command.NewDispatcher(o)
}

// run follows and sends until ctx ends.
func (a *App) startCommands(life context.Context, c *commands) {
	if c == nil {
		return
	}
	a.stack.push("commands", busBound, a.runner.start(life, "commands", c.desk.Run))
	if c.turns != nil {
		a.stack.push("turns of commands", busBound, a.runner.start(life, "turns of commands", c.turns.run))
	}
	if c.dispatcher != nil {
		a.stack.push("commands to devices", busBound, a.runner.start(life, "commands to devices", c.dispatcher.Run))
	}
}

// commander takes commands that come by WebSocket, as the API takes them; that is made after it.
type commander struct{ parts *parts }

// Command implements ws.Commander.
func (c commander) Command(ctx context.Context, by *devices.Caller, to devices.DeviceID, body []byte, key string) ([]byte, error) {
	return c.parts.api.Command(ctx, by, to, body, key)
}

func mqttCommand(o *command.Order) *mqttin.Command {
	return &mqttin.Command{
		Topic: o.Topic, Payload: o.Payload, ResponseTopic: o.Reply, CorrelationData: []byte(o.ID.String()), Expires: o.Expires, Trace: o.Trace,
	}
}

// embeddedDoor is the embedded broker as a dispatcher knows it.
type embeddedDoor struct{ broker *mqttin.Broker }

// Deliver implements command.Door.
func (d embeddedDoor) Deliver(o *command.Order, seen func(devices.CommandState, bool)) error {
	sent, err := d.broker.Send(mqttCommand(o), func() { seen(devices.CommandDelivered, false) })
	if err == nil {
		seen(devices.CommandSent, sent.Unconfirmed)
	}
	return err
}

// upstreamDoor is an external broker as a dispatcher knows it. That a command arrived cannot be seen there.
type upstreamDoor struct{ upstream *mqttin.Upstream }

// Deliver implements command.Door. It waits for the broker.
func (d upstreamDoor) Deliver(o *command.Order, seen func(devices.CommandState, bool)) error {
	err := d.upstream.Send(mqttCommand(o))
	if err == nil {
		seen(devices.CommandSent, false)
	}
	return err
}

const (
	// externalAgain is the pause before a command for which an external broker had nobody is tried again: who subscribes
	// there tells us only where its status topic says so.
	externalAgain = 2 * time.Second
	// externalTogether is to how many devices commands are sent at once by an external broker, each of which waits until
	// the broker has it.
	externalTogether = 32
	// nextTurn is how long a door leaves a command to the one before it.
	nextTurn = 3 * time.Second
)

// turns deals commands among the doors of an external broker, of which each could send any: the first by a hash of both
// sends at once, the others where nobody did. A door that is gone leaves the list with its lease.
type turns struct {
	doors bus.Doors
	self  bus.DoorID
	live  atomic.Pointer[[]bus.DoorID]
}

func (t *turns) run(ctx context.Context) error {
	beat := time.NewTicker(bus.DoorBeat)
	defer beat.Stop()
	for {
		if leases, err := t.doors.LiveDoors(ctx); err == nil {
			live := make([]bus.DoorID, 0, len(leases))
			for _, l := range leases {
				if l.Hears || l.Door == t.self {
					live = append(live, l.Door)
				}
			}
			t.live.Store(&live)
		}
		select {
		case <-beat.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// of is how long to leave a command to other doors.
func (t *turns) of(id devices.CommandID) time.Duration {
	live := t.live.Load()
	if live == nil {
		return 0
	}
	order := slices.Clone(*live)
	slices.SortFunc(order, func(a, b bus.DoorID) int { return cmp.Compare(place(id, a), place(id, b)) })
	return time.Duration(max(slices.Index(order, t.self), 0)) * nextTurn
}

func place(id devices.CommandID, d bus.DoorID) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(binary.BigEndian.AppendUint64([]byte(id.String()), uint64(d)))
	return h.Sum64()
}

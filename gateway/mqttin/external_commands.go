package mqttin

import (
	"context"
	"errors"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"

	"github.com/fleetcast/fleetcast/devices"
)

// noSubscribers is the reason code of a PUBACK by which a broker says that it has nobody for a message (MQTT 5.0 section
// 3.4.2.1). Mosquitto says it, also of a device that is away and whose session it does not keep.
const noSubscribers = 0x10

// Send publishes a command to the external broker and waits until that has acknowledged it, Limits.Write at most. Whether
// it reaches the device is then the broker's to see to, and cannot be seen. An error of the kind NotFound says that the
// broker has nobody for it; any other that it may be sent again. It may be called concurrently.
func (u *Upstream) Send(c *Command) error {
	u.mu.Lock()
	manager, up := u.manager, u.isUp
	u.mu.Unlock()
	if manager == nil || !up || u.stopping.Load() {
		return devices.Errorf(devices.Unavailable, "mqtt-upstream", "is not connected")
	}
	out := &paho.Publish{
		Topic: c.Topic, Payload: c.Payload, QoS: upstreamQoS,
		Properties: &paho.PublishProperties{
			ResponseTopic: c.ResponseTopic, CorrelationData: c.CorrelationData, User: paho.UserProperties{{Key: downlinkKey, Value: downlinkValue}},
		},
	}
	for _, each := range traceProperties(c.Trace) {
		out.Properties.User = append(out.Properties.User, paho.UserProperty{Key: each.Key, Value: each.Val})
	}
	if !c.Expires.IsZero() {
		left := time.Until(c.Expires)
		if left <= 0 {
			return devices.Errorf(devices.Invalid, "expires", "has passed")
		}
		seconds := uint32(max(left/time.Second, 1))
		out.Properties.MessageExpiry = &seconds
	}
	ctx, cancel := context.WithTimeout(context.Background(), u.limits.Write)
	defer cancel()
	return u.published(manager.Publish(ctx, out))
}

func (u *Upstream) published(ack *paho.PublishResponse, err error) error {
	switch {
	case ack != nil && ack.ReasonCode == noSubscribers:
		return devices.Errorf(devices.NotFound, "device", "is not known to the broker")
	case err == nil:
		u.counters.note(CommandSent, "")
		return nil
	case errors.Is(err, autopaho.ConnectionDownError):
		return devices.Errorf(devices.Unavailable, "mqtt-upstream", "is not connected")
	}
	u.counters.note(CommandUnsent, "") // the broker forbids it, or does not answer
	return &devices.Error{Kind: devices.Unavailable, Field: "mqtt-upstream", Detail: "did not take the command", Err: err}
}

// takeReply takes an answer that came from the external broker. One that the broker had kept is no news.
func (u *Upstream) takeReply(l *link, r *topicRoute, p *paho.Publish) {
	var correlation []byte
	if p.Properties != nil {
		correlation = p.Properties.CorrelationData
	}
	report, ok := r.reply.read(p.Payload, correlation)
	if !ok {
		u.rejectReply(badReply, r, p.Payload, sender{})
		u.answer(l, p)
		return
	}
	fleet, ok := u.admit(l, r.reply.device, r.reply.fleet)
	if !ok {
		u.answer(l, p)
		return
	}
	if !p.Retain {
		u.weighReply(r, fleet, report, p.Payload, sender{})
	}
	d := delivery{bytes: len(p.Payload), ticket: ticket{id: p.PacketID, kind: ackByte(p.QoS)}}
	d.entries = append(d.entries, replyEntry(r.reply.device, fleet, report))
	span := u.startSpan(enterPublish(u.tracer, p))
	d.trace = span.Context()
	d.mark()
	took(span, nil, &d, u.offer(l, &d))
}

// listens tells whoever sends commands that a device came: it said so itself.
func (u *Upstream) listens(device devices.DeviceID, fleet devices.FleetID) {
	if u.options.Listening != nil {
		u.options.Listening(ownFilter(fleet, device.String(), true))
	}
}

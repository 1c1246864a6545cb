package mqttin

import (
	"github.com/eclipse/paho.golang/paho"

	"github.com/fleetcast/fleetcast/devices"
)

// link is one connection to the external broker, as the committer knows it.
type link struct {
	account
	upstream *Upstream
	client   *paho.Client
	conn     *upstreamConn
}

// acknowledge lets paho send the acknowledgement, which it does in the order of arrival. Where the connection is gone,
// paho does not know the message any more; the broker sends it again, and the owner finds that it has it.
func (l *link) acknowledge(t *ticket) origin {
	l.ack(t.id)
	l.upstream.committer.settle(l, 1)
	return nil
}

func (l *link) ack(id uint16) {
	if err := l.client.Ack(&paho.Publish{PacketID: id, QoS: upstreamQoS}); err != nil {
		l.upstream.counters.note(AckTooLate, "")
		return
	}
	l.conn.given.Add(1)
}

// writeAcks is never asked for.
func (l *link) writeAcks(func(func())) {}

// onPublish takes a message. paho calls it from one goroutine a connection, one after the other, and has no recover.
func (u *Upstream) onPublish(pr paho.PublishReceived) (bool, error) {
	l := u.linkOf(pr.Client)
	defer func() {
		if r := recover(); r != nil {
			u.counters.note(Panicked, l.conn.host)
			u.answer(l, pr.Packet) // or it would come again for ever
		}
	}()
	u.receive(l, pr.Packet)
	return true, nil
}

// linkOf returns the link of a client, whose first message finds the connection that was made for it.
func (u *Upstream) linkOf(client *paho.Client) *link {
	if u.link == nil || u.link.client != client {
		u.mu.Lock()
		conn := u.conn
		u.mu.Unlock()
		u.link = &link{upstream: u, client: client, conn: conn}
		u.link.gone = conn.closed
	}
	return u.link
}

// answer acknowledges a message that makes no entry. paho keeps its turn, and knows no negative acknowledgement.
func (u *Upstream) answer(l *link, p *paho.Publish) {
	if p.QoS > 0 {
		l.ack(p.PacketID)
	}
}

func (u *Upstream) receive(l *link, p *paho.Publish) {
	if p.Properties != nil && p.Properties.User.Get(downlinkKey) != "" && !isReply(p.Topic) {
		u.counters.note(Looped, l.conn.host)
		u.answer(l, p)
		return
	}
	r := u.topics.lookup(&u.intake, p.Topic)
	if r.reply != nil {
		u.takeReply(l, r, p)
		return
	}
	if r.route == nil {
		u.rejectTopic(r.reason, p.Topic, p.Payload, sender{})
		u.answer(l, p)
		return
	}
	w := u.work.Get().(*workspace)
	defer u.putBack(w)
	result, span := &w.result, u.startSpan(enterPublish(u.tracer, p))
	if !u.decode(r, p.Payload, w, sender{}) {
		took(span, result, &delivery{}, false)
		u.answer(l, p)
		return
	}
	d := delivery{bytes: len(p.Payload), entries: w.entries[:0], ticket: ticket{id: p.PacketID, kind: ackByte(p.QoS)}}
	how := saidLive
	if p.Retain {
		how = saidRetained
	}
	for i := range result.Messages {
		// What the broker had before we asked may be of last year: it goes on with that mark, and the owner takes of it
		// what is newer than what it holds.
		m := &result.Messages[i]
		if fleet, ok := u.admit(l, m.Device, m.Fleet); ok {
			m.Fleet = fleet
			d.entries = u.appendMessage(d.entries, m, how)
			if m.Reading == nil && m.Status == devices.Online && !p.Retain && !m.Aside {
				u.listens(m.Device, fleet)
			}
		}
	}
	w.entries = d.entries
	u.ask(l, result)
	d.trace = span.Context()
	d.mark()
	if len(d.entries) == 0 {
		took(span, result, &d, false)
		u.answer(l, p)
		return
	}
	took(span, result, &d, u.offer(l, &d))
}

// admit returns the fleet of a device that the broker let speak. Who it is was the broker's to ask; whether there is such a
// device is the registry's. While that is not loaded the owner decides.
func (u *Upstream) admit(l *link, device devices.DeviceID, named devices.FleetID) (devices.FleetID, bool) {
	if u.options.Admission == nil || device.IsZero() {
		return named, true
	}
	fleet, err := u.options.Admission.Admit(anonymous, device, named)
	switch {
	case err == nil:
		return fleet, true
	case devices.KindOf(err) == devices.Unavailable:
		return named, true
	}
	u.counters.note(DeviceRefused, l.conn.host)
	return named, false
}

// offer queues a message. The broker keeps to the Receive Maximum, so there is room unless the inlet is away for long and
// connections came and went; then this waits for a keep-alive and ends the connection, and the broker keeps the message. It tells whether the message was
// taken.
func (u *Upstream) offer(l *link, d *delivery) bool {
	v := u.committer.take(l, d, u.options.KeepAlive)
	switch v {
	case taken, keptNewest:
	case dropped:
		u.counters.note(QueueFull, l.conn.host)
	case stalled:
		u.counters.note(BackPressure, l.conn.host)
		_ = l.conn.Close()
	case refusing: // it is not acknowledged, so it comes again
		u.counters.note(Stopping, l.conn.host)
	}
	return v == taken
}

package mqttin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fleetcast/fleetcast/devices"
)

// This file is what mochi does with a connection, on mochi's exported parts: its parser, its packet processing and its
// tables of clients are used, its own loop is not. Ours answers a CONNECT with the reason that mochi has no place for,
// lets connections with one client id pass one after another where mochi lets them end each other, has no second
// goroutine a connection that waits to write what nobody queues, and keeps the large values of a packet off the stack
// that waits for the next one, so that it shrinks: an idle device costs less than half as much.

// listenerName is what mochi knows our listener by.
const listenerName = "mqtt"

// meet greets a connection. When it returns nil the connection has a session, and else it has ended.
func (b *Broker) meet(ctx context.Context, c *conn) error {
	c.in = bufio.NewReaderSize(c.Conn, readBuffer)
	cl := b.server.NewClient(c, listenerName, "", false)
	met := false
	defer func() {
		if !met { // a panic is no error
			cl.Stop(nil)
		}
	}()
	err := b.greet(ctx, c, cl)
	met = err == nil
	return err
}

// listenTo reads packets until the connection ends. It returns nil after a DISCONNECT that asks for no will.
func (b *Broker) listenTo(s *session) (err error) {
	defer b.catch(s, &err)
	patience := patienceWith(s)
	var header packets.FixedHeader
	for !s.client.Closed() {
		_ = s.conn.SetReadDeadline(time.Now().Add(patience))
		size, err := s.conn.head(&header)
		if err != nil {
			return s.sayWhy(err)
		}
		if err := b.process(s, &header, size); err != nil {
			return s.sayWhy(err)
		}
	}
	return nil
}

// patienceWith is how long a client may say nothing.
func patienceWith(s *session) time.Duration {
	return time.Duration(s.client.State.Keepalive) * time.Second * 3 / 2 // [MQTT-3.1.2-22]
}

// sayWhy ends the connection with the reason, where the error is one that MQTT has a code for, and returns it.
func (s *session) sayWhy(err error) error {
	if code, ok := errors.AsType[packets.Code](err); ok && code.Code >= packets.ErrUnspecifiedError.Code {
		s.kick(code)
	}
	return err
}

// process takes one packet, whose fixed header has size bytes; 0 where mochi is to say what is wrong with it.
func (b *Broker) process(s *session, header *packets.FixedHeader, size int) (err error) {
	defer b.catch(s, &err)
	if size > 0 && header.Remaining < b.limits.PacketBytes && s.isOurs(header) {
		return b.takeOurs(s, header, size)
	}
	s.conn.leave()
	return b.takeAside(s, header, size)
}

// takeAside has a packet taken on a stack that goes with it: the one that waits for packets would have it as long as it
// waits.
func (b *Broker) takeAside(s *session, header *packets.FixedHeader, size int) (err error) {
	var aside sync.WaitGroup
	aside.Go(func() { err = b.takePacket(s, header, size) })
	aside.Wait()
	return err
}

// catch is deferred around what a packet does: see contain; here there is still somebody to tell.
func (b *Broker) catch(s *session, err *error) {
	if r := recover(); r != nil {
		b.counters.note(Panicked, s.conn.remote)
		s.kick(packets.ErrMalformedPacket)
		*err = errCounted
	}
}

// takePacket has mochi read a packet and takes it. A packet is 800 bytes, handed on by value through mochi.
func (b *Broker) takePacket(s *session, header *packets.FixedHeader, size int) (err error) {
	defer b.catch(s, &err)
	s.conn.allow(header, size)
	*header = packets.FixedHeader{}
	if err = s.client.ReadFixedHeader(header); err != nil {
		return err
	}
	pk, err := s.client.ReadPacket(header)
	if err != nil {
		return err
	}
	if err = b.slow(s, header.Remaining); err != nil {
		return err
	}
	switch header.Type {
	case packets.Subscribe:
		return b.subscribe(s, &pk)
	case packets.Unsubscribe:
		return b.unsubscribe(s, &pk)
	case packets.Pubrec:
		b.received(s, &pk)
		return nil
	case packets.Pubcomp:
		b.completed(s, &pk)
		return nil
	}
	return b.server.InjectPacket(s.client, pk)
}

// greet reads the CONNECT and answers it. When it returns nil the connection has a session.
//
//go:noinline
func (b *Broker) greet(ctx context.Context, c *conn, cl *mqtt.Client) error {
	pk, err := b.readConnect(c, cl)
	if err != nil {
		return err
	}
	if code := validConnect(&pk); code != packets.CodeSuccess {
		_ = b.server.SendConnack(cl, code, false, nil)
		return code
	}
	who, refused := b.identify(ctx, c, &pk)
	if refused != nil {
		return b.refuseConnect(c, cl, refused)
	}
	s := b.newSession(c, cl, who)
	if refused = b.readWill(s, &pk); refused != nil {
		return b.refuseConnect(c, cl, refused)
	}
	unpin(cl)
	b.boundSession(s)
	s.clean = s.endsWithConnection()
	asked := cl.State.Keepalive
	cl.State.Keepalive = b.limits.keepAlive(asked)
	cl.State.ServerKeepalive = cl.State.Keepalive != asked // MQTT 5 tells the client; one of 3.1.1 finds out
	evicted, refused := b.registry.enter(s, time.Now())
	if refused != nil {
		return b.refuseConnect(c, cl, refused)
	}
	if evicted != nil {
		b.forget(evicted)
	}
	c.session = s // from here on goodbye knows that there is something to end
	b.guard.identify(c)
	if err := b.establish(s, pk.Connect.Clean); err != nil {
		return err
	}
	if b.required && !b.auth.Holds(who) { // revoked since it was checked, when it was not among those to be ended yet
		b.revoke(s, Revoked, packets.ErrAdministrativeAction)
	}
	b.announceLogin(s)
	b.announce(s)
	return nil
}

// readConnect reads the first packet, which must be a CONNECT of a reasonable size.
func (b *Broker) readConnect(c *conn, cl *mqtt.Client) (pk packets.Packet, err error) {
	var header packets.FixedHeader
	size, err := c.head(&header)
	if err != nil {
		return pk, err
	}
	c.allow(&header, size)
	header = packets.FixedHeader{}
	if err = cl.ReadFixedHeader(&header); err != nil {
		return pk, err
	}
	switch {
	case header.Type != packets.Connect:
		return pk, packets.ErrProtocolViolationRequireFirstConnect // [MQTT-3.1.0-1]
	case header.Remaining > maxConnectBytes:
		b.counters.note(ConnectTooLarge, c.remote)
		return pk, errCounted
	}
	if pk, err = cl.ReadPacket(&header); err != nil {
		return pk, err
	}
	cl.ParseConnect(listenerName, pk)
	cl.Properties.Will = mqtt.Will{} // wills are ours: mochi publishes whatever stands in one, past every check
	if len(cl.ID) > maxClientIDBytes {
		b.counters.note(ConnectTooLarge, c.remote)
		return pk, errCounted
	}
	return pk, nil
}

// validConnect holds a CONNECT to the protocol.
func validConnect(pk *packets.Packet) packets.Code {
	if code := pk.ConnectValidate(); code != packets.CodeSuccess { // [MQTT-3.1.4-1]
		return code
	}
	if name := pk.Connect.Username; !utf8.Valid(name) || bytes.IndexByte(name, 0) >= 0 { // [MQTT-1.5.4-1] [MQTT-1.5.4-2]
		return packets.ErrMalformedUsername
	}
	if pk.ProtocolVersion < 5 && !pk.Connect.Clean && pk.Connect.ClientIdentifier == "" { // [MQTT-3.1.3-8]
		return packets.ErrClientIdentifierNotValid
	}
	return packets.CodeSuccess
}

// newSession makes the session of a connection that was let in.
func (b *Broker) newSession(c *conn, cl *mqtt.Client, who *devices.Principal) *session {
	s := &session{broker: b, conn: c, client: cl, who: who, settled: make(chan struct{}), topics: topicCache{limit: routesPerSession}}
	s.flow.Store(&flow{owner: s})
	return s
}

// establish puts the session in the place of the one before it and answers the CONNECT. Sessions with one client id
// come one after another: each waits here until the one before it has its CONNACK. A write bounds that wait.
func (b *Broker) establish(s *session, clean bool) error {
	older := s.older
	s.older = nil
	present := false
	if older != nil {
		<-older.settled
		b.poller.hearOut(older.conn)
		if !older.client.Closed() {
			b.counters.note(TakenOver, s.conn.remote)
		}
		older.kick(packets.ErrSessionTakenOver) // [MQTT-3.1.4-3]
		older.client.Stop(packets.ErrSessionTakenOver)
		present = b.inherit(s, older, clean)
	}
	if err := b.server.SendConnack(s.client, packets.CodeSuccess, present, nil); err != nil {
		return err
	}
	if present {
		s.flow.Load().adopt(s)
		if err := s.client.ResendInflightMessages(true); err != nil {
			return err
		}
		if x := s.box.Load(); x != nil {
			x.attach(s)
		}
		for _, sub := range s.subscriptions() {
			b.listens(sub.filter)
		}
	}
	s.settle()
	return nil
}

// inherit takes the session over where both sides want that. It tells whether the client goes on with a session.
func (b *Broker) inherit(s, older *session, clean bool) bool {
	older.flow.Load().detach()
	older.handedOn.Store(true)
	goesOn := !clean && !older.clean && older.who.Account == s.who.Account && !older.ended.Load() // [MQTT-3.1.2-4] [MQTT-3.1.4-4]
	box := older.box.Swap(nil)
	if box != nil && (!goesOn || !box.pass(older, s)) {
		goesOn = false
		box.end(older)
	}
	b.willOfOlder(older, goesOn)
	if goesOn {
		if box != nil {
			box.restrict(func(filter string) bool { return b.access.maySubscribe(s.who, filter) })
			s.box.Store(box)
		}
		s.client.State.Inflight = older.client.State.Inflight.Clone() // [MQTT-3.1.2-5]
		s.client.State.Inflight.ResetReceiveQuota(int32(b.limits.Unacked))
		s.client.State.Inflight.ResetSendQuota(int32(s.client.Properties.Props.ReceiveMaximum))
		s.flow.Store(older.flow.Load())
	}
	older.client.ClearInflights()
	return goesOn // [MQTT-3.2.2-2] [MQTT-3.2.2-3]
}

// endsWithConnection tells whether the client wants nothing to be left for its next connection.
func (s *session) endsWithConnection() bool {
	p := &s.client.Properties
	if p.ProtocolVersion == 5 {
		return p.Props.SessionExpiryInterval == 0 // MQTT 5.0 section 3.1.2.11.2
	}
	return p.Clean
}

// part ends what greet began, when the connection has ended: what is not to be kept is forgotten.
func (b *Broker) part(s *session, now time.Time) {
	p := &s.client.Properties
	keep := b.limits.SessionExpiry
	switch {
	case p.ProtocolVersion == 5:
		keep = min(keep, time.Duration(p.Props.SessionExpiryInterval)*time.Second)
	case p.Clean:
		keep = 0
	}
	until := now.Add(keep)
	if keep == 0 {
		until = time.Time{}
	}
	if overtaken := b.registry.part(s, until); !overtaken && keep == 0 {
		b.forget(s)
	}
}

// forget ends the session. Nothing of it is left but what its account keeps.
func (b *Broker) forget(s *session) {
	s.ended.Store(true)
	b.registry.remove(s)
	if x := s.box.Load(); x != nil {
		x.end(s)
	}
	s.client.ClearInflights()
	b.willAtTheEnd(s)
}

// unpin replaces what lies in the CONNECT packet, password included, and would keep it alive as long as the connection.
func unpin(cl *mqtt.Client) {
	cl.ID = strings.Clone(cl.ID)
	p := &cl.Properties
	p.Username = nil
	if p.Props.AssignedClientID != "" {
		p.Props.AssignedClientID = cl.ID
	}
	p.Props.User, p.Props.AuthenticationData, p.Props.CorrelationData = nil, nil, nil
	p.Props.AuthenticationMethod, p.Props.ContentType, p.Props.ResponseTopic = "", "", ""
	p.Props.ResponseInfo, p.Props.ServerReference, p.Props.ReasonString = "", "", ""
}

// boundSession makes the session end with its connection where too many are kept already. MQTT 5 is told; with 3.1.1 the
// next CONNACK says that there is no session, so that the client subscribes anew.
func (b *Broker) boundSession(s *session) {
	if b.registry.keptSessions() < b.limits.KeptSessions {
		return
	}
	p := &s.client.Properties
	switch {
	case p.ProtocolVersion < 5 && !p.Clean:
		p.Clean = true
	case p.ProtocolVersion == 5 && p.Props.SessionExpiryInterval > 0:
		p.Props.SessionExpiryInterval = 0
		s.expires = true
	default:
		return
	}
	b.counters.note(SessionNotKept, s.conn.remote)
}

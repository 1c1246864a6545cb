package mqttin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/gateway/certs"
)

// Broker is the embedded MQTT broker. It is made by New, bound by Listen and runs in Run, once.
type Broker struct {
	intake
	ports     []*port
	certs     *certs.Files // nil: no port has TLS
	origins   []string
	proxies   []netip.Prefix
	limits    Limits
	log       *slog.Logger
	door      bus.DoorID
	guard     *guard
	poller    *poller
	registry  registry
	committer *committer
	routes    *routes
	retained  *retained
	elsewhere elsewhere
	waiting   atomic.Int64 // bytes of all that waits in mailboxes
	routing   bool
	listening func(filter string) // nil: nobody sends commands
	server    *mqtt.Server

	auth       Authenticator // nil: nobody is asked
	required   bool
	access     access
	attempts   *attempts
	logins     chan struct{} // places for those that are asked
	generation atomic.Uint32 // of what the authenticator said

	started  atomic.Bool
	stopping atomic.Bool
	halt     chan struct{}  // closed when the broker stops
	talking  sync.WaitGroup // the goroutines that read connections
	writers  sync.WaitGroup // those that write what is sent to clients, and those that end connections

	mu    sync.Mutex
	bound bool // all ports have their listener, which does not change
}

// New wires a broker. It binds and starts nothing.
func New(o Options) (*Broker, error) {
	if o.Inlet == nil {
		return nil, devices.Errorf(devices.Invalid, "inlet", "is missing")
	}
	b := &Broker{limits: o.Limits.withDefaults(), log: o.Logger, door: o.Door, origins: o.Ports.Origins, proxies: o.Ports.Proxies}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	b.limits = b.limits.fitFiles(o.Limits.Connections > 0, openFiles(), b.log)
	if b.door == 0 {
		b.door = bus.NewDoorID()
	}
	if err := b.intake.init(o.Router, o.OwnTracksFleet, &counters{log: b.log}); err != nil {
		return nil, err
	}
	b.access = access{b.router.AccessTemplates()}
	if o.Required && o.Auth == nil {
		return nil, devices.Errorf(devices.Invalid, "auth", "is missing, and credentials are required")
	}
	b.auth, b.required, b.attempts = o.Auth, o.Required, newAttempts()
	b.logins, b.halt = make(chan struct{}, b.limits.Logins), make(chan struct{})
	b.generation.Store(1)
	b.routes, b.routing, b.listening, b.replies = new(routes), o.Route, o.Listening, o.Replies
	b.retained = newRetained(&b.limits, b.counters)
	b.elsewhere.logins, b.elsewhere.wake = o.Logins, make(chan struct{}, 1)
	var err error
	if b.ports, err = makePorts(&o); err != nil {
		return nil, err
	}
	if o.Ports.Certificate != "" {
		files := certs.Options{Certificate: o.Ports.Certificate, Key: o.Ports.Key, ClientCA: o.Ports.ClientCA, Bad: func() { b.counters.note(CertificateBad, "") }}
		if b.certs, err = certs.New(files); err != nil {
			return nil, err
		}
	}
	b.guard = newGuard(b.limits, b.counters)
	b.poller = newPoller(b)
	b.registry = newRegistry(b.limits, b.counters)
	b.committer = newCommitter(o.Inlet, b.door, b.limits, b.counters)
	b.committer.every = cmp.Or(o.CommitEvery, commitEvery)
	b.tracer, b.committer.tracer = o.Tracer, o.Tracer
	b.server = mqtt.New(b.frontEnd())
	if err := b.server.AddHook(&hook{broker: b}, nil); err != nil {
		return nil, fmt.Errorf("attach hook: %w", err)
	}
	return b, nil
}

// frontEnd are mochi's options. Retained messages and wildcards are announced, though none is kept: a client whose will
// has the retain flag would be refused otherwise, and most trackers set it. QoS 2 too, because mochi answers it with a
// PUBACK where it is off.
func (b *Broker) frontEnd() *mqtt.Options {
	caps := mqtt.NewDefaultServerCapabilities()
	caps.MaximumClientWritesPending = writesPending // 8 bytes each, for every connection, at once
	caps.MaximumPacketSize = uint32(b.limits.PacketBytes)
	caps.ReceiveMaximum = uint16(b.limits.Unacked)
	caps.MaximumInflight = uint16(b.limits.Unacked)
	caps.TopicAliasMaximum = topicAliases
	caps.MaximumSessionExpiryInterval = uint32(b.limits.SessionExpiry / time.Second)
	caps.MaximumMessageExpiryInterval = int64(b.limits.SessionExpiry / time.Second) // of packet ids of QoS 2, here
	caps.SharedSubAvailable = 0
	caps.Compatibilities.NoInheritedPropertiesOnAck = true // clients refuse a PUBACK that echoes their properties
	return &mqtt.Options{
		Capabilities:            caps,
		ClientNetReadBufferSize: 16,   // the least: conn.in is what buffers
		SysTopicResendInterval:  3600, // each stops the world to count memory, and nobody can read it
		Logger:                  slog.New(quiet{b.log.Handler()}),
	}
}

// Door is the name under which this broker appends.
func (b *Broker) Door() bus.DoorID { return b.door }

// Ready returns nil while devices can connect and what they say is kept, and else a devices.Error that says why not.
func (b *Broker) Ready() error {
	switch {
	case b.stopping.Load():
		return devices.Errorf(devices.Unavailable, "mqtt", "is stopping")
	case b.Addr() == nil:
		return devices.Errorf(devices.Unavailable, "mqtt", "port is not bound yet")
	}
	return b.committer.ready(inletSilence)
}

// Stats reads the counters.
func (b *Broker) Stats() Stats {
	var s Stats
	b.counters.read(&s)
	s.Connections, s.Unidentified = b.guard.gauges()
	s.Queued, s.QueuedBytes = b.committer.gauges()
	s.Sessions = b.registry.count()
	s.Retained, s.RetainedBytes = b.retained.gauges()
	s.RoutedBytes = int(b.waiting.Load())
	return s
}

// Run serves until ctx ends, then stops within Limits.Stop: it accepts nothing more, commits and acknowledges what was
// taken, closes the connections and commits their ends. It returns nil unless something of that failed. A broker runs
// once.
func (b *Broker) Run(ctx context.Context) error {
	if !b.started.CompareAndSwap(false, true) {
		return errors.New("run mqtt broker: it ran before")
	}
	if err := b.Listen(); err != nil { //nolint:contextcheck // binding a port waits for nothing
		return err
	}
	commitCtx, stopCommitting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopCommitting()
	var committing sync.WaitGroup
	committing.Go(func() { b.committer.run(commitCtx) })
	if err := b.poller.start(); err != nil {
		return err
	}
	acceptCtx, stopAccepting := context.WithCancel(ctx)
	defer stopAccepting()
	accepting := b.acceptAll(acceptCtx)
	var tending sync.WaitGroup
	tending.Go(func() { b.tend(acceptCtx) })
	if b.auth != nil {
		tending.Go(func() { b.watch(acceptCtx) })
	}
	if b.elsewhere.logins != nil {
		tending.Go(func() { b.tellLogins(acceptCtx) })
		tending.Go(func() { b.hearLogins(acceptCtx) })
	}

	var errs []error
	ended := 0
	select {
	case <-ctx.Done():
	case err := <-accepting:
		errs = append(errs, err)
		ended++
	}
	b.stopping.Store(true)
	close(b.halt)
	stopAccepting()
	tending.Wait()
	b.unbind()
	b.guard.close()
	for ; ended < len(b.ports); ended++ {
		errs = append(errs, <-accepting)
	}
	return errors.Join(append(errs, b.stop(context.WithoutCancel(ctx), stopCommitting, &committing))...)
}

// stop ends what runs, in the order that loses nothing: first what was taken is committed and acknowledged while the
// connections still stand, then they are closed, then the events of their end are committed.
func (b *Broker) stop(ctx context.Context, stopCommitting func(), committing *sync.WaitGroup) error {
	ctx, cancel := context.WithTimeout(ctx, b.limits.Stop)
	defer cancel()
	half, cancelHalf := context.WithTimeout(ctx, b.limits.Stop/2)
	defer cancelHalf()
	b.committer.close()
	b.committer.flush(half)
	b.hangUp()
	var errs []error
	if !wait(ctx, &b.talking) {
		errs = append(errs, errors.New("stop mqtt broker: a connection did not end in time"))
	}
	b.poller.stop(ctx)
	if !b.committer.flush(ctx) {
		messages, _ := b.committer.gauges()
		b.counters.note(Uncommitted, "")
		errs = append(errs, fmt.Errorf("stop mqtt broker: the inlet did not take %d messages in time", messages))
	}
	stopCommitting()
	// An Append that ignores its context is the bus's fault; it cannot be waited for without end.
	last, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), stopWrite+b.limits.Stop/4)
	defer cancelLast()
	if !wait(last, committing) {
		errs = append(errs, errors.New("stop mqtt broker: the committer did not end in time"))
	}
	if !wait(last, &b.writers) {
		errs = append(errs, errors.New("stop mqtt broker: a connection could not be written to in time"))
	}
	return errors.Join(errs...)
}

// hangUp closes every connection, after a word of why where the protocol has one.
func (b *Broker) hangUp() {
	var wg sync.WaitGroup
	for _, c := range b.guard.list(false) {
		wg.Go(func() {
			c.write.Store(int64(stopWrite))
			_ = c.SetWriteDeadline(time.Now().Add(stopWrite)) // of a write that hangs already
			if s := c.greeted(b.guard); s != nil {
				s.kick(packets.ErrServerShuttingDown)
			}
			_ = c.Close()
		})
	}
	wg.Wait()
}

// greeted returns the session of an identified connection. The lock orders it after the CONNECT.
func (c *conn) greeted(g *guard) *session {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !c.identified {
		return nil
	}
	return c.session
}

// wait waits for wg until ctx ends and tells which came first.
func wait(ctx context.Context, wg *sync.WaitGroup) bool {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// talk greets a connection, and hands it to the poller, or to a goroutine that reads it to its end: to greet takes a deep
// stack, which would stay as long as the connection.
func (b *Broker) talk(ctx context.Context, c *conn, p *port) {
	handedOn := false
	defer func() {
		if !handedOn {
			b.goodbye(c)
		}
	}()
	defer b.contain(c)
	err := b.open(ctx, c, p)
	if err == nil {
		err = b.meet(ctx, c)
	}
	if err != nil {
		b.explain(c, err)
		return
	}
	handedOn = true
	if !b.poller.adopt(c) {
		b.talking.Go(func() { b.listen(c) })
	}
}

// listen reads a connection that was greeted to its end.
func (b *Broker) listen(c *conn) {
	b.depart(c, b.listenTo(c.session))
}

// depart ends a connection that was greeted, with what listenTo returned.
func (b *Broker) depart(c *conn, err error) {
	defer b.goodbye(c)
	defer b.contain(c)
	defer c.session.client.Stop(nil)
	b.endOf(c, err)
}

// endOf deals with the will and the reason of the end.
func (b *Broker) endOf(c *conn, err error) {
	switch {
	case err != nil:
		b.will(c.session)
		b.explain(c, err)
	case errors.Is(c.session.client.StopCause(), packets.ErrSessionTakenOver): // the client said nothing: we ended it
		b.will(c.session)
	default:
		c.session.willOut.Store(nil) // [MQTT-3.1.2-10]
	}
}

// contain keeps a panic to its connection. mochi has no recover anywhere, and there are packets that make its parser panic
// (an MQTT 5 SUBSCRIBE that is cut after the filter): whoever sends one loses the connection, and nobody else anything.
func (b *Broker) contain(c *conn) {
	if r := recover(); r != nil {
		b.counters.note(Panicked, c.remote)
		if c.session != nil {
			b.will(c.session)
		}
	}
}

// goodbye queues what the end of a connection means for presence, and ends its session or leaves it to be kept.
func (b *Broker) goodbye(c *conn) {
	_ = c.Close()
	defer b.guard.leave(c)
	s := c.session
	if s == nil {
		return
	}
	s.settle()
	if x := s.box.Load(); x != nil {
		x.detach(s)
	}
	if s.older != nil { // something broke before it was dealt with
		b.inherit(s, s.older, true)
	}
	s.topics, s.lastWill, s.older = topicCache{}, nil, nil
	s.client.Lock()
	c.Conn, c.in = c.raw, nil // a kept session needs no buffers, nor those of TLS or WebSocket
	s.client.Unlock()
	if s.tracked.len() > 0 {
		b.committer.end(s)
	}
	b.part(s, time.Now())
}

// explain counts why a connection ended.
func (b *Broker) explain(c *conn, err error) {
	identified := c.greeted(b.guard) != nil
	code, isCode := errors.AsType[packets.Code](err)
	reason := PeerLost
	switch {
	case isCode && code == packets.ErrPacketTooLarge:
		reason = PacketTooLarge
	case errors.Is(err, errCounted), isCode && code == packets.ErrRejectPacket:
		return // counted where it was refused
	case isCode && code.Code < packets.ErrUnspecifiedError.Code: // a DISCONNECT that asks for the will
		return
	case isCode && !identified:
		reason = FirstPacketBad
	case isCode:
		reason = Malformed
	case errors.Is(err, os.ErrDeadlineExceeded) && !identified:
		reason = FirstPacketLate
	case errors.Is(err, os.ErrDeadlineExceeded):
		reason = KeepAliveMissed
	case !identified && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)):
		reason = LeftEarly
	case !identified:
		reason = FirstPacketBad
	case errors.Is(err, net.ErrClosed): // we closed it and said why
		return
	}
	b.counters.note(reason, c.remote)
}

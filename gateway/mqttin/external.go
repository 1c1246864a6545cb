package mqttin

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/trace"
)

// UpstreamOptions configure an Upstream. The zero value of a number stands for its default.
type UpstreamOptions struct {
	// URLs are the brokers, mqtt://user:password@host:1883 or mqtts://…:8883, tried in order. They must serve one and
	// the same session, so they are nodes of one broker. Required. Broker and client speak MQTT 5: a broker of 3.1.1
	// only is not served. Credentials are never logged.
	URLs []string
	// TLS is for mqtts. Nil: the system's roots.
	TLS *tls.Config
	// Inlet takes what devices say. Required.
	Inlet bus.Inlet
	// Door names this run of the door in the inlet. Zero: a random one.
	Door bus.DoorID
	// ClientID names the session that the broker keeps. It must stay the same over restarts, or what the broker kept
	// for the old name is never read, and differ between doors, or they throw each other out. After a change of Group
	// or Topics take a new one: the session keeps the subscriptions that it had. Required: see StableClientID.
	ClientID string
	// Group is the shared subscription's name: the doors of a group share the messages. Default "fleetcast".
	Group string
	// Unshared subscribes without a group, for a broker that has no shared subscriptions. Then one door only.
	Unshared bool
	// Topics and StatusTopics are filters in place of those of the formats that are understood, and of answers to commands. Every door hears the
	// status topics.
	Topics, StatusTopics []string
	// Listening and Replies are those of the embedded broker's Options; what a device says of itself by its status topic is
	// all that is heard of who listens.
	Listening func(filter string)
	Replies   func(devices.DeviceID, devices.FleetID, devices.CommandID) ReplyVerdict
	// Admission says which devices may be heard, and of which fleet they are. Nil: all, of the one that their topic names.
	Admission Admission
	// Router knows the topics and formats. Nil: those that are understood by default.
	Router *dialect.Router
	// OwnTracksFleet is the fleet of devices that publish on owntracks/…. Zero: "owntracks".
	OwnTracksFleet devices.FleetID
	// ReceiveMaximum bounds the messages that are taken and not yet acknowledged: it is the back-pressure. Default 256.
	ReceiveMaximum int
	// SessionExpiry is how long the broker keeps what comes while we are away. Brokers may go on dealing a share of the
	// group to a door that is away, so a door that is gone for good costs its share of that time. Default 1 h.
	SessionExpiry time.Duration
	// KeepAlive bounds how long a dead connection goes unnoticed: twice as long. Whole seconds. Default 30 s.
	KeepAlive time.Duration
	// RetryFirst and RetryMost bound the pause after a failed attempt, which doubles. Defaults 500 ms and 30 s.
	RetryFirst, RetryMost time.Duration
	// Tracer says which messages are traced. Nil: none.
	Tracer *trace.Tracer
	// Logger gets a line for each connection, and rare lines about what fails. Nil: none.
	Logger *slog.Logger
	// CommitEvery is that of the embedded broker's Options.
	CommitEvery time.Duration
	// Limits are those of the embedded broker as far as they say something here: PacketBytes, QueueMessages,
	// QueueBytes, KeptNewest, Write, Stop.
	Limits Limits
}

// Limits that nobody has a reason to set.
const (
	// sendAcks is how long paho gathers acknowledgements.
	sendAcks        = 5 * time.Millisecond
	connectTimeout  = 10 * time.Second
	upstreamRoutes  = 65_536 // topics whose route is remembered: all devices are behind one connection
	upstreamQoS     = 1
	maxUpstreamURLs = 16
	// stood is how long a connection must have lasted to count as a good one: two clients with one id would else throw
	// each other out as fast as they can connect.
	stood = 10 * time.Second
)

// Upstream consumes an external broker in place of the embedded one. It is made by NewUpstream and runs in Run, once.
// What it acknowledges is in the inlet: the broker keeps the rest for it, as long as SessionExpiry.
//
// Telemetry is subscribed to with QoS 1, in a group or alone; status topics by each door alone. What the broker had kept comes
// once to a subscription that is not a group's and is marked: of telemetry the bridge takes what is newer than what it
// holds, and a status proves only unknown. There are no connection events: the devices are not connected to us.
type Upstream struct {
	intake
	options       UpstreamOptions
	limits        Limits
	log           *slog.Logger
	door          bus.DoorID
	urls          []*url.URL // without credentials: paho puts them into its errors
	endpoints     map[*url.URL]endpoint
	subscriptions []paho.SubscribeOptions
	committer     *committer
	subscribing   sync.WaitGroup

	started  atomic.Bool
	stopping atomic.Bool

	// Owned by paho's goroutine that makes connections.
	failures int
	upSince  time.Time
	wasUp    bool

	// Owned by the goroutine that paho has for a connection's messages. They follow each other.
	link   *link
	topics topicCache

	mu         sync.Mutex
	conn       *upstreamConn // the newest
	manager    *autopaho.ConnectionManager
	isUp       bool
	subscribed bool
	problem    string // why not
}

// NewUpstream wires an upstream. It connects and starts nothing.
func NewUpstream(o UpstreamOptions) (*Upstream, error) {
	if o.Inlet == nil {
		return nil, devices.Errorf(devices.Invalid, "inlet", "is missing")
	}
	if o.ClientID == "" || len(o.ClientID) > maxClientIDBytes || !utf8.ValidString(o.ClientID) || strings.ContainsRune(o.ClientID, 0) {
		return nil, devices.Errorf(devices.Invalid, "client id", "is missing, too long or no text")
	}
	o = o.withDefaults()
	u := &Upstream{
		options: o, limits: o.Limits, log: o.Logger, door: o.Door, endpoints: map[*url.URL]endpoint{},
		topics: topicCache{limit: upstreamRoutes}, problem: "did not connect yet",
	}
	if len(o.URLs) == 0 || len(o.URLs) > maxUpstreamURLs {
		return nil, devices.Errorf(devices.Invalid, "mqtt-upstream", "needs 1 to %d addresses", maxUpstreamURLs)
	}
	for _, text := range o.URLs {
		bare, e, err := parseEndpoint(text)
		if err != nil {
			return nil, err
		}
		u.urls = append(u.urls, bare)
		u.endpoints[bare] = e
	}
	if err := u.init(o.Router, o.OwnTracksFleet, &counters{log: u.log}); err != nil {
		return nil, err
	}
	var err error
	if u.subscriptions, err = subscriptions(&o, u.router); err != nil {
		return nil, err
	}
	u.replies = o.Replies
	u.committer = newCommitter(o.Inlet, u.door, u.limits, u.counters)
	u.committer.every = cmp.Or(o.CommitEvery, commitEvery)
	u.tracer, u.committer.tracer = o.Tracer, o.Tracer
	return u, nil
}

func (o UpstreamOptions) withDefaults() UpstreamOptions {
	if o.ReceiveMaximum > 0 {
		o.Limits.Unacked = o.ReceiveMaximum
	}
	o.Limits = o.Limits.withDefaults()
	o.ReceiveMaximum = o.Limits.Unacked
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Door == 0 {
		o.Door = bus.NewDoorID()
	}
	if o.Group == "" {
		o.Group = "fleetcast"
	}
	setTime := func(v *time.Duration, def time.Duration) {
		if *v <= 0 {
			*v = def
		}
	}
	setTime(&o.SessionExpiry, time.Hour)
	setTime(&o.KeepAlive, 30*time.Second)
	setTime(&o.RetryFirst, 500*time.Millisecond)
	setTime(&o.RetryMost, 30*time.Second)
	o.SessionExpiry = min(o.SessionExpiry, (1<<32-2)*time.Second)
	o.KeepAlive = min(max(o.KeepAlive, time.Second), 65_535*time.Second)
	return o
}

// Door is the name under which this upstream appends.
func (u *Upstream) Door() bus.DoorID { return u.door }

// Ready returns nil while the broker's messages reach the inlet, and else a devices.Error that says why not, without a
// secret.
func (u *Upstream) Ready() error {
	if u.stopping.Load() {
		return devices.Errorf(devices.Unavailable, "mqtt-upstream", "is stopping")
	}
	u.mu.Lock()
	up, problem := u.isUp && u.subscribed, u.problem
	u.mu.Unlock()
	if !up {
		return devices.Errorf(devices.Unavailable, "mqtt-upstream", "%s", problem)
	}
	return u.committer.ready(inletSilence)
}

// Stats reads the counters. Connections is 1 while the broker is connected.
func (u *Upstream) Stats() Stats {
	var s Stats
	u.counters.read(&s)
	s.Queued, s.QueuedBytes = u.committer.gauges()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.isUp {
		s.Connections, s.Sessions = 1, 1
	}
	return s
}

// Run consumes until ctx ends, then stops within Limits.Stop: it takes nothing more, commits and acknowledges what was
// taken, and disconnects; the broker keeps the session. It returns nil unless something of that failed. A broker that is
// away is no failure: Run tries for ever, and Ready says so. An upstream runs once.
func (u *Upstream) Run(ctx context.Context) error {
	if !u.started.CompareAndSwap(false, true) {
		return errors.New("run mqtt upstream: it ran before")
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var committing sync.WaitGroup
	committing.Go(func() { u.committer.run(life) })
	manager, err := autopaho.NewConnection(life, u.clientConfig(life))
	if err != nil {
		end()
		committing.Wait()
		return fmt.Errorf("run mqtt upstream: %w", err)
	}
	u.mu.Lock()
	u.manager = manager
	u.mu.Unlock()
	<-ctx.Done()
	u.stopping.Store(true)
	return u.stop(context.WithoutCancel(ctx), end, manager, &committing)
}

// stop ends what runs, in the order that loses no acknowledgement.
func (u *Upstream) stop(ctx context.Context, end func(), manager *autopaho.ConnectionManager, committing *sync.WaitGroup) error {
	ctx, cancel := context.WithTimeout(ctx, u.limits.Stop)
	defer cancel()
	half, cancelHalf := context.WithTimeout(ctx, u.limits.Stop/2)
	defer cancelHalf()
	u.committer.close()
	var errs []error
	if !u.committer.flush(half) {
		messages, _ := u.committer.gauges()
		u.counters.note(Uncommitted, "")
		errs = append(errs, fmt.Errorf("stop mqtt upstream: the inlet did not take %d messages in time", messages))
	}
	u.mu.Lock()
	conn := u.conn
	u.mu.Unlock()
	if conn != nil {
		conn.drained(half)
	}
	if err := manager.Disconnect(ctx); err != nil {
		errs = append(errs, fmt.Errorf("stop mqtt upstream: disconnect: %w", err))
	}
	end()
	last, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), stopWrite+u.limits.Stop/4)
	defer cancelLast()
	if !wait(last, committing) || !wait(last, &u.subscribing) {
		errs = append(errs, errors.New("stop mqtt upstream: the committer did not end in time"))
	}
	return errors.Join(errs...)
}

package mqttin

import (
	"log/slog"
	"time"

	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/trace"
)

// Options configure a Broker. The zero value of a limit stands for its default.
type Options struct {
	// Inlet takes what devices say. Required.
	Inlet bus.Inlet
	// Door names this run of the door in the inlet and in connection events. Zero: a random one.
	Door bus.DoorID
	// Listen is the TCP address, for example 127.0.0.1:1883. It may be empty where there is another port.
	Listen string
	// Ports are the other ways to connect.
	Ports Ports
	// Router knows the topics and formats. Nil: those that are understood by default.
	Router *dialect.Router
	// OwnTracksFleet is the fleet of devices that publish on owntracks/…. Zero: "owntracks".
	OwnTracksFleet devices.FleetID
	// Auth says who may connect and for which devices. Nil: everybody, for every device.
	Auth Authenticator
	// Required has every connection show a credential to Auth. Without it nobody is asked, and Auth only admits devices.
	Required bool
	// Route delivers what clients publish to the clients that subscribed to it, as far as their rules go. See routes.
	Route bool
	// Logins is where doors that share a bus tell each other who signed in. Nil: this is the only door.
	Logins bus.Logins
	// Listening, where it is not nil, is told a filter for commands from which on a client listens: it subscribed, or came
	// back to its session. It must not block.
	Listening func(filter string)
	// Replies, where it is not nil, says what is known of the command of a device that an answer is for. It must not block.
	Replies func(devices.DeviceID, devices.FleetID, devices.CommandID) ReplyVerdict
	// Tracer says which messages are traced. Nil: none.
	Tracer *trace.Tracer
	// CommitEvery is the least time from one append to the next, and how long messages of many devices are gathered at most.
	// Default 5 ms.
	CommitEvery time.Duration
	// Logger gets rare lines about what the guards did. Nil: none.
	Logger *slog.Logger
	Limits Limits
}

// Limits bound what devices may cost. Each stands against the abuse that its comment names.
type Limits struct {
	// Connections bounds open connections: each costs some 6 to 12 kB and a file. Default 50,000, or fewer
	// where the process may not open so many files.
	Connections int
	// PerAddress bounds those of one address (of a /64 in IPv6). Loopback is not counted: everything behind a proxy or
	// a simulator comes from there. Default 5,000.
	PerAddress int
	// Unidentified and UnidentifiedPerAddress bound the connections that have not sent a CONNECT: opening sockets and
	// saying nothing must not keep devices out. Defaults 4,096 and 256.
	Unidentified           int
	UnidentifiedPerAddress int
	// FirstPacket is the time for the whole CONNECT, however slowly it drips. Default 5 s.
	FirstPacket time.Duration
	// Write is how long a peer may leave its acknowledgements unread. Default 5 s.
	Write time.Duration
	// KeepAliveMin and KeepAliveMax bound the keep-alive; 0 means the maximum. A device that vanishes without a word
	// is noticed after one and a half of it. Defaults 5 s and 1 h.
	KeepAliveMin, KeepAliveMax time.Duration
	// PacketBytes bounds a packet, before memory is taken for it. Default 256 KiB.
	PacketBytes int
	// Unacked bounds the messages of a connection that are taken and not yet acknowledged. At the bound the connection
	// is not read until it has room. It is announced as Receive Maximum. Default 256.
	Unacked int
	// QueueMessages and QueueBytes bound all messages on their way to the inlet. At the bound connections with QoS 1
	// and 2 are not read. Defaults 32,768 and 32 MiB of payload.
	QueueMessages int
	QueueBytes    int
	// KeptNewest bounds what QoS 0 says while the queue is full or the inlet is away: the newest reading and the newest
	// status of each device are kept, at most so many and QueueBytes of payload. Default 32,768.
	KeptNewest int
	// DevicesPerConnection bounds the devices that one connection's presence is kept for. Default 1,024.
	DevicesPerConnection int
	// Filters bounds the filters of one SUBSCRIBE. Default 64.
	Filters int
	// KeptSessions bounds the sessions of clients that are not connected. Above it a session ends with its connection.
	// Default 10,000.
	KeptSessions int
	// SessionExpiry bounds how long such a session is kept. Default 1 h.
	SessionExpiry time.Duration
	// SessionsPerAccount bounds the sessions of one account, connected and kept: whoever has one credential must not
	// take all places. Default 64.
	SessionsPerAccount int
	// Inflight bounds the messages with QoS 1 and 2 that a client was sent and has not acknowledged; its own Receive
	// Maximum may be less. Default 32.
	Inflight int
	// ClientMessages and ClientBytes bound what waits for one client, connected or away; RoutedBytes what waits for all.
	// What comes at the bound is dropped for that client. Defaults 1,000, 1 MiB and 64 MiB.
	ClientMessages int
	ClientBytes    int
	RoutedBytes    int
	// RetainedMessages and RetainedBytes bound what is retained, RetainedPerDevice what one device's credential left. At
	// the bound a message is delivered and not retained. Defaults 10,000, 16 MiB and 64.
	RetainedMessages  int
	RetainedBytes     int
	RetainedPerDevice int
	// LoginsPerMinute bounds how often one account may connect; as many may come at once. Default 120.
	LoginsPerMinute int
	// Logins and Login bound how many logins are checked at once, and how long one may take with its wait for a place.
	// Defaults 64 and 5 s.
	Logins int
	Login  time.Duration
	// DeviceRates and GatewayRates are what an account may send, where its own are not set: whoever sends more is not
	// read until it is within them. GatewayRates are for whoever is not one device. In open mode there are none.
	// Defaults 100 messages and 256 KiB a second, 10 s of them at once; 20,000 and 16 MiB, 5 s.
	DeviceRates, GatewayRates devices.Rates
	// Stop bounds how long Run takes to end. Default 5 s.
	Stop time.Duration
}

// Limits that nobody has a reason to set.
const (
	topicAliases     = 16       // MQTT 5; each holds one topic of at most dialect.MaxTopicBytes
	maxConnectBytes  = 16 << 10 // a CONNECT is kept alive by its strings for as long as the connection
	maxClientIDBytes = 256
	maxFilterBytes   = 256
	maxFilterLevels  = 24
	routesPerSession = 1024 // topics whose route a connection remembers
	maxAppend        = 4096 // entries of one append
	readBuffer       = 1 << 10
	writesPending    = 1 // packets that mochi queues for a client: none, as what is routed is not mochi's
	stopWrite        = 500 * time.Millisecond
	inletSilence     = 5 * time.Second // an append that takes longer makes the door not ready
)

// DefaultLimits are the limits of a broker to which nobody gave any.
func DefaultLimits() Limits { return Limits{}.withDefaults() }

func (l Limits) withDefaults() Limits {
	set := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	setTime := func(v *time.Duration, def time.Duration) {
		if *v <= 0 {
			*v = def
		}
	}
	set(&l.Connections, 50_000)
	set(&l.PerAddress, 5_000)
	set(&l.Unidentified, 4_096)
	set(&l.UnidentifiedPerAddress, 256)
	set(&l.PacketBytes, 256<<10)
	set(&l.Unacked, 256)
	set(&l.QueueMessages, 32_768)
	set(&l.QueueBytes, 32<<20)
	set(&l.KeptNewest, 32_768)
	set(&l.DevicesPerConnection, 1_024)
	set(&l.Filters, 64)
	set(&l.KeptSessions, 10_000)
	set(&l.SessionsPerAccount, 64)
	set(&l.Logins, 64)
	set(&l.LoginsPerMinute, 120)
	set(&l.Inflight, 32)
	set(&l.ClientMessages, 1_000)
	set(&l.ClientBytes, 1<<20)
	set(&l.RoutedBytes, 64<<20)
	set(&l.RetainedMessages, 10_000)
	set(&l.RetainedBytes, 16<<20)
	set(&l.RetainedPerDevice, 64)
	set(&l.DeviceRates.Messages, 100)
	set(&l.DeviceRates.Bytes, 256<<10)
	set(&l.DeviceRates.Burst, 10)
	set(&l.GatewayRates.Messages, 20_000)
	set(&l.GatewayRates.Bytes, 16<<20)
	set(&l.GatewayRates.Burst, 5)
	setTime(&l.Login, 5*time.Second)
	setTime(&l.FirstPacket, 5*time.Second)
	setTime(&l.Write, 5*time.Second)
	setTime(&l.KeepAliveMin, 5*time.Second)
	setTime(&l.KeepAliveMax, time.Hour)
	setTime(&l.SessionExpiry, time.Hour)
	setTime(&l.Stop, 5*time.Second)
	l.Unacked = min(l.Unacked, 65_535)   // Receive Maximum has two bytes
	l.Inflight = min(l.Inflight, 32_767) // so that there is always a packet id
	return l
}

// keepAlive is the keep-alive imposed on a client that asks for some seconds. The result, one and a half times, fits
// the 16 bits in which mochi computes its deadline: 43,691 s would wrap around to a deadline of nothing.
func (l Limits) keepAlive(asked uint16) uint16 {
	const largest = 43_690
	seconds := uint16(min(max(l.KeepAliveMax/time.Second, 1), largest))
	if asked == 0 {
		return seconds
	}
	return max(min(asked, seconds), uint16(min(l.KeepAliveMin/time.Second, largest)), 1)
}

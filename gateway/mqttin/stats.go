package mqttin

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/fleetcast/fleetcast/bridge/dialect"
	"github.com/fleetcast/fleetcast/devices/latency"
)

// Reason says why something was refused, dropped or ended. Each has a counter.
type Reason uint8

// The reasons, connections first.
const (
	ConnectionLimit        Reason = iota // refused: Limits.Connections are open
	AddressLimit                         // refused: too many connections of one address
	UnidentifiedLimit                    // refused: too many connections that have not sent a CONNECT
	UnidentifiedByAddress                // refused: too many such connections of one address
	AcceptFailed                         // the system gave no connection, for example for want of file descriptors
	FirstPacketLate                      // ended: no whole CONNECT within Limits.FirstPacket
	FirstPacketBad                       // ended: the first packet is no acceptable CONNECT
	LeftEarly                            // ended: the peer left before its CONNECT
	Malformed                            // ended: a packet breaks the protocol
	PacketTooLarge                       // ended: a packet is announced larger than Limits.PacketBytes
	ConnectTooLarge                      // ended: a CONNECT or a client id is larger than any device needs
	Panicked                             // ended: a packet made the parser panic
	KeepAliveMissed                      // ended: silent for longer than one and a half keep-alives
	PeerLost                             // ended: without a DISCONNECT
	WriteStalled                         // ended: the peer does not read
	TakenOver                            // ended: a newer connection has the same client id
	TooManyFilters                       // ended: a SUBSCRIBE or UNSUBSCRIBE with more than Limits.Filters
	BackPressure                         // ended: the inlet was away, or the device too fast, for a whole keep-alive
	ReceiveMaximumExceeded               // ended: too many QoS 2 messages that were not released
	AliasUnknown                         // ended: a topic alias that was never set
	QueueFull                            // dropped: a QoS 0 message while the queue to the inlet is full, and no room to keep it
	KeptNewest                           // a QoS 0 message waits for the inlet as the newest of its device
	KeptReplaced                         // dropped: a QoS 0 message that waited so, and a newer one of its device came
	Stopping                             // refused: a message while the broker stops
	EntryRefused                         // dropped: the bus does not take what the message says
	ReservedTopic                        // refused: a message on a topic of the broker's own
	FilterRefused                        // refused: a subscription
	WillIgnored                          // dropped: a last will that says nothing to us
	WillOutdated                         // dropped: the last will of a connection that another one replaced
	SessionNotKept                       // a session that ends with its connection, for too many are kept
	DeviceNotTracked                     // one connection speaks for more devices than its presence is kept for
	DuplicateJoined                      // a repeated QoS 2 message that is stored once
	InletRefused                         // dropped: what the inlet will never take; the message is answered with an error
	AppendFailed                         // the inlet refused for now; the same append is tried again
	Uncommitted                          // messages that were not committed when the broker had to stop
	UpstreamUnreachable                  // an attempt to connect to the external broker that did not get through
	UpstreamRefused                      // an attempt that the external broker refused
	UpstreamLost                         // a connection to the external broker that ended
	UpstreamSessionLost                  // the external broker had no session of ours any more
	UpstreamNotSubscribed                // the external broker refused a subscription
	AckTooLate                           // an acknowledgement whose connection was gone: the message comes again
	LoginFailed                          // refused: no such account, or a wrong secret
	LoginForbidden                       // refused: a good credential that is disabled
	LoginThrottled                       // refused unseen: the user name or the address failed too often
	LoginExhausted                       // refused: more logins wait than can be checked
	LoginUnavailable                     // refused: nobody could check the login in time
	LoginUnannounced                     // the other doors were not told of a login: an older connection there ends by its keep-alive
	TakenElsewhere                       // ended: the client has a newer connection at another door
	LoginRate                            // refused: the account connects too often
	LoginBroken                          // refused: the login could not be checked, by a fault of ours
	ClientIDTaken                        // refused: another account uses the client id
	AccountLimit                         // refused: the account has too many sessions
	Flapping                             // refused: connections with one client id throw each other out
	WillDenied                           // refused: a last will that the client may not publish
	TopicDenied                          // refused: a message on a topic that is not the client's
	DeviceDenied                         // refused: what a message says of a device that is not the client's
	DeviceRefused                        // refused: what a message says of a device that the registry does not admit
	DeviceUnknownYet                     // ended: the registry cannot say now whether a device is admitted; it is to come again
	Revoked                              // ended: the credential was revoked, disabled or changed
	CredentialExpired                    // ended: the credential has expired
	RatePaused                           // a connection that is above its account's rates is not read for a while
	RateExceeded                         // ended: the same, for longer than its keep-alive
	WatchFailed                          // the authenticator could not say what changed; everybody is checked again
	ProxyHeaderBad                       // ended: a proxy's connection has no PROXY header, or a bad one
	TLSFailed                            // ended: no TLS came about
	CertificateBad                       // changed certificate files cannot be used; those before stay in use
	UpgradeRefused                       // ended: a request that is none for MQTT over WebSocket
	OriginRefused                        // refused: a web page that may not connect
	RouteDropped                         // dropped: a message for a client for which too many or too much waits
	RouteExhausted                       // dropped: the same, where too much waits for all clients together
	RouteExpired                         // dropped: a message that expired before its client took it
	RouteTooLarge                        // dropped: a message that is larger than its client takes
	RouteRepeated                        // a message was sent again to a client that did not acknowledge it on its last connection
	RetainRefused                        // a message was not retained: too many are, or too much, or too many of its device
	CommandSent                          // a command was sent to a client, at QoS 1
	CommandAcked                         // a client acknowledged a command
	CommandUnsent                        // not sent: the client has too many commands that it has not acknowledged
	ReplyTaken                           // an answer to a command was taken
	ReplyRejected                        // an answer that is none, or that nobody waits for: see the dead letters
	RequestSent                          // something that a format wants sent back was sent
	Looped                               // not taken: a message that we sent to a device came back to us
	RequestUnsent                        // not sent: the client did not subscribe to it, or the connection was gone
)

var reasonNames = [...]string{
	"connection_limit", "address_limit", "unidentified_limit", "unidentified_by_address", "accept_failed", "first_packet_late",
	"first_packet_bad", "left_early", "malformed", "packet_too_large", "connect_too_large", "panicked", "keep_alive_missed",
	"peer_lost", "write_stalled", "taken_over", "too_many_filters", "back_pressure", "receive_maximum_exceeded", "alias_unknown",
	"queue_full", "kept_newest", "kept_replaced", "stopping", "entry_refused", "reserved_topic", "filter_refused", "will_ignored", "will_outdated",
	"session_not_kept", "device_not_tracked", "duplicate_joined", "inlet_refused", "append_failed", "uncommitted",
	"upstream_unreachable", "upstream_refused", "upstream_lost", "upstream_session_lost", "upstream_not_subscribed",
	"ack_too_late", "login_failed", "login_forbidden", "login_throttled", "login_exhausted", "login_unavailable",
	"login_unannounced", "taken_elsewhere", "login_rate", "login_broken", "client_id_taken", "account_limit", "flapping",
	"will_denied", "topic_denied", "device_denied", "device_refused", "device_unknown_yet",
	"revoked", "credential_expired", "rate_paused", "rate_exceeded", "watch_failed", "proxy_header_bad", "tls_failed",
	"certificate_bad", "upgrade_refused", "origin_refused", "route_dropped", "route_exhausted",
	"route_expired", "route_too_large", "route_repeated", "retain_refused", "command_sent", "command_acked",
	"command_unsent", "reply_taken", "reply_rejected", "request_sent", "looped", "request_unsent",
}

// Reasons is the number of reasons.
const Reasons = len(reasonNames)

// String returns the reason's name as used in metric labels.
func (r Reason) String() string { return reasonNames[r] }

// Stats is a reading of the broker's counters. Counters only grow; the gauges are named as such.
type Stats struct {
	Connections  int // gauge: open connections
	Unidentified int // gauge: those of them that have not sent a CONNECT
	Sessions     int // gauge: sessions, of connected clients and kept ones
	Queued       int // gauge: messages on their way to the inlet
	QueuedBytes  int // gauge: their payloads

	Retained      int              // gauge: messages that are retained
	RetainedBytes int              // gauge: what they take
	RoutedBytes   int              // gauge: what waits for clients
	CommitTime    latency.Snapshot // what an append to the inlet took that succeeded, without its tries before

	Commits  uint64                  // appends that succeeded
	Entries  uint64                  // entries in them
	Dropped  uint64                  // members left out of payloads that were taken
	Messages [dialect.Kinds]uint64   // messages by what they were; those rejected included
	Rejected [dialect.Reasons]uint64 // messages rejected by reason
	Events   [Reasons]uint64         // everything else by reason
}

// logEvery is how often one reason may write a line. A fleet that misbehaves must not fill a disk.
const logEvery = 10 * time.Second

// counters count and, rarely, write a line. The zero value counts without writing.
type counters struct {
	log        *slog.Logger
	commitTime latency.Histogram
	commits    atomic.Uint64
	entries    atomic.Uint64
	dropped    atomic.Uint64
	messages   [dialect.Kinds]atomic.Uint64
	rejected   [dialect.Reasons]atomic.Uint64
	events     [Reasons]atomic.Uint64

	rejectedLine [dialect.Reasons]throttle
	eventLine    [Reasons]throttle
}

// throttle lets one caller through every logEvery.
type throttle struct{ next atomic.Int64 }

func (t *throttle) allow(now time.Time) bool {
	next := t.next.Load()
	return now.UnixNano() >= next && t.next.CompareAndSwap(next, now.Add(logEvery).UnixNano())
}

// noteMany counts an event n times.
func (c *counters) noteMany(r Reason, n int) {
	if n > 0 {
		c.events[r].Add(uint64(n - 1))
		c.note(r, "")
	}
}

// note counts an event. remote is the peer's address, or "".
func (c *counters) note(r Reason, remote string) {
	if total, say := c.count(r); say {
		tell := c.log.Warn
		if r == Stopping || r == WillOutdated || r == RequestSent || r == RouteRepeated || r == CommandSent || r == CommandAcked || r == ReplyTaken { // a stop or a takeover as it should be
			tell = c.log.Debug
		}
		tell("mqtt guard acted", "reason", r.String(), "remote", remote, "total", total)
	}
}

// count counts an event and tells whether it is time for a line about it.
func (c *counters) count(r Reason) (total uint64, say bool) {
	total = c.events[r].Add(1)
	return total, c.log != nil && c.eventLine[r].allow(time.Now())
}

// reject counts a payload or a topic that is not understood. Neither is logged: both are the sender's choice.
func (c *counters) reject(r dialect.Reason, device string) {
	total := c.rejected[r].Add(1)
	if c.log != nil && c.rejectedLine[r].allow(time.Now()) {
		c.log.Warn("mqtt message rejected", "reason", r.String(), "device", device, "total", total)
	}
}

func (c *counters) read(s *Stats) {
	s.CommitTime = c.commitTime.Snapshot()
	s.Commits, s.Entries, s.Dropped = c.commits.Load(), c.entries.Load(), c.dropped.Load()
	for i := range c.messages {
		s.Messages[i] = c.messages[i].Load()
	}
	for i := range c.rejected {
		s.Rejected[i] = c.rejected[i].Load()
	}
	for i := range c.events {
		s.Events[i] = c.events[i].Load()
	}
}

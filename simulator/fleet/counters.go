package fleet

import (
	"sync/atomic"

	"github.com/fleetcast/fleetcast/simulator/measure"
)

// counters are the ledger. Every turn of a device that was due is offered, and exactly one of sent, failed or a skip.
type counters struct {
	offered, sent, late, failed           atomic.Int64
	behind, busy, window, notConnected    atomic.Int64
	acked, ackRefused, unacked            atomic.Int64
	buffered, quiet                       atomic.Int64
	duplicated, disordered, malformed     atomic.Int64
	dropped, takeovers, vanished          atomic.Int64
	commands                              atomic.Int64 // answered
	connects, reconnects                  atomic.Int64
	dialFailed, refused, handshakes, lost atomic.Int64
	connected                             atomic.Int64
	// From the intended instant to the sending and to the PUBACK, from the sending to the PUBACK, and from dialling to the
	// CONNACK.
	lateness, puback, acking, connect *measure.Histogram

	lastLogged atomic.Int64
}

func newCounters() *counters {
	return &counters{
		lateness: measure.NewHistogram(), puback: measure.NewHistogram(), acking: measure.NewHistogram(), connect: measure.NewHistogram(),
	}
}

// latencies are copies of the histograms of the steady time.
func (c *counters) latencies() latencies {
	return latencies{c.lateness.Copy(), c.puback.Copy(), c.acking.Copy()}
}

type latencies struct{ lateness, puback, acking *measure.Histogram }

// Counts are the ledger at a moment.
type Counts struct {
	// Offered turns are those whose instant came: the load as intended. Offered = Sent + Failed + Skipped.
	Offered int64 `json:"offered"`
	Sent    int64 `json:"sent"`
	// Late were sent, but more than 50 ms after their instant.
	Late    int64   `json:"late"`
	Failed  int64   `json:"failed"` // the connection broke in the sending
	Skipped Skipped `json:"skipped"`

	Buffered int64 `json:"buffered"` // of those offered: fixes that a tunnel had held back
	Quiet    int64 `json:"quiet"`    // turns at which a tracker had nothing to report; none of those offered
	Faults   Made  `json:"faults"`

	Acked      int64 `json:"acked"`       // PUBACKs of success, QoS 1
	AckRefused int64 `json:"ack_refused"` // PUBACKs with an error code
	Unacked    int64 `json:"unacked"`     // QoS 1 messages whose connection ended before their PUBACK

	Connected  int64   `json:"connected"` // now
	Connects   int64   `json:"connects"`
	Commands   int64   `json:"commands,omitempty"` // answered
	Reconnects int64   `json:"reconnects"`         // attempts after the first of a device
	Trouble    Trouble `json:"connect_trouble"`
}

// Made are the faults that the devices made on purpose.
type Made struct {
	Duplicates int64 `json:"duplicates"` // sent again: offered and sent count them too
	Disordered int64 `json:"disordered"`
	Malformed  int64 `json:"malformed"`
	Dropped    int64 `json:"dropped"`   // connections
	Takeovers  int64 `json:"takeovers"` // connections
	Vanished   int64 `json:"vanished"`  // connections that were left without a word
}

// Skipped are the turns that were not sent, by reason.
type Skipped struct {
	// Behind: the simulator itself was late by more than a whole interval of the device.
	Behind int64 `json:"behind"`
	// Busy: the socket's buffer was full, since the broker does not read.
	Busy int64 `json:"busy"`
	// Window: too many QoS 1 messages of the device wait for their PUBACK.
	Window int64 `json:"window"`
	// NotConnected: the device should have been connected and was not.
	NotConnected int64 `json:"not_connected"`
}

// Total is the sum.
func (s Skipped) Total() int64 { return s.Behind + s.Busy + s.Window + s.NotConnected }

// Trouble is what went wrong with connections.
type Trouble struct {
	Dial      int64 `json:"dial"`      // no TCP connection
	Handshake int64 `json:"handshake"` // no CONNACK
	Refused   int64 `json:"refused"`   // a CONNACK that says no
	Lost      int64 `json:"lost"`      // ended by the broker or the network
}

func (c *counters) counts() Counts {
	return Counts{
		Offered: c.offered.Load(), Sent: c.sent.Load(), Late: c.late.Load(), Failed: c.failed.Load(),
		Skipped:  Skipped{Behind: c.behind.Load(), Busy: c.busy.Load(), Window: c.window.Load(), NotConnected: c.notConnected.Load()},
		Buffered: c.buffered.Load(), Quiet: c.quiet.Load(),
		Faults: Made{
			Duplicates: c.duplicated.Load(), Disordered: c.disordered.Load(), Malformed: c.malformed.Load(),
			Dropped: c.dropped.Load(), Takeovers: c.takeovers.Load(), Vanished: c.vanished.Load(),
		},
		Acked: c.acked.Load(), AckRefused: c.ackRefused.Load(), Unacked: c.unacked.Load(),
		Commands: c.commands.Load(), Connected: c.connected.Load(), Connects: c.connects.Load(), Reconnects: c.reconnects.Load(),
		Trouble: Trouble{Dial: c.dialFailed.Load(), Handshake: c.handshakes.Load(), Refused: c.refused.Load(), Lost: c.lost.Load()},
	}
}

// since is what was counted after an earlier look; Connected stays what it is now.
func (c Counts) since(earlier Counts) Counts {
	connected := c.Connected
	measure.Subtract(&c, earlier)
	c.Connected = connected
	return c
}

package mqttin

import (
	"github.com/fleetcast/fleetcast/bridge/bus"
	"github.com/fleetcast/fleetcast/devices/trace"
)

// ticket is an acknowledgement that is owed: it may be written when the entries of its batch from from up to upto are
// durable, and those before them.
type ticket struct {
	from, upto int
	origin     origin
	flow       *flow // of a QoS 2 message that was taken
	id         uint16
	kind       byte // pubackByte or pubrecByte
	code       byte
}

// delivery is one message on its way into the queue.
type delivery struct {
	entries []bus.Entry // copied
	ticket  ticket      // kind 0: QoS 0, nothing is owed
	bytes   int
	trace   *trace.Context // of a message that is traced
	others  bool           // who took it takes others too, and says when it is time for them all: see poller
}

// batch is what one or more appends carry.
type batch struct {
	entries  []bus.Entry
	tickets  []ticket
	ended    []*session
	messages int
	bytes    int
}

func (b *batch) reset() {
	clear(b.entries) // the inlet keeps readings, this must not
	clear(b.tickets)
	clear(b.ended)
	*b = batch{entries: b.entries[:0], tickets: b.tickets[:0], ended: b.ended[:0]}
}

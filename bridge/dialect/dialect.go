package dialect

import (
	"strings"
	"time"

	"github.com/fleetcast/fleetcast/devices"
)

// MaxPayloadBytes bounds a payload that is decoded. A longer one is refused before it is looked at.
const MaxPayloadBytes = 64 << 10

// Kind says what a payload was.
type Kind uint8

// The kinds of payloads. Rejected is the zero value, so that nothing passes that no decoder took.
const (
	Rejected  Kind = iota // not understood; Result.Reason says why
	Position              // a reading with a position
	Telemetry             // a reading without one
	Presence              // the device, or its last will, said that it is online or offline
	Event                 // something that happened, without a reading, for example an OwnTracks transition
	Region                // a place that somebody defined, not where the device is
	Command               // the way down: an order to a device that came past us
	Opaque                // well formed, but not for us to read: encrypted, a picture, a contact card
	Birth                 // a device introduces itself: what it will send, and how; may hold first values
	Discovery             // tells programs which topics to read; not data
)

var kindNames = [...]string{
	"rejected", "position", "telemetry", "presence", "event", "region", "command", "opaque", "birth", "discovery",
}

// Kinds is the number of kinds, for counters by kind.
const Kinds = len(kindNames)

// String returns the kind's name as used in metric labels.
func (k Kind) String() string { return kindNames[k] }

// Reason says why a topic or a payload was refused.
type Reason uint8

// The reasons. None means that nothing was refused.
const (
	None           Reason = iota
	UnknownTopic          // no template matches the topic
	BadTopic              // the topic is too long or too deep
	BadName               // a level of the topic is no valid id
	Declined              // the templates match, but no decoder knows the payload
	Empty                 // no payload, or only white space
	TooLarge              // above MaxPayloadBytes
	ByteOrderMark         // begins with a UTF-8 byte order mark, which RFC 8259 section 8.1 forbids
	NotUTF8               // holds bytes that are not UTF-8, for example UTF-16
	BadSyntax             // not JSON
	Truncated             // ends in the middle of a value
	Trailing              // goes on after the value
	NotObject             // JSON, but not an object
	TooDeep               // nested deeper than MaxDepth
	LongName              // a member's name is longer than MaxKeyBytes
	TooManyMembers        // more than MaxLeaves values
	BadStatus             // neither online nor offline
	Checksum              // the sum that the payload carries is not that of its bytes
	BadDevice             // the payload names the device, by what is no valid id
	Panicked              // a decoder failed: a fault of ours
)

var reasonNames = [...]string{
	"none", "unknown_topic", "bad_topic", "bad_name", "declined", "empty", "too_large", "byte_order_mark", "not_utf8",
	"bad_syntax", "truncated", "trailing", "not_object", "too_deep", "long_name", "too_many_members", "bad_status",
	"checksum", "bad_device", "panicked",
}

// Reasons is the number of reasons, for counters by reason.
const Reasons = len(reasonNames)

// String returns the reason's name as used in metric labels.
func (r Reason) String() string { return reasonNames[r] }

// Message is what a payload says about one device: a reading, or a status.
type Message struct {
	// Kind is Position, Telemetry, Birth, Presence, Event or Region. A payload may hold several kinds.
	Kind   Kind
	Device devices.DeviceID
	Fleet  devices.FleetID
	// Reading is nil where the message is a status. It belongs to the Result and is overwritten by the next Decode:
	// Keep makes one that may be kept.
	Reading *devices.Reading
	// Status is Online or Offline where Reading is nil.
	Status devices.Status
	// At is when the status was true, as the sender says, unix ms; 0 where it does not. What counts is its receipt.
	At int64
	// Aside says that the message is only for people who look: it changes no asset. A place is not where the device is,
	// and a host is no device.
	Aside bool
}

// Keep returns what an asset shall hear of the message's reading, in memory that Decode does not write to: all of it, or
// nil where it is none of an asset's business. Of an event the asset hears what happened, not where: the platform may
// tell the last known place beside an event of now, and an old place would become new by it.
func (m *Message) Keep() *devices.Reading {
	if m.Reading == nil || m.Aside {
		return nil
	}
	kept := CloneReading(m.Reading)
	if m.Kind == Event {
		kept.Has, kept.Cleared = 0, 0
	}
	return kept
}

// Result is what Decode found. It is made once and used again for every message of a goroutine, so that decoding
// allocates nothing. The zero value is ready.
type Result struct {
	Kind   Kind
	Reason Reason // set where Kind is Rejected
	// Dropped counts the members that were left out of a payload that was taken: of the wrong type, above a limit of
	// devices, half a position.
	Dropped  int
	Messages []Message
	// Device and Fleet are those of the topic, by the template whose decoder took the payload. Zero where it names none,
	// or where the payload is about others: a gateway that only forwards is no device of the fleet.
	Device devices.DeviceID
	Fleet  devices.FleetID

	// Requests are what the format wants sent back.
	Requests []Request

	taker      *boundRow // whose decoder took the payload
	in         input
	readings   []*devices.Reading // the readings of earlier results, for use again
	started    int                // of readings
	scanner    scanner
	build      collector
	native     nativeSink
	tracks     ownTracksSink
	spark      sparkPayload
	doc        document
	tree       value // of the payload, once parsed is set
	parsed     bool
	treeReason Reason
}

func (r *Result) reset() {
	r.Kind, r.Reason, r.Dropped = Rejected, None, 0
	r.Messages, r.Requests, r.started, r.parsed = r.Messages[:0], r.Requests[:0], 0, false
	r.Device, r.Fleet, r.taker = devices.DeviceID{}, devices.FleetID{}, nil
}

func (r *Result) reject(reason Reason) bool {
	r.Kind, r.Reason = Rejected, reason
	r.Messages = r.Messages[:0]
	return true
}

// speaksOf tells whether the payload says something about the device, or nothing about any other.
func (r *Result) speaksOf(device devices.DeviceID) bool {
	for i := range r.Messages {
		if r.Messages[i].Device == device {
			return true
		}
	}
	return len(r.Messages) == 0
}

// Rule is what took the payload: the name of a mapping, or the template of a preset; "" where nothing did.
func (r *Result) Rule() string {
	switch {
	case r.taker == nil:
		return ""
	case r.taker.rule != "":
		return r.taker.rule
	}
	return r.taker.template.text
}

// Dialect is the preset of the rule, or "mapping".
func (r *Result) Dialect() string {
	if r.taker == nil {
		return ""
	}
	return r.taker.preset
}

// forget lets go of the payload, and of memory that only an unusual one needed.
func (r *Result) forget() {
	r.in.payload, r.in.topic = nil, nil
	if r.parsed {
		r.doc.forget()
	}
	if cap(r.spark.metrics) > maxKeptNodes {
		r.spark.metrics = nil
	}
	if len(r.readings) > maxKeptReadings {
		r.readings = r.readings[:maxKeptReadings:maxKeptReadings]
	}
}

// maxKeptReadings is what a common message stays below.
const maxKeptReadings = 64

// decline says that the payload is not of the decoder's format. The reason of the most specific decoder is kept.
func (r *Result) decline(reason Reason) bool {
	r.Kind, r.Messages, r.started, r.Dropped = Rejected, r.Messages[:0], 0, 0
	if r.Reason == None {
		r.Reason = reason
	}
	return false
}

// blank returns an empty reading of the result's own memory, the n-th of this message.
func (r *Result) blank(n int) *devices.Reading {
	for len(r.readings) <= n {
		r.readings = append(r.readings, new(devices.Reading))
	}
	reading := r.readings[n]
	*reading = devices.Reading{Metrics: reading.Metrics[:0]}
	return reading
}

// addReading adds a reading of the topic's device.
func (r *Result) addReading(in *input, kind Kind, reading *devices.Reading) *Message {
	r.Messages = append(r.Messages, Message{Kind: kind, Device: in.device, Fleet: in.fleet, Reading: reading})
	return &r.Messages[len(r.Messages)-1]
}

// addStatus adds a status of the topic's device.
func (r *Result) addStatus(in *input, status devices.Status) *Message {
	r.Messages = append(r.Messages, Message{Kind: Presence, Device: in.device, Fleet: in.fleet, Status: status})
	return &r.Messages[len(r.Messages)-1]
}

// CloneReading returns a copy of r that shares no memory that Decode writes to.
func CloneReading(r *devices.Reading) *devices.Reading {
	c := *r
	c.Metrics = nil
	if len(r.Metrics) > 0 {
		c.Metrics = make([]devices.Metric, len(r.Metrics))
		copy(c.Metrics, r.Metrics)
	}
	return &c
}

// input is a payload with what its topic said.
type input struct {
	device  devices.DeviceID
	fleet   devices.FleetID
	topic   *candidate
	payload []byte
	names   *interner
	texts   *interner
	router  *Router
}

func (in *input) now() time.Time { return in.router.now() }

// level is what the topic holds at a level of the template, or "" where it has no such level.
func (in *input) level(name string) string {
	text, _ := in.topic.row.template.capture(in.topic.captures, name)
	return text
}

// nameDeviceText makes a name that the payload holds the message's device. Levels of a name that has slashes are joined
// as those of a topic are. It tells whether it is a valid one.
func (in *input) nameDeviceText(name string) bool {
	device, err := devices.JoinDeviceID(strings.Split(name, "/")...)
	if err != nil {
		return false
	}
	in.device = device
	return true
}

// A decoder fills the result and returns true, or declines with false. It keeps neither the input nor its payload.
type decoder func(in *input, out *Result) bool

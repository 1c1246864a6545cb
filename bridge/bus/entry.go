package bus

import (
	"github.com/fleetcast/fleetcast/devices"
	"github.com/fleetcast/fleetcast/devices/trace"
)

// Entry is one thing that changes a device: the unit of the inlet. Exactly one of the bodies is set, as Kind says.
type Entry struct {
	ID     EntryID // set by the bus
	Time   int64   // when the inlet took it, unix ms by the inlet's clock, never decreasing; set by the bus
	Device devices.DeviceID
	Fleet  devices.FleetID
	Kind   EntryKind

	Reading    *devices.Reading // KindReading. Not changed after Append
	Connection Connection       // KindConnection
	Status     StatusReport     // KindStatus
	Command    *CommandOrder    // KindCommand. Not changed after Append
	Report     *CommandReport   // KindCommandState. Not changed after Append

	Acknowledgement *Acknowledgement // KindAcknowledgement. Not changed after Append

	// Trace is the span that goes on with the entry; nil, as it nearly always is, where it is not traced. Not changed after
	// Append.
	Trace *trace.Context
}

// EntryKind is the type of an entry. The numbers are part of the wire format.
type EntryKind uint8

// The kinds of entries.
const (
	KindReading    EntryKind = 1 // a device's message
	KindConnection EntryKind = 2 // a door saw a connection of the device come or go
	KindStatus     EntryKind = 3 // the device, or its last will, said that it is online or offline
	KindRemoval    EntryKind = 4 // a person removes the device's live state
	KindCommand    EntryKind = 5 // a person sends the device a command
	// KindCommandState: a door sent a command, or heard that it arrived or what came of it.
	KindCommandState EntryKind = 6

	KindAcknowledgement EntryKind = 7 // a person has seen an alert of the device

	// KindErasure: nothing is to be kept of the device in the partition, whatever fleet of it the entry names. What there is
	// of it in others is theirs, and each gets an entry of its own.
	KindErasure EntryKind = 8
)

// Connection is a connection event. A device is online while at least one connection of it is up.
type Connection struct {
	Door DoorID
	Conn uint64 // unique in the door's run
	Up   bool
}

// Acknowledgement says that a person has seen an alert. Who says it twice says nothing new.
type Acknowledgement struct {
	Alert string // its id
	By    string // who has seen it; "" where nobody is asked who they are
	Text  string // what they wrote to it
}

// StatusReport is what a status topic said.
type StatusReport struct {
	Status devices.Status // Online or Offline
	// Retained marks a message that the broker had kept: it proves nothing about now.
	Retained bool
	// Will marks the last will of a connection: it speaks of that connection, and of the device only where it has no other.
	Will bool
}
